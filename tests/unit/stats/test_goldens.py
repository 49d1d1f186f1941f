"""Every golden case of the shared file, named by its id, through an adapter from its statistic to our functions.

An adapter takes the case's input and returns what is comparable with `expected`: a number, a list, or a dict. Of a dict
every expected key must be there; more keys do no harm. In the file NaN and infinities are strings and null is missing.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from . import golden_adapters_a, golden_adapters_b, golden_adapters_scoring

GOLDENS = Path(__file__).parents[3].parent / "shared" / "goldens" / "statistics.json"
CASES: list[dict[str, Any]] = json.loads(GOLDENS.read_text(encoding="utf-8")) if GOLDENS.is_file() else []
PARTS = (golden_adapters_a.ADAPTERS, golden_adapters_b.ADAPTERS, golden_adapters_scoring.ADAPTERS)
ADAPTERS = {name: adapter for part in PARTS for name, adapter in part.items()}


@pytest.mark.skipif(not CASES, reason="shared/ is not beside the checkout")
@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_golden(case: dict[str, Any]) -> None:
    adapter = ADAPTERS.get(case["statistic"])
    assert adapter is not None, f"no adapter for the statistic {case['statistic']!r}"
    assert mismatches(case["expected"], adapter(case["input"]), case["tolerance"], "") == []


def test_no_statistic_has_two_adapters() -> None:
    assert len(ADAPTERS) == sum(len(part) for part in PARTS)


def test_a_wrong_number_is_noticed() -> None:
    tolerance = {"rtol": 1e-6, "atol": 0.0}
    assert mismatches({"p": 0.5}, {"p": 0.500001, "extra": 1}, tolerance, "") == [".p: want 0.5, got 0.500001"]
    assert mismatches([0.0, "Infinity"], [0.0, math.inf], tolerance, "") == []
    assert mismatches({"x": "NaN"}, {"x": None}, tolerance, "") == []
    assert mismatches({"x": "NaN"}, {"x": 0.0}, tolerance, "") != []
    assert mismatches({"p": 1.0}, {}, tolerance, "") == [".p: missing"]


def mismatches(want: Any, got: Any, tolerance: Mapping[str, Any], where: str) -> list[str]:
    """Each difference between the expected value and ours, as a line of text; NaN of the file is None of ours."""
    if isinstance(want, dict):
        found: list[str] = []
        for key, value in want.items():
            missing = not isinstance(got, Mapping) or key not in got
            found += [f"{where}.{key}: missing"] if missing else mismatches(value, got[key], tolerance, f"{where}.{key}")
        return found
    if isinstance(want, list):
        if len(want) != len(got):
            return [f"{where}: want {len(want)} values, got {len(got)}"]
        pairs = enumerate(zip(want, got, strict=True))
        return [line for i, (a, b) in pairs for line in mismatches(a, b, tolerance, f"{where}[{i}]")]
    same = got is None if want in ("NaN", None) else _equal(want, got, tolerance)
    return [] if same else [f"{where}: want {want!r}, got {got!r}"]


def _equal(want: Any, got: Any, tolerance: Mapping[str, Any]) -> bool:
    if isinstance(want, str) and want in ("Infinity", "-Infinity"):
        return bool(got == float(want))
    if isinstance(want, (str, bool)) or tolerance.get("exact"):
        return bool(want == got)
    if got is None or math.isnan(got):
        return False
    return abs(float(want) - float(got)) <= float(tolerance.get("atol", 0.0)) + float(tolerance.get("rtol", 0.0)) * abs(float(want))
