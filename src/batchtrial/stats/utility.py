"""Abstention-aware score: right +1, abstained 0, wrong -penalty.

The penalty states how much worse a wrong answer is than none. At penalty t / (1 - t) answering pays exactly when the
chance to be right exceeds t. The score is bounded and one number for each item, so it is compared like any other
paired score; a curve over several penalties shows whether a verdict hangs on the choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.intervals import tango
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.ratios import fieller_ratio
from batchtrial.stats.results import Estimate, Test
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]

LARGEST_PENALTY = 1e6
PENALTIES = (0.0, 1.0, 3.0, 9.0)
"""Penalties of the default curve: answering pays above a confidence of 0, 1/2, 3/4 and 9/10."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UtilityPoint:
    """One penalty: mean score of each arm, and the paired difference with its test.

    confidence: chance to be right above which answering pays, penalty / (1 + penalty).
    """

    penalty: float
    confidence: float
    treatment: float | None
    control: float | None
    difference: Estimate
    test: Test


def penalty_for_confidence(confidence: float) -> float:
    """The penalty at which answering pays above this chance to be right: t / (1 - t). Raises DataError unless 0 <= t < 1."""
    if not 0.0 <= confidence < 1.0:
        raise DataError("a confidence threshold lies in [0, 1)", where=f"{confidence:g}")
    return confidence / (1.0 - confidence)


def utility_scores(answered: ArrayLike, wrong: ArrayLike, penalty: float) -> Floats:
    """Score of every item, in [-penalty, 1]: (answered - wrong) - penalty * wrong; shape (n,), NaN where missing.

    answered, wrong: 1 or 0, or shares of an item's samples, wrong <= answered. Raises DataError for a negative
    penalty, different shapes or an abstention counted as wrong. Source: Kalai et al. 2025, arXiv:2509.04664, section
    4.
    """
    a, w = as_scores(answered, "answered"), as_scores(wrong, "wrong")
    if not 0.0 <= penalty <= LARGEST_PENALTY:
        raise DataError(f"a penalty lies between 0 and {LARGEST_PENALTY:g}", where=f"{penalty:g}")
    if a.shape != w.shape:
        raise DataError("answered and wrong need one value for each item", where=f"{a.size} and {w.size}")
    if ((w < 0.0) | (w > a) | (a > 1.0)).any():
        raise DataError("0 <= wrong <= answered <= 1 must hold for every item", hint="an abstention is not wrong")
    return a - w * (1.0 + penalty)


def utility_curve(
    answered_treatment: ArrayLike,
    wrong_treatment: ArrayLike,
    answered_control: ArrayLike,
    wrong_control: ArrayLike,
    *,
    penalties: Sequence[float] = PENALTIES,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[UtilityPoint, ...]:
    """Paired difference of the utility at every penalty, in the order given.

    Arguments as `utility_scores`, the same items in both arms; clusters: one label for each item. Student's
    interval, CR2 with clusters. When no item's score changed, the interval is Tango's for no change, times the range
    1 + penalty. The points share their data: they are one family of tests, not several findings.
    """
    return tuple(
        _point(
            utility_scores(answered_treatment, wrong_treatment, penalty),
            utility_scores(answered_control, wrong_control, penalty),
            penalty,
            clusters,
            level,
        )
        for penalty in penalties
    )


def break_even_penalty(
    answered_treatment: ArrayLike,
    wrong_treatment: ArrayLike,
    answered_control: ArrayLike,
    wrong_control: ArrayLike,
    *,
    level: float = 0.95,
) -> Estimate:
    """The penalty at which the two arms are worth the same: gain in right answers over gain in wrong ones (Fieller).

    A treatment that answers more is better below it, one that abstains more is better above it. No value when the
    arms are wrong equally often; a negative value means that one arm is better at every penalty.
    """
    right_t, right_c = utility_scores(answered_treatment, wrong_treatment, 0.0), utility_scores(answered_control, wrong_control, 0.0)
    if right_t.shape != right_c.shape:
        raise DataError("both arms need the same items", where=f"{right_t.size} and {right_c.size}")
    wrong = as_scores(wrong_treatment, "wrong") - as_scores(wrong_control, "wrong")
    return fieller_ratio(right_t - right_c, wrong, level=level)


def _point(treatment: Floats, control: Floats, penalty: float, clusters: ArrayLike | None, level: float) -> UtilityPoint:
    if treatment.shape != control.shape:
        raise DataError("both arms need the same items", where=f"{treatment.size} and {control.size}")
    d = treatment - control
    kept = ~np.isnan(d)
    if clusters is None:
        got = paired_t(d, level)
        difference, test = got.estimate, got.test
    else:
        clustered = clustered_mean(d, clusters, level=level)
        difference, test = clustered.estimate, clustered.test
    n = difference.n
    if n and difference.ci_low is None and not d[kept].any():
        unchanged = tango(0, 0, n, level)
        low, high = (None if end is None else end * (1.0 + penalty) for end in (unchanged.ci_low, unchanged.ci_high))
        difference = replace(difference, ci_low=low, ci_high=high, method="score_no_change", reason=None)
    return UtilityPoint(
        penalty=penalty,
        confidence=penalty / (1.0 + penalty),
        treatment=float(treatment[kept].mean()) if kept.any() else None,
        control=float(control[kept].mean()) if kept.any() else None,
        difference=difference,
        test=test,
    )
