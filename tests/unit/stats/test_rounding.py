"""Numbers as text: the same in whichever order they were added up."""

from __future__ import annotations

import pytest

from batchtrial.stats.rounding import p_text, sided


@pytest.mark.parametrize(("value", "text"), [(-3.75, "-3.8"), (0.1 + 0.2, "+0.3"), (0.25, "+0.2"), (0.0, "0.0")])
def test_a_number_half_way_goes_the_same_way_with_and_without_noise(value: float, text: str) -> None:
    noisy = (value, value * (1 + 2e-15), value * (1 - 2e-15))
    assert {sided(one, 1, is_signed=True) for one in noisy} == {text}


def test_a_p_half_way_goes_to_the_even_digit() -> None:
    assert {p_text(one) for one in (0.0625, 0.06250000000000003, 0.06249999999999997)} == {"0.062"}
