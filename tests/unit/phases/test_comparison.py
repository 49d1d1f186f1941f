"""comparison: the method fits the data, and what little the data can carry is said."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.phases.comparison import Comparison, Paired, compare, estimate_json, seed_of, test_json
from batchtrial.stats import odds_ratio
from batchtrial.stats.plan import Endpoint

NAN = float("nan")


def paired(treatment: list[float], control: list[float], **more: Any) -> Paired:
    return Paired(treatment=np.array(treatment), control=np.array(control), **more)


def made(pairs: Paired, endpoint: Endpoint | None = None) -> Comparison:
    return compare(pairs, level=0.95, seed=1, flips=999, endpoint=endpoint)


def binary(n: int, treatment_only: int, control_only: int) -> Paired:
    t = np.array([1.0] * treatment_only + [0.0] * control_only + [1.0] * (n - treatment_only - control_only))
    c = np.array([0.0] * treatment_only + [1.0] * control_only + [1.0] * (n - treatment_only - control_only))
    return Paired(treatment=t, control=c)


@pytest.mark.parametrize(
    ("pairs", "methods"),
    [
        (binary(60, 12, 4), ("tango", "mcnemar_midp")),
        (replace(binary(60, 12, 4), clusters=np.arange(60) // 3), ("effective_tango", "sign_flip")),
        (paired([0.5, 1.0, 0.0] * 20, [0.5, 0.5, 0.0] * 20, samples_treatment=2, samples_control=2), ("effective_tango", "sign_flip")),
        (paired([0.3, 0.9, 0.1] * 20, [0.2, 0.5, 0.4] * 20), ("paired_t", "sign_flip")),
        (paired([0.3, 0.9, 0.1] * 20, [0.2, 0.5, 0.4] * 20, clusters=np.arange(60) // 3), ("cr2", "sign_flip")),
    ],
)
def test_the_method_fits_the_data(pairs: Paired, methods: tuple[str, str]) -> None:
    got = made(pairs)
    assert methods[0] in got.estimate.method
    assert got.test.method.startswith(methods[1])


@pytest.mark.parametrize(("changed", "warns"), [((5, 4), True), ((6, 4), False), ((0, 0), True)])
def test_few_changed_items_are_told(changed: tuple[int, int], warns: bool) -> None:
    assert any("changed" in text for text in made(binary(100, *changed)).warnings) is warns


def test_few_pairs_and_few_clusters_are_told() -> None:
    got = made(replace(binary(20, 6, 1), clusters=np.arange(20) // 5))
    assert any("only 20 pairs" in text for text in got.warnings)
    assert any("only 4 clusters" in text for text in got.warnings)


def test_nothing_in_one_arm_is_undefined_and_not_a_difference() -> None:
    got = made(paired([NAN] * 40, [1.0] * 40))
    assert (got.estimate.value, got.test.p_value) == (None, None)
    assert got.missing.dropped == 40


def test_a_margin_is_tested_in_the_direction_in_which_more_is_better() -> None:
    pairs = binary(400, 40, 20)
    up = made(pairs, Endpoint(name="x", goal="noninferiority", margin=0.05)).margin
    down = made(pairs, Endpoint(name="x", goal="noninferiority", margin=0.05, higher_is_better=False)).margin
    assert up is not None
    assert down is not None
    assert (up.p_value or 0.0) < 0.001
    assert (down.p_value or 0.0) > 0.3


def test_each_comparison_has_a_stream_of_its_own() -> None:
    assert seed_of(1, "em") != seed_of(1, "f1") != seed_of(2, "f1")


def test_unbounded_numbers_are_null_with_a_reason() -> None:
    record = estimate_json(odds_ratio(5, 0))
    assert record is not None
    assert (record["value"], record["reason"]) == (None, "unbounded")


SCORES = st.lists(st.tuples(st.sampled_from([0.0, 1.0, 0.25, NAN]), st.sampled_from([0.0, 1.0, 0.25, NAN])), min_size=1, max_size=25)


@settings(max_examples=80, deadline=None)
@given(scores=SCORES, is_clustered=st.booleans())
def test_no_scores_give_nan_or_an_impossible_p(scores: list[tuple[float, float]], is_clustered: bool) -> None:
    clusters = np.arange(len(scores)) // 3 if is_clustered else None
    got = made(paired([t for t, _ in scores], [c for _, c in scores], clusters=clusters))
    numbers = [got.estimate.value, got.estimate.ci_low, got.estimate.ci_high, got.test.p_value]
    assert all(x is None or math.isfinite(x) for x in numbers)
    assert got.test.p_value is None or 0 < got.test.p_value <= 1
    if got.estimate.value is not None and got.estimate.ci_low is not None and got.estimate.ci_high is not None:
        assert got.estimate.ci_low <= got.estimate.value <= got.estimate.ci_high
    assert test_json(got.test) is not None


test_json.__test__ = False  # type: ignore[attr-defined]  # a function of ours with an unlucky name
