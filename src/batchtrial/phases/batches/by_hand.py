"""Parts that are carried: handed out as files for an engine without a batch API, and taken in from files that somebody brings.

The queue does both, as it does with a provider: an intent and a receipt for what goes out; an end, a saved file and a decision for what comes in.
Here is only what a provider would do: write the request files, and sort result lines to the batches that wait for them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from batchtrial.errors import ConfigError, PhaseFailed, RunStateMissing
from batchtrial.keys import OUT
from batchtrial.phases.base import Work
from batchtrial.phases.batches import tally as answers
from batchtrial.phases.batches.coverage import check_budget
from batchtrial.phases.batches.import_controls import import_controls
from batchtrial.phases.batches.import_judgements import import_judgements
from batchtrial.phases.batches.parts import Job
from batchtrial.phases.batches.queue import Queue
from batchtrial.phases.batches.refetch import fetch_again
from batchtrial.phases.batches.reopening import gone_attempt
from batchtrial.records import BadLine
from batchtrial.state.ledger import Counts
from batchtrial.state.machine import PartState
from batchtrial.state.store import replacing

Arrival = Callable[[str, str], Path]
"""Batch id and the word in which the batch ended -> where its result lines lie."""
WAITING = frozenset({PartState.SUBMITTED, PartState.COMPLETED})
REQUEST_KEYS = frozenset({"body", "params"})
RESULT_KEYS = frozenset({"response", "error", "result"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOut:
    """What was written: files and their rows."""

    files: tuple[Path, ...]
    n_rows: int


def hand_out(work: Work, target: Path) -> HandedOut:
    """Write every row that is owed into `target`, a new or empty folder: a file for each part.

    Raises ConfigError before anything is handed out when the budget is below what was never sent, and PhaseFailed when it does not cover a row that
    is owed again: what went out by then is written all the same, for the ledger waits for its answers.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ConfigError("the folder is not empty", where=f"--to {target}", hint="files of an earlier export may hold rows that are answered by now")
    _refuse_lanes(work)
    import_controls(work)
    import_judgements(work)
    queue = Queue(work)
    check_budget(work, queue.purse, "raise --budget_usd, or export a run of fewer --limit_items")
    failed: PhaseFailed | None = None
    try:
        queue.hand_out()
    except PhaseFailed as error:
        failed = error
    target.mkdir(parents=True, exist_ok=True)
    files, n_rows = [], 0
    for job in queue.jobs:
        if not queue.parts.is_out(job):
            continue
        current = queue.parts.current(job)
        path = target / Path(current.payload).name
        with replacing(path, hook=work.hook) as file:
            file.write((work.layout.root / current.payload).read_bytes())
        files.append(path)
        n_rows += current.n_requests
    if failed is not None:
        raise failed
    return HandedOut(files=tuple(files), n_rows=n_rows)


def _refuse_lanes(work: Work) -> None:
    if work.others:
        raise ConfigError(
            "the arms of this run are at several providers, and files are carried to one",
            where="arms",
            hint="start a run with those of one",
        )


@dataclass(slots=True, kw_only=True)
class Arrivals:
    """Result lines sorted to the parts that wait for them.

    lines: part -> its lines, in the order of the files; lines that cannot be read or that nobody asked for go with the first part of their file.
    found: part -> ids among them. stray: lines of files without any row that is waited for. n_known: rows that are not waited for any more.
    n_requests: request lines, which are no results.
    """

    lines: dict[str, list[bytes]] = field(default_factory=dict)
    found: dict[str, set[str]] = field(default_factory=dict)
    stray: Counter[str] = field(default_factory=Counter)
    n_lines: int = 0
    n_known: int = 0
    n_requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What lines are looked for.

    part_of: waiting custom_id -> its part. known: every custom_id of the run. earlier: part -> lines that it has had, by what they say.
    tokens: part -> those of its attempts, the one that it waits for last, which some wires put before the custom_id.
    """

    part_of: dict[str, str]
    known: frozenset[str]
    earlier: dict[str, frozenset[str]]
    tokens: dict[str, tuple[str, ...]]

    def is_of_another(self, line: bytes, custom_id: str) -> bool:
        """Whether the line answers an attempt that is over: a file brought again must not answer a new one."""
        part = self.part_of[custom_id]
        earlier, others = self.earlier[part], self.tokens[part][:-1]
        return (bool(earlier) and _said(line) in earlier) or any(_marked(token, custom_id) in line for token in others)

    def as_fetched(self, line: bytes, custom_id: str) -> bytes:
        """The line as a run's own download keeps it, without the token."""
        return line.replace(_marked(self.tokens[self.part_of[custom_id]][-1], custom_id), f'"{custom_id}"'.encode(), 1)


def _marked(token: str, custom_id: str) -> bytes:
    return f'"{token}-{custom_id}"'.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenIn:
    """What became of the files. incomplete: part -> rows without a line, of parts that wait on. owed: part -> rows that wait to be sent."""

    arrivals: Arrivals
    counts: Counts
    odd: Counter[str]
    taken: tuple[str, ...]
    incomplete: dict[str, int]
    waiting: tuple[str, ...]
    owed: dict[str, int]


