"""A few planned looks at a growing trial: group-sequential bounds, error spending, and what a design costs and finds.

At look k the test statistic Z_k has seen a fraction t_k of the planned information; Z_k sqrt(t_k) is a Brownian
motion read at t_k. Bounds are set so that the chance of ever leaving the corridor under no difference is alpha. For
paired right/wrong answers information is the number of discordant pairs, not of items. For a look after every item
use `evalues`.

Probabilities are integrated look by look (Armitage, McPherson & Rowe 1969) with Gauss-Legendre panels; nothing is
simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import each, norm_isf, norm_sf
from batchtrial.stats.results import Estimate, Test, check_alpha, check_level, undefined_estimate
from batchtrial.stats.sums import by_row

Floats = NDArray[np.float64]
Shape = Literal["obrien_fleming", "pocock"]

MAX_LOOKS = 100
MAX_SPENDING_LOOKS = 500
MIN_STEP = 1e-4  # share of full information below which two looks are one
_MOST_SQUEEZED = 0.99  # of the largest difference that so many changed pairs allow
_REACH = 9.0  # standard deviations beyond which no probability is kept
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Two-sided rejection bounds for |Z| at each look.

    information: planned or observed information at each look, as fractions of the maximum; z_bounds: None where
    there is nothing new to look at; nominal_p: two-sided p-value that the bound amounts to; alpha_spent: cumulative,
    the last at most alpha. constant: the C of O'Brien-Fleming or Pocock bounds, None for spending functions.
    """

    shape: str
    alpha: float
    information: tuple[float, ...]
    z_bounds: tuple[float | None, ...]
    nominal_p: tuple[float | None, ...]
    alpha_spent: tuple[float, ...]
    constant: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Characteristics:
    """What a design does under a given effect: chance to reject, and where it stops.

    drift: expected Z at full information. power: chance of ever leaving the corridor on either side. stop_by_look:
    cumulative chance to have stopped. expected_information: mean fraction of the maximum that is used.
    """

    drift: float
    power: float
    stop_by_look: tuple[float, ...]
    expected_information: float


def discordant_z(b: int, c: int) -> float:
    """Signed test statistic of the discordant pairs, (b - c) / sqrt(b + c); 0 when there are none (McNemar 1947)."""
    if b < 0 or c < 0:
        raise DataError("counts of discordant pairs are not negative", where=f"b={b}, c={c}")
    return (b - c) / math.sqrt(b + c) if b + c else 0.0


def group_sequential_bounds(looks: int | Sequence[float], *, alpha: float = 0.05, shape: Shape = "obrien_fleming") -> Bounds:
    """Bounds for looks that are planned in advance.

    looks: how many equally spaced looks, or their information fractions (rising, ending at 1). O'Brien-Fleming:
    C / sqrt(t); Pocock: C at every look. Raises DataError for fractions that do not rise to 1 or more than 100 looks.
    Source: Jennison & Turnbull 2000, chapters 2 and 19; O'Brien & Fleming 1979; Pocock 1977.
    """
    check_alpha(alpha)
    fractions = [k / looks for k in range(1, looks + 1)] if isinstance(looks, int) else [float(t) for t in looks]
    _check_fractions(fractions)
    if abs(fractions[-1] - 1.0) > 1e-9:
        raise DataError("the last planned look is at full information, a fraction of 1")
    scale = [t**-0.5 if shape == "obrien_fleming" else 1.0 for t in fractions]

    def crossing(constant: float) -> float:
        return float(sum(_exits(fractions, [constant * s for s in scale], 0.0)))

    # Between one look and Bonferroni over all of them.
    constant = _falling_root(crossing, alpha, norm_isf(alpha / 2.0), norm_isf(alpha / 2.0 / len(fractions)))
    bounds = [constant * s for s in scale]
    spent = np.cumsum(_exits(fractions, bounds, 0.0))
    return _bounds(shape, alpha, fractions, bounds, [float(s) for s in spent], constant)


