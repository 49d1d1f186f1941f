"""What is asked when the answer to a create call was lost: whether the provider has the batch. Nothing is sent for that part meanwhile."""

from __future__ import annotations

import logging
from datetime import timedelta

from batchtrial.errors import ProviderError, Unsure
from batchtrial.phases.base import Work
from batchtrial.phases.batches.backoff import Backoff
from batchtrial.phases.batches.copies import Copies
from batchtrial.phases.batches.parts import Job, Parts
from batchtrial.providers.base import Intent, Provider
from batchtrial.state.machine import Event, PartState

log = logging.getLogger(__name__)

UNSURE = "look for it in the provider's console; when it has ended, or is cancelled there, run again with --resume: nothing is sent twice meanwhile"


class InDoubt:
    """Intents without a receipt. asked_first: tokens of parts that the provider was asked about before they were sent."""

    def __init__(self, work: Work, provider: Provider, parts: Parts, copies: Copies) -> None:
        self._work, self._provider, self._parts, self._copies = work, provider, parts, copies
        self.asked_first: set[str] = set()

    def settle(self, job: Job) -> bool:
        """Settle an intent without a receipt. Absence is believed only after `find_rounds` listings with growing waits between."""
        if self._parts.state(job) is not PartState.SUBMITTING or not job.doubt.is_due(self._work.now()):
            return False
        limits, part = self._provider.limits, job.shard.part
        try:
            self._work.hook("call:find:before")
            found = self._provider.find(self.intent(job), self._work.batches())
        except Unsure as error:
            log.warning("unsure part=%s reason=%s", part, error.what)
            now, submission = self._work.now(), self._work.config.submission
            what = f"nobody can tell after {submission.give_up_hours:g} hours whether {part} was sent: {error.what}"
            job.unsure.goes_on(now, submission.give_up_hours, what, UNSURE)
            job.doubt.not_before = now + timedelta(seconds=submission.poll_seconds)
            return False
        except ProviderError as error:
            return self._doubt_longer(job, error)
        job.unsure.ends()
        job.looking = Backoff()
        if found:
            return self._adopt(job, found)
        if job.doubt.failures + 1 < limits.find_rounds:
            job.doubt.wait(self._work.now(), limits.find_wait_seconds)
            return False
        log.info("lost part=%s: no listing of %s knows its token, it is sent again", part, limits.find_rounds)
        self._work.ledger.append(Event.LOST, part, reason=f"{limits.find_rounds} listings without its token")
        job.doubt = Backoff()
        if job.refusal is not None:
            job.sending.after(job.refusal, f"cannot submit {part}", self._work.now(), self._work.progress.note)
        return True

    def _doubt_longer(self, job: Job, error: ProviderError) -> bool:
        if not error.retryable:
            raise error
        job.looking.after(error, f"cannot find out about {job.shard.part}", self._work.now(), self._work.progress.note)
        job.doubt.not_before = job.looking.not_before
        return False

    def _adopt(self, job: Job, found: tuple[str, ...]) -> bool:
        keep, *younger = found
        for batch_id in younger:
            try:
                self._copies.drop(job, self._parts.current(job), batch_id, keep)
            except ProviderError as error:
                return self._doubt_longer(job, error)  # found again then, both of them
        log.info("adopt part=%s batch=%s", job.shard.part, keep)
        self._work.ledger.append(Event.RECEIPT, job.shard.part, batch_id=keep, adopted=True)
        self._copies.received(job)
        job.doubt, job.sending = Backoff(), Backoff()
        return True

    def intent(self, job: Job) -> Intent:
        """What the provider is told, or asked about, for the attempt that is under way."""
        current, ledger = self._parts.current(job), self._work.ledger
        # An intent that took the place of a lost one, or of a copy's, may be found behind batches of any time since the run began.
        is_any_time = ledger.is_doubtful or current.token in self.asked_first
        since = min(note.at for note in ledger.notes) if is_any_time else current.created_at
        return Intent(
            part=job.shard.part,
            attempt=current.number,
            token=current.token,
            payload_sha256=current.payload_sha256,
            n_requests=current.n_requests,
            created_at=since,
            model=job.arm.model,
            file_id=current.file_id,
            label=self._parts.label(job),
        )
