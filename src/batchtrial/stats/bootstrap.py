"""Bootstrap intervals, computed instead of simulated wherever the law can be written down.

Resampling n items with replacement only changes how often each distinct value (or row of outcomes) occurs, so counts are
enough: a law on a grid is transformed exactly, other data with few distinct rows cost one multinomial draw per replicate, and
the mean of many continuous values has an expansion. Nothing here builds a replicates-by-items index matrix.

What it is for: ratios, medians, utilities. For right/wrong answers use `intervals.tango`: percentile and BCa intervals of a
-1/0/1 difference miss the truth up to half of the time on small samples (tests/calibration), which is why the interval of
`bootstrap_delta` is offered for comparison only and BCa not at all there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.amounts import counted
from batchtrial.errors import DataError
from batchtrial.stats.distributions import norm_cdf, norm_ppf, z_two_sided
from batchtrial.stats.lattice import MOST_VALUES, Law, grid_of, resampling_law
from batchtrial.stats.pairing import Scores, complete
from batchtrial.stats.results import Estimate, check_level
from batchtrial.stats.scores import ALL_EQUAL, NO_PAIRS, TOO_FEW
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import by_row, dot

DEFAULT_REPLICATES = 9_999
SMALL_N = 20
"""Pairs below which a bootstrap interval carries a warning."""

EXPANDED = 1_000
"""Continuous values from which the mean's bootstrap law is expanded, its error being below that of 10^4 replicates."""

_CELLS_PER_CHUNK = 2_000_000
_MOST_LITERAL = 20_000_000  # draws of single items: a second of work
_MOST_UNDEFINED = 0.05

CellStatistic = Callable[[Floats], Floats]
"""Counts (m, cells) in, statistics (m,) out; NaN where a count makes it undefined (a zero denominator)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapEstimate(Estimate):
    """`Estimate` with the bootstrap's standard error in `se`; replicates is None when the law was computed (B = infinity)."""

    replicates: int | None = None


def bootstrap_delta(b: int, c: int, n: int, *, seed: int, level: float = 0.95, replicates: int | None = None) -> BootstrapEstimate:
    """Percentile bootstrap of delta = (b - c) / n, for comparison with `intervals.tango`.

    replicates None: the exact law of (B - C) / n for (B, C) multinomial(n; b/n, c/n), by FFT, without seed; else that many
    multinomial draws. se = sqrt(b + c - (b - c)^2 / n) / n. b = c = 0 or all items changed alike: a point, with a warning.
    n < 2: no interval. Raises DataError unless 0 <= b, c and b + c <= n.
    """
    if not (b >= 0 and c >= 0 and b + c <= n):
        raise DataError(f"changed items cannot be more than all items: b={b!r}, c={c!r}, n={n!r}")
    values, counts = np.array([-1.0, 0.0, 1.0]), np.array([c, n - b - c, b], dtype=np.int64)
    return _mean_percentile(values, counts, level, seed, replicates, exact=replicates is None, dropped=0)


def bootstrap_mean(
    differences: Scores,
    *,
    seed: int,
    level: float = 0.95,
    method: Literal["t", "percentile"] = "t",
    replicates: int = DEFAULT_REPLICATES,
) -> BootstrapEstimate:
    """Bootstrap interval of a mean difference.

    differences: shape (n,); None and NaN are dropped and counted. method "t": mean - se q, q the quantiles of the studentised
    mean; "percentile": quantiles of the mean itself, exact on a grid and expanded (Cornish-Fisher, error O(n^-3/2)) for
    1,000 or more continuous values, in which cases no random number is drawn and seed is None.
    n < 2 or all values equal: no interval. se is the ideal bootstrap's, sqrt(mean squared deviation / n).
    Source: Efron & Tibshirani 1993, chapters 12 and 13; Hall 1992 for the expansions.
    """
    d, dropped = complete(differences)
    if method not in ("t", "percentile"):
        raise DataError(f"no bootstrap is called {method!r}", hint='use "t" or "percentile"')
    values, counts = np.unique(d, return_counts=True)
    if method == "percentile":
        return _mean_percentile(values, counts, level, seed, replicates, exact=True, dropped=dropped)
    return _mean_t(values, counts, level, seed, replicates, dropped)


