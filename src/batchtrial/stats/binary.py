"""Tests for paired right/wrong answers.

b: items that only the treatment got right; c: items that only the control got right. Items on which the arms agree say
nothing about which one is better, so every test here looks at b and c alone. Intervals are in `intervals`, margins in
`noninferiority`, odds in `odds`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from batchtrial.amounts import counted
from batchtrial.errors import DataError
from batchtrial.stats.distributions import beta_sf, chi2_sf
from batchtrial.stats.pairing import MissingPairs, PairedCounts, discordant, missing_pairs, sign_exact, sign_midp
from batchtrial.stats.results import Test, undefined_test

NO_CHANGE = "no item changed: the arms agree on every item"
FEW_CHANGED = 10
"""Changed items below which a result carries a warning."""


def mcnemar_exact(b: int, c: int) -> Test:
    """Two-sided exact McNemar test: p = min(1, 2 P(X <= min(b, c))) for X binomial(b + c, 1/2).

    b, c: changed items, treatment right and control right; b = c gives p = 1, no changed item p = 1 with a warning.
    statistic is b, n is b + c. Conservative: its real size is .000 to .044 at a nominal .05; prefer `mcnemar_midp`.
    Source: McNemar 1947, Psychometrika 12:153. Reference: R binom.test(b, b + c).
    """
    b, c = check_counts(b, c)
    return Test(statistic=float(b), p_value=sign_exact(b, c), method="mcnemar_exact", n=b + c, warnings=_warn(b, c))


def mcnemar_midp(b: int, c: int) -> Test:
    """Two-sided mid-p McNemar test, the headline test for right/wrong answers: the exact p minus P(X = min(b, c)).

    b = c gives p = 1. statistic is b, n is b + c. Its size stays at or below .0505 at a nominal .05 (tests/calibration),
    with the power that the exact test gives away.
    Source: Fagerland, Lydersen & Laake 2013, BMC Med Res Methodol 13:91. Reference: R contingencytables.
    """
    b, c = check_counts(b, c)
    return Test(statistic=float(b), p_value=sign_midp(b, c), method="mcnemar_midp", n=b + c, warnings=_warn(b, c))


def mcnemar_chi2(b: int, c: int, *, correction: bool = False) -> Test:
    """Asymptotic McNemar test, for comparison with other tools: (b - c)^2 / (b + c) against chi-square with 1 df.

    correction: Edwards' continuity correction, max(|b - c| - 1, 0)^2 / (b + c); at b = c it is 0, as in R.
    The plain statistic exceeds its nominal size (up to .0536), the corrected one is more conservative than the exact test.
    Source: McNemar 1947; Edwards 1948, Psychometrika 13:185. Reference: R mcnemar.test.
    """
    b, c = check_counts(b, c)
    gap = max(abs(b - c) - 1, 0) if correction else abs(b - c)
    chi2 = gap * gap / (b + c) if b + c else 0.0
    return Test(
        statistic=chi2,
        p_value=chi2_sf(chi2, 1.0),
        method="mcnemar_chi2_cc" if correction else "mcnemar_chi2",
        n=b + c,
        warnings=_warn(b, c),
    )


def probability_better(b: int, c: int) -> float:
    """Posterior probability that the treatment is the more accurate one, 0 < p < 1 (an extra, not a test).

    Dirichlet(1/2, 1/2, 1/2, 1/2) prior on the four outcomes of a pair. The share of b among the changed items is then
    Beta(b + 1/2, c + 1/2), and the treatment is better exactly when that share is above one half: no simulation is needed.
    """
    b, c = check_counts(b, c)
    return float(np.clip(beta_sf(0.5, b + 0.5, c + 0.5), np.finfo(float).tiny, 1.0 - np.finfo(float).epsneg))


def cochran_q(answers: ArrayLike) -> Test:
    """Cochran's Q: do k arms answer the same items equally often right?

    answers: shape (n_items, k) of 0 and 1, k >= 2, complete rows only. Q = (k-1)(k sum C_j^2 - N^2) / (k N - sum R_i^2) with
    column sums C_j, row sums R_i and N right answers, against chi-square with k - 1 df. For k = 2 it is `mcnemar_chi2`.
    No item on which the arms differ: Q = 0, p = 1. Raises DataError on other shapes or values.
    Source: Cochran 1950, Biometrika 37:256. Reference: statsmodels cochrans_q.
    """
    x = np.asarray(answers, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] < 2 or not np.isin(x, (0.0, 1.0)).all():
        raise DataError(f"Cochran's Q needs 0 and 1 in an array (n_items, k >= 2), not shape {x.shape}")
    n, k = x.shape
    if n == 0:
        return undefined_test("there are no items", method="cochran_q", n=0)
    rows, columns = x.sum(axis=1), x.sum(axis=0)
    spread = float(k * rows.sum() - np.square(rows).sum())
    changed = int(np.count_nonzero((rows > 0) & (rows < k)))
    q = float((k - 1) * (k * np.square(columns).sum() - rows.sum() ** 2)) / spread if spread else 0.0
    return Test(
        statistic=q,
        p_value=chi2_sf(q, k - 1.0),
        method="cochran_q",
        n=changed,
        warnings=() if changed else (NO_CHANGE,),
    )


def check_counts(b: int, c: int) -> tuple[int, int]:
    """Return the counts of changed items as ints; raises DataError unless they are whole and not negative."""
    if not (0 <= b < math.inf and 0 <= c < math.inf) or b != int(b) or c != int(c):
        raise DataError(f"counts of changed items are whole and not negative, not b={b!r}, c={c!r}")
    return int(b), int(c)


def _warn(b: int, c: int) -> tuple[str, ...]:
    if b + c == 0:
        return (NO_CHANGE,)
    return (f"only {counted(b + c, 'item')} changed: read with care",) if b + c < FEW_CHANGED else ()


__all__ = [
    "MissingPairs",
    "PairedCounts",
    "cochran_q",
    "discordant",
    "mcnemar_chi2",
    "mcnemar_exact",
    "mcnemar_midp",
    "missing_pairs",
    "probability_better",
]
