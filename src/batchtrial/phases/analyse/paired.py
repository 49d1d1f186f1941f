"""Scores of the same items in two arms: what every comparison is made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROUNDING: Final = 1e-12


def without_rounding(treatment: Floats, control: Floats) -> Floats:
    """The treatment's scores; those that differ from the control's by rounding alone are the control's.

    A test that asks only for signs would take a hundred differences of 1e-16 for a hundred that all point one way: sums of the same numbers in
    another order, or 2/3 beside 1 less a third.
    """
    places = np.flatnonzero((treatment < control) | (treatment > control))  # most of a run's scores are the same in both arms
    after, before = treatment[places], control[places]
    is_rounding = np.abs(after - before) <= _ROUNDING * np.maximum(np.abs(after), np.abs(before))
    if not is_rounding.any():
        return treatment
    found = treatment.copy()
    found[places[is_rounding]] = before[is_rounding]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Scores of the same items in both arms, NaN where an arm has none; clusters: one label per item, None when items stand alone.

    samples: completions asked for behind each score, per arm. lost: share of them that never came, per arm and item; None where none is known
    beyond the scores that are missing. is_number: declared to be a count or a grade, so that no share even where it looks like one.
    known_share: whether the scores are shares of right samples, when that is known and not to be seen from them. known_limits: the lowest and the
    highest that a score can be, where the metric says so. blamed: (treatment, control) of a number that takes both arms' answers, and that neither
    arm has when one of them lost its own: share of each item's numbers that the arm itself lost; None where each arm has its own number.
    """

    treatment: Floats
    control: Floats
    clusters: NDArray[np.int64] | None = None
    samples_treatment: int = 1
    samples_control: int = 1
    lost_treatment: Floats | None = None
    lost_control: Floats | None = None
    is_number: bool = False
    known_share: bool | None = None
    known_limits: tuple[float, float] | None = None
    blamed: tuple[Floats, Floats] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "treatment", without_rounding(self.treatment, self.control))

    @property
    def seen(self) -> tuple[Floats, Floats]:
        """(treatment, control), NaN where the arm itself has nothing: what is to be held against the other arm's losses."""
        if self.blamed is None:
            return self.treatment, self.control
        treatment, control = (
            np.where(np.isnan(own) & (lost >= 1.0), np.nan, 0.0) for own, lost in zip((self.treatment, self.control), self.blamed, strict=True)
        )
        return treatment, control

    @property
    def is_share(self) -> bool:
        """Every score is a share of right samples: 0 or 1 with one sample, else m of k where k samples came, which may be fewer than were asked."""
        if self.known_share is not None:
            return self.known_share
        if self.is_number:
            return False
        rest = np.concatenate([arm[~(np.isnan(arm) | (arm == 0.0) | (arm == 1.0))] for arm in (self.treatment, self.control)])
        if not ((rest > 0.0) & (rest < 1.0)).all():
            return False
        for k in range(2, max(self.samples_treatment, self.samples_control) + 1):
            rest = rest[np.abs(rest * k - np.round(rest * k)) >= 1e-9]
        return rest.size == 0

    @property
    def limits(self) -> tuple[float, float] | None:
        """The lowest and the highest that a score can be: as the metric says, else 0 and 1 where every score lies there; None when not known."""
        if self.is_number and self.known_limits is None:
            return None
        low, high = self.known_limits or (0.0, 1.0)
        fits = all(bool(((arm >= low) & (arm <= high) | np.isnan(arm)).all()) for arm in (self.treatment, self.control))
        return (low, high) if fits else None

    @property
    def spread(self) -> tuple[float, float] | None:
        """The lowest and the highest that a difference can be."""
        return None if self.limits is None else (self.limits[0] - self.limits[1], self.limits[1] - self.limits[0])

    def kept(self) -> Paired:
        """Only the complete pairs."""
        keep = ~(np.isnan(self.treatment) | np.isnan(self.control))
        if keep.all():
            return self
        return self.where(keep)

    def where(self, keep: NDArray[np.bool_]) -> Paired:
        """Only these items."""

        def some(values: NDArray[Any] | None) -> NDArray[Any] | None:
            return None if values is None else values[keep]

        return replace(
            self,
            treatment=self.treatment[keep],
            control=self.control[keep],
            clusters=some(self.clusters),
            lost_treatment=some(self.lost_treatment),
            lost_control=some(self.lost_control),
            blamed=None if self.blamed is None else (self.blamed[0][keep], self.blamed[1][keep]),
        )
