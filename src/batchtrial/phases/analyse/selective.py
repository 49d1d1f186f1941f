"""Risk among the answered items of significance.json, where abstention is not an error but a choice.

Which items an arm answered is an outcome of the trial, and a slice that the outcome chose is another one in each arm: no interval and no p-value of
the risk in it means what it says. Counts and values are kept, with the reason. Coverage is a share of all items, and is estimated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from batchtrial.config.model import Config
from batchtrial.phases.analyse.comparison import estimate_json, test_json
from batchtrial.phases.analyse.tables import Cell, Table
from batchtrial.phases.tables.columns import Kind
from batchtrial.stats import Estimate, selective_difference, selective_risk
from batchtrial.stats.clusters import are_one

ANSWERED: Final = "no interval: which questions an arm answered is an outcome, and a slice that the outcome chose has none"


def selective(table: Table, kind: Kind, temp: float, config: Config) -> dict[str, Any] | None:
    """Counts, risk and coverage of each arm, and the differences; None when there is nothing to tell."""
    em, abstained = table.pick(Cell(metric="em", kind=kind, temp=temp)), table.pick(Cell(metric="abstained", kind=kind, temp=temp))
    if em is None or abstained is None or em.treatment.shape != abstained.treatment.shape:
        return None
    if em.clusters is not None and are_one(em.clusters):
        return None
    level = 1 - config.stats.alpha
    is_clustered = {} if em.clusters is None else {"ignores_clusters": True}
    arms = {"control": (em.control, abstained.control), "treatment": (em.treatment, abstained.treatment)}
    answered = {name: 1 - one[1] for name, one in arms.items()}
    wrong = {name: np.minimum(answered[name], 1 - one[0]) for name, one in arms.items()}
    each = {name: selective_risk(answered[name], wrong[name], level=level) for name in arms}
    both = selective_difference(answered["treatment"], wrong["treatment"], answered["control"], wrong["control"], clusters=em.clusters, level=level)
    record: dict[str, Any] = {
        name: {
            "answered": float(np.nansum(np.where(np.isnan(wrong[name]), np.nan, answered[name]))),
            "wrong": float(np.nansum(wrong[name])),
            "coverage": estimate_json(one.coverage),
            "risk": estimate_json(_among_answered(one.risk)),
            "selective_accuracy": estimate_json(_among_answered(one.accuracy)),
        }
        | is_clustered
        for name, one in each.items()
    }
    test = replace(both.test, statistic=None, p_value=None, reason=both.test.reason or ANSWERED)
    risk, coverage = estimate_json(_among_answered(both.risk)), estimate_json(both.coverage)
    return record | {"difference": {"risk": risk, "test": test_json(test), "coverage": coverage}}


def _among_answered(one: Estimate) -> Estimate:
    """The value alone."""
    return replace(one, ci_low=None, ci_high=None, se=None, method="share_of_answered", reason=one.reason or ANSWERED)
