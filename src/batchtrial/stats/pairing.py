"""From answers of two arms to pairs: align, drop what is missing on either side, and count what was dropped.

A pair is one item; several samples of an item are averaged before they come here. A missing score (None, NaN or a polars
null) is a request that never succeeded. It is not a wrong answer: the pair is left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.distributions import binom_cdf, binom_pmf
from batchtrial.stats.results import Test
from batchtrial.stats.special import Floats

_Array = TypeVar("_Array", bound=NDArray[Any])

Scores: TypeAlias = ArrayLike | Sequence[float | None]
"""One score per item, shape (n,); None or NaN is missing."""

LARGEST_SCORE = 1e100
"""Scores beyond this are refused: their squares and sums would leave the range of a double."""

MANY_MISSING = 0.05
"""Share of lost pairs above which a result carries a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCounts:
    """How n pairs of right/wrong answers fall: both_right + treatment_only + control_only + both_wrong = n.

    treatment_only (b) and control_only (c) are the changed items; only they carry information about the difference.
    dropped: pairs left out because a side was missing.
    """

    both_right: int
    treatment_only: int
    control_only: int
    both_wrong: int
    dropped: int = 0

    def __post_init__(self) -> None:
        """Refuse negative counts."""
        if min(self.both_right, self.treatment_only, self.control_only, self.both_wrong, self.dropped) < 0:
            raise DataError("a count of pairs is negative", where=repr(self))

    @property
    def n(self) -> int:
        """Pairs that count."""
        return self.both_right + self.treatment_only + self.control_only + self.both_wrong

    @property
    def changed(self) -> int:
        """Items on which the arms differ, b + c."""
        return self.treatment_only + self.control_only

    @property
    def delta(self) -> float | None:
        """Accuracy of treatment minus accuracy of control, (b - c) / n; None without pairs."""
        return (self.treatment_only - self.control_only) / self.n if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedScores:
    """Scores of the pairs that are complete, same item order in both arms, shape (n,)."""

    treatment: Floats
    control: Floats
    dropped: int

    @property
    def differences(self) -> Floats:
        """Treatment minus control, shape (n,)."""
        return self.treatment - self.control


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPairs:
    """What was lost while pairing, and whether one arm lost more than the other.

    test: two-sided mid-p test of "an item is as likely to be missing in the treatment as in the control". A small p means
    that the pairs left over are no longer a fair sample: the treatment may fail on the hard items.
    """

    n_pairs: int
    only_treatment_missing: int
    only_control_missing: int
    both_missing: int
    test: Test
    warnings: tuple[str, ...] = ()

    @property
    def dropped(self) -> int:
        """Pairs left out."""
        return self.only_treatment_missing + self.only_control_missing + self.both_missing


