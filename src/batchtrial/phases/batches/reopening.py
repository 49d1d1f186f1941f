"""Parts that were declared gone, asked for once more: the right account, or a provider that has found its files again, opens them."""

from __future__ import annotations

import logging

from batchtrial.amounts import counted
from batchtrial.errors import ConfigError, ProviderError, StateError
from batchtrial.keys import OUT
from batchtrial.phases.base import Work
from batchtrial.state.ledger import Attempt, Ledger, PartRecord
from batchtrial.state.machine import Event, PartState

log = logging.getLogger(__name__)

CLOSED = frozenset({PartState.FAILED, PartState.SETTLED})


def gone_attempt(record: PartRecord) -> Attempt | None:
    """The part's last attempt when its batch was declared gone and nobody has gone on from there."""
    current = record.current
    return current if current is not None and current.is_gone and record.state in CLOSED else None


def has_gone(ledger: Ledger) -> bool:
    """Whether there is anything to ask for."""
    return any(gone_attempt(record) is not None for record in ledger.parts.values())


def reopen(work: Work) -> int:
    """Open every such part whose batch the provider shows; how many. One look each; that it cannot be asked changes nothing."""
    n = sum(map(_reopen, work.lanes))
    if n:
        work.ledger.sync()
        work.progress.note(
            f"{counted(n, 'part')} whose batches were declared gone {'is' if n == 1 else 'are'} there after all; their results are fetched"
        )
    return n


def _reopen(work: Work) -> int:
    """The same at one lane."""
    n = 0
    try:
        for record in list(work.records().values()):
            attempt = gone_attempt(record)
            if attempt is None or not attempt.batch_id or attempt.batch_id.startswith(OUT):
                continue
            try:
                work.provider().check(attempt.batch_id)
            except (ProviderError, StateError) as error:  # the second: no batch that this lane can have made
                log.info("still gone part=%s reason=%s", record.part, error.what)
                if isinstance(error, ProviderError) and error.retryable:
                    break  # the provider is away: no use in asking for the others
                continue
            work.ledger.append(Event.FOUND, record.part, reason="the provider shows it")
            n += 1
    except ConfigError as error:
        log.info("cannot ask for what was declared gone: %s", error.what)
    return n
