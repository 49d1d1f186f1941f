"""The optional analyses: one function each, from the tables of a trial to the content of its file.

They describe and plan; none of them is a finding of the declared analysis, and each file says what it is. Undefined numbers are null with a
reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from batchtrial.config.expand import Trial
from batchtrial.config.model import Config
from batchtrial.errors import DataError
from batchtrial.phases.analyse.comparison import estimate_json, seed_of, test_json, within
from batchtrial.phases.analyse.paired import Floats
from batchtrial.phases.analyse.planned_power import POWER, TARGETS, n_trials_of, power_of_pairs
from batchtrial.phases.analyse.tables import Cell, Table, load_tables
from batchtrial.phases.base import View
from batchtrial.state.money import rounded
from batchtrial.stats import (
    MixedLogit,
    VarianceShares,
    clustered_mean,
    dataset_effect,
    fit_random_intercept,
    level_of_trial,
    meta_analysis,
    paired_t,
    subgroup_table,
    threshold_sensitivity,
)

THRESHOLDS: Final = tuple(step / 20 for step in range(1, 21))  # at 0 nothing would be flagged
MOST_SUBGROUPS: Final = 40
ONE_ARM: Final = "the run has one arm only: there is nothing to compare"
NOT_A_DIFFERENCE: Final = "exploratory: a subgroup that is significant beside one that is not proves no difference between them"
FURTHER: Final = ("overlap", "n_samples", "em_std", "f1_std", "abstain_rate_std")
"""Columns of per_item_scores.csv that the analyses need beside the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What an analysis is made from. costs, significance: the trial's files, for those that need them."""

    config: Config
    tables: Mapping[float, Table]
    costs: Mapping[str, Any]
    significance: Mapping[str, Any]

    @property
    def level(self) -> float:
        return 1 - self.config.stats.alpha


def unsupported_sensitivity(given: Material) -> dict[str, Any]:
    """Effect on unsupported answers at every threshold that could have been chosen."""
    found: dict[str, Any] = {"strategy": "overlap", "thresholds": list(THRESHOLDS), "declared_threshold": given.config.unsupported.threshold}
    found["note"] = "lines share their data: only the declared threshold is tested, the others describe"
    if any(table.samples > 1 for table in given.tables.values()):
        found["warnings"] = ["several samples per item: an item counts by the mean support of its samples"]
    return found | {"results": {f"{temp:.1f}": _sensitivity(given, table) for temp, table in given.tables.items()}}


def _sensitivity(given: Material, table: Table) -> dict[str, Any]:
    rates_c, rates_t = table.scores["unsupported_rate"]
    has_it = ~(np.isnan(rates_c) & np.isnan(rates_t))
    if not has_it.any():
        return {"status": "unavailable", "reason": "no open-book answer was checked for support"}
    (support_c, support_t), (abstained_c, abstained_t) = table.scores["overlap"], table.scores["abstain_rate"]
    # An answer without words to look for is never flagged, like an abstention; one that never came stays missing.
    answered = [~np.isnan(s) | np.isnan(a) for s, a in ((support_t, abstained_t), (support_c, abstained_c))]
    got = threshold_sensitivity(
        support_t[has_it],
        support_c[has_it],
        thresholds=THRESHOLDS,
        answered_treatment=answered[0][has_it],
        answered_control=answered[1][has_it],
        clusters=None if table.clusters is None else table.clusters[has_it],
        level=given.level,
    )
    lines = {
        f"{point.threshold:.2f}": {
            "delta_mean": point.difference.value,
            "ci_95": [point.difference.ci_low, point.difference.ci_high],
            "control": point.control,
            "treatment": point.treatment,
            "n_items": point.difference.n,
        }
        for point in got.points
    }
    return {"status": "ok", "by_threshold": lines, "is_sign_stable": got.is_sign_stable, "is_verdict_stable": got.is_verdict_stable}


