"""How fast the statistics are, in one thread, beside one NumPy pass over the same million pairs and beside SciPy's bootstrap.

Whatever is timed runs several times and the quickest counts, since other work on the machine can only add to it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from batchtrial import cli  # noqa: F401  # what it sets for its process holds here too: one thread

import numpy as np  # isort: skip  # only then, since NumPy looks at it when it is loaded
from numpy.typing import NDArray

from batchtrial.stats import bootstrap_delta, bootstrap_mean, discordant, mcnemar_midp, paired_t, sign_flip, tango

N: Final = 1_000_000
REPLICATES: Final = 10_000
SEED: Final = 20
ROUNDS: Final = 7
SCIPY_REPLICATES: Final = 20
"""What SciPy is timed at: it takes time in proportion, a minute or more for all of them."""

Floats = NDArray[np.float64]


def seconds(what: Callable[[], object], rounds: int = ROUNDS) -> float:
    """CPU seconds of the quickest round."""
    taken = []
    for _ in range(rounds):
        begin = time.process_time()
        what()
        taken.append(time.process_time() - begin)
    return min(taken)


def one_pass(treatment: Floats, control: Floats) -> tuple[float, float]:
    """The yardstick: mean and standard deviation of the differences as NumPy has them."""
    differences = treatment - control
    return float(differences.mean()), float(differences.std(ddof=1))


def binary(treatment: Floats, control: Floats) -> None:
    """Interval, p and 10,000-replicate bootstrap of right and wrong answers."""
    counts = discordant(treatment, control)
    tango(counts.treatment_only, counts.control_only, counts.n)
    mcnemar_midp(counts.treatment_only, counts.control_only)
    bootstrap_delta(counts.treatment_only, counts.control_only, counts.n, seed=SEED, replicates=REPLICATES)


def scores(treatment: Floats, control: Floats) -> None:
    """The same of scores between 0 and 1, no two alike."""
    differences = treatment - control
    paired_t(differences)
    sign_flip(differences, seed=SEED)
    bootstrap_mean(differences, seed=SEED, replicates=REPLICATES)


def scipy_bootstrap(differences: Floats) -> float | None:
    """CPU seconds of SciPy's percentile bootstrap with 10,000 replicates, extrapolated from a few; None without SciPy."""
    try:
        from scipy.stats import bootstrap  # type: ignore[import-untyped]
    except ImportError:
        return None

    def few() -> None:
        bootstrap((differences,), np.mean, n_resamples=SCIPY_REPLICATES, batch=1, method="percentile", rng=np.random.default_rng(SEED))

    return seconds(few, rounds=1) * REPLICATES / SCIPY_REPLICATES


def main() -> int:
    """Time and print."""
    draw = np.random.default_rng(SEED)
    right = [(draw.random(N) < share).astype(np.float64) for share in (0.60, 0.55)]
    graded = [draw.beta(2.0, shape, N) for shape in (2.0, 2.2)]
    lines = [f"statistics of {N:,} pairs, one thread:"]
    yardstick = seconds(lambda: one_pass(*right))
    taken = seconds(lambda: binary(*right))
    lines.append(
        f"  binary: interval + p + {REPLICATES:,}-replicate bootstrap {1e3 * taken:.1f} ms = {taken / yardstick:.1f} x one NumPy pass (at most 40)"
    )
    theirs = scipy_bootstrap(right[0] - right[1])
    lines.append(
        "  SciPy is not installed: nothing to compare the bootstrap with"
        if theirs is None
        else f"  binary: {theirs / taken:,.0f} x faster than scipy.stats.bootstrap alone (at least 10,000), whose {theirs:.0f} s are"
        f" extrapolated from {SCIPY_REPLICATES} replicates"
    )
    yardstick = seconds(lambda: one_pass(*graded))
    taken = seconds(lambda: scores(*graded), rounds=3)
    lines.append(f"  scores: interval + p + bootstrap {1e3 * taken:.1f} ms = {taken / yardstick:.1f} x one NumPy pass (at most 300)")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
