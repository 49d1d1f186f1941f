"""The queue: sends parts, watches batches, fetches results, decides on new attempts. submit and poll both run it, each until its own goal.

The order of writes is the promise. For each attempt: intent (fsynced), upload, create once, receipt (fsynced). An intent without a receipt is in
doubt and is settled by `find` before anything is sent for that part again; other parts go on meanwhile. Nothing here knows a wire.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from batchtrial.config.expand import Arm, arms_of
from batchtrial.errors import Ambiguous, NotFound, PhaseFailed, ProviderError, RunStateMissing, Stopped, Unsure
from batchtrial.keys import token
from batchtrial.phases import answers
from batchtrial.phases.base import Work
from batchtrial.phases.money import Purse
from batchtrial.providers.base import BatchState, BatchStatus, Intent
from batchtrial.state.files import Shard
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt, PartRecord
from batchtrial.state.machine import IN_FLIGHT, Event, PartState
from batchtrial.state.store import Fingerprint, replacing

log = logging.getLogger(__name__)

GONE_AFTER = 3
"""Looks in a row that must all say 404 before a known batch is believed to be gone."""
MOST_FAILURES = 12
"""Failures in a row, each after a longer wait, before the run stops and says so."""
LONGEST_WAIT_SECONDS = 600.0


@dataclass(slots=True)
class Patience:
    """Back-off for one thing that keeps failing. not_before: when it may be tried again."""

    failures: int = 0
    not_before: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        return self.not_before is None or now >= self.not_before

    def wait(self, now: datetime, first_seconds: float, asked: float | None = None) -> None:
        """Twice as long as last time, or as long as the provider asked, never longer than LONGEST_WAIT_SECONDS."""
        seconds = asked if asked is not None else first_seconds * 2**self.failures
        self.failures += 1
        self.not_before = now + timedelta(seconds=min(seconds, LONGEST_WAIT_SECONDS))


@dataclass(slots=True)
class Job:
    """One part in the queue."""

    shard: Shard
    arm: Arm
    doubt: Patience = field(default_factory=Patience)  # listings without our token so far
    sending: Patience = field(default_factory=Patience)
    looking: Patience = field(default_factory=Patience)
    fetching: Patience = field(default_factory=Patience)
    absent: int = 0  # 404s in a row for a known batch


class Queue:
    """All parts of the run, driven by `run`."""

    def __init__(self, work: Work) -> None:
        if work.view.build is None:
            raise RunStateMissing("no requests are built", where="batch_inputs/build_manifest.json", hint="run with --from_step build")
        self.work = work
        self.provider = work.provider()
        arms = {arm.name: arm for arm in arms_of(work.view.trials)}
        self.jobs = [Job(shard, arms[shard.arm]) for shard in work.view.build.shards.values() if shard.arm in arms]
        self.purse = Purse(work.config, work.ledger)

    # What is true of a part

    def record(self, job: Job) -> PartRecord:
        return self.work.ledger.part(job.shard.part)

    def state(self, job: Job) -> PartState:
        return self.record(job).state

    def in_flight(self) -> int:
        """Batches that the provider has, or may have, under way."""
        return sum(self.state(job) in IN_FLIGHT for job in self.jobs)

    def is_submitted(self) -> bool:
        """Every part has been sent at least once and none is in doubt."""
        return all(self.was_sent(job) for job in self.jobs)

    def was_sent(self, job: Job) -> bool:
        """The part has had a batch, and nothing about it is in doubt."""
        record = self.record(job)
        return record.state is not PartState.SUBMITTING and any(a.batch_id for a in record.attempts)

    def is_settled(self) -> bool:
        """Every request of every part has its final outcome."""
        return all(self.state(job) is PartState.SETTLED for job in self.jobs)

    def folder_file(self, job: Job) -> Callable[[int], Path]:
        """Attempt number -> result file of this part."""
        folder = self.work.layout.root / job.arm.part_folder(job.shard.part_index)
        return lambda attempt: result_file(folder, attempt)

    # The loop

    def run(self, label: str, until: Callable[[], bool], steps: Callable[[], int]) -> None:
        """Go round until `until` holds. steps: how many parts count as done for the progress bar.

        Raises Stopped, or PhaseFailed when the budget or the provider ends the work; what was done by then is on disk.
        """
        shown = 0
        with self.work.progress.task(label, len(self.jobs)) as tick:
            while True:
                is_busy = self.round()
                done = steps()
                tick(done - shown)
                shown = done
                self.work.refresh()
                if until():
                    return
                if self.purse.refusal is not None and self.in_flight() == 0:
                    raise PhaseFailed(self.purse.refusal, where="submission.budget_usd", hint="raise --budget_usd and run again with --resume")
                if not is_busy:
                    self.work.stop.sleep(self.work.config.submission.poll_seconds)

    def drain(self) -> None:
        """`stop_policy: drain`: send nothing more, wait for what is in flight, fetch it."""
        waiting = {PartState.SUBMITTED, PartState.COMPLETED}
        while any(self.state(job) in waiting for job in self.jobs):
            moved = [self._look(job) or self._fetch(job) for job in self.jobs]  # every job, not only up to the first that moved
            if not any(moved):
                self.work.stop.sleep_draining(self.work.config.submission.poll_seconds)

    def round(self) -> bool:
        """One look at every part. True when something happened, so that going round again at once is worth it."""
        is_busy = False
        for job in self.jobs:
            self.work.stop.check()
            is_busy |= self._clear_doubt(job)
            is_busy |= self._look(job)
            is_busy |= self._fetch(job)
            is_busy |= self._decide(job)
        free = self.work.config.submission.max_concurrent_jobs - self.in_flight()
        for job in self.jobs:
            if free <= 0:
                break
            self.work.stop.check()
            if self._send(job):
                is_busy = True
                free -= 1
        return is_busy

    # Sending

    def _send(self, job: Job) -> bool:
        record = self.record(job)
        if record.state is not PartState.PENDING or not job.sending.is_due(self.work.now()):
            return False
        attempt = record.next_attempt
        payload, made, n_requests = self._payload(job, attempt)
        reserve = self.purse.reserve(job.shard, job.arm.model, n_requests)
        if not self.purse.covers(job.shard.part, job.arm.model, reserve):
            return False
        entry = self.work.ledger.append(
            Event.INTENT,
            job.shard.part,
            attempt=attempt,
            token=token(self._nonce(), job.shard.part, attempt),
            payload=payload.relative_to(self.work.layout.root).as_posix(),
            payload_sha256=made.sha256,
            n_requests=n_requests,
            reserved_usd=reserve,
        )
        log.info("submit part=%s attempt=%s requests=%s token=%s", job.shard.part, attempt, n_requests, entry.token)
        return self._create(job, payload)

    def _create(self, job: Job, payload: Path) -> bool:
        part, ledger = job.shard.part, self.work.ledger
        intent = self._intent(job)
        try:
            self.work.hook("call:submit:before")
            batch_id = self.provider.submit(intent, payload, lambda file_id: self._note_upload(part, file_id))
            self.work.hook("call:submit:after")
        except Ambiguous as error:
            log.warning("in doubt part=%s attempt=%s reason=%s", part, intent.attempt, error.what)
            job.doubt = Patience()
            return True
        except ProviderError as error:
            # Refused before anything was created: the part is free again, whatever else is wrong.
            ledger.append(Event.LOST, part, reason=error.what)
            if not error.retryable:
                raise
            self._after_failure(job.sending, error, f"cannot submit {part}")
            return False
        ledger.append(Event.RECEIPT, part, batch_id=batch_id, adopted=False)
        job.sending = Patience()
        return True

    def _note_upload(self, part: str, file_id: str) -> None:
        self.work.ledger.append(Event.UPLOADED, part, file_id=file_id)

    def _intent(self, job: Job) -> Intent:
        current = self._current(job)
        return Intent(
            part=job.shard.part,
            attempt=current.number,
            token=current.token,
            payload_sha256=current.payload_sha256,
            n_requests=current.n_requests,
            created_at=current.created_at,
            model=job.arm.model,
            file_id=current.file_id,
            label=job.shard.part,
        )

    def _payload(self, job: Job, attempt: int) -> tuple[Path, Fingerprint, int]:
        """The file to send: the whole part first, later only the rows worth sending again."""
        whole = self.work.layout.part_input(job.shard.part)
        if attempt == 1:
            got = self.work.view.stamps.of(whole)
            if got is None or got.sha256 != job.shard.sha256:
                raise RunStateMissing(f"the requests of {job.shard.part} are not as built", where=str(whole.name), hint="run with --from_step build")
            return whole, got, job.shard.lines
        path = self.work.layout.retry_input(job.shard.part, attempt)
        state, size, n = hashlib.sha256(), 0, 0
        with replacing(path, hook=self.work.hook) as file:
            for line in answers.rows(whole, self._fate(job).again):
                file.write(line)
                state.update(line)
                size, n = size + len(line), n + 1
        return path, Fingerprint(size=size, sha256=state.hexdigest()), n

    def _nonce(self) -> str:
        if self.work.ledger.run_nonce is None:
            raise RunStateMissing("the ledger does not say which run it belongs to", where="ledger.jsonl", hint="run `batchtrial repair`")
        return self.work.ledger.run_nonce

    # Doubt

    def _clear_doubt(self, job: Job) -> bool:
        """Settle an intent without a receipt. Absence is believed only after `find_rounds` listings with growing waits between."""
        if self.state(job) is not PartState.SUBMITTING or not job.doubt.is_due(self.work.now()):
            return False
        limits, part = self.provider.limits, job.shard.part
        try:
            self.work.hook("call:find:before")
            found = self.provider.find(self._intent(job), self.work.ledger.owned_batches())
        except Unsure as error:
            log.warning("unsure part=%s reason=%s", part, error.what)
            job.doubt.not_before = self.work.now() + timedelta(seconds=self.work.config.submission.poll_seconds)
            return False
        except ProviderError as error:
            if not error.retryable:
                raise
            self._after_failure(job.looking, error, f"cannot find out about {part}")
            job.doubt.not_before = job.looking.not_before
            return False
        job.looking = Patience()
        if found:
            self._adopt(job, found)
            return True
        if job.doubt.failures + 1 < limits.find_rounds:
            job.doubt.wait(self.work.now(), limits.find_wait_seconds)
            return False
        log.info("lost part=%s: no listing of %s knows its token, it is sent again", part, limits.find_rounds)
        self.work.ledger.append(Event.LOST, part, reason=f"{limits.find_rounds} listings without its token")
        job.doubt = Patience()
        return True

    def _adopt(self, job: Job, found: tuple[str, ...]) -> None:
        keep, *younger = found
        for batch_id in younger:
            log.error("two batches for one token: part=%s keeps %s, cancels %s", job.shard.part, keep, batch_id)
            self.work.progress.note(f"WARNING: {job.shard.part} was found twice at the provider; {keep} is kept, {batch_id} cancelled")
            self.work.ledger.append("duplicate", job.shard.part, batch_id=batch_id, reason=f"{keep} is older and is kept")
            self.provider.cancel(batch_id)
        log.info("adopt part=%s batch=%s", job.shard.part, keep)
        self.work.ledger.append(Event.RECEIPT, job.shard.part, batch_id=keep, adopted=True)
        job.doubt = Patience()

    # Watching and fetching

    def _look(self, job: Job) -> bool:
        if self.state(job) is not PartState.SUBMITTED or not job.looking.is_due(self.work.now()):
            return False
        current = self._current(job)
        try:
            self.work.hook("call:check:before")
            status = self.provider.check(current.batch_id or "")
        except NotFound:
            return self._count_absence(job, "the provider no longer knows the batch")
        except ProviderError as error:
            if not error.retryable:
                raise
            self._after_failure(job.looking, error, f"cannot look at {job.shard.part}")
            return False
        job.absent = 0
        # The next look is one poll away, however often the loop goes round for other parts.
        job.looking = Patience(not_before=self.work.now() + timedelta(seconds=self.work.config.submission.poll_seconds))
        if not status.state.is_terminal:
            self._check_deadline(job, current)
            return False
        self._ended(job, status)
        return True

    def _ended(self, job: Job, status: BatchStatus) -> None:
        part = job.shard.part
        log.info("ended part=%s state=%s reason=%s", part, status.wire_state, status.reason)
        if status.state is BatchState.FAILED:
            # The queue of the provider may be full of our own batches: wait before the next try, longer each time.
            job.sending.wait(self.work.now(), self.work.config.submission.poll_seconds)
            self.work.ledger.append(
                Event.REJECTED, part, wire_state=status.wire_state, reason=status.reason, retryable=status.retryable, ids=dict(status.ids) or None
            )
            self.work.progress.note(f"{part} was refused by the provider: {status.reason or status.wire_state}")
        else:
            self.work.ledger.append(Event.DONE, part, wire_state=status.wire_state, ids=dict(status.ids))

    def _count_absence(self, job: Job, why: str) -> bool:
        job.absent += 1
        if job.absent < GONE_AFTER:
            job.looking.wait(self.work.now(), self.work.config.submission.poll_seconds)
            job.fetching.not_before = job.looking.not_before
            return False
        log.error("gone part=%s reason=%s", job.shard.part, why)
        self.work.ledger.append(Event.GONE, job.shard.part, reason=why)
        return True

    def _check_deadline(self, job: Job, current: Attempt) -> None:
        hours = self.work.config.submission.give_up_hours
        if current.batch_at is not None and self.work.now() - current.batch_at > timedelta(hours=hours):
            raise PhaseFailed(
                f"batch {current.batch_id} of {job.shard.part} has not ended after {hours:g} hours",
                where="submission.give_up_hours",
                hint="look at it in the provider's console; then raise the limit, or cancel it there, and run again with --resume",
            )

    def _fetch(self, job: Job) -> bool:
        if self.state(job) is not PartState.COMPLETED or not job.fetching.is_due(self.work.now()):
            return False
        current = self._current(job)
        try:
            counted, got, path = self.download(job, current)
        except NotFound:
            return self._count_absence(job, "the provider no longer has the results")
        except ProviderError as error:
            if not error.retryable:
                raise
            self._after_failure(job.fetching, error, f"cannot fetch the results of {job.shard.part}")
            return False
        job.fetching, job.absent = Patience(), 0
        usage = counted.total_usage
        self.work.ledger.append(
            Event.SAVED,
            job.shard.part,
            path=path.relative_to(self.work.layout.root).as_posix(),
            sha256=got.sha256,
            size=got.size,
            counts=counted.counts,
            odd=counted.odd,
            usage={name: getattr(usage, name) for name in usage.__dataclass_fields__},
            cost_usd=self.purse.bill(job.arm.model, counted.usage),
        )
        return True

    def download(self, job: Job, attempt: Attempt) -> tuple[answers.Tally, Fingerprint, Path]:
        """Fetch one attempt's lines into its result file and count them on the way. Raises ProviderError."""
        path = self.folder_file(job)(attempt.number)
        counted = answers.new_tally(self.work.layout.root / attempt.payload, attempt.wire_state)
        state, size = hashlib.sha256(), 0
        self.work.hook("call:fetch:before")
        with self.work.progress.task(f"fetch {job.shard.part}", attempt.n_requests) as tick, replacing(path, hook=self.work.hook) as file:
            for line in self.provider.fetch(attempt.batch_id or ""):
                file.write(line)
                state.update(line)
                size += len(line)
                counted.add(line, self.provider.decode)
                tick(1)
                if self.work.stop.is_immediate():
                    raise Stopped("stopped while fetching results; they are fetched again on resume")
        got = Fingerprint(size=size, sha256=state.hexdigest())
        self.work.view.stamps.learn(path, got)
        return counted, got, path

    # Deciding

    def _decide(self, job: Job) -> bool:
        """After an attempt: send some rows again, or call the part settled."""
        record = self.record(job)
        if record.state not in (PartState.DOWNLOADED, PartState.FAILED):
            return False
        fate = self._fate(job)
        part, used = job.shard.part, record.next_attempt - 1
        if fate.again and used < self.work.config.submission.max_attempts:
            log.info("retry part=%s rows=%s of %s", part, len(fate.again), job.shard.lines)
            self.work.progress.note(f"{part}: {len(fate.again)} of {job.shard.lines} rows go into attempt {used + 1}")
            self.work.ledger.append(Event.RETRY, part, n_requests=len(fate.again))
        else:
            log.info("settled part=%s counts=%s", part, fate.counts.model_dump())
            self.work.ledger.append(Event.SETTLED, part, counts=fate.counts)
        return True

    def _fate(self, job: Job) -> answers.Fate:
        whole = self.work.layout.part_input(job.shard.part)
        return answers.fate(whole, self.record(job).attempts, self.work.layout.root, self.folder_file(job), self.provider.decode)

    def _current(self, job: Job) -> Attempt:
        current = self.record(job).current
        if current is None:
            raise RunStateMissing(f"the ledger has no attempt at {job.shard.part}", where="ledger.jsonl", hint="run `batchtrial repair`")
        return current

    def _after_failure(self, patience: Patience, error: ProviderError, what: str) -> None:
        """Wait longer each time; after MOST_FAILURES in a row stop the run rather than hang."""
        if patience.failures >= MOST_FAILURES:
            raise PhaseFailed(f"{what}: {error.what}", where=error.where, hint=error.hint or "run again with --resume when it is back") from None
        log.warning("%s: %s (try %s)", what, error.what, patience.failures + 1)
        patience.wait(self.work.now(), 2.0, error.retry_after)
