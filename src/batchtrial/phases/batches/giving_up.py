"""Giving up batches that the provider does not know: which they are, what is lost with them, and recording it once a person has agreed.

Where batches do not vanish by themselves, nothing else declares one lost while no other batch of the run is known to the account that is asked. At
Fireworks a job may vanish (`Limits.may_vanish`), and another account's key is told by 403 and not by 404: there three 404s in a row end a job.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from batchtrial.errors import NotFound, ProviderError, StateError
from batchtrial.phases.base import Work
from batchtrial.phases.batches import account
from batchtrial.phases.batches.parts import Job, Parts
from batchtrial.providers.base import Provider
from batchtrial.state.machine import Event, PartState
from batchtrial.state.money import dollars

log = logging.getLogger(__name__)

LOOKS = 3
"""Times that the provider must deny a batch: a single 404 is not yet "gone"."""
REASON = "given up on request: the provider does not know it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What would be given up. usd: the most that it may have cost; None when a batch has no known price."""

    parts: tuple[str, ...]
    batch_ids: tuple[str, ...]
    n_requests: int
    usd: Decimal | None

    @property
    def sentence(self) -> str:
        """In requests and dollars."""
        n, most = len(self.parts), "an unknown sum" if self.usd is None else f"up to {dollars(self.usd)}"
        return (
            f"{n} batch{'es' * (n != 1)} of this run, with {self.n_requests:,} request{'s' * (self.n_requests != 1)} that may have cost {most}, "
            f"{'are' if n != 1 else 'is'} unknown to the provider ({', '.join(self.batch_ids[:3])}{', ...' * (n > 3)})"
        )


Agree = Callable[[Lost], None]
"""Asks a person; raises StateError when the answer is not yes."""


def give_up_unknown(work: Work, agree: Agree) -> Lost:
    """Declare lost what the provider denies `LOOKS` times, after `agree`. Raises StateError when it knows them all, ProviderError."""
    under_way: list[Job] = []
    unknown: list[Job] = []
    for one in work.lanes:
        account.prove(one)
        provider = one.provider()
        parts = Parts(one, provider)
        mine = [job for job in parts.jobs if parts.state(job) in (PartState.SUBMITTED, PartState.COMPLETED) and not parts.is_out(job)]
        under_way += mine
        unknown += [job for job in mine if _is_denied(one, provider, parts, job)]
    if not unknown:
        known = f"the provider knows {_all(len(under_way))}" if under_way else "no batch is under way"
        raise StateError(f"there is nothing to give up: {known}", where="--give_up_unknown_batches", hint="resume without the flag")
    lost = _lost(parts, unknown)
    agree(lost)
    for job in unknown:
        log.error("given up part=%s batch=%s", job.shard.part, parts.current(job).batch_id)
        work.ledger.append(Event.GONE, job.shard.part, reason=REASON)
    work.ledger.sync()
    work.progress.note(f"given up: {lost.sentence}")
    return lost


def _is_denied(work: Work, provider: Provider, parts: Parts, job: Job) -> bool:
    batch_id = parts.current(job).batch_id or ""
    for look in range(LOOKS):
        if look:
            work.stop.sleep(work.config.submission.poll_seconds)
        try:
            provider.check(batch_id)
            if parts.state(job) is PartState.COMPLETED:  # the batch may be there and its results gone
                for _ in provider.fetch(batch_id):
                    pass  # what is gone may be told after the lines that are there
        except NotFound:
            continue
        except ProviderError as error:
            if not error.retryable:
                raise
            raise ProviderError(
                f"nothing was given up: the provider does not answer whether it knows {batch_id} ({error.what}), and that proves nothing",
                where=error.where or "--give_up_unknown_batches",
                hint="ask again when the provider is back",
                retryable=True,
                retry_after=error.retry_after,
            ) from error
        return False
    return True


def _lost(parts: Parts, jobs: Sequence[Job]) -> Lost:
    attempts = [parts.current(job) for job in jobs]
    return Lost(
        parts=tuple(job.shard.part for job in jobs),
        batch_ids=tuple(one.batch_id or "" for one in attempts),
        n_requests=sum(one.n_requests for one in attempts),
        usd=None if not all(one.is_priced for one in attempts) else sum((one.reserved_usd for one in attempts), Decimal(0)),
    )


def _all(n: int) -> str:
    return "the one batch that is under way" if n == 1 else f"all {n:,} batches that are under way"
