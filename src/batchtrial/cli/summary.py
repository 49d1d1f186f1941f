"""The last lines of a run: outcomes, headline, money, where the report is."""

from __future__ import annotations

from collections.abc import Iterator

from batchtrial.phases.base import View
from batchtrial.run.loop import Finished
from batchtrial.state.ledger import Money


def lines(view: View, finished: Finished, money: Money) -> Iterator[str]:
    """For standard output."""
    c = finished.counts
    if view.config.mode == "dry_run":
        yield "SIMULATED ANSWERS: this was a dry run against the emulator"
    yield f"requests  {c.succeeded} succeeded, {c.errored} errored, {c.expired} expired, {c.cancelled} cancelled, {c.missing} missing"
    paid = f"${money.spent_usd:.4f} spent" if not money.unpriced else f"${money.spent_usd:.4f} spent, {money.unpriced} attempts without a known price"
    in_flight = f", ${money.in_flight_usd:.4f} in flight" if money.in_flight_usd else ""
    yield f"cost      {paid}{in_flight}" + (" (simulated)" if view.config.mode != "live" else "")
    if not finished.is_complete:
        yield "not all steps were asked for; `--resume` goes on with the rest"
        return
    for trial in view.trials:
        layout = view.trial_layout(trial)
        if layout.report_md.exists():
            yield from headline(layout.report_md.read_text(encoding="utf-8"), trial.slug)
            yield f"report    {layout.report_md}"


def headline(report: str, slug: str) -> Iterator[str]:
    """The verdict and the main table of a report."""
    is_inside = False
    for line in report.splitlines():
        if line.startswith("## "):
            is_inside = line[3:].strip().lower() in ("verdict", "results")
            if is_inside:
                yield f"{slug}: {line[3:].strip()}"
        elif is_inside and line.strip():
            yield f"  {line}"
