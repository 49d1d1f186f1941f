"""What the number of trials does to their p-values.

Trials that share a control share its luck: when its answers happen to be poor, every treatment looks good. Their differences are compared with
one set of sign flips for all of them (step-down max-T), so that the chance of even one false finding across the trials stays at alpha and the
correlation is used instead of feared.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Trial
from batchtrial.phases.analyse.comparison import compare, seed_of
from batchtrial.phases.analyse.paired import Floats, Paired, without_rounding
from batchtrial.phases.analyse.tables import Cell, Table, load_tables
from batchtrial.phases.base import View
from batchtrial.phases.report.aggregate import AcrossTrials, inputs
from batchtrial.stats import max_t
from batchtrial.stats.distributions import norm_sf
from batchtrial.stats.results import Estimate


def aggregate_file(view: View) -> dict[str, Any]:
    """The content of aggregate.json: the joint correction, and what it was made from."""
    return {
        "schema_version": 1,
        "simulated": view.config.is_simulated,
        "inputs": inputs(view),
        "joint": [asdict(one) for one in correction_across_trials(view)],
    }


def correction_across_trials(view: View) -> list[AcrossTrials]:
    """Every trial that shares its control with another, in the order of the trials; none where looks were planned, for which no flip is corrected."""
    if view.build is not None and view.build.looks is not None:
        return []
    found = {one.slug: one for name, trials in _groups(view).items() if len(trials) > 1 for one in _group(view, name, trials)}
    return [found[trial.slug] for trial in view.trials if trial.slug in found]


def _groups(view: View) -> dict[str, list[Trial]]:
    """Trials that share answers, by the first control among them: by the control alone, or by any arm where contrasts of whole recipes are asked."""
    groups: dict[str, tuple[set[str], list[Trial]]] = {}
    for trial in view.trials:
        control = trial.arm("control", trial.temps[0])
        if control is None:
            continue
        mine = {arm.name for arm in trial.arms} if view.config.arms else {control.name}
        trials = [trial]
        for name, (arms, others) in list(groups.items()):
            if arms & mine:
                mine, trials = mine | arms, [*others, *trials]
                del groups[name]
        first = trials[0].arm("control", trials[0].temps[0])
        groups[first.name if first is not None else control.name] = mine, trials
    return {name: trials for name, (_, trials) in groups.items()}


def _group(view: View, control: str, trials: list[Trial]) -> list[AcrossTrials]:
    primary, stats = view.config.stats.primary, view.config.stats
    by_trial: dict[str, tuple[pl.Series, Floats]] = {}
    pairs: dict[str, Paired] = {}
    cluster_of: dict[str, str] = {}
    for trial in trials:
        temp = trial.temps[0]
        table, cell = load_tables(view, trial).get(temp), Cell(metric=primary.metric, kind=primary.kind, temp=temp)
        is_raw = table is not None and primary.metric in table.judges  # of its word the verdict says more, or nothing
        differences = None if table is None or table.is_one_arm or is_raw else _differences(table, cell)
        paired = None if table is None or differences is None else table.pick(cell)
        if table is not None and differences is not None and paired is not None:
            by_trial[trial.slug], pairs[trial.slug] = (table.keys, differences), paired
            cluster_of |= _clusters(table)
    if len(by_trial) < 2:
        return []
    keys = pl.concat([keys for keys, _ in by_trial.values()]).unique().sort()
    matrix = np.stack([_placed(keys, own, d) for own, d in by_trial.values()], axis=1)
    has_any = ~np.isnan(matrix).all(axis=1)
    if not has_any.any():
        return []
    clusters = np.unique([cluster_of.get(key, key) for key in keys.to_list()], return_inverse=True)[1] if cluster_of else None
    got = max_t(
        matrix[has_any],
        seed=seed_of(stats.random_seed, f"across/{primary.metric}/{primary.kind}"),
        level=1 - stats.alpha,
        clusters=None if clusters is None else clusters[has_any],
        flips=stats.permutation_samples,
    )
    return [
        _across(slug, control, len(by_trial), test.p_value, joint_interval(estimate, paired, got.critical))
        for (slug, paired), test, estimate in zip(pairs.items(), got.tests, got.estimates, strict=True)
    ]


def _across(slug: str, control: str, n_trials: int, p_adjusted: float | None, ends: tuple[float | None, float | None]) -> AcrossTrials:
    return AcrossTrials(slug=slug, control=control, n_trials=n_trials, p_adjusted=p_adjusted, ci_low=ends[0], ci_high=ends[1])


def joint_interval(joint: Estimate, paired: Paired, critical: float | None) -> tuple[float | None, float | None]:
    """The interval that holds for all trials together, no narrower than the trial's own method makes it at that level.

    Standard errors of rare changes promise too much: of twenty right or wrong answers in three trials, mean +- critical se held all in .81 of .95.
    With clusters, whose critical value is no normal one, the own interval is that of one trial.
    """
    is_normal = critical is not None and paired.clusters is None
    level = min(max(joint.level, 1.0 - 2.0 * norm_sf(critical)), 1.0 - 1e-9) if is_normal and critical is not None else joint.level
    own = compare(paired, level=level, seed=0, flips=1, is_verdict_only=True).estimate
    lows, highs = ([end for end in ends if end is not None] for ends in ((joint.ci_low, own.ci_low), (joint.ci_high, own.ci_high)))
    return min(lows, default=None), max(highs, default=None)


def _differences(table: Table, cell: Cell) -> Floats | None:
    """Treatment minus control for every item of the table, NaN outside the cell; None when the metric is not there."""
    column = table.column(cell.metric)
    if column is None:
        return None
    control, treatment = column
    mask = table.members(cell.kind, cell.dataset)
    d = without_rounding(treatment, control) - control
    return d if mask is None else np.where(mask, d, np.nan)


def _clusters(table: Table) -> dict[str, str]:
    """Item -> first item of its cluster, for items in clusters."""
    if table.clusters is None:
        return {}
    keys = table.keys.to_list()
    first: dict[int, str] = {}
    return {key: first.setdefault(code, key) for key, code in zip(keys, table.clusters.tolist(), strict=True)}


def _placed(keys: pl.Series, own: pl.Series, values: Floats) -> Floats:
    """Values of a trial's items at their places among all items; NaN for items that the trial lacks."""
    places: NDArray[Any] = keys.search_sorted(own).to_numpy() if len(own) else np.zeros(0, dtype=np.int64)
    placed = np.full(len(keys), np.nan)
    placed[places] = values
    return placed
