"""What a run under a sequential plan may say once it has stopped: the primary endpoint stage-wise, all else that is declared at the look's level.

The plain p-value of a trial that was looked at is too small and its mean difference too large. Nothing is said of a trial between two looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any, Final

from batchtrial.config.expand import Trial
from batchtrial.phases.analyse.comparison import Comparison
from batchtrial.phases.analyse.looks import look_plan, seen_of
from batchtrial.phases.analyse.tables import Table
from batchtrial.phases.base import View
from batchtrial.phases.batches.gates import compares, has_stopped
from batchtrial.stats.distributions import norm_sf
from batchtrial.stats.looks import AT_THE_LOOK, Look, LookPlan, Statistic, ended
from batchtrial.stats.plan import AnalysisPlan, Finding

BETWEEN: Final = "the run is between two planned looks: nothing is said before the next one"
AFTER_A_STOP: Final = "seen at an early stop, and not corrected for the looks"


def is_between_looks(view: View, trial: Trial) -> bool:
    """Whether the trial has planned looks and goes on."""
    return view.build is not None and view.build.looks is not None and compares(trial) and not has_stopped(view.looks.get(trial.slug, ()))


def _looks(view: View, trial: Trial) -> tuple[Look, ...]:
    return view.looks.get(trial.slug, ()) if view.build is not None and view.build.looks is not None else ()


def as_stopped(
    view: View, trial: Trial, tables: Mapping[float, Table], plan: AnalysisPlan, made: dict[str, Comparison], findings: list[Finding]
) -> tuple[dict[str, Comparison], list[Finding]]:
    """The comparisons and findings as the looks of the trial allow them; as they are where no looks are planned."""
    looks = _looks(view, trial)
    if not looks:
        return made, findings
    declared, last = look_plan(view), looks[-1]
    primary, told = plan.primary.name if plan.primary is not None else "", dict(made)
    found = []
    for one in findings:
        if one.name == primary and any(look.endpoint != primary for look in looks):
            one = _at_the_level(one, declared, last)  # another endpoint than the looks saw: the report says that it was changed
            told[one.name] = replace(told[one.name], test=one.test)
        elif one.name == primary:
            told[one.name], one = _primary(declared, looks, seen_of(view, trial, tables), made[one.name], _at_the_level(one, declared, last))
        elif any(one.name == endpoint.name for endpoint in plan.confirmatory):
            one = _at_the_level(one, declared, last)
            told[one.name] = replace(told[one.name], test=one.test)
        elif last.n_items < declared.n_max:
            told[one.name] = replace(told[one.name], warnings=(*told[one.name].warnings, AFTER_A_STOP))
        found.append(one)
    return told, found


def _factor(declared: LookPlan, last: Look) -> float:
    """By how much a p-value is multiplied that is read at the level of the last look."""
    return 1.0 if last.bound is None else max(1.0, declared.alpha / (2.0 * norm_sf(last.bound)))


def _at_the_level(one: Finding, declared: LookPlan, last: Look) -> Finding:
    """The finding with p-values at the level that the last look had: what stands behind the primary endpoint is judged as strictly."""
    factor = _factor(declared, last)

    def times(p: float | None) -> float | None:
        return None if p is None else min(1.0, p * factor)

    test = one.test
    if test.p_value is not None:
        warnings = (*test.warnings, AT_THE_LOOK) if factor > 1.0 else test.warnings
        test = replace(test, p_value=times(test.p_value), method=f"{test.method}, at the look", warnings=warnings)
    lost = None if one.lost is None else replace(one.lost, difference_p=times(one.lost.difference_p), margin_p=times(one.lost.margin_p))
    return replace(one, test=test, margin_test_p=times(one.margin_test_p), lost=lost)


def _primary(declared: LookPlan, looks: tuple[Look, ...], seen: Statistic, made: Comparison, one: Finding) -> tuple[Comparison, Finding]:
    """The primary endpoint by the stage-wise ordering."""
    at_end = ended(declared, looks, seen, level=one.estimate.level)
    estimate = at_end.estimate if at_end.estimate.value is not None else one.estimate
    if made.margin is None:
        return replace(made, estimate=estimate, test=at_end.test), replace(one, estimate=estimate, test=at_end.test)
    margin = replace(made.margin, above_low=at_end.test, below_high=None, exact_p=None, estimate=estimate)
    told = replace(made, estimate=estimate, test=one.test, margin=margin)
    return told, replace(one, estimate=estimate, margin_test_p=at_end.test.p_value)


def looks_json(view: View, trial: Trial, *, is_stagewise: bool = True) -> dict[str, Any] | None:
    """The looks of a trial as significance.json has them; None where none are planned. is_stagewise: so is its primary endpoint's estimate."""
    if view.build is None or view.build.looks is None or not compares(trial):
        return None
    looks, declared = _looks(view, trial), look_plan(view)
    bought = looks[-1].n_items if has_stopped(looks) else view.build.looks[-1]
    return {
        "planned": {**asdict(declared), "ends": list(view.build.looks)},
        "taken": [asdict(look) for look in looks],
        "decision": looks[-1].decision if has_stopped(looks) else None,
        "n_items": bought,
        "items_not_bought": view.build.looks[-1] - bought,
        "requests_not_bought": {arm.stem: sum(s.lines for s in view.every_shard(arm) if not view.is_open(s)) for arm in trial.arms},
        "sentence": stop_sentence(looks, declared, view.build.looks, is_stagewise=is_stagewise) if has_stopped(looks) else BETWEEN,
    }


def stop_sentence(looks: tuple[Look, ...], declared: LookPlan, ends: tuple[int, ...], *, is_stagewise: bool) -> str:
    """Where the trial stopped and why, in words that claim nothing."""
    last = looks[-1]
    where = f"at look {ends.index(last.n_items) + 1} of {len(ends)}, {last.n_items:,} of {declared.n_max:,} items"
    bound = "" if last.bound is None else f" (Z {last.z:+.2f}, bound {last.bound:.2f})"
    left = f" {ends[-1] - last.n_items:,} items were not bought." if ends[-1] > last.n_items else ""
    numbers = " Estimate, interval and p are stage-wise: corrected for the looks." if is_stagewise else ""
    if last.decision == "futile":
        return f"Stopped for futility {where}: too little was left to show a difference{bound}.{left}{numbers}"
    if last.decision == "crossed":
        return f"Stopped {where}: the bound was crossed{bound}.{left}{numbers}"
    return f"All {len(ends)} planned looks were taken{bound}.{numbers}"
