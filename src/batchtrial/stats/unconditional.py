"""Exact unconditional p-value of a margin test on paired right/wrong answers.

Tango's Z is normal only in the limit: on 20 to 300 pairs its one-sided test at a nominal 5 % really errs up to 6 % of the time
where the treatment hardly ever wins an item (tests/calibration). Here the chance of a Z at least as large is summed over every
table of n pairs, at the rate of changed items that makes it largest, so that it bounds the true one whatever that rate is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from batchtrial.stats.distributions import binom_pmf, binom_sf, each
from batchtrial.stats.intervals import tango_z, tango_z_many
from batchtrial.stats.special import Floats
from batchtrial.stats.sums import dot

MOST_PAIRS = 5_000
"""Pairs above which the sum takes seconds and the normal limit has become good enough."""

_RATES = 24
_REFINED = 9
_FAR = 7.0  # standard deviations beyond which a count of control-only items is left out, at 1e-12 of probability
_TIE = 1e-9


@lru_cache(maxsize=4096)
def exact_margin_p(b: int, c: int, n: int, margin: float) -> float:
    """Largest P(Z >= observed Z) under "the difference is -margin", over all rates of changed items from margin to 1.

    b, c: whole counts of items right in the treatment only and in the control only, b + c <= n, n >= 1; 0 < margin < 1; Z is
    Tango's at -margin. The upper margin is the same with b and c exchanged.
    Source: Hsueh, Liu & Chen 2001, Biometrics 57:478.
    """
    reject_from = _smallest_rejected(n, tango_z(b, c, n, -margin), margin)
    shares = np.linspace(0.0, 1.0, _RATES) ** 2  # dense near the smallest rate, where the law is most discrete
    rates = margin + (1.0 - margin) * shares
    found = [_rejection(float(rate), reject_from, n, margin) for rate in rates]
    best = int(np.argmax(found))
    low, high = float(rates[max(best - 1, 0)]), float(rates[min(best + 1, _RATES - 1)])
    refined = [_rejection(float(rate), reject_from, n, margin) for rate in np.linspace(low, high, _REFINED)]
    return min(1.0, max(*found, *refined))


def _smallest_rejected(n: int, z: float, margin: float) -> Floats:
    """For each c = 0..n the smallest b whose Z reaches z, n - c + 1 when none does: Z grows with b."""
    c = np.arange(n + 1, dtype=np.float64)
    low, high = np.zeros(n + 1), n - c + 1.0
    for _ in range(int(n).bit_length() + 1):
        middle = np.floor(0.5 * (low + high))
        reaches = tango_z_many(np.minimum(middle, n - c), c, n, -margin) >= z - _TIE
        high = np.where(reaches & (middle < high), middle, high)
        low = np.where(reaches | (middle >= high), low, middle + 1.0)
    return high


def _rejection(rate: float, reject_from: Floats, n: int, margin: float) -> float:
    """P(the table is rejected) at this rate of changed items: C is binomial, B given C too."""
    p_treatment, p_control = max(rate - margin, 0.0) / 2.0, min((rate + margin) / 2.0, 1.0)
    mean, reach = n * p_control, _FAR * (n * p_control * (1.0 - p_control)) ** 0.5 + _FAR
    c = np.arange(max(0, int(mean - reach)), min(n, int(mean + reach)) + 1)
    share = min(p_treatment / (1.0 - p_control), 1.0) if p_control < 1.0 else 0.0
    wins = each(lambda start, rest: binom_sf(int(start) - 1, int(rest), share), reject_from[c], n - c)
    return dot(binom_pmf(c, n, p_control), wins)
