"""How far a judge may be believed: agreement, flips with the order, and what it likes whatever the answer says.

Each is a number with an interval, to be shown beside what the judge says; none of them corrects it (`judge.ppi_mean` does).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.intervals import wilson
from batchtrial.stats.results import Estimate, check_level, undefined_estimate
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]
REPLICATES = 2_000


def kappa(first: ArrayLike, second: ArrayLike, *, seed: int, level: float = 0.95, replicates: int = REPLICATES) -> Estimate:
    """Cohen's kappa of two raters over the same items, with a percentile bootstrap interval over items.

    first, second: categories as numbers, shape (n,), NaN where a rater gave none: such items are dropped and counted. Without two items, or where
    both raters always say the same one category, there is no kappa, with the reason; where one of them does it is 0 whatever the other says, and
    has no interval. A bootstrap sample in which it is undefined is left out.
    Source: Cohen 1960, Educ Psychol Meas 20:37; Efron & Tibshirani 1993, ch. 13. Raises DataError on different lengths.
    """
    check_level(level)
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise DataError("two raters rate the same items", where=f"{a.size} and {b.size}")
    keep = ~(np.isnan(a) | np.isnan(b))
    n, dropped = int(keep.sum()), int((~keep).sum())
    if n < 2:
        return undefined_estimate("fewer than two items have both ratings", level=level, method="kappa_bootstrap", n=n, dropped=dropped)
    names, codes = np.unique(np.concatenate([a[keep], b[keep]]), return_inverse=True)
    k = names.size
    counts = np.bincount(codes[:n] * k + codes[n:], minlength=k * k).astype(np.float64)
    value = float(_kappas(counts[None, :], k)[0])
    if np.isnan(value):
        return undefined_estimate("both always give the same one verdict", level=level, method="kappa_bootstrap", n=n, dropped=dropped)
    if min(np.unique(codes[:n]).size, np.unique(codes[n:]).size) == 1:
        why = "one of the two always gives the same verdict: no agreement beyond chance can show"
        return Estimate(value=0.0, ci_low=None, ci_high=None, level=level, method="kappa_bootstrap", n=n, dropped=dropped, reason=why)
    drawn = np.random.default_rng(seed).multinomial(n, counts / n, size=replicates).astype(np.float64)
    found = np.sort(_kappas(drawn, k))
    found = found[~np.isnan(found)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(
        value=value,
        ci_low=min(float(low), value),
        ci_high=max(float(high), value),
        level=level,
        method="kappa_bootstrap",
        n=n,
        dropped=dropped,
        seed=seed,
    )


def _kappas(counts: Floats, k: int) -> Floats:
    """Kappa of each row of counts, the k x k cells one behind the other; NaN where chance alone already agrees always."""
    cells = counts.reshape(-1, k, k) / counts.sum(axis=1)[:, None, None]
    seen = np.trace(cells, axis1=1, axis2=2)
    chance = (cells.sum(axis=2) * cells.sum(axis=1)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(chance < 1.0 - 1e-12, (seen - chance) / (1.0 - chance), np.nan)
    return found


def flipped(first_ab: ArrayLike, first_ba: ArrayLike) -> Floats:
    """1 for a pair whose verdict changes sides with the order, 0 for one whose does not, NaN where an order has none.

    first_ab, first_ba: 1 where the first answer wins, 0 where the second does, 0.5 for a tie, in the two orders; of a pair that was put several times
    their means. A judge that is sure of an answer is for the first in one order and for the second in the other; the same place in both is a flip.
    """
    ab, ba = np.asarray(first_ab, dtype=np.float64), np.asarray(first_ba, dtype=np.float64)
    if ab.shape != ba.shape:
        raise DataError("both orders judge the same pairs", where=f"{ab.size} and {ba.size}")
    sides = (ab - 0.5) * (ba - 0.5)
    return np.where(np.isnan(sides), np.nan, (sides > 0.0).astype(np.float64))


def flip_rate(flips: ArrayLike, level: float = 0.95) -> Estimate:
    """Share of pairs that are `flipped`, with Wilson's interval.

    flips: by item, of one with several pairs the share of these, NaN without: its pairs count as one, since they flip together.
    """
    given = np.asarray(flips, dtype=np.float64)
    known = given[~np.isnan(given)]
    dropped = given.size - known.size
    if known.size == 0:
        return undefined_estimate("no pair was judged in both orders", level=level, method="wilson", n=0, dropped=dropped)
    return replace(wilson(float(known.sum()), known.size, level), dropped=dropped)


def position_bias(first_ab: ArrayLike, first_ba: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Estimate:
    """P(first wins | AB) + P(first wins | BA) - 1: 0 for a judge without a place that it likes, 1 when the first always wins."""
    ab, ba, dropped = _both(first_ab, first_ba)
    keep = ~(np.isnan(np.asarray(first_ab, dtype=np.float64)) | np.isnan(np.asarray(first_ba, dtype=np.float64)))
    units = None if clusters is None else np.asarray(clusters)[keep]
    return _mean(ab + ba - 1.0, units, level, dropped, "no pair was judged in both orders")


def length_bias(preferred: ArrayLike, longer: ArrayLike, level: float = 0.95) -> Estimate:
    """Share of decided pairs in which the longer answer wins, with Wilson's interval: .5 where length plays no part.

    preferred, longer: sign of what the judge prefers and of which answer is longer, +1 the treatment's, -1 the control's, 0 neither.
    A longer answer may deserve to win: read it beside the same share among labels.
    """
    won, length = np.sign(np.asarray(preferred, dtype=np.float64)), np.sign(np.asarray(longer, dtype=np.float64))
    decided = (np.nan_to_num(won) != 0.0) & (length != 0.0)
    n = int(decided.sum())
    if n == 0:
        return undefined_estimate("no decided pair has answers of different length", level=level, method="wilson", n=0, dropped=int(won.size))
    found = wilson(int((won[decided] == length[decided]).sum()), n, level)
    return Estimate(value=found.value, ci_low=found.ci_low, ci_high=found.ci_high, level=level, method="wilson", n=n, dropped=int(won.size - n))


def leniency(judged: ArrayLike, labels: ArrayLike, *, clusters: ArrayLike | None = None, level: float = 0.95) -> Estimate:
    """Mean of what the judge gives beyond the label, over labelled answers: of an arm its leniency, of differences the arm that it favours.

    With a judge of the same model family as one arm, the second is its self-preference.
    """
    judge, label = np.asarray(judged, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    if judge.shape != label.shape:
        raise DataError("every answer needs a judged score and a label, or NaN", where=f"{judge.size} and {label.size}")
    keep = ~(np.isnan(judge) | np.isnan(label))
    units = None if clusters is None else np.asarray(clusters)[keep]
    return _mean((judge - label)[keep], units, level, int((~keep).sum()), "no judged answer has a label")


def _both(first_ab: ArrayLike, first_ba: ArrayLike) -> tuple[Floats, Floats, int]:
    ab, ba = np.asarray(first_ab, dtype=np.float64), np.asarray(first_ba, dtype=np.float64)
    if ab.shape != ba.shape:
        raise DataError("both orders judge the same pairs", where=f"{ab.size} and {ba.size}")
    keep = ~(np.isnan(ab) | np.isnan(ba))
    return ab[keep], ba[keep], int((~keep).sum())


def _mean(values: Floats, clusters: NDArray[np.generic] | None, level: float, dropped: int, why: str) -> Estimate:
    if values.size == 0:
        return undefined_estimate(why, level=level, method="mean", n=0, dropped=dropped)
    found = paired_t(values, level).estimate if clusters is None else clustered_mean(values, clusters, level=level).estimate
    return replace(found, dropped=dropped)
