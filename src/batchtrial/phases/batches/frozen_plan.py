"""The plan as the ledger has it, and what was changed since. Reads the ledger's lines about the run, never the config of today.

A plan is written into the ledger when a run is opened, before its first intent, and again whenever an accepted change of the config changes it; each
such line says how many results had arrived by then. What was in force when the first result arrived is the declared plan. A change after that makes
the endpoints that it concerns exploratory. When the line is lost, or was never written by an earlier version, the config of the ledger's first line
stands in for it, for that was written before the first intent too; when a repair made that line anew, or it is younger than the answers, no plan is
known. With the whole ledger lost, the hash in run_state.json proves that the config still has the declared plan, or that it has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from batchtrial.config.analysis_plan import CODE, PRICES, Difference, differences, plan_hash, plan_of, written_keys
from batchtrial.config.lanes import config_of_lane, is_direct, lanes_of
from batchtrial.config.metric_sources import sources_of
from batchtrial.config.model import Config, StatsConfig
from batchtrial.config.model import Endpoint as Declared
from batchtrial.phases.tables.columns import MEASURES
from batchtrial.scoring.metrics.named import is_named, metric_of
from batchtrial.state.entries import Entry, run_lines
from batchtrial.state.files import PlanMark
from batchtrial.state.ledger import PartRecord
from batchtrial.state.store import read_json

PLAN: Final = "plan"
"""The event."""
RESULTS: Final = ("done", "saved", "imported")
"""Events with which an answer may have come to be known."""
LINES: Final = ("opened", PLAN, "drift", "migrated", "repaired")
Origin = Literal["frozen", "opened", "none"]
Role = Literal["primary", "confirmatory"]
LISTS: Final = ("metrics", "judges", "panels")
"""Settings that list what gives numbers beside those that every run has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A setting that was changed. at: when, None when no line tells. is_late: after the first result had arrived.

    spared: metrics that stand in another list by their name, or come from another function than the edited one.
    """

    key: str
    declared: Any
    done: Any
    at: datetime | None
    is_late: bool
    spared: tuple[str, ...] = ()

    def concerns(self, endpoint: Declared, role: Role) -> bool:
        """Whether the endpoint is no longer what was declared."""
        if not self.is_late or self.key == "stats.exploratory":
            return False
        if self.key.startswith("stats.confirmatory"):
            return role == "confirmatory"  # Holm's correction is over all of them
        if self.key in LISTS:
            return endpoint.metric not in (*MEASURES, *self.spared) and _is_another(endpoint.metric, self.key, self.declared, self.done)
        if self.key.startswith(f"{CODE}.further."):
            return endpoint.metric not in (*MEASURES, *self.spared)
        if self.key.startswith(f"{PRICES}."):
            return self.key.startswith(f"{PRICES}.{endpoint.metric}.")
        if self.key.startswith("unsupported."):
            return endpoint.metric == "unsupported"
        return True  # also of the primary endpoint, which is the gate of the others


def _is_another(metric: str, key: str, declared: Any, done: Any) -> bool:
    """Whether a metric that such a list gives, or may give, is no longer what it was: what was only added beside it leaves it alone."""
    before, after = (_by_number(key, one or ()) for one in (declared, done))
    if metric in before or metric in after:
        return before.get(metric) != after.get(metric)
    # It comes from elsewhere, or from something that does not say what its numbers are called: a function of one's own, a panel of these judges. No
    # two functions may give a number the same name, so that one which is added takes nothing over.
    return any(after.get(name) != one for name, one in before.items()) if key != "metrics" else not set(before[""]) <= set(after[""])


def _by_number(key: str, entries: Sequence[Any]) -> dict[str, Any]:
    """What defines each number by its name; under "" the functions of the user's own, whose numbers nobody knows before they are called."""
    if key != "metrics":
        return {str(one["name"]): one for one in entries}
    named = {column: one for one in entries if is_named(one) for column in metric_of(one).columns}
    return {**named, "": [one for one in entries if not is_named(one)]}


