"""Taking a planned look: what is seen of each trial's primary endpoint on the prefix that is bought, and what the plan decides there.

Nothing is written here: the caller puts the look into the ledger before anything else happens.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batchtrial.config.expand import Trial
from batchtrial.config.sequential import Sequential
from batchtrial.phases.analyse.comparison import compare
from batchtrial.phases.analyse.declared import declared_cells, declared_plan
from batchtrial.phases.analyse.paired import Paired
from batchtrial.phases.analyse.tables import Table, load_tables
from batchtrial.phases.base import View
from batchtrial.phases.batches.gates import compares, end_of, has_stopped
from batchtrial.stats.looks import Look, LookPlan, Statistic, by_margin_test, decide, statistic
from batchtrial.stats.plan import Endpoint

NOTHING: Final = Statistic(z=0.0, variance=0.0, n=0, changed=0)
"""What is seen where no item has the metric."""


def open_trials(view: View) -> tuple[Trial, ...]:
    """Trials that still go on under a sequential plan; none where no looks are planned."""
    if view.build is None or view.build.looks is None or view.config.stats.sequential is None:
        return ()
    return tuple(trial for trial in view.trials if compares(trial) and _goes_on(view.looks.get(trial.slug, ()), view.build.looks[-1]))


def _goes_on(looks: tuple[Look, ...], n_items: int) -> bool:
    """Whether there are items that were not looked at. A run whose plan is for more may come to its last item before it is decided."""
    return not has_stopped(looks) and (not looks or looks[-1].n_items < n_items)


def look_plan(view: View) -> LookPlan:
    """The declared looks, at the part of alpha that each trial of the run has. The view has looks."""
    planned: Sequential = view.config.stats.sequential or Sequential()
    n_items = view.build.looks[-1] if view.build is not None and view.build.looks else 0
    n_trials = sum(map(compares, view.trials))
    return LookPlan(
        alpha=view.config.stats.alpha / max(1, n_trials),
        n_max=planned.planned(n_items),
        looks=planned.looks,
        futility=planned.futility,
        min_changed=planned.min_changed,
    )


def seen_of(view: View, trial: Trial, tables: Mapping[float, Table]) -> Statistic:
    """The primary endpoint of a trial on the items that are scored."""
    primary = declared_plan(view.config, trial, dict(tables)).primary
    cell = declared_cells(view.config, trial)[0]
    paired = tables[cell.temp].pick(cell)
    if paired is None or primary is None:
        return NOTHING
    return seen_in(paired.kept(), primary)


def seen_in(both: Paired, primary: Endpoint) -> Statistic:
    """The same of complete pairs. A margin is looked at by the test that the analysis makes of such pairs."""
    is_single = both.is_share and max(both.samples_treatment, both.samples_control) == 1
    seen = statistic(
        both.treatment,
        both.control,
        is_right_or_wrong=is_single,
        clusters=both.clusters,
        margin=primary.margin,
        higher_is_better=primary.higher_is_better,
    )
    if primary.margin is None or (is_single and both.clusters is None) or not seen.n:
        return seen
    # Where changes are rare, the standard error of several samples, or of clusters, promises more than it keeps; where there are none, it has none.
    margin = compare(both, level=0.95, seed=0, flips=1, endpoint=primary, is_verdict_only=True).margin
    mean = seen.sign * float((both.treatment - both.control).mean())
    return by_margin_test(seen, mean, None if margin is None else margin.above_low.p_value)


def look_detail(view: View) -> dict[str, Any] | None:
    """What the look that is due sees and decides, as the ledger has it; None when no trial goes on. The prefix is scored."""
    going_on, plan = open_trials(view), look_plan(view)
    if not going_on or view.build is None or view.build.looks is None:
        return None
    n_items = end_of(going_on[0], view.looks.get(going_on[0].slug, ()), view.build.looks)
    trials = {}
    for trial in going_on:
        tables = load_tables(view, trial)
        seen = seen_of(view, trial, tables) if tables else NOTHING
        endpoint = declared_cells(view.config, trial)[0].name
        trials[trial.slug] = {"endpoint": endpoint, **_told(decide(plan, view.looks.get(trial.slug, ()), n_items, seen), seen)}
    return {"n_items": n_items, "n_max": plan.n_max, "trials": trials}


def _told(look: Look, seen: Statistic) -> dict[str, Any]:
    told = {"z": look.z, "pairs": seen.n, "changed": look.changed, "b": seen.b, "c": seen.c, "bound": look.bound}
    return {name: value for name, value in (told | {"power": look.power, "decision": look.decision}).items() if value is not None}


def sentence(slug: str, detail: Mapping[str, Any], plan: LookPlan) -> str:
    """A look of a trial in one line, without a p-value."""
    seen = detail["trials"][slug]
    bound = f", bound {seen['bound']:.2f}" if seen.get("bound") is not None else ""
    few = f"fewer than {plan.min_changed} items changed" if seen["changed"] < plan.min_changed else "too few documents to decide by"
    said = {
        "go on": "goes on",
        "too few changed": f"goes on: {few}",
        "crossed": "stops: the bound is crossed",
        "futile": "stops for futility: too little is left to show a difference",
        "end": "ends: all planned items are there",
    }[seen["decision"]]
    return f"look at {detail['n_items']:,} of {detail['n_max']:,} items: {slug} {said} (Z {seen['z']:+.2f}{bound})"