def spending_bounds(
    information: Sequence[float],
    *,
    max_information: float,
    alpha: float = 0.05,
    shape: Shape = "obrien_fleming",
    is_final: bool = False,
) -> Bounds:
    """Bounds for looks at whatever information there was (Lan-DeMets); the past never changes when a look is added.

    information: at each look so far, rising (for paired answers the discordant pairs b + c); max_information: what
    was planned for the end. Two-sided alpha spent at fraction t: obrien_fleming 4 (1 - Phi(z_{alpha/4} / sqrt(t))),
    pocock alpha ln(1 + (e - 1) t). is_final: this is the last look whatever its information, so all that is left is
    spent. A look without new information gets None. Raises DataError for falling information. Source: Lan & DeMets
    1983.
    """
    check_alpha(alpha)
    if not max_information > 0 or len(information) > MAX_SPENDING_LOOKS:
        raise DataError(f"a planned maximum above 0 and at most {MAX_SPENDING_LOOKS} looks are needed")
    fractions = [float(i) / max_information for i in information]
    if any(later < sooner for sooner, later in zip([0.0, *fractions], fractions, strict=False)):
        raise DataError("information starts at 0 or above and never falls")
    spent, z_bounds, corridor = list[float](), list[float | None](), _Corridor(0.0)
    used = 0.0
    for look, t in enumerate(fractions):
        last = is_final and look == len(fractions) - 1
        target = alpha if last else max(used, _spent(t, alpha, shape))
        if t - corridor.time < MIN_STEP or target - used <= 0.0:
            z_bounds.append(None)
            spent.append(used)
            continue
        gaps = [later - t for later in fractions[look + 1 :] if later - t >= MIN_STEP]
        bound = _falling_root(lambda z, to=t: corridor.exit_probability(to, z), target - used, 0.0, 37.0)  # type: ignore[misc]
        corridor.stay(t, bound, next_gap=gaps[0] if gaps else 1.0)
        used = target
        z_bounds.append(bound)
        spent.append(used)
    return _bounds(f"{shape}_spending", alpha, fractions, z_bounds, spent, None)


def characteristics(bounds: Bounds, *, drift: float) -> Characteristics:
    """Power and expected information of a design whose final Z has mean `drift` (0: no difference)."""
    looks = [(t, z) for t, z in zip(bounds.information, bounds.z_bounds, strict=True) if z is not None]
    if not looks:
        return Characteristics(drift=drift, power=0.0, stop_by_look=(), expected_information=1.0)
    times = [t for t, _ in looks]
    exits = np.asarray(_exits(times, [z for _, z in looks], drift))
    stopped = np.cumsum(exits)
    unused = np.asarray([times[-1] - t for t in times])
    return Characteristics(
        drift=drift,
        power=float(min(1.0, stopped[-1])),
        stop_by_look=tuple(float(min(1.0, s)) for s in stopped),
        expected_information=float(times[-1] - (exits * unused).sum()),
    )


def drift_for_power(bounds: Bounds, *, power: float = 0.8) -> float:
    """The drift at which the design has the wanted power; (drift / fixed-sample drift)^2 is its inflation of the size."""
    if not bounds.alpha < power < 1.0:
        raise DataError("power lies between alpha and 1", where=f"power {power:g}")
    return _falling_root(lambda d: 1.0 - characteristics(bounds, drift=d).power, 1.0 - power, 0.0, 20.0)


def stagewise_test(bounds: Bounds, *, look: int, z: float) -> Test:
    """Two-sided p-value of a trial that ended at a look (from 0) with statistic z: stage-wise ordering.

    The chance under no difference to have crossed earlier, or to be at least as extreme at this look. An ordinary
    p-value at the stopping look would be too small. Raises DataError for an unknown look. Source: Tsiatis, Rosner &
    Mehta 1984.
    """
    if not 0 <= look < len(bounds.information):
        raise DataError("there is no such look", where=f"look {look} of {len(bounds.information)}")
    method = f"stagewise({bounds.shape})"
    planned = list(zip(bounds.information, bounds.z_bounds, strict=True))
    seen = [(t, b) for t, b in planned[:look] if b is not None]
    at = bounds.information[look]
    if at - (seen[-1][0] if seen else 0.0) < MIN_STEP:
        return Test(statistic=z, p_value=1.0, method=method, n=look + 1, warnings=("no information at this look",))
    exits = _exits([*(t for t, _ in seen), at], [*(b for _, b in seen), abs(z)], 0.0)
    return Test(statistic=z, p_value=min(1.0, float(sum(exits))), method=method, n=look + 1)


