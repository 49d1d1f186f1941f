"""Codes of labels are those of `np.unique`, whichever way they are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.stats.labels import codes_of

LABELS = st.one_of(
    st.lists(st.integers(-9, 9)),
    st.lists(st.sampled_from([-(2**62), -1, 0, 7, 2**62])),
    st.lists(st.sampled_from([0.5, -1.0, 3.0])),
    st.lists(st.sampled_from(["b", "a", "ab", ""])),
)


@given(LABELS)
def test_codes_are_those_of_the_library(labels: list[Any]) -> None:
    assert codes_of(labels).tolist() == np.unique(np.asarray(labels), return_inverse=True)[1].tolist()


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.uint64])
def test_no_difference_of_small_numbers_goes_wrong(kind: type) -> None:
    ends: np.ndarray[Any, Any] = np.array([np.iinfo(kind).max, np.iinfo(kind).min] * 40, dtype=kind)
    assert codes_of(ends).tolist() == [1, 0] * 40
