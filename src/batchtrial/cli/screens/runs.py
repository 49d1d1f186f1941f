"""How runs look on a terminal and as JSON: pure, from summaries and a moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from batchtrial.cli.screens import terminal
from batchtrial.cli.screens.terminal import Cell, Line, text_of, width_of
from batchtrial.errors import ManifestCorrupt
from batchtrial.phases.batches.reasons import reason_lines
from batchtrial.phases.report.account_words import answers_by_arm, states_told
from batchtrial.reading.inventory import RunSummary, Standing
from batchtrial.reading.looks import looks_told
from batchtrial.state.files import PhaseRecord
from batchtrial.state.layout import RunLayout
from batchtrial.state.machine import IN_FLIGHT, PartState
from batchtrial.state.money import dollars, rounded_or_none
from batchtrial.state.store import decode_json
from batchtrial.steps import shown

LEAST_NAME = 15
"""Columns that a run's name is never cut below: what a name has that nobody chose."""
COLOURS = {
    Standing.RUNNING: "green",
    Standing.STOPPING: "yellow",
    Standing.ELSEWHERE: "yellow",
    Standing.FINISHED: "bold",
    Standing.FAILED: "red",
    Standing.KILLED: "red",
    Standing.DAMAGED: "red",
    Standing.UNREADABLE: "red",
    Standing.STOPPED: "yellow",
}
MARKS = {"completed": "#", "in_progress": ">", "failed": "!", "not_started": "."}
FLAGS = {"S": "simulated answers", "M": "migrated", "A": "archived"}


def picture(runs: Sequence[RunSummary], now: datetime, width: int) -> list[Line]:
    """The table of runs, and below it what needs attention."""
    if not runs:
        return [Line.of("no runs here yet")]
    return [*table(runs, now, width), *map(_remark, remarks(runs))]


def _remark(line: str) -> Line:
    return Line.of((line, "dim" if line.startswith(" ") else ""))


