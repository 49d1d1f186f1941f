"""A record cannot hold a number that would mislead."""

import json
import math
import sys
from dataclasses import asdict

import numpy as np
import pytest

from batchtrial.errors import DataError
from batchtrial.stats.results import (
    SMALLEST_P,
    Estimate,
    Test,
    check_alpha,
    check_level,
    undefined_estimate,
    undefined_test,
)


def estimate(value: float | None, low: float | None, high: float | None, reason: str | None = None) -> Estimate:
    return Estimate(value=value, ci_low=low, ci_high=high, level=0.95, method="m", n=3, reason=reason)


def p_value(p: float | None, reason: str | None = None) -> Test:
    return Test(statistic=1.0, p_value=p, method="m", n=3, reason=reason)


def test_nan_is_refused() -> None:
    for broken in ((math.nan, 0.0, 1.0), (0.5, math.nan, 1.0), (0.5, 0.0, math.nan)):
        with pytest.raises(ValueError, match="NaN"):
            estimate(*broken)
    with pytest.raises(ValueError, match="NaN"):
        p_value(math.nan)


def test_an_undefined_number_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="reason"):
        estimate(None, None, None)
    with pytest.raises(ValueError, match="reason"):
        p_value(None)
    assert not undefined_estimate("n is 0", level=0.95, method="m", n=0).is_defined
    assert undefined_test("n is 0", method="m", n=0).p_value is None


def test_an_interval_that_misses_its_estimate_is_refused() -> None:
    with pytest.raises(ValueError, match="above the estimate"):
        estimate(0.1, 0.2, 0.3)
    with pytest.raises(ValueError, match="below the estimate"):
        estimate(0.4, 0.2, 0.3)
    with pytest.raises(ValueError, match="ci_low"):
        estimate(None, 0.3, 0.2, reason="r")


def test_rounding_at_the_end_of_an_interval_is_healed() -> None:
    record = estimate(1.0, 0.2, 1.0 - 1e-13)
    assert (record.ci_low, record.ci_high) == (0.2, 1.0)
    assert record.is_defined


def test_infinite_odds_ratios_are_allowed() -> None:
    assert estimate(math.inf, 2.0, math.inf).value == math.inf


def test_a_p_value_is_never_zero_and_never_above_one() -> None:
    tiny = p_value(0.0)
    assert tiny.p_value == SMALLEST_P == sys.float_info.min
    assert "2.2e-308" in tiny.warnings[0]
    assert p_value(1.0 + 1e-12).p_value == 1.0
    with pytest.raises(ValueError, match="probability"):
        p_value(1.1)
    with pytest.raises(ValueError, match="probability"):
        p_value(-0.1)


def test_levels_are_fractions() -> None:
    assert check_level(0.9) == 0.9
    assert check_alpha(0.05) == 0.05
    for wrong in (0.0, 1.0, 95, -0.1):
        with pytest.raises(DataError, match=r"0\.95"):
            check_level(wrong)
        with pytest.raises(DataError, match=r"0\.05"):
            check_alpha(wrong)


def test_numpy_scalars_become_python_numbers() -> None:
    record = Estimate(value=np.float32(0.5), ci_low=np.float64(0), ci_high=1, level=0.95, method="m", n=np.int64(3))  # type: ignore[arg-type]
    assert (type(record.value), type(record.ci_high), type(record.n)) == (float, float, int)
    test = Test(statistic=np.float64(2), p_value=np.float64(0.5), method="m", n=np.int32(4))  # type: ignore[arg-type]
    assert json.loads(json.dumps(asdict(test)))["n"] == 4


def test_an_infinite_statistic_is_refused() -> None:
    with pytest.raises(ValueError, match="infinite"):
        Test(statistic=math.inf, p_value=0.5, method="m", n=3)
