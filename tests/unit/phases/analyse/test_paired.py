"""What scores of two arms are: shares of right samples or other numbers, and which differences are rounding alone."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchtrial.phases.analyse.paired import Paired, without_rounding

NAN = math.nan


@pytest.mark.parametrize(
    ("scores", "samples", "is_share"),
    [
        ([0.0, 1.0, NAN], 1, True),
        ([NAN, NAN], 1, True),
        ([], 3, True),
        ([0.5], 1, False),
        ([0.5, 1.0], 2, True),
        ([1 / 3, 2 / 3, 0.0], 3, True),
        ([0.5], 3, True),  # one of the three never came
        ([0.25], 3, False),
        ([0.25, 0.5], 2, False),
        ([-1.0], 1, False),
        ([2.0], 2, False),
    ],
)
def test_shares_are_told_from_other_numbers(scores: list[float], samples: int, is_share: bool) -> None:
    mine, zeros = np.array(scores, dtype=np.float64), np.zeros(len(scores))
    assert Paired(treatment=mine, control=zeros, samples_treatment=samples).is_share is is_share
    assert Paired(treatment=zeros, control=mine, samples_control=samples).is_share is is_share
    assert not Paired(treatment=mine, control=zeros, samples_treatment=samples, is_number=True).is_share


def test_differences_by_rounding_alone_are_none() -> None:
    control = np.array([1.0 / 3, 0.3, NAN, 0.5, 0.0, 1.0])
    treatment = np.array([1.0 - 2.0 / 3, 0.1 + 0.2, 0.4, NAN, 1e-300, 1.0 - 1e-9])
    found = without_rounding(treatment, control)
    assert found[:2].tolist() == control[:2].tolist()
    assert found[4:].tolist() == treatment[4:].tolist()
    assert found[2] == 0.4
    assert math.isnan(found[3])
    assert treatment[0] != control[0], "what was given stays as it is"
    assert Paired(treatment=treatment, control=control).treatment[0] == control[0], "every comparison is made of these"
