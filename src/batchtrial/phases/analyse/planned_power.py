"""Power of the analysis that a run will make or has made, from its own pairs: which test decides, at which level, and what it can see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np

from batchtrial.config.model import Endpoint
from batchtrial.phases.analyse.paired import Floats, Paired
from batchtrial.stats import PlannedTest, Spread, clustered_mean, detectable, items_for_claim
from batchtrial.stats.plan import Goal

TARGETS: Final = (0.01, 0.02, 0.03, 0.05, 0.1)
POWER: Final = 0.8


def n_trials_of(significance: Mapping[str, Any]) -> int:
    """How many trials of the run share its alpha, by a trial's significance.json."""
    return int((significance.get("run") or {}).get("n_trials", 1))


def power_of_pairs(both: Paired, alpha: float, primary: Endpoint) -> dict[str, Any]:
    """Of the analysis that is made of such pairs: a difference, and the declared margin when nothing differs."""
    d, n = both.treatment - both.control, both.treatment.size
    test = planned_test(both, alpha)
    spread, changed = spread_of(both, test)
    mean, variance = float(d.mean()), spread.means
    found = detectable(n, spread, test, power=POWER, effect=mean)
    record: dict[str, Any] = {
        "status": "ok",
        "method": "mcnemar_midp" if test.is_counted else "paired_t",
        "n_items": n,
        "mean_delta": mean,
        "sd_delta": variance**0.5,
        **({"discordance": changed} if test.is_counted else {"design_effect": test.design_effect}),
        "mde": found.effect,
        "reason": found.reason,
        "required_n_for_target": {f"{target:.3f}": items_for_claim(target, spread, test, power=POWER).n_items for target in TARGETS},
    }
    if primary.margin is None:
        return record
    by_margin = replace(test, goal=primary.goal or "noninferiority", margin=primary.margin)
    smallest = detectable(n, spread, by_margin, power=POWER)
    return record | {"smallest_margin": smallest.effect, "required_n_for_margin": items_for_claim(0.0, spread, by_margin, power=POWER).n_items}


def pairs_for_goal(both: Paired, alpha: float, goal: Goal, margin: float | None) -> int | None:
    """Pairs like these with which the goal is claimed with a chance of `POWER`: at the difference seen here, or at none when the goal is a margin.

    None when there are fewer than two pairs, or no number of them is enough.
    """
    if both.treatment.size < 2:
        return None
    test = planned_test(both, alpha)
    spread, _ = spread_of(both, test)
    seen = float((both.treatment - both.control).mean())
    if goal == "superiority":
        return items_for_claim(seen, spread, test, power=POWER).n_items
    return items_for_claim(0.0, spread, replace(test, goal=goal, margin=margin), power=POWER).n_items


def spread_of(both: Paired, test: PlannedTest) -> tuple[Spread, float]:
    """The variance of such pairs, and the share of them that changes."""
    d = both.treatment - both.control
    mean, variance = float(d.mean()), float(d.var(ddof=1))
    changed = float((both.treatment * (1 - both.control) + both.control * (1 - both.treatment)).mean())
    return Spread(means=variance, single=changed - mean**2 if test.is_share else variance), changed


def planned_test(both: Paired, alpha: float) -> PlannedTest:
    """The test of a difference that pairs like these will have."""
    clusters = both.clusters
    return PlannedTest(
        alpha=alpha,
        is_share=both.is_share,
        samples=max(both.samples_treatment, both.samples_control),
        design_effect=design_effect_of(both.treatment - both.control, clusters),
        cluster_size=None if clusters is None else clusters.size / np.unique(clusters).size,
    )


def design_effect_of(differences: Floats, clusters: Any) -> float:
    """How much wider clusters make the variance of the mean difference, at least 1; 1 without clusters. No NaN among the differences."""
    if clusters is None or differences.size < 2:
        return 1.0
    variance, se = float(differences.var(ddof=1)), clustered_mean(differences, clusters).se_cr2
    return 1.0 if se is None or variance == 0.0 else max(1.0, se**2 * differences.size / variance)
