"""Tells of a run while it works, to those who do not watch a terminal: a line a part, and a file of events for programs."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from batchtrial import __version__
from batchtrial.amounts import counted
from batchtrial.app.ending import SCHEMA, Ending, Outcome
from batchtrial.errors import ConfigError
from batchtrial.phases.base import Progress
from batchtrial.run.loop import Finished
from batchtrial.run.session import Session
from batchtrial.state.entries import Entry
from batchtrial.state.files import BuildManifest
from batchtrial.state.ledger import Attempt, Counts
from batchtrial.state.money import dollars
from batchtrial.state.store import read_json

OF_A_PART: Final = ("attempt", "n_requests", "batch_id", "wire_state", "adopted", "retryable")
"""Fields of a ledger's line that its event has too, as they are; the ledger's words of a provider are left where they are."""
SETTLED, SENT = "settled", "receipt"


class EventFile:
    """Appends events to a file, a line each. What cannot be written is told once, and is no reason to end a run."""

    def __init__(self, path: Path, complain: Callable[[str], None]) -> None:
        """Raises ConfigError when the file cannot be opened."""
        self._path, self._complain = path, complain
        try:
            # Without waiting: a pipe that nobody reads would hold the run up for ever.
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise ConfigError(f"the file of events cannot be written: {error.strerror}", where=f"--events {path}") from None
        self._is_open = True

    def write(self, event: Mapping[str, Any]) -> None:
        """Append it, whole or not at all as far as the file system allows."""
        if not self._is_open:
            return
        line = json.dumps(event, ensure_ascii=True).encode() + b"\n"
        try:
            if os.write(self._file, line) < len(line):
                raise OSError(0, "only a part of a line was taken")
        except OSError as error:
            self._complain(f"note: {self._path} takes no more events: {error.strerror}")
            self.close()

    def close(self) -> None:
        """Close it."""
        if self._is_open:
            self._is_open = False
            with suppress(OSError):
                os.close(self._file)


@dataclass(slots=True)
class Onlooker:
    """What this process tells of its run. say: takes a line of a log; None on a terminal, where bars say as much. now: real time, UTC."""

    run_id: str
    now: Callable[[], datetime]
    say: Callable[[str], None] | None = None
    events: EventFile | None = None
    is_json: bool = False
    _session: Session | None = None
    _finished: Finished | None = None
    _n_lines: int = 0
    _parts: set[str] = field(default_factory=set)
    _settled: set[str] = field(default_factory=set)

    def watch(self, session: Session) -> None:
        """From here on, look at this run."""
        self._session, self._n_lines = session, session.ledger.n_lines
        self._settled = {name for name, part in session.ledger.parts.items() if part.counts is not None}
        self._tell("started", pid=os.getpid(), host=socket.gethostname(), version=__version__, mode=session.config.mode)

    def finished(self, finished: Finished) -> None:
        """The loop has ended without an error."""
        self._finished = finished

    @property
    def is_complete(self) -> bool:
        """Whether every step of the run is done."""
        return self._finished is not None and self._finished.is_complete

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do: the run was done before this process came."""
        return self._finished is not None and self._finished.is_complete and not self._finished.ran

    def hook(self, point: str) -> None:
        """Called at every durable write and provider call."""
        kind, _, rest = point.partition(":")
        name, _, when = rest.rpartition(":")
        if kind == "phase":
            self._tell("phase", phase=name)
            self._parts = self._built()
        elif kind == "ledger" and when == "after" and self._session is not None:
            entry = self._session.ledger.last
            if entry is not None and entry.seq > self._n_lines and entry.part is not None:
                self._n_lines = entry.seq
                self._part(entry, entry.part)

    def _built(self) -> set[str]:
        """Parts that there are by now."""
        if self._session is None:
            return set()
        manifests = [
            self._session.shelf.load(BuildManifest, layout.build_manifest) for layout in (self._session.layout, self._session.layout.judging)
        ]
        return {part for one in manifests if one is not None for part in one.shards}

    def _part(self, entry: Entry, part: str) -> None:
        fields = {name: value for name in OF_A_PART if (value := getattr(entry, name)) is not None}
        fields |= {"counts": entry.counts.model_dump()} if entry.counts is not None else {}
        fields |= {name: float(usd) for name in ("reserved_usd", "cost_usd") if (usd := getattr(entry, name)) is not None}
        self._tell("part", part=part, change=entry.event, **fields)
        if self.say is None or self._session is None:
            return
        if entry.event == SENT:
            attempt = self._session.ledger.part(part).current
            n = "" if attempt is None else f" {counted(attempt.n_requests, 'request')}, {_most(attempt)},"
            self._line(f"{part}: sent,{n} as {entry.batch_id}")
        elif entry.event == SETTLED:
            self._settled.add(part)
            counts = self._session.ledger.part(part).counts or Counts()
            told = ", ".join(f"{n:,} {name}" for name, n in counts.model_dump().items() if n)
            place = f"; {len(self._settled & self._parts):,} of {counted(len(self._parts), 'part')}" if self._parts else ""
            self._line(f"{part}: settled, {told}{place}")

    def _line(self, text: str) -> None:
        with suppress(OSError):  # a log that takes no more lines is no reason to end between two lines of the ledger
            if self.say is not None:
                self.say(text)

    def _tell(self, event: str, **fields: Any) -> None:
        if self.events is not None:
            self.events.write({"schema_version": SCHEMA, "event": event, "at": f"{self.now():%Y-%m-%dT%H:%M:%SZ}", "run_id": self.run_id, **fields})

    def progress(self, shown: Progress) -> Progress:
        """The same progress, whose notes become events too."""
        return Noted(shown, lambda text: self._tell("note", text=text))

    def ending(self, outcome: Outcome, exit_code: int, error: str = "") -> Ending:
        """How it ended."""
        made = Ending(run_id=self.run_id, outcome=outcome, exit_code=exit_code, at=self.now(), error=error)
        if self._session is None:
            return made
        ledger, config = self._session.ledger, self._session.config
        counts = self._finished.counts if self._finished is not None else Counts.of_all(part.counts for part in ledger.parts.values())
        return replace(made, counts=counts, money=ledger.money(), is_simulated=config.is_simulated, is_paid=config.is_live, verdicts=self._verdicts())

    def _verdicts(self) -> dict[str, str]:
        if self._session is None or not self.is_complete:
            return {}
        found = {}
        for path in sorted(self._session.layout.root.glob("*/results/significance.json")):
            headline = read_json(path).get("headline")
            found[path.parent.parent.name] = str(headline["verdict"]) if headline else "none"
        return found

    def ended(self, ending: Ending) -> None:
        """The last event."""
        if self.events is not None:
            self.events.write(ending.as_json())
            self.events.close()


@dataclass(frozen=True, slots=True)
class Noted:
    """A progress whose notes go elsewhere too."""

    shown: Progress
    also: Callable[[str], None]

    def task(self, label: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
        return self.shown.task(label, total)

    def note(self, text: str) -> None:
        self.shown.note(text)
        self.also(text)


def _most(attempt: Attempt) -> str:
    return f"up to {dollars(attempt.reserved_usd)}" if attempt.is_priced else "for an unknown sum"
