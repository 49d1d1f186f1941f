"""False discoveries among 24 correlated tests, 18 of them without a difference, and with none at all.

Endpoints of a trial share their items, so their differences are correlated. `python -m tests.calibration.multiplicity` prints it.
"""

from __future__ import annotations

import sys
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.maxt import max_t
from batchtrial.stats.multiplicity import adjust

from .gates import Gate, Outcome, finish, table, three_errors

Ints = NDArray[np.int64]

SEED = 20_253
REPLICATES = 2000
N_ITEMS, N_TESTS, N_NULLS = 300, 24, 18
SHARED = 0.5  # correlation of the endpoints' latent differences
CHANGED = 0.30
EFFECT = 0.09  # of an endpoint with a difference
METHODS = ("none", "holm", "hochberg", "bh", "by")
MAX_T_REPLICATES, MAX_T_FLIPS = 2000, 499


def differences(n_nulls: int, rng: np.random.Generator) -> Ints:
    """-1, 0 or 1 for every item and endpoint, shape (items, tests), by cutting correlated normals; the first endpoints differ."""
    latent = SHARED**0.5 * rng.normal(size=(N_ITEMS, 1)) + (1 - SHARED) ** 0.5 * rng.normal(size=(N_ITEMS, N_TESTS))
    effect = np.where(np.arange(N_TESTS) < N_TESTS - n_nulls, EFFECT, 0.0)
    lose = np.asarray([NormalDist().inv_cdf((CHANGED - e) / 2) for e in effect])
    win = np.asarray([-NormalDist().inv_cdf((CHANGED + e) / 2) for e in effect])
    return np.asarray((latent > win).astype(np.int64) - (latent < lose))


@cache
def midp(b: int, c: int) -> float:
    """The product's test; a p-value for every pair of counts that occurs."""
    p = mcnemar_midp(b, c).p_value
    assert p is not None
    return p


def reject(method: str, p_values: list[float]) -> NDArray[np.bool_]:
    """What is rejected at .05 after this correction."""
    adjusted = p_values if method == "none" else adjust(p_values, method)
    return np.asarray([q is not None and q <= 0.05 for q in adjusted])


def corrected(n_nulls: int, replicates: int) -> dict[str, tuple[float, float, float]]:
    """(FDR, FWER, power) of every correction; power is the share of true differences found."""
    rng = np.random.default_rng([SEED, n_nulls])
    is_null = np.arange(N_TESTS) >= N_TESTS - n_nulls
    sums = {method: np.zeros(3) for method in METHODS}
    for _ in range(replicates):
        d = differences(n_nulls, rng)
        p_values = [midp(int(b), int(c)) for b, c in zip((d > 0).sum(axis=0), (d < 0).sum(axis=0), strict=True)]
        for method in METHODS:
            found = reject(method, p_values)
            false = int((found & is_null).sum())
            power = float(found[~is_null].mean()) if n_nulls < N_TESTS else 0.0
            sums[method] += (false / max(1, int(found.sum())), false > 0, power)
    return {method: (float(a), float(b), float(c)) for method, (a, b, c) in ((m, s / replicates) for m, s in sums.items())}


def max_t_error(n_nulls: int, replicates: int) -> tuple[float, float]:
    """(FWER, power) of the max-T sign-flip test on the same kind of trials."""
    rng = np.random.default_rng([SEED, n_nulls, 2])
    is_null = np.arange(N_TESTS) >= N_TESTS - n_nulls
    errors, power = 0, 0.0
    for _ in range(replicates):
        d = differences(n_nulls, rng).astype(np.float64)
        tests = max_t(d, seed=int(rng.integers(2**31)), flips=MAX_T_FLIPS).tests
        found = np.asarray([(test.p_value or 0.0) <= 0.05 for test in tests])
        errors += bool((found & is_null).any())
        power += float(found[~is_null].mean()) if n_nulls < N_TESTS else 0.0
    return errors / replicates, power / replicates


def measure(effort: float = 1.0) -> Outcome:
    """18 nulls of 24, and the complete null; effort scales the replicates, but not those of max-T."""
    replicates, flipped = max(200, int(REPLICATES * effort)), MAX_T_REPLICATES
    limit, tables, gates = three_errors(0.05, replicates), [], []
    for n_nulls in (N_NULLS, N_TESTS):
        what = f"{n_nulls} of {N_TESTS} tests without a difference"
        found = corrected(n_nulls, replicates)
        rows: list[tuple[object, ...]] = [(method, *found[method]) for method in METHODS]
        fwer, power = max_t_error(n_nulls, flipped)
        rows.append((f"max-T ({flipped} trials)", "", fwer, power))
        tables.append(table(what, ("correction", "FDR", "FWER", "power"), rows))
        gates += [
            Gate(name=f"FDR of BH, {what}", measured=found["bh"][0], at_most=limit),
            Gate(name=f"FWER of Holm, {what}", measured=found["holm"][1], at_most=limit),
            Gate(name=f"FWER of max-T, {what}", measured=fwer, at_most=three_errors(0.05, flipped)),
            Gate(name=f"FWER without correction must be seen, {what}", measured=found["none"][1], at_least=0.25),
        ]
    return Outcome(tables=tuple(tables), gates=tuple(gates))


def main() -> int:
    """Print tables and gates; 1 when a gate is broken."""
    return finish(measure())


if __name__ == "__main__":
    sys.exit(main())