def stagewise_drifts(bounds: Bounds, *, look: int, z: float, level: float = 0.95, n_full: float | None = None) -> tuple[float, float, float]:
    """Lower end, median and upper end of the drift (the mean of Z at full information) of a trial that ended at a look with statistic z.

    Those at which the chance to have crossed the upper bound earlier, or to reach z or more at this look, is (1 - level) / 2, a half and
    (1 + level) / 2. n_full: pairs at full information where z is of discordant pairs, whose variance falls as the difference grows.
    Raises DataError for an unknown look or one without information. Source: Tsiatis, Rosner & Mehta 1984; Jennison & Turnbull
    2000, ch. 8.
    """
    at = bounds.information[look] if 0 <= look < len(bounds.information) else 1.0
    tail, middle, reach = (1.0 - check_level(level)) / 2.0, z / math.sqrt(at), _REACH / math.sqrt(at)
    most = math.inf if n_full is None else _MOST_SQUEEZED * math.sqrt(n_full)

    def solved(chance: float) -> float:
        # Falling in minus the drift, so that one finder of roots does for all.
        low, high = max(-most, -middle - reach), min(most, reach - middle)
        return -_falling_root(lambda minus: stagewise_chance(bounds, look=look, z=z, drift=-minus, n_full=n_full), chance, low, high)

    return solved(tail), solved(0.5), solved(1.0 - tail)


def stagewise_chance(bounds: Bounds, *, look: int, z: float, drift: float, n_full: float | None = None) -> float:
    """Chance, under this drift, to have crossed the upper bound before a look (from 0) or to reach z or more at it. n_full, errors: as above.

    (b - c) / sqrt(b + c) has variance 1 only without a difference: with one of delta, and a share psi of changed pairs, 1 - delta^2 / psi.
    """
    if not 0 <= look < len(bounds.information):
        raise DataError("there is no such look", where=f"look {look} of {len(bounds.information)}")
    seen = [(t, b) for t, b in zip(bounds.information[:look], bounds.z_bounds, strict=False) if b is not None]
    at = bounds.information[look]
    if at - (seen[-1][0] if seen else 0.0) < MIN_STEP:
        raise DataError("there was no information at this look", where=f"look {look}")
    scale = 1.0 if n_full is None else 1.0 / math.sqrt(1.0 - min(_MOST_SQUEEZED, abs(drift) / math.sqrt(n_full)) ** 2)
    corridor, chance = _Corridor(scale * drift), 0.0
    for (time, bound), (later, _) in zip(seen, [*seen[1:], (at, 0.0)], strict=False):
        chance += corridor.upper_exit_probability(time, scale * bound)
        corridor.stay(time, scale * bound, next_gap=later - time)
    return chance + corridor.upper_exit_probability(at, scale * z)


def repeated_interval(estimate: float, se: float, *, z_bound: float | None, n: int, alpha: float = 0.05) -> Estimate:
    """Interval that may be read at every look: estimate +- bound * standard error; level 1 - alpha over all looks.

    z_bound: the bound of this look; None (nothing to look at) or a standard error of 0 leaves it undefined.
    Source: Jennison & Turnbull 1989, JRSS-B 51:305.
    """
    level = check_level(1.0 - alpha)
    if z_bound is None or not se > 0.0:
        why = "no information at this look"
        return undefined_estimate(why, level=level, method="repeated", n=n, value=estimate)
    return Estimate(
        value=estimate,
        ci_low=estimate - z_bound * se,
        ci_high=estimate + z_bound * se,
        level=level,
        method="repeated",
        n=n,
        se=se,
    )