def bootstrap_cells(
    counts: ArrayLike,
    statistic: CellStatistic,
    *,
    seed: int,
    level: float = 0.95,
    method: Literal["bca", "percentile"] = "bca",
    replicates: int = DEFAULT_REPLICATES,
    dropped: int = 0,
) -> BootstrapEstimate:
    """Bootstrap interval of any statistic of how often each distinct outcome of an item occurred.

    counts: shape (cells,), items per distinct outcome (nine cells hold answered x right of both arms; `np.unique` makes cells
    of any rows). statistic: see `CellStatistic`. method "bca" corrects for bias and skewness, with the acceleration from the
    jackknife over cells. Replicates on which the statistic is undefined are left out; more than 5 % of them, an undefined
    value, n < 2 or a statistic that never varies give no interval.
    Source: Efron 1987, JASA 82:171.
    """
    cells = np.asarray(counts, dtype=np.float64)
    check_level(level)
    if cells.ndim != 1 or cells.size == 0 or not (cells >= 0).all() or not (cells == np.rint(cells)).all():
        raise DataError("cell counts are whole numbers, not negative, in one dimension")
    if method not in ("bca", "percentile"):
        raise DataError(f"no bootstrap of cells is called {method!r}", hint='use "bca" or "percentile"')
    n, name = int(cells.sum()), f"bootstrap_{method}"
    value = float(statistic(cells[None, :])[0]) if n else math.nan
    if math.isnan(value):
        reason = "the statistic is undefined on these data" if n else NO_PAIRS
        return _without(None, reason, level, name, n, dropped)
    if n < 2:
        return _without(value, TOO_FEW, level, name, n, dropped)
    draws = np.concatenate([statistic(chunk) for chunk in _resampled(cells.astype(np.int64), seed, replicates)])
    defined = np.sort(draws[~np.isnan(draws)])
    if defined.size < (1.0 - _MOST_UNDEFINED) * replicates:
        return _without(value, "the statistic is undefined in too many resamples", level, name, n, dropped)
    tolerance = 1e-12 * max(1.0, abs(value))
    if defined[-1] - defined[0] <= tolerance:
        return _without(value, ALL_EQUAL, level, name, n, dropped)
    law = Law(values=defined, probabilities=np.full(defined.size, 1.0 / defined.size))
    tail = (1.0 - level) / 2.0
    tails = (tail, 1.0 - tail)
    if method == "bca":
        tails = bca_tails(law.share_below(value, tolerance), _acceleration(cells, statistic), level)
    warnings = () if defined.size == replicates else (f"undefined in {replicates - defined.size} resamples",)
    se = float(np.std(defined, ddof=1))
    return _interval(value, law.quantile(tails[0]), law.quantile(tails[1]), level, name, n, dropped, se, warnings, seed=seed, replicates=replicates)


def bca_tails(share_below: float, acceleration: float, level: float) -> tuple[float, float]:
    """Tail probabilities of the BCa interval: Phi(z0 + (z0 + z) / (1 - a (z0 + z))) at z = -+z_level, Efron 1987.

    share_below: P(theta* < theta) + P(theta* = theta) / 2, whose normal quantile is the bias correction z0.
    """
    tail = 1e-12
    z0, z = norm_ppf(min(max(share_below, tail), 1.0 - tail)), z_two_sided(level)

    def moved(edge: float) -> float:
        reach = 1.0 - acceleration * (z0 + edge)
        return norm_cdf(z0 + (z0 + edge) / reach) if reach > 0.0 else norm_cdf(math.copysign(math.inf, z0 + edge))

    return moved(-z), moved(z)


def median_of(values: ArrayLike) -> CellStatistic:
    """Cell statistic: the median of items whose distinct values these are, ascending; even n averages the middle two."""
    v = np.asarray(values, dtype=np.float64)
    if v.ndim != 1 or v.size == 0 or not (np.diff(v) > 0).all():
        raise DataError("the values of the cells must ascend, as np.unique returns them")

    def statistic(counts: Floats) -> Floats:
        upto = np.cumsum(counts, axis=1)
        half = upto[:, -1:] / 2.0
        return np.asarray(0.5 * (v[np.argmax(upto >= half, axis=1)] + v[np.argmax(upto > half, axis=1)]))

    return statistic


