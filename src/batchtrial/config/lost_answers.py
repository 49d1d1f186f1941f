"""What lost answers may have been: the part of the plan that a conclusion has to survive."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from batchtrial.config.settings import Model


class LostAnswersPlan(Model):
    """What lost answers may plausibly have been, when they were many or went with the condition: a conclusion has to survive it."""

    bound: Literal["worst"] | None = Field(None, description="worst: every lost answer at its worst, which is also what holds when nothing is said.")
    share: float | None = Field(None, gt=0, le=1, description="At most this part of the lost answers at their worst; the rest like those that came.")

    @model_validator(mode="after")
    def _one_of_them(self) -> LostAnswersPlan:
        if self.bound is not None and self.share is not None:
            raise ValueError("give bound or share, not both: bound: worst is share: 1")
        return self

    @property
    def plausible_share(self) -> float:
        """Part of the lost answers that may be at their worst together."""
        return 1.0 if self.share is None else self.share
