"""What the answers that never came could have done to a comparison: the same comparison with them at their worst, and at their best.

Nothing is assumed about why answers were lost. A loss that is small and falls on both arms and on all items alike is only counted; one that goes
with the condition, or with what the other arm got right, or that takes more than one pair in twenty, has to be survived by whatever is concluded.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np

from batchtrial.phases.analyse.comparison import Comparison, compare
from batchtrial.phases.analyse.paired import Floats, Paired
from batchtrial.stats.missing import is_loss_doubtful, loss_by_difficulty
from batchtrial.stats.noninferiority import MarginTest
from batchtrial.stats.plan import Endpoint, LostAnswers

SELECTIVE: Final = 0.05
"""Level of the two tests that an arm loses items which the other arm finds hard, or easy."""


def lost_answers(
    paired: Paired, one: Comparison, *, share: float, level: float, seed: int, flips: int, endpoint: Endpoint | None = None
) -> LostAnswers | None:
    """What is left of a comparison when a share of the lost answers was as bad for it as can be; None when too little was lost to matter.

    share: part of the lost answers, 0 < share <= 1, the worst of them first; the rest is taken to be like those that came.
    """
    if one.estimate.value is None or not is_doubtful(paired):
        return None
    lost_treatment, lost_control = shares_lost(paired)
    n_lost = int(np.count_nonzero((lost_treatment > 0.0) | (lost_control > 0.0)))
    if (limits := paired.limits) is None:
        return LostAnswers(low=None, high=None, difference_p=None, margin_p=None, n_lost=n_lost, share=share)
    known = replace(paired, lost_treatment=lost_treatment, lost_control=lost_control, known_share=paired.is_share)
    low, high = (
        compare(filled(known, share, *extremes), level=level, seed=seed, flips=flips, endpoint=endpoint, is_verdict_only=True)
        for extremes in (limits, limits[::-1])
    )
    return LostAnswers(
        low=low.estimate.value,
        high=high.estimate.value,
        difference_p=difference_p(one.estimate.value, low, high),
        margin_p=margin_p(low, high, endpoint),
        n_lost=n_lost,
        share=share,
    )


def is_doubtful(paired: Paired) -> bool:
    """Whether so much was lost, or so much more in one arm, or so much where the other arm fails, that a conclusion has to survive it.

    Arms that lose alike, the one its wrong answers and the other its right ones, are told by the last alone.
    """
    if is_loss_doubtful(*(shares_lost(paired) if paired.blamed is None else paired.blamed)):
        return True
    if paired.blamed is not None or not paired.is_share:
        return False
    both = (paired.treatment, paired.control), (paired.control, paired.treatment)
    ps = [loss_by_difficulty(lost, other).test.p_value for lost, other in both if np.isnan(lost).any()]
    return any(p is not None and p < SELECTIVE / 2.0 for p in ps)


def shares_lost(paired: Paired) -> tuple[Floats, Floats]:
    """(treatment, control) share of each item's answers that never came."""
    return _lost(paired.treatment, paired.lost_treatment), _lost(paired.control, paired.lost_control)


def filled(paired: Paired, share: float, treatment_to: float, control_to: float) -> Paired:
    """The pairs with that share of the lost answers put at the extremes; pairs beyond the share stay left out."""
    treatment = _fill(paired.treatment, paired.lost_treatment, share, treatment_to)
    control = _fill(paired.control, paired.lost_control, share, control_to)
    is_gone = np.isnan(paired.treatment) | np.isnan(paired.control)
    keep = ~is_gone
    gone = np.flatnonzero(is_gone)
    towards = 1.0 if treatment_to < control_to else -1.0
    worst_first = gone[np.argsort(towards * (treatment - control)[gone], kind="stable")]
    keep[worst_first[: math.ceil(share * gone.size - 1e-9)]] = True
    return replace(paired, treatment=treatment, control=control).where(keep)


def _lost(scores: Floats, lost: Floats | None) -> Floats:
    gone = np.isnan(scores).astype(np.float64)
    return gone if lost is None else np.fmax(gone, lost)


def _fill(scores: Floats, lost: Floats | None, share: float, extreme: float) -> Floats:
    is_gone = np.isnan(scores)
    part = np.where(is_gone, 1.0, 0.0 if lost is None else lost * share)
    return np.asarray(np.where(is_gone, extreme, scores) * (1.0 - part) + extreme * part)


def difference_p(observed: float, low: Comparison, high: Comparison) -> float | None:
    """Two-sided p at the edge that speaks against what was observed; 1 where the difference turns round there or is gone."""
    edge = low if observed > 0.0 else high
    if edge.estimate.value is None or edge.estimate.value * observed <= 0.0:
        return 1.0
    return edge.test.p_value


def margin_p(low: Comparison, high: Comparison, endpoint: Endpoint | None) -> float | None:
    if endpoint is None or endpoint.margin is None:
        return None
    if endpoint.goal == "equivalence":
        ps = [_p(low.margin), _p(high.margin)]
        return None if None in ps else max(p for p in ps if p is not None)
    return _p((low if endpoint.higher_is_better else high).margin)


def _p(margin: MarginTest | None) -> float | None:
    return None if margin is None else margin.p_value
