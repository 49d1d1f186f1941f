"""How often an arm answers, how often it is wrong when it does, and whether its confidence knows the difference.

Risk is wrong answers over given answers, a ratio of two means that both vary; its paired difference is linearised,
so items (or clusters) stay the unit. Areas under risk-coverage curves make sense only where a real confidence exists.
An answer that was never received is missing, not an abstention.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.intervals import wilson
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import Estimate, Test, check_level, undefined_estimate, undefined_test
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]

FEW_WRONG = 10
NOTHING_ANSWERED = "every item was abstained on: the risk of answers is not defined"


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectiveRisk:
    """One arm: coverage = share of items answered, risk = share of the answers that are wrong, accuracy = 1 - risk."""

    coverage: Estimate
    risk: Estimate
    accuracy: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectiveDifference:
    """Treatment minus control: risk of answers (estimate and test) and coverage."""

    risk: Estimate
    test: Test
    coverage: Estimate
    coverage_test: Test


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RiskCoverage:
    """Risk as items are answered from the most confident down.

    risk_at_k: shape (n,), risk of the k most confident items, k = 1..n, tied items in random order on average.
    coverage, risk: the curve at the end of each block of tied items. aurc: mean of risk_at_k; optimal_aurc: of a
    perfect ranking; e_aurc: the excess. augrc: area under (coverage, wrong answers over all items), trapezoid; 0 is
    best, and it equals (1 - AUROC) acc (1 - acc) + (1 - acc)^2 / 2. All areas None without items.
    """

    risk_at_k: Floats
    coverage: Floats
    risk: Floats
    aurc: float | None
    e_aurc: float | None
    optimal_aurc: float | None
    augrc: float | None
    n: int
    dropped: int
    reason: str | None = None


def selective_risk(answered: ArrayLike, wrong: ArrayLike, *, level: float = 0.95) -> SelectiveRisk:
    """Coverage and risk of one arm.

    answered, wrong: shape (n,), 1 or 0 (or shares of an item's samples), wrong <= answered; NaN drops the item.
    0/1 data get Wilson intervals; shares Student's for coverage and the linearised ratio's for risk. All abstained:
    coverage 0, risk None. Raises DataError when shapes differ or an item is wrong more often than answered.
    """
    check_level(level)
    (a, w), dropped = _shares((answered, wrong))
    n = a.size
    if n == 0:
        none = undefined_estimate("no items", level=level, method="selective", n=0, dropped=dropped)
        return SelectiveRisk(coverage=none, risk=none, accuracy=none)
    if np.isin(a, (0.0, 1.0)).all() and np.isin(w, (0.0, 1.0)).all():
        coverage = replace(wilson(float(a.sum()), n, level), dropped=dropped)
        risk = replace(wilson(float(w.sum()), float(a.sum()), level), dropped=dropped)
    else:
        coverage = _within(paired_t(a, level).estimate, 0.0, dropped)
        risk = _one_risk(a, w, level, dropped)
    if risk.value is None:
        risk = undefined_estimate(NOTHING_ANSWERED, level=level, method=risk.method, n=0, dropped=dropped)
    return SelectiveRisk(coverage=coverage, risk=risk, accuracy=_complement(risk))


def selective_difference(
    answered_treatment: ArrayLike,
    wrong_treatment: ArrayLike,
    answered_control: ArrayLike,
    wrong_control: ArrayLike,
    *,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> SelectiveDifference:
    """Paired difference of risks and of coverages.

    Arguments as `selective_risk`, same items in both arms, one label for each item in clusters. With R = sum(wrong) /
    sum(answered), each item moves R_T - R_C by (w_T - R_T a_T) / mean(a_T) - (w_C - R_C a_C) / mean(a_C); the
    interval is Student's (CR2 with clusters) on these, kept in [-1, 1]. Without any spread (no wrong answer at all,
    say) the interval combines the arms' Wilson intervals instead of claiming certainty. An arm without answers: None.
    Source: delta method, Cochran 1977, section 6.4; Zou & Donner 2008 for the combination.
    """
    check_level(level)
    labels = None if clusters is None else np.asarray(clusters).ravel()
    arrays = (answered_treatment, wrong_treatment, answered_control, wrong_control)
    if labels is not None and labels.size != np.asarray(answered_treatment).size:
        raise DataError("every item needs one cluster label")
    kept = ~np.isnan(np.stack(_same_shape(arrays))).any(axis=0)
    (a_t, w_t, a_c, w_c), dropped = _shares(arrays)
    labels = None if labels is None else labels[kept]
    coverage, coverage_test = _mean_of(a_t - a_c, labels, level)
    coverage = _within(coverage, -1.0, dropped)
    if a_t.sum() <= 0.0 or a_c.sum() <= 0.0:
        why = "no items" if a_t.size == 0 else NOTHING_ANSWERED
        empty = undefined_estimate(why, level=level, method="selective_difference", n=a_t.size, dropped=dropped)
        test = undefined_test(why, method="selective_difference", n=a_t.size, dropped=dropped)
        return SelectiveDifference(risk=empty, test=test, coverage=coverage, coverage_test=coverage_test)
    delta, moved = _linearised(a_t, w_t, a_c, w_c)
    risk, test = _mean_of(moved + delta, labels, level)
    few = w_t.sum() + w_c.sum() < FEW_WRONG
    warnings = (f"fewer than {FEW_WRONG} wrong answers: read with care",) if few else ()
    if not moved.any():
        risk = _both_samples(a_t, w_t, a_c, w_c, level)
        test = replace(test, warnings=(*test.warnings, *warnings))
    risk = replace(_within(risk, -1.0, dropped), warnings=(*risk.warnings, *warnings))
    return SelectiveDifference(risk=risk, test=replace(test, dropped=dropped), coverage=coverage, coverage_test=coverage_test)


def risk_coverage(confidence: ArrayLike, loss: ArrayLike) -> RiskCoverage:
    """The risk-coverage curve of one arm and the areas under it.

    confidence: shape (n,), larger is surer; an abstention carries the smallest value. loss: shape (n,), 1 wrong, 0
    right, or between. NaN in either drops the item. O(n log n). Raises DataError when shapes differ.
    Source: Geifman & El-Yaniv 2017; Geifman, Uziel & El-Yaniv 2019 (E-AURC); Traub et al. 2024, arXiv:2407.01032
    (AUGRC).
    """
    sure, losses = _same_shape((confidence, loss))
    kept = ~(np.isnan(sure) | np.isnan(losses))
    sure, losses, dropped = sure[kept], losses[kept], int(sure.size - kept.sum())
    n = sure.size
    if n == 0:
        empty = np.empty(0)
        return RiskCoverage(
            risk_at_k=empty,
            coverage=empty,
            risk=empty,
            aurc=None,
            e_aurc=None,
            optimal_aurc=None,
            augrc=None,
            n=0,
            dropped=dropped,
            reason="no items",
        )
    levels, block = np.unique(-sure, return_inverse=True)
    sizes = np.bincount(block, minlength=levels.size)
    ends = np.cumsum(sizes)
    block_loss = np.bincount(block, weights=losses, minlength=levels.size)
    # Within a block every order is as likely, so each of its items carries the block's mean loss.
    summed = np.cumsum(np.repeat(block_loss / sizes, sizes))
    k = np.arange(1, n + 1)
    risk_at_k = summed / k
    aurc, optimal = float(risk_at_k.mean()), float((np.cumsum(np.sort(losses)) / k).mean())
    return RiskCoverage(
        risk_at_k=risk_at_k,
        coverage=ends / n,
        risk=risk_at_k[ends - 1],
        aurc=aurc,
        e_aurc=max(0.0, aurc - optimal),
        optimal_aurc=optimal,
        augrc=float((summed.sum() - summed[-1] / 2) / n**2),
        n=n,
        dropped=dropped,
    )


def _linearised(a_t: Floats, w_t: Floats, a_c: Floats, w_c: Floats) -> tuple[float, Floats]:
    risk_t, risk_c = float(w_t.sum() / a_t.sum()), float(w_c.sum() / a_c.sum())
    moved = (w_t - risk_t * a_t) / a_t.mean() - (w_c - risk_c * a_c) / a_c.mean()
    return risk_t - risk_c, np.where(np.abs(moved) < 1e-14, 0.0, moved)


def _mean_of(values: Floats, labels: NDArray[np.generic] | None, level: float) -> tuple[Estimate, Test]:
    if labels is None:
        got = paired_t(values, level)
        return got.estimate, got.test
    clustered = clustered_mean(values, labels, level=level)
    return clustered.estimate, clustered.test


def _both_samples(a_t: Floats, w_t: Floats, a_c: Floats, w_c: Floats, level: float) -> Estimate:
    """Square-and-add of the two Wilson intervals: never a point, and conservative because it ignores the pairing."""
    ours, theirs = (wilson(float(w.sum()), float(a.sum()), level) for a, w in ((a_t, w_t), (a_c, w_c)))
    (r_t, l_t, u_t), (r_c, l_c, u_c) = ((e.value or 0.0, e.ci_low or 0.0, 1.0 if e.ci_high is None else e.ci_high) for e in (ours, theirs))
    delta = r_t - r_c
    return Estimate(
        value=delta,
        ci_low=delta - math.hypot(r_t - l_t, u_c - r_c),
        ci_high=delta + math.hypot(u_t - r_t, r_c - l_c),
        level=level,
        method="wilson_square_and_add",
        n=a_t.size,
    )


def _one_risk(a: Floats, w: Floats, level: float, dropped: int) -> Estimate:
    if a.sum() <= 0.0:
        return undefined_estimate(NOTHING_ANSWERED, level=level, method="linearised_ratio", n=0, dropped=dropped)
    risk = float(w.sum() / a.sum())
    got = paired_t((w - risk * a) / a.mean() + risk, level).estimate
    return _within(replace(got, method="linearised_ratio"), 0.0, dropped)


def _within(estimate: Estimate, lowest: float, dropped: int) -> Estimate:
    """The same estimate with its interval kept between `lowest` and 1."""
    low = None if estimate.ci_low is None else max(lowest, estimate.ci_low)
    high = None if estimate.ci_high is None else min(1.0, estimate.ci_high)
    return replace(estimate, ci_low=low, ci_high=high, dropped=dropped)


def _complement(risk: Estimate) -> Estimate:
    low = None if risk.ci_high is None else 1.0 - risk.ci_high
    high = None if risk.ci_low is None else 1.0 - risk.ci_low
    return replace(risk, value=None if risk.value is None else 1.0 - risk.value, ci_low=low, ci_high=high)


def _same_shape(arrays: tuple[ArrayLike, ...]) -> list[Floats]:
    scores = [as_scores(array, "answers") for array in arrays]
    if len({score.shape for score in scores}) > 1:
        raise DataError("one value for each item is needed in every column", where=str([s.size for s in scores]))
    return scores


def _shares(arrays: tuple[ArrayLike, ...]) -> tuple[list[Floats], int]:
    """Complete items of alternating (answered, wrong) columns, checked, and how many items were dropped."""
    columns = _same_shape(arrays)
    kept = ~np.isnan(np.stack(columns)).any(axis=0)
    columns = [column[kept] for column in columns]
    for answered, wrong in zip(columns[::2], columns[1::2], strict=True):
        if ((wrong < 0.0) | (wrong > answered) | (answered > 1.0)).any():
            raise DataError("0 <= wrong <= answered <= 1 must hold for every item", hint="an abstention is not wrong")
    return columns, int(kept.size - kept.sum())
