"""Sending one attempt at a part.

The order of writes is the promise: intent (fsynced), upload, create once, receipt. An intent without a receipt is in doubt, and settled by
`in_doubt.py` before anything is sent for that part again.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from batchtrial.errors import Ambiguous, AuthFailed, NotFound, ProviderError, RateLimited, RunStateMissing
from batchtrial.keys import OUT, token
from batchtrial.phases.base import Work, publishing
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.backoff import Backoff
from batchtrial.phases.batches.copies import Copies
from batchtrial.phases.batches.coverage import unpriced
from batchtrial.phases.batches.full_queues import FullQueues
from batchtrial.phases.batches.gates import answer
from batchtrial.phases.batches.in_doubt import InDoubt
from batchtrial.phases.batches.money import Purse
from batchtrial.phases.batches.parts import Job, Parts
from batchtrial.providers.base import Provider
from batchtrial.state.machine import NEVER_SENT, Event
from batchtrial.state.store import Fingerprint

log = logging.getLogger(__name__)


class Sending:
    """The paying half of the queue."""

    def __init__(self, work: Work, provider: Provider, parts: Parts, purse: Purse, copies: Copies, full: FullQueues, doubts: InDoubt) -> None:
        self._work, self._provider, self._parts, self._purse, self._copies, self._full = work, provider, parts, purse, copies, full
        self._doubts = doubts

    def send(self, job: Job, *, is_by_hand: bool = False) -> bool:
        """A new attempt at a part that waits. True when it was sent, or may have been; False when it waits on.

        is_by_hand: as a file, which the intent says too: a call that never was is in doubt nowhere, and owes no account anything.
        """
        if answer(job.shard, self._work.view.trials, self._work.view.build, self._work.ledger.notes) != "go":
            return False
        attempt = self._parts.record(job).next_attempt
        payload, made, n_requests = self._payload(job, attempt)
        if self._copies.must_wait(job, n_requests):
            job.sending.not_before = self._work.now() + timedelta(seconds=self._work.config.submission.poll_seconds)
            return False
        mark = token(self._nonce(), job.shard.part, attempt)
        reserve = self._purse.reserve(job.shard, job.arm, n_requests)
        may_be_there = self._work.ledger.is_doubtful or self._copies.was_sent(mark, n_requests)
        is_asked_first = may_be_there and mark not in self._doubts.asked_first
        with self._purse.held() as is_held:
            if not is_held:
                job.sending.not_before = self._work.now() + timedelta(seconds=self._work.config.submission.poll_seconds)
            if not is_held or not self._is_affordable(job, attempt, reserve):
                return False
            entry = self._work.ledger.append(
                Event.INTENT,
                job.shard.part,
                attempt=attempt,
                token=mark,
                payload=payload.relative_to(self._work.layout.root).as_posix(),
                payload_sha256=made.sha256,
                n_requests=n_requests,
                reserved_usd=reserve,
                file_id=OUT + mark if is_by_hand and not is_asked_first else None,
            )
        if is_asked_first:
            self._doubts.asked_first.add(mark)
            log.info("ask first part=%s attempt=%s: it may have been sent, or was sent from elsewhere", job.shard.part, attempt)
            job.doubt, job.refusal = Backoff(), None
            return True
        log.info("submit part=%s attempt=%s requests=%s token=%s", job.shard.part, attempt, n_requests, entry.token)
        return self._create(job, payload)

    def leave(self, job: Job) -> int:
        """Write down that an attempt which waits is not made; how many requests it would have had. What it was to ask is written down before: whoever
        is killed between the two lines asks the provider once, which knows of none."""
        part, attempt = job.shard.part, self._parts.record(job).next_attempt
        payload, made, n_requests = self._payload(job, attempt)
        self._work.ledger.append(
            Event.INTENT,
            part,
            attempt=attempt,
            token=token(self._nonce(), part, attempt),
            payload=payload.relative_to(self._work.layout.root).as_posix(),
            payload_sha256=made.sha256,
            n_requests=n_requests,
            reserved_usd=Decimal(0),
        )
        self._work.ledger.append(Event.REJECTED, part, wire_state=NEVER_SENT, reason="it was never sent", retryable=False)
        return n_requests

    def _is_affordable(self, job: Job, attempt: int, reserve: Decimal | None) -> bool:
        """Whether the budget covers the attempt and, at the first, the same items in other arms: alone its answers could be compared with nothing."""
        if not self._purse.is_bounded:
            return True
        others = self._parts.unsent_beside(job) if attempt == 1 else []
        reserves = {one.arm.model: self._purse.reserve(one.shard, one.arm, one.shard.lines) for one in others}
        for model, found in {**reserves, job.arm.model: reserve}.items():
            if found is None:
                raise unpriced(model)
        besides = sum((self._purse.reserve(one.shard, one.arm, one.shard.lines) or Decimal(0) for one in others), Decimal(0))
        return self._purse.covers(job.shard.part, reserve, besides)

    def _create(self, job: Job, payload: Path) -> bool:
        part, ledger = job.shard.part, self._work.ledger
        kept, job.kept = job.kept, None
        if kept is not None and kept[0] == self._parts.current(job).number:
            self._note_upload(part, kept[1])
        intent = self._doubts.intent(job)
        try:
            self._work.hook("call:submit:before")
            batch_id = self._provider.submit(intent, payload, lambda file_id: self._note_upload(part, file_id))
            self._work.hook("call:submit:after")
        except Ambiguous as error:
            log.warning("in doubt part=%s attempt=%s reason=%s", part, intent.attempt, error.what)
            job.doubt, job.refusal = Backoff(), error
            return True
        except ProviderError as error:
            # Refused before anything was created: the part is free again, whatever else is wrong.
            file_id = self._parts.current(job).file_id
            ledger.append(Event.LOST, part, reason=error.what)
            if not error.retryable and not (kept and isinstance(error, NotFound | AuthFailed)):  # an input that was kept may be gone by now
                raise
            if isinstance(error, RateLimited) and file_id is not None:
                job.kept = intent.attempt, file_id
            if isinstance(error, RateLimited) and self._parts.has_batches():  # which may be what fills the queue, and they end
                self._full.refused(job.arm.model, error.what, error.retry_after)
                return False
            job.sending.after(error, f"cannot submit {part}", self._work.now(), self._work.progress.note)
            return False
        ledger.append(Event.RECEIPT, part, batch_id=batch_id, adopted=False)
        self._copies.received(job)
        job.sending = Backoff()
        return True

    def _note_upload(self, part: str, file_id: str) -> None:
        self._work.ledger.append(Event.UPLOADED, part, file_id=file_id)
        if self._provider.limits.is_found_by_file:
            self._work.ledger.sync()

    def _payload(self, job: Job, attempt: int) -> tuple[Path, Fingerprint, int]:
        """The file to send: the whole part first, later only the rows worth sending again."""
        whole = self._work.layout.part_input(job.shard.part)
        if attempt == 1:
            got = self._work.view.stamps.of(whole)
            if got is None or got.sha256 != job.shard.sha256:
                raise RunStateMissing(f"the requests of {job.shard.part} are not as built", where=str(whole.name), hint="run with --from_step build")
            return whole, got, job.shard.lines
        path = self._work.layout.retry_input(job.shard.part, attempt)
        n = 0
        with publishing(self._work, path) as file:
            for line in answers.rows(whole, self._parts.rows_again(job)):
                file.write(line)
                n += 1
        return path, file.fingerprint, n

    def _nonce(self) -> str:
        if self._work.ledger.run_nonce is None:
            raise RunStateMissing("the ledger does not say which run it belongs to", where="ledger.jsonl", hint="run `batchtrial repair`")
        return self._work.ledger.run_nonce
