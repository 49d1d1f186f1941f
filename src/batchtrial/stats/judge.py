"""Rates and differences scored by a fallible judge, corrected with a small set that people labelled.

Two designs. With human labels on some of the items (`ppi_mean`), the judge fills in the rest and the labelled items
measure its bias. With only the judge's hit rates on separate labelled sets (`judged_rate`), the rate is unmixed from
them. For paired arms pass differences treatment - control to `ppi_mean`: one rectifier for each item.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import t_sf, t_two_sided, z_two_sided
from batchtrial.stats.labelled_groups import Group, spread
from batchtrial.stats.labels import codes_of
from batchtrial.stats.pairing import as_scores
from batchtrial.stats.results import Estimate, Test, check_level, undefined_estimate, undefined_test
from batchtrial.stats.sums import covariance

Floats = NDArray[np.float64]

FEW_LABELS = 30
FEW_RARE = 10


def ppi_mean(
    truth: ArrayLike,
    judged: ArrayLike,
    *,
    weight: float | None = None,
    level: float = 0.95,
    is_small_sample: bool = True,
    clusters: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    unseen: float = 0.0,
) -> Estimate:
    """Mean of the truth: weight * mean(judged, unlabelled) + mean(truth - weight * judged, labelled).

    truth: shape (n,), human scores (or differences of scores), NaN where not labelled; judged: shape (n,), the
    judge's score of every item, NaN drops the item and is counted. weight None: the one of least variance,
    cov(truth, judged) / ((1 + n_labelled / n_unlabelled) var(judged)) in [0, 1], so a useless judge costs nothing
    (PPI++). is_small_sample: variances with n - 1 and Student's quantile with n_labelled - 1 degrees of freedom;
    False: normal quantile and variances with n, as the reference implementation ppi_py, which covers too little
    below 100 labels. Fewer than 30 labels warn, as do fewer than 10 that differ from the most common one (a rate of
    .05 is covered .75 to .90 by 30 to 100 labels); fewer than 2 or no spread leave no interval. clusters: one name per item of what
    makes items depend on each other: then CR2 variance with Bell and McCaffrey's degrees of freedom, at most one less than clusters with a label.
    strata: one name per item where items were drawn for labelling at a different rate in each stratum, such as by what the judge said: then the
    sum of the strata's estimates by their share of all items. unseen: an error of the judge of this size is imagined on one labelled item, since
    rare errors may be on none of those that were labelled: a judge who never erred there is not known never to err. Raises DataError on a weight
    outside [0, 1]. Source: Angelopoulos et al. 2023,
    Science 382:669; Angelopoulos, Duchi & Zrnic 2023, arXiv:2311.01453; Fisch et al. 2024, arXiv:2406.04291 (strata).
    """
    _check(level, weight)
    if clusters is not None or strata is not None:
        return _in_groups(truth, judged, clusters, strata, weight, level, unseen)
    y, f_labelled, f_rest, dropped = _labelled_and_rest(truth, judged)
    if (n := y.size) < 2:
        why = "no item has both a label and a judged score" if n == 0 else "an interval needs at least two labels"
        value = float(y[0] - (weight or 0.0) * f_labelled[0] + (weight or 0.0) * _mean(f_rest)) if n else None
        return undefined_estimate(why, level=level, method="ppi", n=n, dropped=dropped, value=value)
    used = (_best_weight(y, f_labelled, f_rest) if weight is None else weight) if f_rest.size else 0.0
    rectifier = y - used * f_labelled
    value = float(rectifier.mean()) + used * _mean(f_rest)
    ddof = 1 if is_small_sample else 0
    variance = float(rectifier.var(ddof=ddof)) / n + _of_unseen(unseen, n)
    if used and f_rest.size > ddof:
        variance += used**2 * float(f_rest.var(ddof=ddof)) / f_rest.size
    warnings = _label_warnings(y)
    method = f"ppi(weight={used:.3g})"
    if variance <= (1e-14 * max(float(np.abs(part).max(initial=0.0)) for part in (y, f_labelled, f_rest))) ** 2:
        why = "no spread among the labelled items"
        return undefined_estimate(why, level=level, method=method, n=n, dropped=dropped, value=value, warnings=warnings)
    se = math.sqrt(variance)
    quantile = t_two_sided(level, n - 1.0) if is_small_sample else z_two_sided(level)
    return _symmetric(value, se, quantile, level=level, method=method, n=n, dropped=dropped, warnings=warnings)


def _of_unseen(size: float, n: int) -> float:
    """What an error of this size on one of n items adds to the variance of their mean."""
    return size**2 / (n * (n - 1))


def corrected_test(estimate: Estimate) -> tuple[Test, float | None]:
    """The two-sided test that a corrected mean is 0, which says the same as its interval; and its degrees of freedom."""
    if estimate.value is None or not estimate.se or estimate.ci_high is None:
        return undefined_test(estimate.reason or "there is no interval", method="ppi_t", n=estimate.n), None
    quantile = (estimate.ci_high - estimate.value) / estimate.se
    low, high = 1.0, 1e9  # the quantile falls as the degrees of freedom grow
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if t_two_sided(estimate.level, middle) > quantile else (low, middle)
    df = math.sqrt(low * high)
    statistic = estimate.value / estimate.se
    return Test(statistic=statistic, p_value=min(1.0, 2.0 * t_sf(abs(statistic), df)), method="ppi_t", n=estimate.n, dropped=estimate.dropped), df


def _check(level: float, weight: float | None) -> None:
    check_level(level)
    if weight is not None and not 0.0 <= weight <= 1.0:
        raise DataError("the judge's weight lies between 0 and 1", where=f"{weight:g}")


def _in_groups(
    truth: ArrayLike, judged: ArrayLike, clusters: ArrayLike | None, strata: ArrayLike | None, weight: float | None, level: float, unseen: float
) -> Estimate:
    """`ppi_mean` where items depend on each other, or were drawn for labelling by strata."""
    y, f = as_scores(truth, "truth"), as_scores(judged, "judged")
    keep = ~np.isnan(f)
    if y.shape != f.shape or any(given is not None and np.asarray(given).shape != f.shape for given in (clusters, strata)):
        raise DataError("every item needs a truth (or NaN), a judged score, and its cluster and stratum", where=f"{y.size} and {f.size}")
    y, f, n_all, dropped = y[keep], f[keep], int(keep.sum()), int((~keep).sum())
    units = np.arange(n_all) if clusters is None else codes_of(np.asarray(clusters)[keep])
    names = np.zeros(n_all) if strata is None else np.asarray(strata)[keep]
    is_labelled = ~np.isnan(y)
    n, method = int(is_labelled.sum()), "ppi" + ("_strata" if strata is not None else "") + ("_cr2" if clusters is not None else "")
    groups: list[Group] = []
    means, place_of = [], np.zeros(n_all, dtype=np.intp)
    for place, name in enumerate(np.unique(names)):
        inside = names == name
        with_label, without = np.flatnonzero(inside & is_labelled), np.flatnonzero(inside & ~is_labelled)
        share = float(inside.sum()) / n_all
        if with_label.size < 2:
            why = "an interval needs at least two labels" + (f" in each stratum, and {name} has {with_label.size}" if strata is not None else "")
            return undefined_estimate(why, level=level, method=method, n=n, dropped=dropped)
        used = _best_weight(y[with_label], f[with_label], f[without]) if weight is None else weight
        used = used if without.size >= 2 else 0.0
        groups.append(Group(with_label, y[with_label] - used * f[with_label], share))
        if used:
            groups.append(Group(without, f[without], share * used))
        place_of[inside] = place
        means.append(float((y[with_label] - used * f[with_label]).mean()) + used * _mean(f[without]))
    if not groups:
        return undefined_estimate("no item has both a label and a judged score", level=level, method=method, n=n, dropped=dropped)
    value = sum(group.weight * float(group.values.mean()) for group in groups)
    found = spread(groups, units.astype(np.intp), np.array(means)[place_of] - value)
    warnings = _label_warnings(y[is_labelled])
    se = None if found.se is None else math.hypot(found.se, math.sqrt(_of_unseen(unseen, n)))
    if se is None or se <= 1e-14 * max(1.0, float(np.abs(f).max())):
        why = "the labelled items stand on a single cluster" if se is None else "no spread among the labelled items"
        return undefined_estimate(why, level=level, method=method, n=n, dropped=dropped, value=value, warnings=warnings)
    n_units, n_strata = np.unique(units[is_labelled]).size, len(means)
    most = float(n_units - n_strata)
    quantile = t_two_sided(level, max(1.0, min(found.df or (most if unseen else 1.0), most)))
    return _symmetric(value, se, quantile, level=level, method=method, n=n, dropped=dropped, warnings=warnings)


def _symmetric(value: float, se: float, quantile: float, **more: Any) -> Estimate:
    return Estimate(value=value, ci_low=value - quantile * se, ci_high=value + quantile * se, se=se, **more)


def corrected_rate(judged_rate: float, *, sensitivity: float, specificity: float) -> float:
    """True rate behind a judged one, (p + specificity - 1) / (sensitivity + specificity - 1), kept in [0, 1].

    Raises DataError for a judge no better than chance (sensitivity + specificity <= 1) and for numbers outside [0,
    1]. Source: Rogan & Gladen 1978, Am J Epidemiol 107:71.
    """
    if not all(0.0 <= rate <= 1.0 for rate in (judged_rate, sensitivity, specificity)):
        raise DataError("rates lie between 0 and 1")
    skill = sensitivity + specificity - 1.0
    if skill <= 0.0:
        raise DataError("the judge is no better than chance: sensitivity + specificity is at most 1")
    return min(1.0, max(0.0, (judged_rate + specificity - 1.0) / skill))


def judged_rate(
    n_judged_positive: int,
    n_judged: int,
    *,
    n_positive_found: int,
    n_positive: int,
    n_negative_passed: int,
    n_negative: int,
    level: float = 0.95,
) -> Estimate:
    """True rate with an interval that holds the judge's own uncertainty.

    n_judged_positive of n_judged items were called positive; on labelled sets the judge found n_positive_found of
    n_positive and passed n_negative_passed of n_negative. A judge that looks no better than chance: None with the
    reason. Adjusted interval of Lang & Reiczigel 2014, Prev Vet Med 113:13 (pseudo-counts, then the delta method);
    its coverage in simulations stays above .95 where the plain delta method falls to .79. Raises DataError on
    impossible counts.
    """
    z = z_two_sided(check_level(level))
    counts = ((n_judged_positive, n_judged), (n_positive_found, n_positive), (n_negative_passed, n_negative))
    if any(not 0 <= x <= n for x, n in counts):
        raise DataError("a count lies between 0 and its total", where=str(counts))
    warnings = (f"fewer than {FEW_LABELS} labelled items of a kind",) if min(n_positive, n_negative) < FEW_LABELS else ()

    def without(reason: str, value: float | None = None) -> Estimate:
        return undefined_estimate(reason, level=level, method="rogan_gladen", n=n_judged, value=value, warnings=warnings)

    if min(n_judged, n_positive, n_negative) == 0:
        return without("judged items and labelled items of both kinds are needed")
    if n_positive_found * n_negative + n_negative_passed * n_positive <= n_positive * n_negative:
        return without("the judge is no better than chance on the labelled items")
    value = corrected_rate(n_judged_positive / n_judged, sensitivity=n_positive_found / n_positive, specificity=n_negative_passed / n_negative)
    adjusted = _adjusted_rate(counts, z)
    if adjusted is None:
        return without("too few labels to tell the judge from chance", value)
    centre, half = adjusted
    return Estimate(
        value=value,
        ci_low=max(0.0, min(centre - half, value)),
        ci_high=min(1.0, max(centre + half, value)),
        level=level,
        method="rogan_gladen",
        n=n_judged,
        warnings=warnings,
    )


def _adjusted_rate(counts: tuple[tuple[int, int], ...], z: float) -> tuple[float, float] | None:
    """Centre and half width of Lang and Reiczigel's interval, None when pseudo-counts make the judge one of chance.

    counts: called positive of all judged, found of the positive, passed of the negative.
    """
    (n_called, n_judged), (n_found, n_positive), (n_passed, n_negative) = counts
    p = (n_called + z * z / 2.0) / (n_judged + z * z)
    sensitivity, specificity = (n_found + 1) / (n_positive + 2), (n_passed + 1) / (n_negative + 2)
    skill = sensitivity + specificity - 1.0
    if skill <= 1e-9:
        return None
    rate = (p + specificity - 1.0) / skill
    var_found = sensitivity * (1.0 - sensitivity) / (n_positive + 2)
    var_passed = specificity * (1.0 - specificity) / (n_negative + 2)
    centre = rate + 2.0 * z * z * (rate * var_found - (1.0 - rate) * var_passed)
    variance = p * (1.0 - p) / (n_judged + z * z) + rate**2 * var_found + (1.0 - rate) ** 2 * var_passed
    return centre, z * math.sqrt(variance) / skill


def _labelled_and_rest(truth: ArrayLike, judged: ArrayLike) -> tuple[Floats, Floats, Floats, int]:
    """Truth and judged scores of the labelled items, judged scores of the others, and how many items the judge did not score."""
    y, f = as_scores(truth, "truth"), as_scores(judged, "judged")
    if y.shape != f.shape:
        raise DataError("every item needs a truth (or NaN) and a judged score", where=f"{y.size} and {f.size}")
    has_judge, has_label = ~np.isnan(f), ~np.isnan(y)
    return y[has_judge & has_label], f[has_judge & has_label], f[has_judge & ~has_label], int((~has_judge).sum())


def _label_warnings(y: Floats) -> tuple[str, ...]:
    few = (f"only {y.size} labelled items",) if y.size < FEW_LABELS else ()
    rare = y.size - int(np.unique(y, return_counts=True)[1].max())
    alike = (f"only {rare} labelled items differ from the most common label: read with care",) if rare < FEW_RARE else ()
    return (*few, *alike)


def _best_weight(y: Floats, f_labelled: Floats, f_rest: Floats) -> float:
    judged = np.concatenate([f_labelled, f_rest])
    spread = float(judged.var(ddof=1))
    if f_rest.size == 0 or spread <= 0.0:
        return 0.0
    together = covariance(y, f_labelled)
    return min(1.0, max(0.0, together / ((1.0 + y.size / f_rest.size) * spread)))


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else 0.0
