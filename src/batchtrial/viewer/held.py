"""The runs that a viewer has open: their numbers in memory until their files change, two runs at a time, one thread at a time in each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from batchtrial.reading import pages
from batchtrial.reading.ask import Ask
from batchtrial.reading.drawn import Drawn, drawn, of_this_run
from batchtrial.reading.labels import Labels
from batchtrial.reading.run_tables import Mark, RunTables, mark_of
from batchtrial.reading.slices import Slicer, slice_json
from batchtrial.state.layout import RunLayout

MOST_RUNS: Final = 2
MOST_SLICES: Final = 16
MOST_ROWS: Final = 200


@dataclass(slots=True)
class HeldRun:
    """One open run. slices: question -> what it left, in order."""

    tables: RunTables
    lock: threading.Lock = field(default_factory=threading.Lock)
    is_closed: bool = False
    _slicers: dict[tuple[str, float], Slicer] = field(default_factory=dict)
    _slices: OrderedDict[str, tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]] = field(default_factory=OrderedDict)
    _queues: dict[tuple[str, float], list[Drawn]] = field(default_factory=dict)
    _about: dict[str, Any] | None = None
    _shown: tuple[Mark | None, Labels] | None = None

    def close(self) -> None:
        """Close its files, once nobody reads them."""
        with self.lock:
            self.is_closed = True
            self.tables.close()

    def labels(self) -> Labels:
        """People's labels as they stand."""
        return Labels.of(self.tables.layout.labels)

    def shown_labels(self) -> Labels:
        """Those of the answers that the run has now, which stand beside them; kept until the file of labels changes."""
        mark = mark_of(self.tables.layout.labels)
        if self._shown is None or self._shown[0] != mark:
            self._shown = (mark, Labels(tuple(of_this_run(self.tables, self.labels().held))))
        return self._shown[1]

    def about(self) -> dict[str, Any]:
        """The run as `pages.about` has it."""
        if self._about is None:
            self._about = pages.about(self.tables)
        return self._about

    def slicer(self, ask: Ask) -> Slicer:
        """Slices of the trial that is asked about."""
        key = (ask.trial, ask.temp)
        if key not in self._slicers:
            self._slicers[key] = Slicer(self.tables, self.tables.pairs(*key), partial(self._labelled, *key))
        return self._slicers[key]

    def _labelled(self, trial: str, temp: float, verdict: str) -> NDArray[np.bool_]:
        said = self.shown_labels().by_item(trial, temp)
        places = self.tables.items.places_of({key for key, one in said.items() if verdict in ("yes", one)})
        mask: NDArray[np.bool_] = np.zeros(self.tables.items.n, dtype=np.bool_)
        mask[places] = True
        return mask

    def queue(self, ask: Ask) -> list[Drawn]:
        """What of a trial is drawn to be labelled."""
        key = (ask.trial, ask.temp)
        if key not in self._queues:
            self._queues[key] = drawn(self.tables, self.slicer(ask).pairs)
        return self._queues[key]

    def slice(self, ask: Ask, question: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.int64]]:
        """(pairs but for the chips, pairs, their places in order); kept, but where labels decide."""
        if question in self._slices and not (ask.labelled or "label" in ask.judged.values()):
            self._slices.move_to_end(question)
            return self._slices[question]
        slicer = self.slicer(ask)
        base = slicer.without_chips(ask)
        mask = slicer.mask(ask, base)
        found = self._slices[question] = (base, mask, slicer.order(ask, mask))
        while len(self._slices) > MOST_SLICES:
            self._slices.popitem(last=False)
        return found

    def pairs_json(self, ask: Ask, question: str, item: int | None = None) -> dict[str, Any]:
        """How many pairs a question leaves, what each chip stands for, and the slice's statistics; and where an item stands among them."""
        base, mask, places = self.slice(ask, question)
        slicer = self.slicer(ask)
        metric = slicer.pairs.metric(ask.metric)
        chips = slicer.outcomes(metric).counts(base)
        at = next(iter(np.flatnonzero(places == item).tolist()), None) if item is not None else None
        return {"n": int(np.count_nonzero(mask)), "chips": chips, "slice": slice_json(slicer, ask, mask), "at": at}

    def rows_json(self, ask: Ask, question: str, first: int, n: int, *, with_others: bool = False) -> list[dict[str, Any]]:
        """Rows first .. first + n of the slice in order. with_others: columns of all arms."""
        places = self.slice(ask, question)[2][max(0, first) : max(0, first) + max(0, min(n, MOST_ROWS))]
        labels = self.shown_labels().by_item(ask.trial, ask.temp)
        return pages.rows(self.slicer(ask), ask.metric, [int(place) for place in places], labels, with_others=with_others)


class HeldRuns:
    """Open runs by name, the last two used."""

    def __init__(self, open_run: Callable[[RunLayout], RunTables]) -> None:
        self._open, self._lock = open_run, threading.Lock()
        self._runs: OrderedDict[str, HeldRun] = OrderedDict()

    @contextmanager
    def run(self, layout: RunLayout) -> Iterator[HeldRun]:
        """The run, for this thread alone. Raises RunStateMissing where there is none, or nothing to look at yet."""
        while True:
            held = self._held(layout)
            with held.lock:
                if held.is_closed:  # between finding and locking it
                    continue
                yield held
                return

    def _held(self, layout: RunLayout) -> HeldRun:
        with self._lock:
            held = self._runs.get(layout.run_id)
            if held is not None and not held.tables.is_current():
                self._runs.pop(layout.run_id).close()
                held = None
            if held is None:
                held = self._runs[layout.run_id] = HeldRun(self._open(layout))
            self._runs.move_to_end(layout.run_id)
            while len(self._runs) > MOST_RUNS:
                self._runs.popitem(last=False)[1].close()
            return held

    def close(self) -> None:
        """Close every file."""
        while self._runs:
            self._runs.popitem()[1].close()
