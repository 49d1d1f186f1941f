"""The queue of a lane: sends parts, watches batches, fetches results, decides on new attempts. submit and poll both run it, each until its own goal.

`sending.py` keeps the order of writes that pays once, `in_doubt.py` settles lost answers, `watching.py` looks and fetches; parts
in doubt wait while others go on. Nothing here knows a wire.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Set
from pathlib import Path

from batchtrial.phases.base import Work
from batchtrial.phases.batches import account
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.copies import Copies
from batchtrial.phases.batches.full_queues import FullQueues
from batchtrial.phases.batches.in_doubt import InDoubt
from batchtrial.phases.batches.money import Purse
from batchtrial.phases.batches.parts import Job, Parts
from batchtrial.phases.batches.retry import decide
from batchtrial.phases.batches.sending import Sending
from batchtrial.phases.batches.watching import Watching
from batchtrial.phases.build.queue_room import QueueRoom
from batchtrial.state.ledger import Attempt, PartRecord
from batchtrial.state.machine import IN_FLIGHT, Event, PartState
from batchtrial.state.store import Fingerprint

log = logging.getLogger(__name__)


class Queue:
    """All parts of a lane, driven round by round.

    A part that waits to be sent stands in `_waiting`, in the order of sending; one that is under way in `_moving`; a settled one in neither, so that
    a round costs what is under way and not what the run is.
    """

    def __init__(self, work: Work, purse: Purse | None = None) -> None:
        """work: of one lane. purse: of the run."""
        self.work = work
        provider = work.provider()
        self.parts, self._limits = Parts(work, provider), provider.limits
        self.purse = purse or Purse(work.config, work.ledger, work.folder)
        self._copies = Copies(work, provider, self.parts)
        self._full = FullQueues(work)
        self._doubts = InDoubt(work, provider, self.parts, self._copies)
        self._sending = Sending(work, provider, self.parts, self.purse, self._copies, self._full, self._doubts)
        self._watching = Watching(work, provider, self.parts, self.purse, self._copies, self._full)
        self._waiting: list[int] = []  # a heap of places
        self._moving: list[Job] = []
        self._sent: set[int] = set()
        for job in self.jobs:
            self._line_up(job, self._moving)

    def _line_up(self, job: Job, moving: list[Job]) -> None:
        """Put the job where its state belongs."""
        state = self.state(job)
        if state is PartState.PENDING:
            heapq.heappush(self._waiting, job.place)
        elif state is not PartState.SETTLED:
            moving.append(job)
        if job.place not in self._sent and (state is PartState.SETTLED or self.parts.was_sent(job)):
            self._sent.add(job.place)

    # What is true of the parts

    @property
    def poll_seconds(self) -> float:
        """The wait between two looks."""
        return self._limits.between_looks(self.work.config.submission.poll_seconds)

    @property
    def jobs(self) -> list[Job]:
        return self.parts.jobs

    def record(self, job: Job) -> PartRecord:
        return self.parts.record(job)

    def state(self, job: Job) -> PartState:
        return self.parts.state(job)

    def folder_file(self, job: Job) -> Callable[[int], Path]:
        """Attempt number -> result file of this part."""
        return self.parts.folder_file(job)

    def download(self, job: Job, attempt: Attempt) -> tuple[answers.Tally, Fingerprint, Path]:
        """Fetch one attempt's lines into its result file. Raises ProviderError."""
        return self._watching.download(job, attempt)

    def in_flight(self) -> int:
        """Batches that the provider has, or may have, under way."""
        return sum(self.state(job) in IN_FLIGHT and not self.parts.is_out(job) for job in self._moving)

    @property
    def n_sent(self) -> int:
        """Parts that have had a batch, or shall have none."""
        return len(self._sent)

    @property
    def n_settled(self) -> int:
        """Parts whose every request has its final outcome."""
        return len(self.jobs) - len(self._waiting) - len(self._moving)

    def is_submitted(self) -> bool:
        """Every part has been sent at least once and none is in doubt."""
        return self.n_sent == len(self.jobs) and not any(self.state(job) is PartState.SUBMITTING for job in self._moving)

    def is_settled(self) -> bool:
        """Every request of every part has its final outcome."""
        return self.n_settled == len(self.jobs)

    def _may_go(self, job: Job, room: QueueRoom) -> bool:
        model = job.arm.model
        return job.sending.is_due(self.work.now()) and self._full.is_open(model) and room.has(model, self.parts.tokens_to_send(job))

    def _room(self) -> QueueRoom:
        """What the provider's queue takes beside what is under way."""
        config = self.work.config
        made = sorted(one.created_at.timestamp() for job in self.jobs for one in self.record(job).attempts) if config.provider.queue else ()
        room = QueueRoom(config.provider.queue, config.submission.max_concurrent_jobs, made)
        for job in self._moving:
            if self.state(job) in IN_FLIGHT and not self.parts.is_out(job):
                room.enter(job.arm.model, self.parts.tokens_sent(job))
        return room

    # The loop

    def begin(self) -> None:
        """Before this process asks for anything: whose account it is, and what was sent from elsewhere."""
        account.prove(self.work)
        self._copies.survey([self.jobs[place] for place in self._waiting])
        self._copies.take_over(self.waiting_for_files())

    def under_way(self) -> list[Attempt]:
        """The attempts that the provider has."""
        return [self.parts.current(job) for job in self._moving if self.state(job) in IN_FLIGHT]

    def waiting_for_files(self) -> list[Job]:
        """Parts that left as files, and whose answers have not been brought."""
        return [job for job in self._moving if self.parts.is_out(job)]

    def is_out(self) -> bool:
        """Whether everything that is not settled left as files."""
        return not self._waiting and all(self.parts.is_out(job) for job in self._moving)

    def look_for_copies(self) -> None:
        """At the end of a run: whether a copy of it bought anything a second time."""
        self._copies.look_at_all(self.jobs)

    def reopen(self, job: Job) -> None:
        """A part that was declared gone waits for its results again: somebody brings them."""
        self.work.ledger.append(Event.FOUND, job.shard.part, reason="its results were brought")
        self._line_up(job, self._moving)

    def drain(self, say_that_it_waits: Callable[[], None]) -> None:
        """`stop_policy: drain`: send nothing more, wait for what is in flight, fetch it."""
        account.prove(self.work)
        waiting = {PartState.SUBMITTED, PartState.COMPLETED}
        while any(self.state(job) in waiting for job in self._moving):
            say_that_it_waits()
            moved = [self._watching.look(job) or self._watching.fetch(job) for job in self._moving]  # every job, not only up to the first that moved
            if not any(moved):
                self.work.stop.sleep_draining(self.poll_seconds)

    def hand_out(self) -> None:
        """Send every part that waits, however many are under way: it only waits elsewhere. Raises PhaseFailed when the budget does not cover it."""
        self.begin()
        moving, self._moving = self._moving, []
        for job in moving:
            self._doubts.settle(job)
            decide(self.work, self.parts, job)
            self._line_up(job, self._moving)
        while self._waiting:
            self.work.stop.check()
            job = self.jobs[heapq.heappop(self._waiting)]
            if not self._sending.send(job, is_by_hand=True):
                raise self.purse.reached(job.shard.part)
            self._line_up(job, self._moving)
        self.work.ledger.sync()
        self.work.refresh()

    def leave_waiting(self) -> list[int]:
        """End every part that waits without sending it; the requests of each that are not asked."""
        ended: list[int] = []
        while self._waiting:
            self.work.stop.check()
            job = self.jobs[heapq.heappop(self._waiting)]
            ended.append(self._sending.leave(job))
            decide(self.work, self.parts, job)
        self.work.ledger.sync()
        self.work.refresh()
        return ended

    def take_in(self, arrived: Set[str]) -> None:
        """Fetch and decide the parts whose results have arrived; send nothing, wait for nothing."""
        moving, self._moving = self._moving, []
        for job in moving:
            self.work.stop.check()
            if job.shard.part in arrived:
                self._watching.look(job)
                self._watching.fetch(job)
            decide(self.work, self.parts, job)
            self._line_up(job, self._moving)
        self.work.ledger.sync()
        self.work.refresh()

    def round(self) -> bool:
        """One look at every part under way, then what there is room to send. True when going round again at once is worth it."""
        is_busy = False
        moving: list[Job] = []
        for job in self._moving:
            self.work.stop.check()
            is_busy |= self._doubts.settle(job)
            is_busy |= self._watching.look(job)
            is_busy |= self._watching.fetch(job)
            is_busy |= decide(self.work, self.parts, job)
            self._line_up(job, moving)
        self._moving = moving
        return self._send_waiting() or is_busy

    def _send_waiting(self) -> bool:
        """Send in order while there is room; a model without room lets others by. The first part that the budget does not cover ends it: what was
        sent stays a fair sample."""
        room = self._room()
        if not room.is_full:
            self._copies.survey(self.jobs[place] for place in self._waiting)
        is_busy = False
        held: list[Job] = []
        while self._waiting and not room.is_full and room.opens_at(self.work.now().timestamp()) <= self.work.now().timestamp():
            self.work.stop.check()
            job = self.jobs[heapq.heappop(self._waiting)]
            if self._may_go(job, room) and self._sending.send(job):
                self._line_up(job, self._moving)
                is_busy = True
                room.enter(job.arm.model, self.parts.tokens_sent(job))
                room.note_made(self.work.now().timestamp())
            else:
                held.append(job)
                if self.purse.refusal is not None:
                    break
        for job in held:
            self._line_up(job, self._moving)
        self.work.ledger.sync()
        self._copies.look()
        return is_busy