def _spared(plan: Mapping[str, Any], changed: str, given: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Metrics that a plan has by name elsewhere than in the setting that was changed: those with parameters, judges, panels, which hang on judges.

    given: import path of a function of the user's own -> the numbers that it gave.
    """
    elsewhere = [key for key in LISTS if key != changed and (key, changed) != ("panels", "judges")]
    edited = changed.removeprefix(f"{CODE}.further.")
    others = {name for path, names in given.items() if path != edited for name in names} if edited != changed else set()
    return tuple(sorted(others | {name for key in elsewhere for name in _by_number(key, plan.get(key) or ()) if name}))


def _given(root: Path) -> dict[str, list[str]]:
    """What the functions of the user's own gave when they last scored, by import path."""
    found: dict[str, list[str]] = {}
    for path in sorted(root.glob("*/results/scoring.json")):
        try:
            metrics = dict(read_json(path)["metrics"])
            found |= {name: [str(each) for each in one["names"]] for name, one in metrics.items() if ":" in name}
        except (OSError, ValueError, TypeError, KeyError):
            continue  # of an earlier version, or damaged: then nothing is known
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenPlan:
    """The declared plan of a run against what its config says now.

    origin: a plan line; the ledger's first line in its place; or nothing that was written before the answers. hash: of the declared plan.
    is_default: nobody wrote a section `stats`. is_default_primary: nobody wrote its primary endpoint.
    """

    origin: Origin
    hash: str | None
    is_default: bool
    is_default_primary: bool
    changes: tuple[Change, ...] = ()

    @property
    def late(self) -> tuple[Change, ...]:
        return tuple(one for one in self.changes if one.is_late)

    @property
    def early(self) -> tuple[Change, ...]:
        return tuple(one for one in self.changes if not one.is_late)

    def keeps(self, endpoint: Declared, role: Role) -> bool:
        """Whether a claim may be made about the endpoint."""
        return self.origin != "none" and not any(one.concerns(endpoint, role) for one in self.changes)

    def keeps_all(self, stats: StatsConfig) -> bool:
        """Whether the endpoints are those that were declared, and no change concerns any of them."""
        if any(one.key.startswith("stats.") and one.key != "stats.exploratory" for one in self.late):
            return False
        return self.keeps(stats.primary, "primary") and all(self.keeps(one, "confirmatory") for one in stats.confirmatory)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A plan in force from a line on. written: settings of `stats` that somebody wrote, None when the line does not say."""

    plan: Mapping[str, Any]
    at: datetime
    origin: Origin
    is_late: bool
    written: tuple[str, ...] | None = None


def plan_now(config: Config) -> dict[str, Any]:
    """The plan of a config, with the code of metrics of the user's own as it is now."""
    deciding = {spec.metric for spec in config.datasets}
    by_role: dict[str, dict[str, str]] = {}
    for path, sha256 in sources_of(config).items():
        by_role.setdefault("sets" if path in deciding else "further", {})[path] = sha256
    return plan_of(config, by_role)


def plan_line(config: Config, parts: Iterable[PartRecord], lines: Sequence[Entry] = ()) -> dict[str, Any]:
    """The `detail` of a plan line. parts: what has been sent so far. lines: those of the ledger about the run, before this one."""
    plan, written = plan_now(config), set(written_keys(config))
    before = latest_plan(lines)
    # A config that is read back from a run has every setting written out. Without a plan line (the process may have died between the ledger's
    # first line and it) the first line says what somebody wrote.
    known = (before.detail["plan"], before.detail.get("written") or ()) if before is not None and before.detail is not None else _opened_with(lines)
    if known is not None:
        changed = {one.key.split(".")[1] for one in differences(known[0], plan) if one.key.startswith("stats.")}
        written = {*known[1], *changed}
    has_rows = any(is_direct(config_of_lane(config, name)) for name in lanes_of(config))  # rows are answered one by one while the part is under way
    seen = sum(a.is_saved or a.wire_state is not None or has_rows for part in parts for a in part.attempts)
    return {"hash": plan_hash(plan), "plan": plan, "written": sorted(written), "results_before": seen}


def latest_plan(lines: Iterable[Entry]) -> Entry | None:
    """The last plan line that is as it was written."""
    return next((one for one in reversed(list(lines)) if one.event == PLAN and _is_whole(one.detail)), None)


def _opened_with(lines: Sequence[Entry]) -> tuple[Mapping[str, Any], Sequence[str]] | None:
    """The plan of the ledger's first line, with what somebody wrote of it; None when it does not say."""
    return next(((one.plan, one.written) for one in _steps(lines) if one.written is not None), None)


def plan_made_anew(lines: Sequence[Entry]) -> dict[str, Any] | None:
    """The `detail` of a plan line that was lost, from the ledger's first line, which is left; None when one is left or none ever was."""
    opened = next(iter(_steps([one for one in lines if one.event in ("opened", "migrated", "repaired")])), None)
    if opened is None or opened.is_late or opened.origin != "frozen" or any(_is_early(one) for one in lines):
        return None
    return {"hash": plan_hash(opened.plan), "plan": dict(opened.plan), "written": list(opened.written or ()), "results_before": 0}


def plan_mark(lines: Iterable[Entry]) -> PlanMark | None:
    """The declared plan's hash and what was written of it, for run_state.json; None when no line from before the first result has it."""
    declared = next((one for one in reversed(list(_steps(list(lines)))) if not one.is_late), None)
    if declared is None or declared.origin != "frozen":
        return None
    return PlanMark(hash=plan_hash(declared.plan), written=declared.written or ())


def plan_by_mark(config: Config, mark: PlanMark | None, lines: Iterable[Entry]) -> dict[str, Any] | None:
    """The `detail` of a plan line whose ledger was lost; None when the config's plan is not the declared one, or when a line has it."""
    plan = plan_now(config)
    if mark is None or mark.hash != plan_hash(plan) or any(_is_early(one) for one in lines):
        return None
    return {"hash": mark.hash, "plan": plan, "written": list(mark.written), "results_before": 0}


def frozen_plan(ledger: Path, config: Config) -> FrozenPlan:
    """The declared plan of the run that has this ledger, and how its config has left it."""
    try:
        found = ledger.stat()
    except FileNotFoundError:
        return against((), config)
    return against(_lines(ledger, found.st_size, found.st_mtime_ns), config, _given(ledger.parent))


@lru_cache(maxsize=8)
def _lines(path: Path, size: int, changed_at: int) -> tuple[Entry, ...]:
    """The lines about the plan; as long as the file is the same, read once for all trials."""
    return run_lines(path, LINES, RESULTS)


def against(lines: Sequence[Entry], config: Config, given: Mapping[str, Sequence[str]] | None = None) -> FrozenPlan:
    """The same from the ledger's lines about the run. given: which function of the user's own gave which numbers, as far as that is known."""
    steps = list(_steps(lines))
    declared = next((one for one in reversed(steps) if not one.is_late), None)
    usual = _stats_defaults()
    if declared is None:
        is_usual = config.stats.model_dump(mode="json") == usual
        return FrozenPlan(origin="none", hash=None, is_default=is_usual, is_default_primary=is_usual)
    first, now = steps[0], _with_known_code(plan_now(config), steps)
    early = [
        Change(key=one.key, declared=one.before, done=one.after, at=_when(steps, one.key, one.after, late=False), is_late=False)
        for one in (differences(first.plan, declared.plan) if not first.is_late else ())
    ]
    late = [
        Change(
            key=one.key,
            declared=one.before,
            done=one.after,
            at=_when(steps, one.key, one.after, late=True),
            is_late=True,
            spared=_spared(declared.plan, one.key, given or {}),
        )
        for one in differences(declared.plan, now)
        if not _is_declared_growth(one, declared.plan)
    ]
    is_usual = dict(declared.plan["stats"]) == usual
    return FrozenPlan(
        origin=declared.origin,
        hash=plan_hash(declared.plan),
        is_default=is_usual if declared.written is None else not declared.written,
        is_default_primary=is_usual if declared.written is None else "primary" not in declared.written,
        changes=(*early, *late),
    )


def _is_declared_growth(change: Difference, plan: Mapping[str, Any]) -> bool:
    """Whether the run only has more items by now, up to what its looks were planned for before the first result."""
    planned = (plan["stats"].get("sequential") or {}).get("n_max")
    return change.key == "limit_items" and planned is not None and isinstance(change.after, int) and change.after <= planned


def _steps(lines: Sequence[Entry]) -> list[_Step]:
    """The plans that were in force, one after the other."""
    steps: list[_Step] = []
    # A repair puts the lines about the run in front, so that their place no longer tells what came first.
    is_reordered = any(one.event == "repaired" for one in lines)
    is_first_lost = any(one.event == "repaired" and (one.detail or {}).get("first_line") != "kept" for one in lines)
    is_taken_over = any(one.event == "migrated" for one in lines)
    for one in lines:
        if one.event == PLAN and _is_whole(one.detail):
            detail = one.detail or {}
            is_late = int(detail.get("results_before") or 0) > 0
            step = _Step(plan=detail["plan"], at=one.at, origin="frozen", is_late=is_late, written=tuple(detail.get("written") or ()))
            if steps and plan_hash(steps[-1].plan) == plan_hash(step.plan):
                # The line says more than the change of the config that it follows.
                steps.pop()
            steps.append(step)
        elif one.event in ("opened", "drift") and (plan := _plan_in(one)) is not None:
            is_late = (is_first_lost or is_taken_over) if one.event == "opened" else (is_reordered or _came_after_results(one, lines))
            mark = (one.detail or {}).get("plan") if one.event == "opened" else None
            plan |= {CODE: mark[CODE]} if mark is not None and CODE in mark else {}
            if mark is not None and mark["hash"] == plan_hash(plan):
                steps.append(_Step(plan=plan, at=one.at, origin="frozen", is_late=is_late, written=tuple(mark["written"])))
            else:
                steps.append(_Step(plan=plan, at=one.at, origin="opened", is_late=is_late))
    return steps


def _with_known_code(now: dict[str, Any], steps: Sequence[_Step]) -> dict[str, Any]:
    """The plan with the code of metrics whose file is gone as it was last written down, so that a change stays known."""
    for role, by_path in now.get(CODE, {}).items():
        for path in [path for path, sha256 in by_path.items() if not sha256]:
            by_path[path] = next((found for step in reversed(steps) if (found := step.plan.get(CODE, {}).get(role, {}).get(path))), "")
    return now


def _came_after_results(drift: Entry, lines: Sequence[Entry]) -> bool:
    return any(one.event in RESULTS and one.seq < drift.seq for one in lines)


def _plan_in(line: Entry) -> dict[str, Any] | None:
    """The plan of the config that a line carries; None when it is no config any more."""
    try:
        return plan_of(Config.model_validate((line.detail or {})["config"]))
    except (KeyError, ValidationError):
        return None


def _is_early(line: Entry) -> bool:
    """Whether it is a plan line of before the first result."""
    return line.event == PLAN and _is_whole(line.detail) and not (line.detail or {}).get("results_before")


def _is_whole(detail: Mapping[str, Any] | None) -> bool:
    return detail is not None and isinstance(detail.get("plan"), dict) and plan_hash(detail["plan"]) == detail.get("hash")


def _when(steps: list[_Step], key: str, value: Any, *, late: bool) -> datetime | None:
    """Time of the last line that gave the setting this value."""
    for before, after in reversed(list(pairwise(steps))):
        if after.is_late == late and any(one.key == key and one.after == value for one in differences(before.plan, after.plan)):
            return after.at
    return None


def _stats_defaults() -> dict[str, Any]:
    stats = Config.model_fields["stats"].get_default()
    return dict(stats.model_dump(mode="json"))
