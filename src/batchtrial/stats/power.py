"""How many items, how large an effect, what chance to see it: exact or closed form, never simulated.

Scores go through the variance of an item's difference (`normal_items`, `paired_t_*`), right/wrong answers through the
trinomial law of the discordant pairs (`mcnemar_*`). What that variance is made of, and what designs cost: `designs`.

Effects are differences treatment - control as shares (0.03 is 3 percentage points).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from batchtrial.errors import DataError
from batchtrial.stats.distributions import binom_cdf, binom_pmf, noncentral_t_cdf, noncentral_t_sf, norm_isf, norm_sf, t_isf
from batchtrial.stats.results import check_alpha
from batchtrial.stats.sums import dot

Sided = Literal[1, 2]

MAX_ITEMS = 10**9
MAX_EXACT_ITEMS = 20_000
_TAIL_SD = 9.0  # enumerated counts reach so many standard deviations to either side


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSize:
    """Items needed: `n` as the formula gives it, `n_items` rounded up; None with a reason when no number is enough."""

    n: float | None
    n_items: int | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectableEffect:
    """Smallest true difference found with the wanted power; None with a reason when there is none."""

    effect: float | None
    method: str
    reason: str | None = None


def normal_items(delta: float, variance: float, *, alpha: float = 0.05, power: float = 0.8, sided: Sided = 2) -> SampleSize:
    """Items needed to find a mean difference `delta` when one item's difference has this variance.

    n = (z_{alpha/2} + z_beta)^2 variance / delta^2; delta = 0 gives None. Source: Miller 2024, equation 9: 969 items
    for 3 percentage points at variance 1/9.
    """
    check_design(alpha, power)
    if delta == 0.0:
        return SampleSize(n=None, n_items=None, method="normal", reason="no number of items finds a difference of 0")
    return _sized((norm_isf(alpha / sided) + norm_isf(1.0 - power)) * math.sqrt(variance), delta, "normal")


def paired_t_power(n: float, effect_dz: float, *, alpha: float = 0.05, sided: Sided = 2) -> float:
    """Chance that the paired t-test rejects; effect_dz is the mean over the standard deviation of the differences.

    n at least 2 (need not be whole, for solving). Noncentral t with n - 1 degrees of freedom, both tails when
    two-sided.
    """
    check_alpha(alpha)
    if n < 2:
        raise DataError("a paired t-test needs at least two items")
    df, shift = n - 1.0, effect_dz * math.sqrt(n)
    upper = t_power(shift, df, alpha / sided)
    return min(1.0, upper + noncentral_t_cdf(-t_isf(alpha / sided, df), df, shift)) if sided == 2 else upper


def t_power(shift: float, df: float, alpha: float) -> float:
    """Chance that a one-sided t-test at alpha rejects; shift: the true mean over its standard error."""
    return noncentral_t_sf(t_isf(alpha, df), df, shift)


def paired_t_items(effect_dz: float, *, alpha: float = 0.05, power: float = 0.8, sided: Sided = 2) -> SampleSize:
    """Items that the paired t-test needs to find effect_dz; the sign does not matter, 0 gives None. Reference: R pwr."""
    check_design(alpha, power)
    effect = abs(effect_dz)
    if effect == 0.0:
        return SampleSize(n=None, n_items=None, method="paired_t", reason="no number of items finds a difference of 0")
    if paired_t_power(2.0, effect, alpha=alpha, sided=sided) >= power:
        return SampleSize(n=2.0, n_items=2, method="paired_t")
    n = rising_root(lambda x: paired_t_power(x, effect, alpha=alpha, sided=sided), power, 2.0, float(MAX_ITEMS))
    if n is None:
        return SampleSize(n=None, n_items=None, method="paired_t", reason=f"more than {MAX_ITEMS} items")
    return SampleSize(n=n, n_items=_ceil(n), method="paired_t")


def paired_t_mde(n: int, sd: float, *, alpha: float = 0.05, power: float = 0.8, sided: Sided = 2) -> DetectableEffect:
    """Smallest mean difference that the paired t-test on n items finds with the wanted power.

    sd: standard deviation of one item's difference. Undefined below two items and for a standard deviation of 0.
    """
    check_design(alpha, power)
    if n < 2 or sd <= 0.0:
        why = "fewer than two items" if n < 2 else "no variance: any difference would be certain"
        return DetectableEffect(effect=None, method="paired_t", reason=why)
    dz = rising_root(lambda x: paired_t_power(n, x, alpha=alpha, sided=sided), power, 0.0, 1e6)
    return DetectableEffect(effect=None if dz is None else dz * sd, method="paired_t", reason="not within reach" if dz is None else None)


def mcnemar_items(p_treatment_only: float, p_control_only: float, *, alpha: float = 0.05, power: float = 0.8, sided: Sided = 2) -> SampleSize:
    """Items for McNemar's test by the normal approximation; equal probabilities give None.

    p_*_only: chance that an item is right in that arm only. n = (z_{alpha/2} sqrt(psi) + z_beta sqrt(psi -
    delta^2))^2 / delta^2 with psi their sum, delta their difference. Source: Connor 1987, Biometrics 43:207.
    Reference: R MESS.
    """
    check_design(alpha, power)
    psi, delta = _discordance(p_treatment_only, p_control_only)
    if delta == 0.0:
        return SampleSize(n=None, n_items=None, method="connor", reason="no number of items finds a difference of 0")
    spread = math.sqrt(max(0.0, psi - delta**2))
    return _sized(norm_isf(alpha / sided) * math.sqrt(psi) + norm_isf(1.0 - power) * spread, delta, "connor")


def mcnemar_power(
    n: int,
    p_treatment_only: float,
    p_control_only: float,
    *,
    alpha: float = 0.05,
    sided: Sided = 2,
    test: Literal["midp", "exact"] = "midp",
) -> float:
    """Chance that McNemar's test on n items rejects, by enumerating the discordant pairs; sided 1: treatment better.

    Up to 20,000 items every count of discordant pairs within 9 standard deviations is enumerated, so the error is
    below 1e-15; above, the normal approximation of `mcnemar_items` is used. Raises DataError for probabilities that
    do not fit.
    """
    check_alpha(alpha)
    psi, delta = _discordance(p_treatment_only, p_control_only)
    if n < 1 or psi < 1e-200:
        return 0.0
    if n > MAX_EXACT_ITEMS:
        shift, spread = math.sqrt(n) * delta, math.sqrt(max(psi - delta**2, 1e-300))
        edge = norm_isf(alpha / sided) * math.sqrt(psi)
        return norm_sf((edge - shift) / spread) + (norm_sf((edge + shift) / spread) if sided == 2 else 0.0)
    counts = _likely_counts(n, psi)
    limits = [rejected_losses(m, alpha, sided, test) for m in counts]
    return _power_over(counts, limits, n, psi, p_treatment_only / psi, sided)


def mcnemar_items_exact(
    p_treatment_only: float,
    p_control_only: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    test: Literal["midp", "exact"] = "midp",
) -> SampleSize:
    """Items for the two-sided McNemar test by enumeration: the power is reached there and at the five sizes after it.

    Exact power is a saw over n; the first size above the line may lie before a tooth. Starts from `mcnemar_items`.
    """
    guess = mcnemar_items(p_treatment_only, p_control_only, alpha=alpha, power=power)
    method = f"trinomial_{test}"
    if guess.n_items is None:
        return SampleSize(n=None, n_items=None, method=method, reason=guess.reason)

    def enough(n: int) -> bool:
        return mcnemar_power(n, p_treatment_only, p_control_only, alpha=alpha, test=test) >= power

    low, high = 0, guess.n_items
    while not enough(high):
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    n = high
    while short := [later for later in range(n + 1, n + 6) if not enough(later)]:
        n = short[-1] + 1
    return SampleSize(n=float(n), n_items=n, method=method)


def mcnemar_mde(
    n: int,
    discordance: float,
    *,
    alpha: float = 0.05,
    power: float = 0.8,
    test: Literal["midp", "exact"] = "midp",
) -> DetectableEffect:
    """Smallest difference that McNemar's test on n items finds when `discordance` of the items change between the
    arms.

    None when even changes in one direction only (difference = discordance) stay below the wanted power.
    """
    check_design(alpha, power)
    if not 0.0 <= discordance <= 1.0:
        raise DataError("the share of changing items lies between 0 and 1", where=f"{discordance:g}")

    # The discordant counts and what rejects at each do not depend on the effect: found once, not in every step.
    counts = _likely_counts(n, discordance) if n <= MAX_EXACT_ITEMS else []
    limits = [rejected_losses(m, alpha, 2, test) for m in counts]

    def reached(delta: float) -> float:
        if not counts:
            return mcnemar_power(n, (discordance + delta) / 2, (discordance - delta) / 2, alpha=alpha)
        return _power_over(counts, limits, n, discordance, 0.5 + delta / discordance / 2, 2)

    method = f"trinomial_{test}"
    if n < 1 or discordance < 1e-200 or reached(discordance) < power:
        why = "too few changing items: not even changes in one direction only would be found"
        return DetectableEffect(effect=None, method=method, reason=why)
    return DetectableEffect(effect=rising_root(reached, power, 0.0, discordance), method=method)


def _likely_counts(n: int, psi: float) -> list[int]:
    """Counts of discordant pairs that carry all but 1e-15 of the probability."""
    centre, reach = n * psi, _TAIL_SD * math.sqrt(n * psi * (1.0 - psi)) + 10.0
    return list(range(max(0, math.floor(centre - reach)), min(n, math.ceil(centre + reach)) + 1))


def rejected_losses(m: int, alpha: float, sided: Sided, test: str) -> int:
    """Largest number of losses among m discordant pairs that still rejects; -1 when none does."""
    top = m if sided == 1 else (m + 1) // 2 - 1  # at m/2 the two-sided p is 1
    start = max(0, math.floor(m / 2 - _TAIL_SD * math.sqrt(m) / 2 - 10.0))
    losses = np.arange(start, top + 1)
    if losses.size == 0:
        return -1
    under_null = binom_pmf(losses, m, 0.5)
    p = sided * (np.cumsum(under_null) - (0.5 * under_null if test == "midp" else 0.0))
    kept = p > alpha * (1.0 + 1e-12)
    return top if not kept.any() else start + int(np.argmax(kept)) - 1


def _power_over(counts: Sequence[int], limits: Sequence[int], n: int, psi: float, p_win: float, sided: Sided) -> float:
    """Chance to reject, over the discordant counts; each pair is won by the treatment with p_win."""
    loses = min(1.0, max(0.0, 1.0 - p_win))
    rejects = [binom_cdf(k, m, loses) for m, k in zip(counts, limits, strict=True)]
    if sided == 2:
        other = [binom_cdf(k, m, 1.0 - loses) for m, k in zip(counts, limits, strict=True)]
        rejects = [one + two for one, two in zip(rejects, other, strict=True)]
    return min(1.0, dot(binom_pmf(counts, n, psi), np.asarray(rejects)))


def _discordance(p_treatment_only: float, p_control_only: float) -> tuple[float, float]:
    psi = p_treatment_only + p_control_only
    if min(p_treatment_only, p_control_only) < 0.0 or psi > 1.0 + 1e-12:
        raise DataError("the chances to be right in one arm only are at least 0 and sum to at most 1", where=f"{psi:g}")
    return min(psi, 1.0), p_treatment_only - p_control_only


def rising_root(function: Callable[[float], float], target: float, low: float, high: float, *, within: float = 1e-9) -> float | None:
    """Where a rising function reaches the target, within that relative error; None when it does not before `high`."""
    top = max(low * 2.0, min(high, 1.0))
    while function(top) < target:
        if top >= high:
            return None
        low, top = top, min(high, top * 2.0)
    while top - low > within * max(top, 1e-6):
        middle = (low + top) / 2
        low, top = (middle, top) if function(middle) < target else (low, middle)
    return top


def _sized(needed: float, delta: float, method: str) -> SampleSize:
    """n = (needed / delta)^2, where that is a number of items that anyone could have."""
    ratio = abs(needed / delta) if abs(delta) > 1e-150 else math.inf
    if ratio > math.sqrt(MAX_ITEMS):
        return SampleSize(n=None, n_items=None, method=method, reason=f"more than {MAX_ITEMS} items")
    return SampleSize(n=ratio**2, n_items=_ceil(ratio**2), method=method)


def _ceil(n: float) -> int:
    return max(1, math.ceil(n - 1e-9))


def check_design(alpha: float, power: float) -> None:
    """Raise DataError unless 0 < alpha < power < 1."""
    check_alpha(alpha)
    if not alpha < power < 1.0:
        raise DataError("power lies between alpha and 1", where=f"power {power:g}, alpha {alpha:g}")
