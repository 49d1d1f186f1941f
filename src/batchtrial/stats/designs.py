"""Items, samples and money: where the variance of a difference comes from, and what each design costs and sees.

More samples of an item remove answer noise, more items remove everything; `VarianceShares` says how much there is of
each, `design_table` sets it against the price. Effects are shares (0.03 is 3 percentage points), money is US dollars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.claim_power import PlannedTest, Spread, claim_power, detectable
from batchtrial.stats.pairing import LARGEST_SCORE
from batchtrial.stats.power import check_design

Floats = NDArray[np.float64]
DIFFERENCE = PlannedTest()


@dataclass(frozen=True, slots=True, kw_only=True)
class VarianceShares:
    """Where the variance of one item's difference comes from: omega^2 + sigma_T^2 / K_T + sigma_C^2 / K_C.

    between: variance of the items' true differences (omega^2), removed only by more items. treatment, control:
    variance of one answer around its item's mean (sigma^2), divided by the samples for each item. With a single
    sample the parts cannot be told apart: they are all in `between`, and `warnings` says that more samples will look
    less useful than they are.
    """

    between: float
    treatment: float
    control: float
    n_items: int
    dropped: int = 0
    warnings: tuple[str, ...] = ()

    def of_difference(self, samples_treatment: int, samples_control: int) -> float:
        """Variance of one item's mean difference with so many samples in each arm."""
        if min(samples_treatment, samples_control) < 1:
            raise DataError("every item needs at least one sample in each arm")
        return self.between + self.treatment / samples_treatment + self.control / samples_control

    def spread(self, samples: int) -> Spread:
        """What `claim_power` wants to know of a design with so many samples in each arm."""
        return Spread(means=self.of_difference(samples, samples), single=self.of_difference(1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One line of the planning table.

    n_requests: both arms, without a reused control. mde: smallest effect that the analysis claims with the wanted power, with a margin
    the smallest margin; None if undefined (`reason`). power: at the target effect, None when no target was given.
    """

    n_items: int
    n_samples: int
    n_requests: int
    cost_usd: float
    mde: float | None
    power: float | None
    reason: str | None = None


def variance_shares(treatment: ArrayLike, control: ArrayLike) -> VarianceShares:
    """Variance shares from a pilot.

    treatment, control: shape (n_items, K) or (n_items,), the score of every sample, NaN where missing; K may differ
    between the arms. Items without an answer in both arms are dropped and counted. Unbiased; a negative omega^2 is
    set to 0 with a warning. Raises DataError for fewer than two usable items. Source: Miller 2024, arXiv:2411.00640,
    section 5.
    """
    arms = [np.asarray(arm, dtype=np.float64) for arm in (treatment, control)]
    arms = [arm[:, None] if arm.ndim == 1 else arm for arm in arms]
    if arms[0].ndim != 2 or arms[1].ndim != 2 or arms[0].shape[0] != arms[1].shape[0]:
        raise DataError("a pilot is one row of samples for each item, the same items in both arms")
    if any(arm.size and float(np.fmax.reduce(np.abs(arm), axis=None)) > LARGEST_SCORE for arm in arms):
        raise DataError(f"a score is beyond {LARGEST_SCORE:g}", hint="a missing score is NaN")
    usable = np.isfinite(arms[0]).any(axis=1) & np.isfinite(arms[1]).any(axis=1)
    n, dropped = int(usable.sum()), int((~usable).sum())
    if n < 2:
        raise DataError("a pilot needs at least two items with answers in both arms")
    means, noises, averaged, unseen = [], [], [], []
    for name, arm in zip(("treatment", "control"), arms, strict=True):
        mean, noise, inside = _arm_noise(arm[usable])
        means.append(mean)
        noises.append(noise or 0.0)
        averaged.append(inside)
        if noise is None:
            unseen.append(f"{name}: one sample an item, so answer noise is counted as difference between items")
    between = float((means[0] - means[1]).var(ddof=1)) - sum(averaged)
    if between < 0.0:
        unseen.append("answer noise explains all of the variance; the share between items is set to 0")
    return VarianceShares(
        between=max(0.0, between),
        treatment=noises[0],
        control=noises[1],
        n_items=n,
        dropped=dropped,
        warnings=tuple(unseen),
    )


def design_table(
    shares: VarianceShares,
    *,
    items: Sequence[int],
    samples: Sequence[int],
    usd_per_treatment_answer: float,
    usd_per_control_answer: float,
    test: PlannedTest = DIFFERENCE,
    power: float = 0.8,
    target: float | None = None,
    is_control_reused: bool = False,
) -> tuple[Design, ...]:
    """Items x samples: what every design costs and what it can see, in the order items, then samples.

    shares: from a pilot (`variance_shares`) or assumed. test: what will decide, but for its samples. target: effect whose power is wanted
    too, with a margin the true difference. is_control_reused: the control's answers exist already and cost nothing.
    Raises DataError for counts below 1 and negative prices.
    """
    check_design(test.alpha, power)
    if min([*items, *samples], default=0) < 1 or min(usd_per_treatment_answer, usd_per_control_answer) < 0.0:
        raise DataError("a design needs items and samples of at least 1, and prices of at least 0")
    lines = []
    for n in items:
        for k in samples:
            spread, own = shares.spread(k), replace(test, samples=k)
            found = detectable(n, spread, own, power=power, effect=target or 0.0)
            arms = ((usd_per_treatment_answer, 1), (usd_per_control_answer, 0 if is_control_reused else 1))
            lines.append(
                Design(
                    n_items=n,
                    n_samples=k,
                    n_requests=n * k * sum(paid for _, paid in arms),
                    cost_usd=n * k * sum(usd * paid for usd, paid in arms),
                    mde=found.effect,
                    power=None if target is None else claim_power(n, target, spread, own),
                    reason=found.reason,
                )
            )
    return tuple(lines)


def cheapest_design(table: Sequence[Design], *, target: float) -> Design | None:
    """The line that sees an effect of `target` for the least money, then the fewest items; None when no line does."""
    able = [line for line in table if line.mde is not None and line.mde <= abs(target)]
    return min(able, key=lambda line: (line.cost_usd, line.n_items, line.n_samples), default=None)


def _arm_noise(arm: Floats) -> tuple[Floats, float | None, float]:
    """Item means, variance of one answer around them (None without repeats), and its mean share in the item means."""
    counts = np.isfinite(arm).sum(axis=1)
    means = np.nansum(arm, axis=1) / counts
    repeated = counts >= 2
    if not repeated.any():
        return means, None, 0.0
    squares = np.nansum((arm - means[:, None]) ** 2, axis=1)
    own = np.divide(squares, counts - 1, out=np.zeros_like(squares), where=repeated)
    noise = float(own[repeated].mean())
    return means, noise, float((np.where(repeated, own, noise) / counts).mean())