class _Corridor:
    """Where the Brownian motion may be, given that it has not left so far: nodes and the probability at each."""

    def __init__(self, drift: float) -> None:
        self.drift, self.time = drift, 0.0
        self.nodes, self.mass = np.zeros(1), np.ones(1)

    def exit_probability(self, time: float, z_bound: float) -> float:
        """Chance to be inside so far and beyond +-z_bound at the next look."""
        elapsed, edge = time - self.time, z_bound * math.sqrt(time)
        centres, sd = self.nodes + self.drift * elapsed, math.sqrt(elapsed)
        beyond = each(norm_sf, (edge - centres) / sd) + each(norm_sf, (edge + centres) / sd)
        return float((self.mass * beyond).sum())

    def upper_exit_probability(self, time: float, z: float) -> float:
        """Chance to be inside so far and at or above z at the next look."""
        elapsed = time - self.time
        centres, sd = self.nodes + self.drift * elapsed, math.sqrt(elapsed)
        return float((self.mass * each(norm_sf, (z * math.sqrt(time) - centres) / sd)).sum())

    def stay(self, time: float, z_bound: float, *, next_gap: float) -> None:
        """Move to the next look and keep what stayed inside; panels resolve both this step and the one after."""
        elapsed, edge = time - self.time, z_bound * math.sqrt(time)
        centre, reach = self.drift * time, _REACH * math.sqrt(time)
        low, high = max(-edge, centre - reach), min(edge, centre + reach)
        if high <= low:
            self.time, self.nodes, self.mass = time, np.zeros(1), np.zeros(1)
            return
        panels = max(4, math.ceil((high - low) / math.sqrt(min(elapsed, next_gap))))
        cuts = np.linspace(low, high, panels + 1)
        half = (high - low) / panels / 2
        nodes = ((cuts[1:] + cuts[:-1])[:, None] / 2 + half * _NODES).ravel()
        sd = math.sqrt(elapsed)
        distance = (nodes[:, None] - self.drift * elapsed - self.nodes) / sd
        density = by_row(np.exp(-0.5 * distance**2), self.mass) / (sd * math.sqrt(2.0 * math.pi))
        self.time, self.nodes, self.mass = time, nodes, density * np.tile(half * _WEIGHTS, panels)


def _exits(times: Sequence[float], z_bounds: Sequence[float], drift: float) -> list[float]:
    """Chance to leave the corridor first at each look."""
    corridor, exits = _Corridor(drift), []
    gaps = [*np.diff(times).tolist(), 1.0]
    for time, bound, gap in zip(times, z_bounds, gaps, strict=True):
        exits.append(corridor.exit_probability(time, bound))
        corridor.stay(time, bound, next_gap=gap)
    return exits


def _spent(t: float, alpha: float, shape: Shape) -> float:
    if t >= 1.0:
        return alpha
    if t <= 0.0:
        return 0.0
    if shape == "obrien_fleming":
        return min(alpha, 4.0 * norm_sf(norm_isf(alpha / 4.0) / math.sqrt(t)))
    return alpha * math.log1p((math.e - 1.0) * t)


def _falling_root(function: Callable[[float], float], target: float, low: float, high: float) -> float:
    """Where a falling positive function meets the target, to 1e-12: false position on the log scale (Illinois variant)."""

    def gap(x: float) -> float:
        return math.log(max(function(x), 1e-300)) - math.log(target)

    gap_low, gap_high = gap(low), gap(high)
    side = 0
    for _ in range(200):
        if high - low < 1e-12 or gap_low <= 0.0 or gap_high >= 0.0:
            break
        x = min(max((low * gap_high - high * gap_low) / (gap_high - gap_low), low), high)
        at = gap(x)
        if abs(at) < 1e-13:
            return x
        if at > 0.0:
            low, gap_low = x, at
            gap_high, side = (gap_high / 2 if side == 1 else gap_high), 1
        else:
            high, gap_high = x, at
            gap_low, side = (gap_low / 2 if side == -1 else gap_low), -1
    return low if gap_low <= 0.0 else high if gap_high >= 0.0 else (low + high) / 2


def _check_fractions(fractions: Sequence[float]) -> None:
    rising = all(sooner + MIN_STEP <= later for sooner, later in zip([0.0, *fractions], fractions, strict=False))
    if not 1 <= len(fractions) <= MAX_LOOKS or not rising:
        raise DataError(f"1 to {MAX_LOOKS} looks at rising information fractions are needed")


def _bounds(
    shape: str,
    alpha: float,
    information: Sequence[float],
    z_bounds: Sequence[float | None],
    spent: Sequence[float],
    constant: float | None,
) -> Bounds:
    return Bounds(
        shape=shape,
        alpha=alpha,
        information=tuple(information),
        z_bounds=tuple(z_bounds),
        nominal_p=tuple(None if z is None else 2.0 * norm_sf(z) for z in z_bounds),
        alpha_spent=tuple(spent),
        constant=constant,
    )
