"""The corrected mean of a judged sample as a weighted sum of group means, with a variance that respects clusters (CR2).

The items of each stratum fall into two groups: labelled ones, whose value is label - weight * judged, and the others, whose value is the judged
score. The corrected mean is the sum of the groups' means by their weights; which stratum an item is in is itself a draw, which adds the spread
between strata. Items of one cluster may stand in several groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Group:
    """Items with one weight. places: which items; values: of each; weight: of the group's mean in the sum."""

    places: Places
    values: Floats
    weight: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard error of the sum, and its degrees of freedom; both None where a group is too small to have one."""

    se: float | None
    df: float | None


def spread(groups: Sequence[Group], clusters: Places, between: Floats) -> Spread:
    """CR2 standard error and Bell and McCaffrey's degrees of freedom of the weighted sum of the groups' means.

    clusters: a number per item, from 0. between: what each item adds through the stratum that it is in, shape (n_items,), mean 0.
    Source: Bell & McCaffrey 2002, Survey Methodology 28:169, for a regression on the groups' indicators, whose leverages are n_gk / n_k; the working
    variance is each group's own. Cochran 1977, Sampling Techniques, 12.2 for the spread between strata.
    """
    n_clusters = int(clusters.max()) + 1 if clusters.size else 0
    total: Floats = np.bincount(clusters, weights=between / between.size, minlength=n_clusters).astype(np.float64)
    diagonal, shares = np.zeros(n_clusters, dtype=np.float64), []
    for group in groups:
        n = group.values.size
        sizes = np.bincount(clusters[group.places], minlength=n_clusters).astype(np.float64)
        if n < 2 or bool((sizes >= n).any()):
            return Spread(None, None)  # a single item, or a single cluster, tells nothing of its spread
        residuals = group.values - group.values.mean()
        pull = group.weight / (n * np.sqrt(1.0 - sizes / n))
        total = total + pull * np.bincount(clusters[group.places], weights=residuals, minlength=n_clusters)
        sd = math.sqrt(float((residuals**2).sum()) / (n - 1))
        diagonal = diagonal + (sd * pull) ** 2 * sizes
        shares.append(sd * pull * sizes / math.sqrt(n))
    return Spread(math.sqrt(float((total**2).sum())), _degrees(diagonal, shares))


def _degrees(diagonal: Floats, shares: Sequence[Floats]) -> float | None:
    """trace(M)^2 / |M|^2 of M = diag(diagonal) - sum of the shares' outer products, without writing M down."""
    trace = float(diagonal.sum()) - sum(float((one**2).sum()) for one in shares)
    square = float((diagonal**2).sum()) - 2.0 * sum(float((diagonal * one**2).sum()) for one in shares)
    square += sum(float((one * other).sum()) ** 2 for one in shares for other in shares)
    return None if square <= 0.0 or trace <= 0.0 else trace**2 / square