def _mean_percentile(
    values: Floats,
    counts: NDArray[np.int64],
    level: float,
    seed: int,
    replicates: int | None,
    *,
    exact: bool,
    dropped: int,
) -> BootstrapEstimate:
    check_level(level)
    n = int(counts.sum())
    if n == 0:
        return _without(None, NO_PAIRS, level, "bootstrap_percentile", 0, dropped)
    mean, se = _mean_se(values, counts, n)
    if n < 2:
        return _without(mean, TOO_FEW, level, "bootstrap_percentile", n, dropped)
    if se == 0.0:
        return _without(mean, ALL_EQUAL, level, "bootstrap_percentile", n, dropped)
    tail = (1.0 - level) / 2.0
    grid = grid_of(values, counts) if exact else None
    law = resampling_law(grid) if grid is not None else None
    used: int | None = None
    if law is not None:
        low, high = law.interval(tail, tail)
    elif (ends := _expanded_ends(values, counts, mean, se, n, tail)) is not None:
        low, high = ends
    else:
        used = replicates or DEFAULT_REPLICATES
        shifts = np.sort(np.concatenate([shift for shift, _ in _mean_draws(values - mean, counts, seed, used)]))
        simulated = Law(values=mean + shifts, probabilities=np.full(used, 1.0 / used))
        low, high = simulated.interval(tail, tail)
    return _interval(
        mean,
        low,
        high,
        level,
        "bootstrap_percentile",
        n,
        dropped,
        se,
        (),
        seed=None if used is None else seed,
        replicates=used,
    )


def _mean_t(values: Floats, counts: NDArray[np.int64], level: float, seed: int, replicates: int, dropped: int) -> BootstrapEstimate:
    check_level(level)
    n = int(counts.sum())
    if n == 0:
        return _without(None, NO_PAIRS, level, "bootstrap_t", 0, dropped)
    mean, se = _mean_se(values, counts, n)
    if n < 2 or se == 0.0:
        return _without(mean, TOO_FEW if n < 2 else ALL_EQUAL, level, "bootstrap_t", n, dropped)
    tail = (1.0 - level) / 2.0
    skew, excess = _shape(values, counts, mean, se, n)
    if values.size > MOST_VALUES and n * float(replicates) > _MOST_LITERAL and _is_mild(skew, excess):
        # Hall's expansion: the studentised mean's quantile is z - skew (2 z^2 + 1) / 6, to O(1/n).
        z = z_two_sided(level)
        low_t, high_t = (end - skew * (2.0 * z * z + 1.0) / 6.0 for end in (-z, z))
        return _interval(
            mean,
            mean - high_t * se,
            mean - low_t * se,
            level,
            "bootstrap_t",
            n,
            dropped,
            se,
            (),
            seed=None,
            replicates=None,
        )
    ratios = []
    for shift, second in _mean_draws(values - mean, counts, seed, replicates):
        spread = np.sqrt(np.maximum(second - np.square(shift), 0.0) / n)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = shift / spread
        # A resample of one single value has no spread: its ratio is as extreme as the side it falls on.
        ratios.append(np.where(spread > 1e-12 * se, ratio, np.copysign(np.inf, shift)))
    t = np.sort(np.concatenate(ratios))
    low_t, high_t = Law(values=t, probabilities=np.full(t.size, 1.0 / t.size)).interval(tail, tail)
    if not (math.isfinite(low_t) and math.isfinite(high_t)):
        return _without(mean, "too many resamples have no spread", level, "bootstrap_t", n, dropped)
    return _interval(mean, mean - high_t * se, mean - low_t * se, level, "bootstrap_t", n, dropped, se, (), seed=seed, replicates=replicates)


def _expanded_ends(values: Floats, counts: NDArray[np.int64], mean: float, se: float, n: int, tail: float) -> tuple[float, float] | None:
    """Cornish-Fisher quantiles of the bootstrap mean; None when n is small or the data too skewed for them."""
    if n < EXPANDED or values.size <= MOST_VALUES:
        return None
    skew, excess = _shape(values, counts, mean, se, n)
    if not _is_mild(skew, excess):
        return None

    def quantile(p: float) -> float:
        z = norm_ppf(p)
        bent = z + (z * z - 1) * skew / 6 + (z**3 - 3 * z) * excess / 24 - (2 * z**3 - 5 * z) * skew * skew / 36
        return mean + se * bent

    return quantile(tail), quantile(1.0 - tail)


def _shape(values: Floats, counts: NDArray[np.int64], mean: float, se: float, n: int) -> tuple[float, float]:
    """Skewness and excess kurtosis of the bootstrap mean: those of the data over sqrt(n) and n."""
    scaled = (values - mean) / (se * math.sqrt(n))
    square = scaled * scaled
    return dot(counts, square * scaled) / n / math.sqrt(n), (dot(counts, square * square) / n - 3.0) / n


def _is_mild(skew: float, excess: float) -> bool:
    """Whether the expansions' next terms are negligible at 95 and 99 %."""
    return abs(skew) <= 0.3 and abs(excess) <= 0.5


