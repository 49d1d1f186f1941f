"""How runs look on a terminal and as JSON: pure, from summaries and a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from batchtrial.state.files import PhaseRecord
from batchtrial.state.inventory import PHASES, RunSummary, Standing
from batchtrial.state.machine import IN_FLIGHT, PartState

WIDE = 120
"""From this many columns on, every figure has a column of its own."""
COLOURS = {
    Standing.RUNNING: "green",
    Standing.STOPPING: "yellow",
    Standing.ELSEWHERE: "yellow",
    Standing.FINISHED: "bold",
    Standing.FAILED: "red",
    Standing.KILLED: "red",
    Standing.DAMAGED: "red",
    Standing.STOPPED: "yellow",
}
MARKS = {"completed": "#", "in_progress": ">", "failed": "!", "not_started": "."}
FLAGS = {"S": "simulated answers", "M": "migrated", "A": "archived"}


def picture(runs: Sequence[RunSummary], now: datetime, width: int) -> RenderableType:
    """The table of runs, and below it what needs attention."""
    if not runs:
        return Text("no runs here yet")
    table = wide_table(runs, now) if width >= WIDE else narrow_table(runs, now)
    return Group(table, *(Text(line, style="dim" if line.startswith(" ") else "", overflow="fold") for line in remarks(runs)))


def screen(runs: Sequence[RunSummary], now: datetime, width: int, height: int, *, is_full: bool) -> RenderableType:
    """One full screen of `--watch`: the newest runs that fit, and when they were looked at."""
    head = Text(f"{now:%Y-%m-%d %H:%M:%S} UTC   {len(runs)} run{'s' * (len(runs) != 1)}   Ctrl-C ends this view", style="dim")
    if is_full and runs:
        return Group(head, *(Text.from_markup(line, overflow="ellipsis") for run in runs for line in details(run, now)))
    extra = len(list(remarks(runs)))
    room = max(1, height - 4 - extra)
    hidden = len(runs) - room
    more = (Text(f"{hidden} older runs are not shown", style="dim"),) if hidden > 0 else ()
    return Group(head, *more, picture(runs[-room:], now, width))


def _table(longest_name: int, *columns: tuple[str, str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for name, justify in columns:
        side: Literal["left", "right"] = "right" if justify == "right" else "left"
        most = longest_name if name == "RUN" else None
        table.add_column(name, justify=side, no_wrap=True, overflow="ellipsis", min_width=len(name), max_width=most)
    return table


def narrow_table(runs: Sequence[RunSummary], now: datetime) -> Table:
    """Fits 80 columns."""
    table = _table(
        20, ("RUN", ""), ("", ""), ("STATE", ""), ("STEP", ""), ("PARTS", "right"), ("REQUESTS", "right"), ("SPENT", "right"), ("AGE", "right")
    )
    for run in runs:
        table.add_row(run.run_id, flags(run), _standing(run), run.phase or "-", parts(run), requests(run), money(run.money.spent_usd), age(run, now))
    return table


def wide_table(runs: Sequence[RunSummary], now: datetime) -> Table:
    """For 120 columns and more."""
    left = (("RUN", ""), ("", ""), ("STATE", ""), ("STEPS", ""), ("NOW AT", ""))
    figures = ("PARTS", "IN FLIGHT", "REQUESTS", "FAILED", "SPENT", "RESERVED", "AGE", "QUIET")
    table = _table(36, *left, *((name, "right") for name in figures))
    for run in runs:
        lost = run.outcomes.total - run.outcomes.succeeded
        table.add_row(
            run.run_id,
            flags(run),
            _standing(run),
            steps(run),
            run.phase or "-",
            parts(run),
            _number(sum(run.parts.get(state, 0) for state in IN_FLIGHT)),
            requests(run),
            Text(_number(lost), style="red" if lost else ""),
            money(run.money.spent_usd),
            money(run.money.in_flight_usd),
            age(run, now),
            span(now - run.active_at) if run.active_at is not None else "-",
        )
    return table


def _standing(run: RunSummary) -> Text:
    return Text(run.standing, style=COLOURS.get(run.standing, ""))


def flags(run: RunSummary) -> str:
    """One letter for each thing to know about the run."""
    found = ("S" * run.is_simulated, "M" * run.is_migrated, "A" * run.is_archived)
    return "".join(found)


def steps(run: RunSummary) -> str:
    """One character per phase, in order; the earlier system's phases are not ours."""
    if run.standing is Standing.EARLIER:
        return "-"
    return "".join(MARKS[run.phases.get(name, PhaseRecord()).status] for name in PHASES)


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
    if not usd:
        return "-"
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.4f}"


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
        if run.money.unpriced:
            yield f"{run.run_id}: {run.money.unpriced} attempts without a known price are not in SPENT"
        lost = run.outcomes.total - run.outcomes.succeeded
        if lost:
            how = ", ".join(f"{n:,} {name}" for name, n in run.outcomes.model_dump().items() if n and name != "succeeded")
            yield f"{run.run_id}: {how}: {lost:,} of {run.outcomes.total:,} settled requests never succeeded"
        if run.standing is Standing.KILLED:
            yield f"{run.run_id}: its process died; `batchtrial resume --run_id {run.run_id}` goes on"
        for problem in run.problems:
            yield f"{run.run_id}: {problem}"
    met = [f"{letter} {meaning}" for letter, meaning in FLAGS.items() if any(letter in flags(run) for run in runs)]
    if met:
        yield f" {', '.join(met)}"


