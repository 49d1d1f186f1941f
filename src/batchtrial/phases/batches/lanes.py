"""The queues of all lanes of a run, driven together.

Each lane has its own provider, limits of batches under way, account and list of batches. Where a run has several, one whose provider is away, refuses
the key or fails in another way is left: the others go on to their end, the ledger says why, and the next process tries it again.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Container
from functools import partial
from typing import Final

from batchtrial.amounts import counted
from batchtrial.config.lanes import key_of
from batchtrial.errors import MissingExtra, OtherAccount, PhaseFailed, ProviderError, RunnerError
from batchtrial.phases.base import Work
from batchtrial.phases.batches.backoff import Backoff
from batchtrial.phases.batches.heartbeat import Heartbeat, waiting_line
from batchtrial.phases.batches.money import Purse
from batchtrial.phases.batches.queue import Queue
from batchtrial.phases.batches.refetch import fetch_again
from batchtrial.phases.waves import is_judging
from batchtrial.state.lanes import LANE, failed_lanes
from batchtrial.state.ledger import Ledger

log = logging.getLogger(__name__)

_OWN_KEY: Final = re.compile(r"\bprovider\.(?=[a-z_])")
OF_ONE_LANE = (ProviderError, PhaseFailed, OtherAccount, MissingExtra)
"""What says something of one provider and nothing of the others."""


class Lanes:
    """A queue for each lane that has not failed. Raises RunStateMissing when no requests are built.

    The lanes of judges are opened with the answers', so that a key that is refused is known before anything is bought. While judges are asked, a
    lane that has answers alone has nothing left to be asked for, and whether its key is there does not matter.
    """

    def __init__(self, work: Work) -> None:
        self.work, self.purse = work, Purse(work.config, work.ledger, work.folder)
        self._is_alone = len(work.lanes) == 1
        self._backoff: dict[str, Backoff] = {}
        self._begun: set[str] = set()
        self._queues: dict[str, Queue] = {}
        failed = failed_lanes(work.ledger.notes)
        for one in work.lanes:
            has_nothing = is_judging(work.view) and one.lane is not None and one.lane not in work.view.asked_lanes
            if (one.lane or "") not in failed and not has_nothing:
                self._guarded(one, partial(self._open, one))

    def _open(self, one: Work) -> bool:
        self._queues[one.lane or ""] = Queue(one, self.purse)
        return True

    @property
    def queues(self) -> tuple[Queue, ...]:
        """Those of lanes that go on."""
        return tuple(self._queues.values())

    def run(self, label: str, until: Callable[[Queue], bool], steps: Callable[[Queue], int]) -> None:
        """Go round until `until` holds for every lane that goes on. steps: how many parts count as done for the progress bar.

        Raises Stopped, or PhaseFailed when the budget or the last provider ends the work; what was done by then is on disk.
        """
        heartbeat, shown = Heartbeat(), 0
        self._step_each(self._begin)
        with self.work.progress.task(label, sum(len(queue.jobs) for queue in self.queues)) as tick:
            while True:
                is_busy = self._step_each(self._round)
                done = sum(map(steps, self.queues))
                tick(max(0, done - shown))
                shown = done
                self.work.refresh()
                if all(until(queue) for queue in self.queues) and self._begun >= self._queues.keys():
                    return
                if self.purse.refusal is not None and all(queue.in_flight() == 0 for queue in self.queues):
                    raise self.purse.reached()
                self._check_hand(is_busy=is_busy)
                self._say_that_it_waits(heartbeat)
                if not is_busy:
                    self.work.stop.sleep(min(queue.poll_seconds for queue in self.queues))

    def look_for_copies(self) -> None:
        """At the end of a run: whether a copy of it bought anything a second time."""
        for queue in self.queues:
            queue.look_for_copies()

    def drain(self) -> None:
        """`stop_policy: drain`: send nothing more, wait for what is in flight, fetch it."""
        heartbeat = Heartbeat()
        for queue in self.queues:
            self._guarded(queue.work, partial(queue.drain, partial(self._say_that_it_waits, heartbeat)))

    def _step_each(self, step: Callable[[Queue], bool]) -> bool:
        """Whether any lane has reason to go round again at once."""
        said = [self._guarded(queue.work, partial(step, queue)) for queue in self.queues]
        return any(said)

    def _begin(self, queue: Queue) -> bool:
        fetch_again(queue.work, queue)
        queue.begin()
        self._begun.add(queue.work.lane or "")
        return True

    def _round(self, queue: Queue) -> bool:
        if (queue.work.lane or "") not in self._begun:
            self._begin(queue)
        is_busy = queue.round()
        self._backoff.pop(queue.work.lane or "", None)
        return is_busy

    def _guarded(self, one: Work, step: Callable[[], bool | None]) -> bool:
        """What the step says. What goes wrong at one of several providers makes it wait, longer each time, and ends its lane alone."""
        name = one.lane or ""
        step = partial(_in_words_of_lane, self.work, one, step)
        if self._is_alone:
            return bool(step())
        backoff = self._backoff.get(name)
        if backoff is not None and not backoff.is_due(self.work.now()):
            return False
        try:
            return bool(step())
        except OF_ONE_LANE as error:
            if not isinstance(error, ProviderError) or not error.retryable:
                return self._leave(name, error)
            try:
                self._backoff.setdefault(name, Backoff()).after(error, f"{name} cannot be asked", self.work.now(), self.work.progress.note)
            except PhaseFailed as ended:
                return self._leave(name, ended)
            if name in self._queues:  # a round that was broken off has parts in two places
                self._queues[name] = Queue(one, self.purse)
            return False

    def _leave(self, name: str, error: RunnerError) -> bool:
        """The lane has failed; the others go on. Raises the error when none is left that has parts in this wave."""
        log.error("lane %s failed: %s", name, error)
        self._queues.pop(name, None)
        self.work.ledger.append(LANE, reason=error.what, detail={"lane": name})
        self.work.ledger.sync()
        if self.work.view.asked_lanes <= failed_lanes(self.work.ledger.notes).keys():
            raise error
        hint = f" ({error.hint})" if error.hint else ""
        self.work.progress.note(f"WARNING: {name} fails, its arms wait and the others go on: {error.what}{hint}; resume tries it again")
        return False

    def _check_hand(self, *, is_busy: bool) -> None:
        out = [job for queue in self.queues for job in queue.waiting_for_files()]
        if not is_busy and out and all(queue.is_out() for queue in self.queues):
            raise PhaseFailed(
                f"{counted(len(out), 'part is', 'parts are')} out as files, and nothing else is left to do ({out[0].shard.part})",
                hint="bring their answers with `batchtrial import_batch`, or take them back with its --take_back",
            )

    def _say_that_it_waits(self, heartbeat: Heartbeat) -> None:
        """Every ten minutes. Not in a dry run, where hours pass in moments."""
        now = self.work.now()
        if heartbeat.is_due(now) and self.work.config.is_live:
            money = self.work.ledger.money()
            under_way = [attempt for queue in self.queues for attempt in queue.under_way()]
            line = waiting_line(heartbeat.waited(now), under_way, money)
            log.info("%s", line)
            self.work.progress.note(line)


def try_again(ledger: Ledger, but: Container[str] = ()) -> None:
    """Lanes that failed in an earlier process, or in an earlier wave, are tried again. but: lanes that are not."""
    for name in failed_lanes(ledger.notes):
        if name not in but:
            ledger.append(LANE, detail={"lane": name})
    ledger.sync()


def _in_words_of_lane(work: Work, one: Work, step: Callable[[], bool | None]) -> bool | None:
    """What the step says; where it fails, the error names the settings as they stand in the config: those of a further lane are under `lanes`."""
    key = key_of(work.config, one.lane or one.config.backend)
    try:
        return step()
    except RunnerError as error:
        error.where, error.hint = (_OWN_KEY.sub(f"{key}.", text) for text in (error.where, error.hint))
        raise