def mixed_models(given: Material) -> dict[str, Any]:
    """Random-intercept logit of right answers; beside it the linear model of open-book F1. Secondary: another question than the difference."""
    rows = [_logit_rows(table) for table in given.tables.values()]
    temps = np.concatenate([np.full(one[0].size, temp) for temp, one in zip(given.tables, rows, strict=True)])
    successes, trials, treated, items = (np.concatenate([one[place] for one in rows]) for place in range(4))
    columns, names = [np.ones_like(treated), treated], ["intercept", "treatment"]
    if len(given.tables) > 1:
        centred = temps - temps.mean()
        columns, names = [*columns, centred, treated * centred], [*names, "temp_c", "treatment:temp_c"]
    fit = fit_random_intercept(successes, trials, np.stack(columns, axis=1), items, names=names, level=given.level)
    return {
        "status": "ok" if fit.reason is None else "unavailable",
        "reason": fit.reason,
        "ignores_clusters": any(table.clusters is not None for table in given.tables.values()),
        "formula": "y ~ condition" + (" * temp_c" if len(given.tables) > 1 else "") + " + (1 | item)",
        "method": "maximum likelihood, adaptive Gauss-Hermite quadrature",
        "n_rows": fit.n_rows,
        "n_items": fit.n_groups,
        "models": {"logistic_binary_correct": _logit_json(fit), "linear_f1_open": _linear(given)},
    }


def _logit_rows(table: Table) -> tuple[Floats, Floats, Floats, Floats]:
    """Right answers, answers, 1 for the treatment, item: the control's rows, then the treatment's."""
    (em_c, em_t), (n_c, n_t) = table.scores["em"], table.scores["n_samples"]
    samples = np.concatenate([n_c, n_t])
    right = np.rint(np.concatenate([em_c, em_t]) * samples)
    items = np.arange(table.n_items, dtype=np.float64)
    return right, samples, np.repeat([0.0, 1.0], table.n_items), np.concatenate([items, items])


def _logit_json(fit: MixedLogit) -> dict[str, Any]:
    return {
        "params": {one.name: one.log_odds.value for one in fit.coefficients},
        "bse": {one.name: one.log_odds.se for one in fit.coefficients},
        "conf_int": {one.name: [one.log_odds.ci_low, one.log_odds.ci_high] for one in fit.coefficients},
        "p_values": {one.name: one.test.p_value for one in fit.coefficients},
        "odds_ratio": {one.name: one.odds_ratio.value for one in fit.coefficients},
        "or_ci": {one.name: [one.odds_ratio.ci_low, one.odds_ratio.ci_high] for one in fit.coefficients},
        "sd_item": fit.sd,
        "log_likelihood": fit.log_likelihood,
        "n_obs": fit.n_rows,
        "is_separated": fit.is_separated,
        "is_at_boundary": fit.is_at_boundary,
        "dropped": fit.dropped,
        "warnings": list(fit.warnings),
    }


def _linear(given: Material) -> dict[str, Any]:
    """On complete pairs the random-intercept linear model is the paired comparison; with clusters its interval is CR2's."""
    temp, table = next(iter(given.tables.items()))
    paired = table.pick(Cell(metric="f1", kind="open" if table.is_open.any() else "all", temp=temp))
    if paired is None:
        return {"status": "unavailable", "reason": "no item has an F1"}
    both = paired.kept()
    d = both.treatment - both.control
    effect = paired_t(d, given.level).estimate if both.clusters is None else clustered_mean(d, both.clusters, level=given.level).estimate
    return {"status": "ok" if effect.value is not None else "unavailable", "temp": temp, "n_obs": 2 * int(d.size), "treatment": estimate_json(effect)}


def power_analysis(given: Material) -> dict[str, Any]:
    """What this many items can see, and how many each target effect needs, from this run's own variance."""
    primary = given.config.stats.primary
    alpha = level_of_trial(given.config.stats.alpha, n_trials_of(given.significance))
    results = {}
    for temp, table in given.tables.items():
        paired = table.pick(Cell(metric=primary.metric, kind=primary.kind, temp=temp))
        both = paired.kept() if paired is not None else None
        if both is None or both.treatment.size < 2 or not table.is_share(primary.metric):
            why = "fewer than two complete pairs" if both is None or both.treatment.size < 2 else f"{primary.metric} is no share, and the targets are"
            results[f"{temp:.1f}"] = {"status": "unavailable", "reason": why}
            continue
        results[f"{temp:.1f}"] = power_of_pairs(both, alpha, primary)
    return {
        "alpha": given.config.stats.alpha,
        "alpha_of_trial": alpha,
        "power": POWER,
        "metric": primary.metric,
        "kind": primary.kind,
        "goal": primary.goal,
        "margin": primary.margin,
        "targets": list(TARGETS),
        "note": "for planning the next run; the power of this run at its own effect would say nothing that p does not",
        "results": results,
    }