def outcomes(run: RunSummary) -> str:
    """Settled requests by outcome, those that did not occur left out."""
    counts = run.outcomes.model_dump()
    return ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or "none yet"


def details(run: RunSummary, now: datetime) -> Iterator[str]:
    """Everything about one run, as lines of console markup."""
    title = f"[bold]{escape(run.run_id)}[/bold]  [{COLOURS.get(run.standing) or 'default'}]{run.standing}[/]"
    told = [meaning for letter, meaning in FLAGS.items() if letter in flags(run)]
    yield title + (f"  ({', '.join(told)})" if told else "")
    yield f"  folder     {escape(str(run.root))}"
    if run.model:
        yield f"  asks       {escape(run.backend)}, {escape(run.model)}, {len(run.trials)} trial{'s' * (len(run.trials) != 1)}"
    for slug in run.trials:
        report = run.root / slug / "reports" / "report.md"
        yield f"    {escape(slug)}" + (f"  {escape(str(report))}" if report.exists() else "")
    if run.owner is not None and run.standing.is_live:
        yield f"  process    {run.owner.pid} on {escape(run.owner.host)}, for {span(now - run.owner.started_at)}"
    if run.started_at is not None:
        quiet = f", last sign of life {span(now - run.active_at)} ago" if run.active_at is not None else ""
        yield f"  started    {run.started_at:%Y-%m-%d %H:%M:%S} UTC, {span(now - run.started_at)} ago{quiet}"
    for name in PHASES:
        yield _phase_line(name, run.phases.get(name, PhaseRecord()))
    if run.n_parts:
        yield f"  parts      {', '.join(f'{n:,} {state}' for state, n in run.parts.items() if n)}"
        waiting = run.n_requests - run.outcomes.total - run.in_flight_requests
        still = (f"{run.in_flight_requests:,} in flight" if run.in_flight_requests else "", f"{waiting:,} waiting" if waiting > 0 else "")
        yield f"  requests   {', '.join(part for part in (outcomes(run), *still) if part)}, of {run.n_requests:,}"
        spent, flight = (money(usd) if usd else "nothing" for usd in (run.money.spent_usd, run.money.in_flight_usd))
        yield f"  money      {spent} spent, {flight} in flight" + " (simulated)" * run.is_simulated
    for text in (*run.notes, *run.problems):
        yield f"  note       {escape(text)}"


def _phase_line(name: str, record: PhaseRecord) -> str:
    colour = {"completed": "green", "failed": "red", "in_progress": "yellow"}.get(record.status, "dim")
    took = f"  {span(record.updated_at - record.started_at)}" if record.status == "completed" and record.started_at and record.updated_at else ""
    error = f"  {escape(record.last_error)}" if record.last_error else ""
    return f"  {name:<10} [{colour}]{record.status.replace('_', ' ')}[/]{took}{error}"


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
        "trials": list(run.trials),
        "phases": {name: run.phases.get(name, PhaseRecord()).model_dump(mode="json") for name in PHASES},
        "phase": run.phase or None,
        "parts": {"total": run.n_parts, **{state.value: run.parts.get(state, 0) for state in PartState}},
        "requests": {"total": run.n_requests, "in_flight": run.in_flight_requests, **run.outcomes.model_dump()},
        "money": {
            "spent_usd": float(run.money.spent_usd),
            "in_flight_usd": float(run.money.in_flight_usd),
            "unpriced_attempts": run.money.unpriced,
        },
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "active_at": run.active_at.isoformat() if run.active_at else None,
        "age_seconds": round((now - run.started_at).total_seconds()) if run.started_at else None,
        "process": run.owner.model_dump(mode="json") if run.owner is not None and run.standing.is_live else None,
        "stop_requested": run.is_stop_requested,
        "notes": list(run.notes),
        "problems": list(run.problems),
    }
