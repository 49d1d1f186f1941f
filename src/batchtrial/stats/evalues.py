"""Evidence that may be read after every item: e-values, e-processes and the intervals they give.

An e-process E_1, E_2, ... starts at 1 and, while the null holds, has expectation at most 1 at every stopping time.
By Ville's inequality it ever reaches 1/alpha with probability at most alpha, so a run may be looked at after every
item and stopped at will. Wealth is kept as a logarithm: at a million items the e-value itself overflows a float.

Nothing here knows about files or looks; group-sequential bounds for a few planned looks are in `sequential`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import SMALLEST_P, Estimate, check_level, undefined_estimate

Floats = NDArray[np.float64]

_COARSE = 0.02  # distance of the nulls that are tried first
_CELLS_PER_CHUNK = 2_000_000
MAX_LOG = math.log(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class EValue:
    """Evidence against "the arms do not differ", valid at any stopping time.

    e_value is None when it is too large for a float (log_e is always finite); anytime_p = min(1, 1 / largest e-value
    so far).
    """

    log_e: float
    e_value: float | None
    anytime_p: float
    n: int
    method: str
    dropped: int = 0
    warnings: tuple[str, ...] = ()
    reason: str | None = None


def paired_evalue(b: int, c: int, *, concentration: float = 5.0) -> EValue:
    """E-value of the discordant pairs against P(treatment wins | discordant) = 1/2, from the counts so far.

    b: pairs that only the treatment got right; c: only the control. concentration a: the prior Beta(a, a) on the win
    probability; 5 suits a planned difference of about 5 percentage points, 1 an unknown one. b + c = 0 gives e = 1.
    E = 2^(b+c) B(b+a, c+a) / B(a, a). Raises DataError on negative counts or a <= 0.
    Source: Robbins 1970, Ann Math Stat 41:1397; Ville 1939.
    """
    log_e = float(_log_mixture(np.asarray([b]), np.asarray([c]), concentration)[0])
    return _evalue(log_e, log_e, n=b + c, method=f"beta_binomial(a={concentration:g})")


def paired_evalue_path(differences: ArrayLike, *, concentration: float = 5.0) -> Floats:
    """log E after each item. differences: shape (n,), each -1, 0 or 1, in the order in which items were answered."""
    values = _clean(differences)[0]
    if not np.isin(values, (-1.0, 0.0, 1.0)).all():
        raise DataError("paired e-values need differences of -1, 0 or 1", hint="use betting_path for scores")
    return _log_mixture(np.cumsum(values > 0), np.cumsum(values < 0), concentration)


def anytime_evalue(log_e_path: ArrayLike, *, method: str, dropped: int = 0) -> EValue:
    """The record at the end of a path: e-value now, and the anytime p-value from the highest point reached."""
    path = np.asarray(log_e_path, dtype=np.float64)
    if path.size == 0:
        return _evalue(0.0, 0.0, n=0, method=method, dropped=dropped, reason="no items")
    return _evalue(float(path[-1]), float(path.max()), n=path.size, method=method, dropped=dropped)


def betting_path(differences: ArrayLike, *, bound: float = 1.0, null: float = 0.0) -> Floats:
    """log E after each item against "the mean difference is `null`", for scores in [-bound, bound].

    differences: shape (n,), in the order of answering; a cluster enters as one number (its sum over its largest
    possible sum). Half of the wealth bets on a positive, half on a negative difference; each bet is set by the mean
    and variance of the items before it (approximate growth rate, truncated so that no item can take more than half
    of the wealth). Missing values are skipped. Raises DataError for values outside the bound.
    Source: Waudby-Smith & Ramdas 2024, JRSS-B 86:1, sections 4 and B.2.
    """
    values = _bounded(differences, bound)[0]
    return _hedged(values, np.asarray([null / bound]))[:, 0]


def betting_evalue(differences: ArrayLike, *, bound: float = 1.0, null: float = 0.0) -> EValue:
    """The e-value of `betting_path` at its end, with the anytime p-value."""
    dropped = _clean(differences)[1]
    return anytime_evalue(betting_path(differences, bound=bound, null=null), method="betting", dropped=dropped)


def betting_interval(differences: ArrayLike, *, bound: float = 1.0, level: float = 0.95) -> Estimate:
    """Anytime-valid interval for the mean difference: the nulls that no bet has ruled out at any time so far.

    Nulls are tried 0.02 bound apart and, at the ends, 0.00125 bound apart; the ends are moved out by one such step. Costs
    about 150 passes over the data. No items: None.
    """
    check_level(level)
    values, dropped = _bounded(differences, bound)
    if values.size == 0:
        return undefined_estimate("no items", level=level, method="betting", n=0, dropped=dropped)
    mean, limit = float(values.mean()), -math.log1p(-level)
    coarse = np.linspace(-1.0, 1.0, 101)
    kept = coarse[_stands(values, coarse, limit)]
    low, high = (float(kept[0]), float(kept[-1])) if kept.size else (mean, mean)
    below, above = np.linspace(low - _COARSE, low, 17), np.linspace(high, high + _COARSE, 17)
    fine = np.clip(np.concatenate([below, above]), -1.0, 1.0)
    kept = fine[_stands(values, fine, limit)]
    low, high = (min(low, float(kept[0])), max(high, float(kept[-1]))) if kept.size else (low, high)
    return Estimate(
        value=mean * bound,
        ci_low=max(-1.0, min(low - _COARSE / 16, mean)) * bound,
        ci_high=min(1.0, max(high + _COARSE / 16, mean)) * bound,
        level=level,
        method="betting",
        n=values.size,
        dropped=dropped,
    )


def _stands(values: Floats, nulls: Floats, limit: float) -> NDArray[np.bool_]:
    """Which nulls were never ruled out, in chunks that bound the memory."""
    parts = np.array_split(nulls, max(1, math.ceil(values.size * nulls.size / _CELLS_PER_CHUNK)))
    return np.concatenate([_hedged(values, part).max(axis=0) < limit for part in parts if part.size])


def _log_mixture(wins: NDArray[np.int64], losses: NDArray[np.int64], concentration: float) -> Floats:
    """log of 2^m B(b+a, c+a) / B(a, a), as running sums of logs: no special function needed."""
    if concentration <= 0 or wins.min(initial=0) < 0 or losses.min(initial=0) < 0:
        raise DataError("e-values need counts >= 0 and a concentration above 0")
    top = int(max(wins.max(initial=0), losses.max(initial=0)))
    total = wins + losses
    rising = _log_rising(concentration, top)
    both = _log_rising(2 * concentration, int(total.max(initial=0)))[total]
    # Wins and losses are added first, so that swapping the arms gives the same bits.
    return np.asarray((rising[wins] + rising[losses]) + (total * math.log(2.0) - both))


def _log_rising(start: float, count: int) -> Floats:
    """log of start (start+1) ... (start+k-1) for k = 0..count."""
    return np.concatenate([[0.0], np.cumsum(np.log(start + np.arange(count)))])


def _hedged(values: Floats, nulls: Floats) -> Floats:
    """log of the mean wealth of the two bettors, shape (n_values, n_nulls). Values and nulls in [-1, 1]."""
    count = np.arange(1, values.size + 1)
    running_mean = np.cumsum(values) / (count + 1)  # one pseudo-item at 0
    running_var = (0.25 + np.cumsum((values - running_mean) ** 2)) / (count + 1)
    mean_before = np.concatenate([[0.0], running_mean[:-1]])[:, None]
    var_before = np.concatenate([[0.25], running_var[:-1]])[:, None]
    edge = mean_before - nulls
    bet = edge / (var_before + edge**2)
    gain = values[:, None] - nulls
    with np.errstate(divide="ignore"):  # a null at the end of the range allows any bet: 0.5 / 0
        up = np.clip(bet, 0.0, 0.5 / (1.0 + nulls))
        down = np.clip(-bet, 0.0, 0.5 / (1.0 - nulls))
    log_up = np.cumsum(np.log1p(up * gain), axis=0)
    log_down = np.cumsum(np.log1p(-down * gain), axis=0)
    return np.asarray(np.logaddexp(log_up, log_down) - math.log(2.0))


def _clean(differences: ArrayLike) -> tuple[Floats, int]:
    values = as_scores(differences, "differences")
    kept = values[~np.isnan(values)]
    return kept, values.size - kept.size


def _bounded(differences: ArrayLike, bound: float) -> tuple[Floats, int]:
    values, dropped = _clean(differences)
    if bound <= 0 or (values.size and float(np.abs(values).max()) > bound * (1 + 1e-12)):
        raise DataError("a difference lies outside the declared bound", where=f"bound {bound:g}")
    return np.clip(values / bound, -1.0, 1.0), dropped


def _evalue(log_e: float, highest: float, *, n: int, method: str, dropped: int = 0, reason: str | None = None) -> EValue:
    return EValue(
        log_e=log_e,
        e_value=math.exp(log_e) if log_e < MAX_LOG else None,
        anytime_p=max(SMALLEST_P, math.exp(-max(0.0, highest))),
        n=n,
        method=method,
        dropped=dropped,
        reason=reason,
    )