def as_scores(values: Scores, name: str = "scores") -> Floats:
    """One score per item as float64, shape (n,); None becomes NaN. Raises DataError on other shapes, on infinity."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} are not numbers: {error}") from error
    if array.ndim != 1:
        raise DataError(f"{name} must be one number per item, not an array of shape {array.shape}")
    if array.size and float(np.fmax.reduce(np.abs(array))) > LARGEST_SCORE:
        raise DataError(f"{name} contain a value beyond {LARGEST_SCORE:g}", hint="a missing score is None or NaN")
    return array


def paired_scores(treatment: Scores, control: Scores) -> PairedScores:
    """Keep the pairs that have both scores.

    treatment, control: shape (n_items,), same item order; None or NaN is missing. Raises DataError when lengths differ.
    """
    t, c = _same_length(as_scores(treatment, "treatment scores"), as_scores(control, "control scores"))
    keep = ~(np.isnan(t) | np.isnan(c))
    dropped = int(t.size - np.count_nonzero(keep))
    return PairedScores(treatment=t[keep], control=c[keep], dropped=dropped) if dropped else PairedScores(treatment=t, control=c, dropped=0)


def complete(values: Scores, name: str = "differences") -> tuple[Floats, int]:
    """The scores that are there, and how many were missing."""
    array = as_scores(values, name)
    keep = ~np.isnan(array)
    dropped = int(array.size - np.count_nonzero(keep))
    return (array[keep] if dropped else array), dropped


def discordant(treatment: Scores, control: Scores) -> PairedCounts:
    """Count pairs of right (1, True) and wrong (0, False) answers.

    treatment, control: shape (n_items,), same item order; None or NaN is missing and drops the pair.
    Raises DataError when lengths differ or a value is neither 0, 1 nor missing.
    """
    t, c = np.asarray(treatment), np.asarray(control)
    if t.ndim == c.ndim == 1 and _are_flags(t) and _are_flags(c):  # no float copies of what cannot be missing
        _same_length(t, c)
        return _count(t.astype(np.bool_, copy=False), c.astype(np.bool_, copy=False), dropped=0)
    pairs = paired_scores(treatment, control)
    right_t, right_c = pairs.treatment == 1.0, pairs.control == 1.0
    for name, right, scores in (("treatment", right_t, pairs.treatment), ("control", right_c, pairs.control)):
        if np.count_nonzero(right) + np.count_nonzero(scores == 0.0) != scores.size:
            odd = scores[(scores != 0.0) & (scores != 1.0)][0]
            raise DataError(
                f"right/wrong answers are 0 or 1, but the {name} has {odd!r}",
                hint="use the functions for scores, or effective_tango for shares of right samples",
            )
    return _count(right_t, right_c, dropped=pairs.dropped)


def missing_pairs(treatment: Scores, control: Scores) -> MissingPairs:
    """Count the pairs lost in each arm and test whether the loss depends on the arm (McNemar mid-p on missingness)."""
    t, c = _same_length(as_scores(treatment, "treatment scores"), as_scores(control, "control scores"))
    lost_t, lost_c = np.isnan(t), np.isnan(c)
    both = int(np.count_nonzero(lost_t & lost_c))
    only_t, only_c = int(np.count_nonzero(lost_t)) - both, int(np.count_nonzero(lost_c)) - both
    n_pairs = t.size - both - only_t - only_c
    p = sign_midp(only_t, only_c)
    warnings = []
    if t.size and (t.size - n_pairs) / t.size > MANY_MISSING:
        warnings.append(f"{t.size - n_pairs} of {t.size} pairs were lost: more than {MANY_MISSING:.0%}")
    if p < 0.05:
        more, less = ("treatment", "control") if only_t > only_c else ("control", "treatment")
        warnings.append(f"more pairs were lost to the {more} than to the {less} (p = {p:.2g}): what is left may be a biased sample")
    test = Test(statistic=float(only_t), p_value=p, method="mcnemar_midp_on_missing", n=only_t + only_c)
    return MissingPairs(
        n_pairs=n_pairs,
        only_treatment_missing=only_t,
        only_control_missing=only_c,
        both_missing=both,
        test=test,
        warnings=tuple(warnings),
    )


def sign_exact(wins: int, losses: int) -> float:
    """Two-sided exact p of `wins` against `losses` fair coin tosses: min(1, 2 P(X <= min)), X binomial(m, 1/2)."""
    return 1.0 if wins == losses else min(1.0, 2.0 * binom_cdf(min(wins, losses), wins + losses, 0.5))


def sign_midp(wins: int, losses: int) -> float:
    """The exact p less the probability of what was seen: `sign_exact` - P(X = min); 1 when wins = losses."""
    if wins == losses:
        return 1.0
    k, m = min(wins, losses), wins + losses
    # Summed from below, not subtracted: exact - pmf would lose digits when the next lower count is far less likely.
    return 2.0 * binom_cdf(k - 1, m, 0.5) + float(binom_pmf(k, m, 0.5))


def _are_flags(answers: NDArray[Any]) -> bool:
    """Whether these are booleans, or integers that are all 0 or 1."""
    if answers.dtype.kind in "iu":
        return answers.size > 0 and bool(answers.min() >= 0) and bool(answers.max() <= 1)
    return answers.dtype.kind == "b"


def _count(t: NDArray[np.bool_], c: NDArray[np.bool_], *, dropped: int) -> PairedCounts:
    both = int(np.count_nonzero(t & c))
    b, only_control = int(np.count_nonzero(t)) - both, int(np.count_nonzero(c)) - both
    return PairedCounts(
        both_right=both,
        treatment_only=b,
        control_only=only_control,
        both_wrong=int(t.size) - both - b - only_control,
        dropped=dropped,
    )


def _same_length(t: _Array, c: _Array) -> tuple[_Array, _Array]:
    if t.shape != c.shape:
        raise DataError(f"the arms have {t.size} and {c.size} scores", hint="pair by item first: same items, same order, in both arms")
    return t, c