def shares_of(table: Table, metric: str = "em") -> VarianceShares | None:
    """Variance shares of a metric on all questions, from the items' means and the spread of their samples; None below two complete pairs."""
    column = {"em": "em", "f1": "f1", "abstained": "abstain_rate"}.get(metric)
    if column is None:
        return None
    control, treatment = table.scores[column]
    keep = ~(np.isnan(control) | np.isnan(treatment))
    if int(keep.sum()) < 2:
        return None
    spreads = [one[keep & ~np.isnan(one)] for one in table.scores[f"{column}_std"]]
    noise = [float(np.mean(one**2)) if one.size else 0.0 for one in spreads]
    between = float((treatment[keep] - control[keep]).var(ddof=1)) - sum(noise) / table.samples
    warnings = () if table.samples > 1 else ("one sample per item: answer noise is counted as difference between items",)
    return VarianceShares(
        between=max(0.0, between), treatment=noise[1], control=noise[0], n_items=int(keep.sum()), dropped=int((~keep).sum()), warnings=warnings
    )


def cost_effectiveness(given: Material) -> dict[str, Any]:
    """Dollars per percentage point gained: costs.json set against the effects. usd_diff: over all items, by those that both arms answered."""
    costs, effects = given.costs, given.significance["results"]
    results = {}
    for temp, table in given.tables.items():
        key = f"{temp:.1f}"
        usd = {c: next((one["usd"] for one in costs["arms"].values() if one["condition"] == c and one["temp"] == temp), None) for c in CONDITIONS}
        found = effects.get(key, {})
        by_metric = found.get("all", found).get("metrics", {})
        metrics = {**found.get("open", {}).get("metrics", {}), **by_metric}
        paired = (costs["effectiveness"] or {}).get(key)
        each = None if paired is None else paired["extra_usd_per_item"]["usd"]  # a request that failed saves nothing
        extra = None if each is None else rounded(each * table.n_items)
        certain = {name: one for name, one in metrics.items() if not _is_doubtful(given.significance["tests"], name, temp)}
        results[key] = {
            "usd_control": usd["control"],
            "usd_treatment": usd["treatment"],
            "usd_diff": extra,
            "delta_metrics": {name: one["delta_mean"] for name, one in metrics.items()},
            "usd_per_1pp_gain_em": _per_point(extra, certain.get("em")),
            "usd_per_1pp_gain_f1": _per_point(extra, certain.get("f1")),
            "usd_per_1pp_reduction_false_answer": _per_point(extra, certain.get("false_answer"), sign=-1),
            "with_intervals": paired,
        }
    return {"pricing": costs["pricing"], "reason": costs["reason"], "results": results}


CONDITIONS: Final = ("control", "treatment")


def _is_doubtful(tests: Sequence[Mapping[str, Any]], metric: str, temp: float) -> bool:
    """Whether lost answers could explain what the metric gained, or documents are too few for it."""
    mine = [one for one in tests if one["metric"] == metric and one["temp"] == temp and one["dataset"] is None]
    return any(one["lost_at_worst"] is not None or one["not_decidable"] for one in mine)


def _per_point(extra_usd: float | None, metric: Mapping[str, Any] | None, *, sign: int = 1) -> float | None:
    """None unless more was paid and the interval is on the side of a gain: dollars per point of a loss, of nothing, or of a saving mean nothing."""
    if extra_usd is None or extra_usd <= 0.0 or metric is None or metric["delta_mean"] is None or None in metric["ci_95"]:
        return None
    gain, bounds = sign * metric["delta_mean"], [sign * bound for bound in metric["ci_95"]]
    return None if min(bounds) <= 0.0 else extra_usd / (100 * gain)


def subgroups(given: Material) -> dict[str, Any]:
    """Effect on exact match by dataset, kind of question and answerability, each table corrected for its own lines, with a test that they differ."""
    temp, table = next(iter(given.tables.items()))
    control, treatment = table.scores["em"]
    found: dict[str, Any] = {
        "metric": "em",
        "temp": temp,
        "note": NOT_A_DIFFERENCE,
    }
    tables: dict[str, Any] = {}
    same: dict[str, str] = {}
    groupings = _groupings(table)
    for name, labels in groupings.items():
        kinds = sorted(set(labels.tolist()) - {""})
        if not 2 <= len(kinds) <= MOST_SUBGROUPS:
            continue
        twin = next((other for other in list(groupings)[list(groupings).index(name) + 1 :] if _is_same(labels, groupings[other])), None)
        if twin is not None:
            same[name] = twin  # the same items in the same groups under another name: shown and tested once
            continue
        mine = labels != ""
        units = None if table.clusters is None else table.clusters[mine]
        seed = seed_of(given.config.stats.random_seed, f"subgroups/{name}")
        got = subgroup_table(treatment[mine], control[mine], labels[mine], seed=seed, clusters=units, level=given.level)
        rows = [
            {
                "subgroup": row.label,
                "n": row.n,
                "dropped": row.dropped,
                "control": row.control,
                "treatment": row.treatment,
                "estimate": estimate_json(row.difference),
                "test": test_json(row.test),
                "q_value": row.q_value,
            }
            for row in got.rows
        ]
        tables[name] = {"m": got.m, "heterogeneity": test_json(got.heterogeneity), "rows": rows}
    return found | {"tables": tables, "same_as": same, "reason": None if tables else "every item belongs to the same subgroup"}