def take_in(work: Work, files: Sequence[Path], *, allow_incomplete: bool, take_back: bool, arrival: Arrival) -> TakenIn:
    """Take in the results of batches that wait, as if they had been fetched. Nothing is sent; the same files twice change nothing.

    allow_incomplete: also batches with rows that have no line. take_back: end the wait for parts that are out and of which nothing was brought.
    """
    if work.view.build is None:
        raise RunStateMissing("no requests are built", where="batch_inputs/build_manifest.json", hint="run with --to_step build")
    _refuse_lanes(work)
    queue = Queue(work)
    fetch_again(work, queue)
    waiting = {job.shard.part: job for job in queue.jobs if queue.state(job) in WAITING or gone_attempt(queue.record(job)) is not None}
    asked = {part: _asked(work, queue, job) for part, job in waiting.items()}
    part_of = {one: part for part, ids in asked.items() for one in ids}
    earlier = {part: frozenset(_earlier(queue, job)) for part, job in waiting.items()}
    tokens = {part: tuple(one.token for one in queue.record(job).attempts) for part, job in waiting.items()}
    arrivals = _sorted(work, files, Wanted(part_of=part_of, known=_all_ids(work, queue), earlier=earlier, tokens=tokens))
    if take_back:
        for part, job in waiting.items():
            if queue.parts.is_out(job) and part not in arrivals.lines:
                arrivals.lines[part], arrivals.found[part] = [], set()
    incomplete: dict[str, int] = {}
    for part, lines in arrivals.lines.items():
        lacking = len(asked[part] - arrivals.found[part])
        if lacking and not allow_incomplete and lines:
            incomplete[part] = lacking
            continue
        if gone_attempt(queue.record(waiting[part])) is not None:
            queue.reopen(waiting[part])
        current = queue.record(waiting[part]).current
        batch_id = (current.batch_id if current is not None else None) or ""
        # Rows of a file that no engine got to were never run; rows that a provider's files lack may have been paid for.
        end = "cancelled" if lacking and batch_id.startswith(OUT) else "completed"
        with replacing(arrival(batch_id, end), hook=work.hook) as file:
            file.writelines(lines)
    taken = tuple(part for part in arrivals.lines if part not in incomplete)
    queue.take_in(frozenset(taken))
    return _summed(queue, arrivals, taken, incomplete)


def _summed(queue: Queue, arrivals: Arrivals, taken: tuple[str, ...], incomplete: dict[str, int]) -> TakenIn:
    counts, odd = Counts(), Counter(arrivals.stray)
    waiting: list[str] = []
    owed: dict[str, int] = {}
    for job in queue.jobs:
        part, record = job.shard.part, queue.record(job)
        saved = [attempt for attempt in record.attempts if attempt.is_saved]
        if part in taken and saved:
            counts += saved[-1].counts or Counts()
            odd.update(saved[-1].odd)
        if record.state in WAITING or record.state is PartState.SUBMITTING:
            waiting.append(part)
        elif record.state is PartState.PENDING:
            owed[part] = len(queue.parts.fate(job).again) if record.attempts else job.shard.lines
    return TakenIn(arrivals=arrivals, counts=counts, odd=odd, taken=taken, incomplete=incomplete, waiting=tuple(waiting), owed=owed)


def _asked(work: Work, queue: Queue, job: Job) -> frozenset[str]:
    with (work.layout.root / queue.parts.current(job).payload).open("rb") as lines:
        return frozenset(answers.custom_ids(lines))


def _all_ids(work: Work, queue: Queue) -> frozenset[str]:
    found: set[str] = set()
    for job in queue.jobs:
        with work.layout.part_input(job.shard.part).open("rb") as lines:
            found.update(answers.custom_ids(lines))
    return frozenset(found)


def _earlier(queue: Queue, job: Job) -> Iterator[str]:
    """What earlier attempts at the part have brought, line by line."""
    for attempt in queue.record(job).attempts:
        if attempt.is_saved:
            yield from map(_said, _lines(queue.folder_file(job)(attempt.number)))


def _said(line: bytes) -> str:
    """The line in one form, whatever program has written it anew since, and with whatever line ends."""
    try:
        return json.dumps(json.loads(line), sort_keys=True)
    except (ValueError, RecursionError):
        return line.decode(errors="replace").strip()


def _sorted(work: Work, files: Sequence[Path], wanted: Wanted) -> Arrivals:
    arrivals = Arrivals()
    for path in files:
        first: str | None = None
        strays: list[tuple[str, bytes]] = []
        for line in _lines(path):
            arrivals.n_lines += 1
            if _is_request(line):
                arrivals.n_requests += 1
                continue
            try:
                custom_id = work.codec.decode(line).custom_id
            except BadLine:
                strays.append(("malformed", line))
                continue
            part = wanted.part_of.get(custom_id)
            if part is not None and not wanted.is_of_another(line, custom_id):
                first = first or part
                arrivals.lines.setdefault(part, []).append(wanted.as_fetched(line, custom_id))
                arrivals.found.setdefault(part, set()).add(custom_id)
            elif custom_id in wanted.known:
                arrivals.n_known += 1
            else:
                strays.append(("unknown", line))
        if first is not None:
            arrivals.lines[first] += [line for _, line in strays]
        else:
            arrivals.stray.update(kind for kind, _ in strays)
    return arrivals


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                yield line if line.endswith(b"\n") else line + b"\n"


def _is_request(line: bytes) -> bool:
    """A line of an input file: it asks, and answers nothing."""
    if b'"response"' in line or b'"result"' in line:
        return False
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and bool(REQUEST_KEYS & value.keys()) and not RESULT_KEYS & value.keys()
