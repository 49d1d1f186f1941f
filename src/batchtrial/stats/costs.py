"""What an additional correct answer costs, and whether that question has an answer.

The price is the extra money of the treatment over its extra right answers, a ratio whose denominator may well be
zero. Where the effect's interval includes zero the price has no bounded interval and none is invented; the net
benefit at a stated value of a right answer stays defined throughout. Money is US dollars, effects are right answers
(or score) for each item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.ratios import UNBOUNDED, fieller_ratio
from batchtrial.stats.results import Estimate, undefined_estimate
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]
LARGEST_WORTH_USD = 1e12
NO_GAIN = "the effect's interval includes zero"
Trade = Literal["pays_for_gain", "saves_and_gains", "saves_for_loss", "pays_and_loses", "no_effect", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostEffectiveness:
    """Treatment against control, for each item.

    cost_usd: extra dollars; effect: extra right answers; usd_per_correct_*: dollars for each right answer of one arm.
    trade: which way both point estimates go. usd_per_additional_correct: dollars for one more right answer
    (pays_for_gain), or dollars saved for each right answer lost (saves_for_loss); undefined with a reason otherwise.
    is_clear: the intervals of cost and effect both exclude zero, so that `trade` is more than a guess.
    net_benefit: worth of a right answer in dollars, and the mean of worth * effect - cost at it, in the order asked.
    """

    cost_usd: Estimate
    effect: Estimate
    usd_per_correct_treatment: Estimate
    usd_per_correct_control: Estimate
    usd_per_additional_correct: Estimate
    trade: Trade
    is_clear: bool
    net_benefit: tuple[tuple[float, Estimate], ...]


def cost_effectiveness(
    cost_treatment: ArrayLike,
    cost_control: ArrayLike,
    right_treatment: ArrayLike,
    right_control: ArrayLike,
    *,
    effect: Estimate | None = None,
    worth_usd: Sequence[float] = (),
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> CostEffectiveness:
    """Costs and effects of the same items.

    cost_*: shape (n,), dollars for all samples of an item in that arm; right_*: shape (n,), right answers (or score,
    or share of samples) of the item. NaN in any of the four drops the item. effect: interval of the effect from the
    headline method (Tango, say), which then decides whether zero is excluded; None: Student's interval. clusters:
    one label for each item; cost, effect and net benefit then use CR2, and the ratios Fieller's on the sums of the clusters.
    Raises DataError when shapes differ or a worth is negative. Source: Fieller 1954; Stinnett &
    Mullahy 1998 (net benefit).
    """
    columns = [as_scores(x, "costs and answers") for x in (cost_treatment, cost_control, right_treatment, right_control)]
    if len({column.shape for column in columns}) > 1 or not all(0.0 <= worth <= LARGEST_WORTH_USD for worth in worth_usd):
        raise DataError("costs and answers of the same items are needed, and a worth of 0 to a trillion dollars")
    kept: NDArray[np.bool_] = np.asarray(~np.isnan(np.stack(columns)).any(axis=0))
    dropped = int((~kept).sum())
    cost_t, cost_c, right_t, right_c = (column[kept] for column in columns)
    labels = None if clusters is None else _labels(clusters, kept)
    cost = _mean(cost_t - cost_c, labels, level, dropped)
    gain = effect or _mean(right_t - right_c, labels, level, dropped)
    trade = _trade(cost.value, gain.value)
    price = _price(cost_t - cost_c, right_t - right_c, gain, trade, level, dropped, labels)
    return CostEffectiveness(
        cost_usd=cost,
        effect=gain,
        usd_per_correct_treatment=replace(fieller_ratio(cost_t, right_t, clusters=labels, level=level), dropped=dropped),
        usd_per_correct_control=replace(fieller_ratio(cost_c, right_c, clusters=labels, level=level), dropped=dropped),
        usd_per_additional_correct=price,
        trade=trade,
        is_clear=_excludes_zero(cost) and _excludes_zero(gain),
        net_benefit=tuple((worth, _mean(worth * (right_t - right_c) - (cost_t - cost_c), labels, level, dropped)) for worth in worth_usd),
    )


def cost_ratio(cost_treatment: ArrayLike, cost_control: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Estimate:
    """What the treatment's answers cost as a multiple of what the control's do, over the same items; clusters are the units where there are any.

    cost_*: shape (n,), dollars for all samples of an item; NaN in either drops the item. Source: Fieller 1954.
    """
    return fieller_ratio(cost_treatment, cost_control, clusters=clusters, level=level)


def _price(cost: Floats, gain: Floats, effect: Estimate, trade: Trade, level: float, dropped: int, labels: NDArray[np.generic] | None) -> Estimate:
    def without(reason: str, value: float | None = None) -> Estimate:
        return undefined_estimate(reason, level=level, method="fieller", n=cost.size, dropped=dropped, value=value)

    if trade in ("no_effect", "unknown"):
        return without("no item" if trade == "unknown" else "the arms are right equally often: there is no price")
    if trade in ("saves_and_gains", "pays_and_loses"):
        if not _excludes_zero(effect):  # which way it goes may be chance
            return without(NO_GAIN)
        if trade == "saves_and_gains":
            return without("the treatment is right more often and costs no more: there is no price to pay")
        return without("the treatment is right less often and costs no less: there is no gain to pay for")
    ratio = fieller_ratio(cost, gain, clusters=labels, level=level)
    if ratio.value is not None and not (_excludes_zero(effect) and ratio.is_defined):
        return without(ratio.reason if ratio.reason not in (None, UNBOUNDED) else NO_GAIN, ratio.value)
    return replace(ratio, dropped=dropped)


def _trade(cost: float | None, gain: float | None) -> Trade:
    if cost is None or gain is None:
        return "unknown"
    if gain == 0.0:
        return "no_effect"
    if gain > 0.0:
        return "pays_for_gain" if cost > 0.0 else "saves_and_gains"
    return "saves_for_loss" if cost < 0.0 else "pays_and_loses"


def _mean(values: Floats, labels: NDArray[np.generic] | None, level: float, dropped: int) -> Estimate:
    got = paired_t(values, level).estimate if labels is None else clustered_mean(values, labels, level=level).estimate
    return replace(got, dropped=dropped)


def _excludes_zero(estimate: Estimate) -> bool:
    if estimate.value is None:
        return False
    if estimate.ci_low is None or estimate.ci_high is None:
        return False
    return estimate.ci_low > 0.0 or estimate.ci_high < 0.0


def _labels(clusters: ArrayLike, kept: NDArray[np.bool_]) -> NDArray[np.generic]:
    labels = np.asarray(clusters).ravel()
    if labels.shape != kept.shape:
        raise DataError("every item needs one cluster label")
    return labels[kept]