def _is_same(labels: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether both put the items into the same groups."""
    pairs = set(zip(labels.tolist(), other.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(other.tolist()))


def _groupings(table: Table) -> dict[str, Any]:
    false_answer = table.scores["false_answer_rate"]
    is_unanswerable = ~(np.isnan(false_answer[0]) & np.isnan(false_answer[1]))
    return {
        "dataset": np.asarray(table.dataset_names)[table.datasets],
        "kind": np.where(table.is_open, "open book", "closed book"),
        "answerable": np.where(table.is_open, np.where(is_unanswerable, "unanswerable", "answerable"), ""),
    }


def meta(given: Material) -> dict[str, Any]:
    """Exact match over the datasets as a sample of datasets, at every temperature."""
    return {"results": {f"{temp:.1f}": dataset_meta(table, temp, given.level) for temp, table in given.tables.items()}}


def dataset_meta(table: Table, temp: float, level: float) -> dict[str, Any]:
    """The meta-analysis of one temperature, in the keys of significance.json."""
    effects, spreads = [], []
    for dataset in table.dataset_names:
        paired = table.pick(Cell(metric="em", kind="all", temp=temp, dataset=dataset))
        both = paired.kept() if paired is not None else None
        if both is not None and both.treatment.size:
            effects.append(dataset_effect(both.treatment - both.control))
            spreads.append(both.spread)
    got = meta_analysis([e for e, _ in effects], [v for _, v in effects], level=level)
    known = [one for one in spreads if one is not None]
    spread = (min(low for low, _ in known), max(high for _, high in known)) if known and len(known) == len(spreads) else None
    return {
        "ignores_clusters": table.clusters is not None,
        "em": {
            "k": len(effects),
            "fixed": estimate_json(within(got.fixed, spread)),
            "random": estimate_json(within(got.random, spread)),
            "prediction": estimate_json(within(got.prediction, spread)),
            "heterogeneity": {**(test_json(got.heterogeneity) or {}), "tau2": got.tau2, "tau2_method": got.tau2_method, "I2": got.i2_q},
        },
    }


ANALYSES: Final[Mapping[str, Callable[[Material], dict[str, Any]]]] = {
    "unsupported_sensitivity": unsupported_sensitivity,
    "mixed_effects": mixed_models,
    "power_analysis": power_analysis,
    "cost_effectiveness": cost_effectiveness,
    "subgroups": subgroups,
    "meta_analysis": meta,
}
"""Name of the switch -> analysis; meta_analysis is part of significance.json and has no switch."""


def material(view: View, trial: Trial) -> Material:
    """What the analyses of a trial are made from."""
    layout = view.trial_layout(trial)
    costs, significance = (json.loads(path.read_bytes()) for path in (layout.costs, layout.significance))
    return Material(config=view.config, tables=load_tables(view, trial, further=FURTHER), costs=costs, significance=significance)


def analyses_of(view: View, trial: Trial) -> dict[str, dict[str, Any]]:
    """Name -> the content of its file, of each analysis that is switched on."""
    given = material(view, trial)
    return {name: analysis(name, given) for name in view.config.optional.switched_on}


def analysis(name: str, given: Material) -> dict[str, Any]:
    """The content of one analysis' file."""
    record: dict[str, Any] = {"schema_version": 1, "analysis": name, "simulated": given.config.is_simulated}
    if not given.tables:
        return record | {"status": "unavailable", "reason": ONE_ARM}
    try:
        return record | ANALYSES[name](given)
    except DataError as error:  # answers that a statistic cannot be made of; the run ends, and its file says why
        return record | {"status": "unavailable", "reason": error.what}
