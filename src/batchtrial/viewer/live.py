"""How the runs of a folder stand, as the list of runs shows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from batchtrial.errors import RunnerError
from batchtrial.reading.config import config_of_run
from batchtrial.reading.inventory import RunSummary
from batchtrial.state.layout import RunLayout
from batchtrial.state.machine import PartState


def runs_json(runs: Sequence[RunSummary], now: datetime, budget_of: Callable[[Path], float | None]) -> dict[str, Any]:
    """Every run, the newest first. budget_of: what a run in this folder may cost, None where nothing was said."""
    return {"runs": [_run(run, now, budget_of(run.root)) for run in reversed(runs)]}


def _run(run: RunSummary, now: datetime, budget: float | None) -> dict[str, Any]:
    money = run.money
    return {
        "id": run.run_id,
        "model": run.model,
        "note": " (simulated)" if run.is_simulated else "",
        "state": str(run.standing),
        "live": run.standing.is_live,
        "phase": run.phase if run.standing.is_live else "",
        "trials": list(run.trials),
        "parts": {str(name): n for name, n in run.parts.items()},
        "requests": run.n_requests,
        "done": run.outcomes.total,
        "failed": run.outcomes.total - run.outcomes.succeeded,
        "in_doubt": run.parts.get(PartState.SUBMITTING, 0) if not run.standing.is_live else 0,
        "spent": "an unknown sum" if money.is_blank else money.short(),
        "reserved": money.in_flight(),
        "budget": "" if budget is None else f"${budget:.2f}",
        "quiet": "-" if run.active_at is None else _span((now - run.active_at).total_seconds()),
        "problems": list(run.problems),
    }


def _span(seconds: float) -> str:
    whole = max(0, int(seconds))
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {name} ago"
    return f"{whole} s ago" if whole >= 10 else "now"


class Budgets:
    """What each run may cost, read again only when its config changes."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[int, float | None]] = {}

    def of(self, root: Path) -> float | None:
        """The run's budget; None where there is none, or nobody can read it now."""
        path = RunLayout(root).effective_config
        try:
            changed = path.stat().st_mtime_ns
            if root not in self._known or self._known[root][0] != changed:
                self._known[root] = (changed, config_of_run(RunLayout(root)).submission.budget_usd)
        except (OSError, RunnerError):
            return None
        return self._known[root][1]