def _mean_draws(centred: Floats, counts: NDArray[np.int64], seed: int, replicates: int) -> Iterator[tuple[Floats, Floats]]:
    """Mean of the centred values and of their squares in each resample, a chunk at a time.

    With too many continuous values to draw one by one, the most extreme ones are drawn and the sum of the others, of which
    none matters alone any more, is normal given how many of them there are.
    """
    n = int(counts.sum())
    square = np.square(centred)
    if centred.size <= MOST_VALUES or n * float(replicates) <= _MOST_LITERAL:
        for chunk in _resampled(counts, seed, replicates):
            yield by_row(chunk, centred) / n, by_row(chunk, square) / n
        return
    order = np.argsort(-square, kind="stable")
    top, rest = order[:MOST_VALUES], order[MOST_VALUES:]
    n_rest = int(counts[rest].sum())
    mean, second = dot(counts[rest], centred[rest]) / n_rest, dot(counts[rest], square[rest]) / n_rest
    sigma = math.sqrt(max(second - mean * mean, 0.0))
    normal = np.random.default_rng([seed, 1])
    for chunk in _resampled(np.append(counts[top], n_rest), seed, replicates):
        m = chunk[:, -1]
        bulk = m * mean + np.sqrt(m) * sigma * normal.standard_normal(m.size)
        yield (by_row(chunk[:, :-1], centred[top]) + bulk) / n, (by_row(chunk[:, :-1], square[top]) + m * second) / n


def _resampled(counts: NDArray[np.int64], seed: int, replicates: int) -> Iterator[Floats]:
    """Counts of each cell in resamples of the same size, a chunk (m, cells) at a time."""
    if replicates < 1:
        raise DataError(f"a bootstrap needs at least one replicate, not {replicates!r}")
    rng, n, cells = np.random.default_rng(seed), int(counts.sum()), counts.size
    occupied = np.repeat(np.arange(cells), counts) if cells > n // 4 else None
    rows = max(1, _CELLS_PER_CHUNK // max(cells, n if occupied is not None else 1))
    for start in range(0, replicates, rows):
        m = min(rows, replicates - start)
        if occupied is None:
            yield rng.multinomial(n, counts / n, size=m).astype(np.float64)
            continue
        drawn = occupied[rng.integers(0, n, size=(m, n))] + cells * np.arange(m)[:, None]
        yield np.bincount(drawn.ravel(), minlength=m * cells).reshape(m, cells).astype(np.float64)


def _acceleration(cells: Floats, statistic: CellStatistic) -> float:
    """Efron's a from the jackknife: leaving out one item of a cell is the same for all items of that cell."""
    held = np.flatnonzero(cells)
    left: list[Floats] = []
    for part in np.array_split(held, max(1, held.size * cells.size // _CELLS_PER_CHUNK)):
        without = np.repeat(cells[None, :], part.size, axis=0)
        without[np.arange(part.size), part] -= 1.0
        left.append(statistic(without))
    values, weights = np.concatenate(left), cells[held]
    known = ~np.isnan(values)
    values, weights = values[known], weights[known]
    if values.size == 0:
        return 0.0
    gaps = dot(weights, values) / float(weights.sum()) - values
    spread = dot(weights, np.square(gaps))
    return dot(weights, gaps**3) / (6.0 * spread**1.5) if spread > 0.0 else 0.0


def _mean_se(values: Floats, counts: NDArray[np.int64], n: int) -> tuple[float, float]:
    mean = dot(counts, values) / n
    variance = dot(counts, np.square(values - mean)) / n
    largest = float(np.abs(values).max())
    return mean, (0.0 if math.sqrt(variance) <= 1e-14 * largest else math.sqrt(variance / n))


def _interval(
    value: float,
    low: float,
    high: float,
    level: float,
    method: str,
    n: int,
    dropped: int,
    se: float,
    warnings: tuple[str, ...],
    *,
    seed: int | None,
    replicates: int | None,
) -> BootstrapEstimate:
    if n < SMALL_N:
        warnings = (*warnings, f"only {counted(n, 'pair')}: bootstrap intervals are too narrow below {SMALL_N}")
    if low > value or high < value:
        warnings = (*warnings, "the interval was widened to hold its estimate")
    return BootstrapEstimate(
        value=value,
        ci_low=min(low, value),
        ci_high=max(high, value),
        level=level,
        method=method,
        n=n,
        dropped=dropped,
        se=se,
        seed=seed,
        warnings=warnings,
        replicates=replicates,
    )


def _without(value: float | None, reason: str, level: float, method: str, n: int, dropped: int) -> BootstrapEstimate:
    return BootstrapEstimate(value=value, ci_low=None, ci_high=None, level=level, method=method, n=n, dropped=dropped, reason=reason)
