"""Looking at batches under way and fetching what they brought."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from batchtrial.errors import NotFound, PhaseFailed, ProviderError, Stopped
from batchtrial.keys import OUT
from batchtrial.phases.base import Work, publishing
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.backoff import Backoff
from batchtrial.phases.batches.copies import Copies
from batchtrial.phases.batches.full_queues import FullQueues
from batchtrial.phases.batches.money import Purse, billed
from batchtrial.phases.batches.parts import Job, Parts
from batchtrial.providers.base import BatchState, BatchStatus, Provider, asked_of
from batchtrial.state.ledger import Attempt
from batchtrial.state.machine import Event, PartState
from batchtrial.state.store import Fingerprint

log = logging.getLogger(__name__)

GONE_AFTER = 3
"""Looks in a row that must all say 404 before a known batch is believed to be gone."""
PROBES = 3
"""Other batches of the run that are asked for before the first one is given up."""


class Watching:
    """The patient half of the queue."""

    def __init__(self, work: Work, provider: Provider, parts: Parts, purse: Purse, copies: Copies, full: FullQueues) -> None:
        self._work, self._provider, self._parts, self._purse, self._copies, self._full = work, provider, parts, purse, copies, full
        if work.standing.earlier is None:
            work.standing.earlier = work.batches()
        self._earlier = work.standing.earlier  # of sessions before this one

    def look(self, job: Job) -> bool:
        """One look at the part's batch, when it is time. True when it has ended."""
        if self._parts.state(job) is not PartState.SUBMITTED or not job.looking.is_due(self._work.now()):
            return False
        current = self._parts.current(job)
        try:
            self._work.hook("call:check:before")
            status = self._provider.check(current.batch_id or "")
            is_taken_over = status.state is BatchState.CANCELLED and self._copies.has_older(job)
        except NotFound:
            return self._count_absence(job, "the provider no longer knows the batch")
        except ProviderError as error:
            if not error.retryable:
                raise
            job.looking.after(error, f"cannot look at {job.shard.part}", self._work.now(), self._work.progress.note)
            return False
        job.absent = 0
        # The next look is one poll away, however often the loop goes round for other parts.
        poll_seconds = self._provider.limits.between_looks(self._work.config.submission.poll_seconds)
        job.looking = Backoff(not_before=self._work.now() + timedelta(seconds=poll_seconds))
        if is_taken_over:
            return False
        if not status.state.is_terminal:
            self._check_deadline(job, current)
            if status.n_done:
                self._full.taken(job.arm.model)
            return False
        self._ended(job, status)
        return True

    def _ended(self, job: Job, status: BatchStatus) -> None:
        part = job.shard.part
        log.info("ended part=%s state=%s reason=%s", part, status.wire_state, status.reason)
        if status.state is BatchState.FAILED:
            self._work.ledger.append(
                Event.REJECTED,
                part,
                wire_state=status.wire_state,
                reason=status.reason,
                retryable=status.retryable,
                ids=dict(status.ids) or None,
                detail={"queue_full": True} if status.is_queue_full else None,
            )
            self._refused(job, status)
        else:
            self._full.left(job.arm.model)
            self._work.ledger.append(Event.DONE, part, wire_state=status.wire_state, ids=dict(status.ids))

    def _refused(self, job: Job, status: BatchStatus) -> None:
        """Wait before the next try, longer each time. Raises PhaseFailed where the queue has been full for too long."""
        why = status.reason or status.wire_state
        if status.is_queue_full:
            self._full.refused(job.arm.model, why)
        else:
            job.sending.wait(self._work.now(), self._work.config.submission.poll_seconds)
            self._work.progress.note(f"{job.shard.part} was refused by the provider: {why}")

    def _count_absence(self, job: Job, why: str) -> bool:
        job.absent += 1
        if job.absent < GONE_AFTER:
            job.looking.wait(self._work.now(), self._work.config.submission.poll_seconds)
            job.fetching.not_before = job.looking.not_before
            return False
        self._check_account(job)
        log.error("gone part=%s reason=%s", job.shard.part, why)
        self._work.ledger.append(Event.GONE, job.shard.part, reason=why)
        return True

    def _check_account(self, job: Job) -> None:
        """A provider that knows no batch of an earlier session is most likely asked with another account's key: paid answers are not given up."""
        batch_id = self._parts.current(job).batch_id or ""
        if self._provider.limits.may_vanish or batch_id not in self._earlier:
            return
        others = sorted(self._earlier - {batch_id})[:PROBES]
        for other in others:
            try:
                asked_of(self._provider).check(other)
            except ProviderError:
                continue
            return
        raise PhaseFailed(
            f"the provider knows no batch of this run: {batch_id} of {job.shard.part} {'and others are' if others else 'is'} unknown to it",
            where=self._work.config.backend,
            hint="use the key of the account, project or workspace that the run was started with; when the batches were deleted there, "
            "docs/troubleshooting.md says what is left to do",
        )

    def _check_deadline(self, job: Job, current: Attempt) -> None:
        hours = self._work.config.submission.give_up_hours
        is_by_hand = (current.batch_id or "").startswith(OUT)  # by a person, who takes as long as it takes
        if current.batch_at is not None and not is_by_hand and self._work.now() - current.batch_at > timedelta(hours=hours):
            raise PhaseFailed(
                f"batch {current.batch_id} of {job.shard.part} has not ended after {hours:g} hours",
                where="submission.give_up_hours",
                hint="look at it in the provider's console; then raise the limit, or cancel it there, and run again with --resume",
            )

    def fetch(self, job: Job) -> bool:
        """The results of a batch that has ended. True when they are on disk."""
        if self._parts.state(job) is not PartState.COMPLETED or not job.fetching.is_due(self._work.now()):
            return False
        current = self._parts.current(job)
        try:
            counted, got, path = self.download(job, current)
        except NotFound:
            return self._count_absence(job, "the provider no longer has the results")
        except ProviderError as error:
            if not error.retryable:
                raise
            job.fetching.after(error, f"cannot fetch the results of {job.shard.part}", self._work.now(), self._work.progress.note)
            return False
        job.fetching, job.absent = Backoff(), 0
        self._work.ledger.append(
            Event.SAVED,
            job.shard.part,
            path=path.relative_to(self._work.layout.root).as_posix(),
            sha256=got.sha256,
            size=got.size,
            counts=counted.counts,
            odd=counted.odd,
            **billed(self._purse.price(job.arm), job.shard, counted),
        )
        return True

    def download(self, job: Job, attempt: Attempt) -> tuple[answers.Tally, Fingerprint, Path]:
        """Fetch one attempt's lines into its result file and count them on the way. Raises ProviderError."""
        path = self._parts.folder_file(job)(attempt.number)
        counted, decode = answers.new_tally(self._work.layout.root / attempt.payload, attempt.wire_state), self._parts.decode(job)
        self._work.hook("call:fetch:before")
        with self._work.progress.task(f"fetch {job.shard.part}", attempt.n_requests) as tick, publishing(self._work, path) as file:
            for line in self._provider.fetch(attempt.batch_id or ""):
                file.write(line)
                counted.add(line, decode)
                tick(1)
                if self._work.stop.is_immediate():
                    raise Stopped("stopped while fetching results; they are fetched again on resume")
        with path.open("rb") as lines:
            counted.settle(lines, decode)
        return counted, file.fingerprint, path
