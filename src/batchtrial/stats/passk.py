"""pass@k: the chance that at least one of k samples of an item is right, estimated without bias from n samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.results import Estimate, undefined_estimate
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]


def pass_at_k(n_samples: int, n_right: int, k: int) -> float:
    """1 - C(n - c, k) / C(n, k) for one item with c right among n samples; 1 when fewer than k are wrong.

    Raises DataError unless 0 <= c <= n and 1 <= k <= n: from fewer than k samples pass@k cannot be known.
    Source: Chen et al. 2021, arXiv:2107.03374, equation 1.
    """
    if not 0 <= n_right <= n_samples or not 1 <= k <= n_samples:
        raise DataError("pass@k needs 0 <= right <= samples and 1 <= k <= samples", where=f"n={n_samples}, c={n_right}, k={k}")
    return 1.0 - math.comb(n_samples - n_right, k) / math.comb(n_samples, k)


def pass_at_k_scores(n_samples: ArrayLike, n_right: ArrayLike, k: int) -> Floats:
    """pass@k of every item, shape (n_items,); NaN (missing) where an item has fewer than k samples or no counts.

    The scores go on to `paired_t`, `sign_flip` or `clustered_mean` like any other score. Raises DataError as
    `pass_at_k`.
    """
    samples, right = np.broadcast_arrays(np.asarray(n_samples, dtype=np.float64), np.asarray(n_right, dtype=np.float64))
    pairs = zip(samples.ravel().tolist(), right.ravel().tolist(), strict=True)
    known: dict[tuple[float, float], float] = {}
    scores = []
    for n, c in pairs:
        if (n, c) not in known:
            is_missing = math.isnan(n) or math.isnan(c) or 0 <= c <= n < k
            if not is_missing and (n % 1.0 or c % 1.0):
                raise DataError("counts of samples are whole numbers", where=f"n={n:g}, c={c:g}")
            known[n, c] = math.nan if is_missing else pass_at_k(int(n), int(c), k)
        scores.append(known[n, c])
    return np.asarray(scores, dtype=np.float64)


def mean_pass_at_k(n_samples: ArrayLike, n_right: ArrayLike, k: int, *, level: float = 0.95) -> Estimate:
    """Mean pass@k of one arm over items, with Student's interval kept in [0, 1]; items with fewer than k samples are dropped."""
    got = paired_t(pass_at_k_scores(n_samples, n_right, k), level).estimate
    if got.value is None or got.ci_low is None or got.ci_high is None:
        why = got.reason or "no interval"
        return undefined_estimate(why, level=level, method=f"pass@{k}", n=got.n, dropped=got.dropped, value=got.value, warnings=got.warnings)
    return Estimate(
        value=got.value,
        ci_low=max(0.0, got.ci_low),
        ci_high=min(1.0, got.ci_high),
        level=level,
        method=f"pass@{k}",
        n=got.n,
        dropped=got.dropped,
        se=got.se,
        warnings=got.warnings,
    )