def screen(runs: Sequence[RunSummary], now: datetime, width: int, height: int, *, is_full: bool) -> list[Line]:
    """One full screen of `--watch`: the newest runs that fit, at least half of the rows for them, and as many remarks about them as fit below."""
    head = Line.of((f"{now:%Y-%m-%d %H:%M:%S} UTC   {len(runs)} run{'s' * (len(runs) != 1)}   Ctrl-C ends this view", "dim"))
    if not runs:
        return [head, *picture(runs, now, width)]
    if is_full:
        return [head, *(line for run in runs for line in details(run, now))]
    room = height - 3  # below the head, the names of the columns and a line that tells of older runs
    n_shown = max(1, min(len(runs), max(room - sum(_rows(line, width) for line in remarks(runs)), room // 2)))
    shown, hidden = runs[-n_shown:], len(runs) - n_shown
    more = [Line.of((f"{hidden} older run{'s are' if hidden > 1 else ' is'} not shown", "dim"))] if hidden else []
    return [head, *more, *table(shown, now, width), *_fitting(remarks(shown), room - n_shown, width)]


def _rows(line: str, width: int) -> int:
    return len(_remark(line).folded(width))


def _fitting(lines: Iterable[str], room: int, width: int) -> Iterator[Line]:
    """The lines that fit into so many rows, and how many do not. The last line, which says what the letters mean, is told before all others."""
    found = list(lines)
    last = found.pop() if found and found[-1].startswith(" ") else None
    room -= last is not None
    for place, line in enumerate(found):
        rows = _rows(line, width)
        if rows + (place + 1 < len(found)) > room:
            yield Line.of((f"{len(found) - place} more remarks: `batchtrial status` has them", "dim"))
            break
        yield _remark(line)
        room -= rows
    if last is not None:
        yield _remark(last)


def table(runs: Sequence[RunSummary], now: datetime, width: int) -> list[Line]:
    """A line for each run. Where there is room, every figure has a column of its own; where there is little, names are cut and nothing else."""
    heads, rows = WIDE, [wide_row(run, now) for run in runs]
    if _room_for_names(heads, rows, width, gap=1) < LEAST_NAME:
        heads, rows = NARROW, [narrow_row(run, now) for run in runs]
    longest = max(width_of(run.run_id) for run in runs)
    gap = 2 if _room_for_names(heads, rows, width, gap=2) >= longest else 1
    name = max(min(longest, _room_for_names(heads, rows, width, gap=gap)), len(RUN))
    whole: list[Row] = [(run.run_id, *row) for run, row in zip(runs, rows, strict=True)]
    return list(terminal.table((RUN, *heads), whole, left=LEFT, gap=gap, widths={RUN: name}))


RUN = "RUN"
NARROW: tuple[str, ...] = ("", "STATE", "STEP", "PARTS", "REQUESTS", "SPENT", "AGE")
WIDE: tuple[str, ...] = ("", "STATE", "STEPS", "NOW AT", "PARTS", "IN FLIGHT", "REQUESTS", "FAILED", "SPENT", "RESERVED", "AGE", "QUIET")
LEFT = frozenset({RUN, "", "STATE", "STEP", "STEPS", "NOW AT"})
Row = tuple[Cell, ...]


def _widths(heads: Sequence[str], rows: Sequence[Row]) -> list[int]:
    return [max(width_of(head), *(width_of(text_of(row[place])) for row in rows)) for place, head in enumerate(heads)]


def _room_for_names(heads: Sequence[str], rows: Sequence[Row], width: int, *, gap: int) -> int:
    return width - sum(_widths(heads, rows)) - gap * len(heads)


def narrow_row(run: RunSummary, now: datetime) -> Row:
    """The cells behind the name, for narrow terminals."""
    return (flags(run), _standing(run), run.phase or "-", parts(run), requests(run), spent(run), age(run, now))


def wide_row(run: RunSummary, now: datetime) -> Row:
    """The cells behind the name, for wide terminals."""
    lost = run.outcomes.total - run.outcomes.succeeded
    return (
        flags(run),
        _standing(run),
        steps(run),
        run.phase or "-",
        parts(run),
        _number(sum(run.parts.get(state, 0) for state in IN_FLIGHT)),
        requests(run),
        (_number(lost), "red" if lost else ""),
        spent(run),
        _held(run),
        age(run, now),
        span(now - run.active_at) if run.active_at is not None else "-",
    )


def _held(run: RunSummary) -> str:
    """For a cell: what is held, with a + where it is not all that may be billed."""
    if not run.money.in_flight_unpriced:
        return money(run.money.in_flight_usd)
    return f"{dollars(run.money.in_flight_usd)}+" if run.money.in_flight_usd else "unknown"


def _standing(run: RunSummary) -> Cell:
    return run.standing.value, COLOURS.get(run.standing, "")


def flags(run: RunSummary) -> str:
    """One letter for each thing to know about the run."""
    found = ("S" * run.is_simulated, "M" * run.is_migrated, "A" * run.is_archived)
    return "".join(found)


def steps(run: RunSummary) -> str:
    """One character per phase, in order; the earlier system's phases are not ours."""
    if run.standing is Standing.EARLIER:
        return "-"
    return "".join(MARKS[run.phases.get(name, PhaseRecord()).status] for name in shown(run.phases))


def parts(run: RunSummary) -> str:
    """Settled out of all."""
    return f"{run.parts.get(PartState.SETTLED, 0):,}/{run.n_parts:,}" if run.n_parts else "-"


def requests(run: RunSummary) -> str:
    """Succeeded out of all that were built."""
    return f"{run.outcomes.succeeded:,}/{run.n_requests:,}" if run.n_requests else "-"


def _number(n: int) -> str:
    return f"{n:,}" if n else "-"


def money(usd: Decimal) -> str:
    """Dollars, with enough digits for small sums."""
    return dollars(usd) if usd else "-"


def spent(run: RunSummary) -> str:
    """What is known to be spent; with a + when more may have been."""
    if run.money.is_exact:
        return money(run.money.spent_usd)
    return "unknown" if run.money.is_blank else f"{dollars(run.money.spent_usd)}+"


def spent_in_words(run: RunSummary) -> str:
    """`nothing spent`, `$0.12 spent`, or what is known of it and why not more."""
    is_nothing = run.money.is_exact and not run.money.spent_usd
    return "nothing spent" if is_nothing else run.money.sentence("spent")


def age(run: RunSummary, now: datetime) -> str:
    """Since it was started."""
    return span(now - run.started_at) if run.started_at is not None else "-"


def span(time: timedelta) -> str:
    """A length of time in its largest unit."""
    seconds = max(0, int(time.total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size or (unit != "m" and seconds >= size):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def remarks(runs: Sequence[RunSummary]) -> Iterator[str]:
    """Problems by run, and what the letters mean."""
    for run in runs:
        for name, record in run.phases.items():
            if record.status == "failed" and record.last_error:
                yield f"{run.run_id}: {name} failed: {record.last_error}"
        if not run.money.is_exact:
            yield f"{run.run_id}: spent {run.money.sentence()}"
        lost = run.outcomes.total - run.outcomes.succeeded
        if lost:
            how = ", ".join(f"{n:,} {name}" for name, n in run.outcomes.model_dump().items() if n and name != "succeeded")
            why = "; ".join(reason_lines(run.reasons, 1))
            yield f"{run.run_id}: {lost:,} of {run.outcomes.total:,} settled requests never succeeded ({how})" + (f": {why}" if why else "")
        if run.standing is Standing.KILLED:
            yield f"{run.run_id}: its process died; `batchtrial resume {RunLayout(run.root).flags}` goes on"
        for problem in run.problems:
            yield f"{run.run_id}: {problem}"
    met = [f"{letter} {meaning}" for letter, meaning in FLAGS.items() if any(letter in flags(run) for run in runs)]
    if met:
        yield f" {', '.join(met)}"


def outcomes(run: RunSummary) -> str:
    """Settled requests by outcome, those that did not occur left out."""
    counts = run.outcomes.model_dump()
    return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "none yet"


def details(run: RunSummary, now: datetime) -> Iterator[Line]:
    """Everything about one run."""
    told = [meaning for letter, meaning in FLAGS.items() if letter in flags(run)]
    yield Line.of((run.run_id, "bold"), "  ", _standing(run), f"  ({', '.join(told)})" if told else "")
    yield from map(Line.of, _about(run, now))
    yield from (_phase_line(name, run.phases.get(name, PhaseRecord())) for name in shown(run.phases))
    yield from map(Line.of, _progress(run))
    yield from (Line.of(f"  note       {text}") for text in (*run.notes, *run.problems))


def _about(run: RunSummary, now: datetime) -> Iterator[str]:
    """Where it lies, what it asks, and who is at work on it."""
    yield f"  folder     {run.root}"
    if run.model:
        yield f"  asks       {', '.join((*run.backends, *run.models))}, {len(run.trials)} trial{'s' * (len(run.trials) != 1)}"
    for slug in run.trials:
        report = run.root / slug / "reports" / "report.md"
        yield f"  trial      {slug}"
        if report.exists():
            yield f"  report     {report}"
    if run.owner is not None and run.standing.is_live:
        yield f"  process    {run.owner.pid} on {run.owner.host}, for {span(now - run.owner.started_at)}"
    if run.started_at is not None:
        quiet = f", last sign of life {span(now - run.active_at)} ago" if run.active_at is not None else ""
        yield f"  started    {run.started_at:%Y-%m-%d %H:%M:%S} UTC, {span(now - run.started_at)} ago{quiet}"


def _progress(run: RunSummary) -> Iterator[str]:
    """Parts, requests and money; nothing before there are parts."""
    if not run.n_parts:
        return
    yield f"  parts      {', '.join(f'{n:,} {state}' for state, n in run.parts.items() if n)}"
    waiting = run.n_requests - run.outcomes.total - run.in_flight_requests
    answered = f" ({run.answered_rows:,} of them answered)" if run.answered_rows else ""
    word = "not bought" if run.standing is Standing.FINISHED and _looks(run) else "waiting"
    still = (f"{run.in_flight_requests:,} in flight{answered}" if run.in_flight_requests else "", f"{waiting:,} {word}" if waiting > 0 else "")
    yield f"  requests   {', '.join(part for part in (outcomes(run), *still) if part)}, of {run.n_requests:,}"
    yield from (f"  {'' if place else 'why':<10} {line}" for place, line in enumerate(reason_lines(run.reasons)))
    yield from (f"  answers    {told}" for told in answers(run))
    yield from (f"  looks      {line}" for line in _looks(run))
    yield f"  money      {spent_in_words(run)}, {run.money.in_flight() or 'nothing'} in flight" + " (simulated)" * run.is_simulated


def _looks(run: RunSummary) -> list[str]:
    """Of a run under a sequential plan; none of one whose files are damaged: `repair` is for that."""
    try:
        return list(looks_told(RunLayout(run.root)))
    except (ManifestCorrupt, OSError, KeyError, TypeError):
        return []


def answers(run: RunSummary) -> Iterator[str]:
    """Of each trial that is parsed and has answers that are none, which: by state and arm."""
    for slug in run.trials:
        try:
            account = decode_json(RunLayout(run.root).trial(slug).account.read_bytes())
            told = states_told(answers_by_arm(account))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # not there yet, or damaged: `repair` is for that
        if told:
            yield told if len(run.trials) == 1 else f"{slug}: {told}"


def _phase_line(name: str, record: PhaseRecord) -> Line:
    colour = {"completed": "green", "failed": "red", "in_progress": "yellow"}.get(record.status, "dim")
    took = f"  {span(record.updated_at - record.started_at)}" if record.status == "completed" and record.started_at and record.updated_at else ""
    error = f"  {record.last_error}" if record.last_error else ""
    return Line.of(f"  {name:<10} ", (record.status.replace("_", " "), colour), f"{took}{error}")


def as_json(run: RunSummary, now: datetime) -> dict[str, Any]:
    """For programs; keys stay as they are from release to release."""
    return {
        "run_id": run.run_id,
        "path": run.root.as_posix(),
        "standing": run.standing.value,
        "mode": run.mode,
        "simulated": run.is_simulated,
        "migrated": run.is_migrated,
        "archived": run.is_archived,
        "backend": run.backend,
        "model": run.model,
        "backends": list(run.backends),
        "models": list(run.models),
        "trials": list(run.trials),
        "phases": {name: run.phases.get(name, PhaseRecord()).model_dump(mode="json") for name in shown(run.phases)},
        "phase": run.phase or None,
        "parts": {"total": run.n_parts, **{state.value: run.parts.get(state, 0) for state in PartState}},
        "requests": {"total": run.n_requests, "in_flight": run.in_flight_requests, "answered_rows": run.answered_rows, **run.outcomes.model_dump()},
        "reasons": [{"reason": reason, "requests": n} for reason, n in run.reasons.items()],
        "money": {
            **{f"{kind}_usd": rounded_or_none(usd) for kind, usd in run.money.known().items()},
            "unpriced_attempts": run.money.unpriced,
            "cost": run.money.sentence(),
        },
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "active_at": run.active_at.isoformat() if run.active_at else None,
        "age_seconds": round((now - run.started_at).total_seconds()) if run.started_at else None,
        "process": run.owner.model_dump(mode="json") if run.owner is not None and run.standing.is_live else None,
        "stop_requested": run.is_stop_requested,
        "notes": list(run.notes),
        "problems": list(run.problems),
    }
