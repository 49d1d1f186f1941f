"""A choice or a number read out of an answer: known answers, and sweeps against an own reading of the same rule."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scoring.metrics.answers import judged

from batchtrial.scoring.metrics.named import metric_of
from batchtrial.scoring.metrics.values import _numbers

LETTERS = {"choice": {"letters": "ABCD"}}
LABELS = {"choice": {"labels": ["billing", "refund", "refund status"]}}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("B", "B"),
        ("b.", "B"),
        ("**B**", "B"),
        ("(B) Lima", "B"),
        ("B) Lima", "B"),
        ("B: Lima", "B"),
        ("The answer is B.", "B"),
        ("The correct answer is (b), since A is wrong.", "B"),
        ("I considered A) and C). Answer: B", "B"),
        ("First I thought the answer is A. But the answer is B", "B"),
        (r"So \boxed{B}", "B"),
        (r"\boxed{\text{B}}", "B"),
        ("Option B", "B"),
        ("It must be B", "B"),
        ("A man stands there", None),
        ("A) or B)", "A"),
        ("either (A) or (B)", None),
        ("I do not know", None),
        ("", None),
        ("E", None),
        ("BB", None),
        (r"\boxed{E} though B is fine", None),
    ],
)
def test_the_letter_that_an_answer_picks(text: str, label: str | None) -> None:
    for letter in "ABCD":
        assert judged(LETTERS, [text], [letter]) == [float(letter == label)], letter


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("refund", "refund"),
        ("Refund status.", "refund status"),
        ("Category: Refund Status", "refund status"),
        ("This is about a refund, clearly", "refund"),
        ("billing and refund", None),
        ("refunds", None),
        ('{"x": 1}', None),
    ],
)
def test_the_label_that_an_answer_picks(text: str, label: str | None) -> None:
    for one in ("billing", "refund", "refund status"):
        assert judged(LABELS, [text], [one.upper()]) == [float(one == label)], one


def test_a_reference_that_is_no_label_gives_no_score() -> None:
    assert judged(LETTERS, ["A"], ["Lima"]) == [None]
    assert judged(LETTERS, ["A"], []) == [None]


@pytest.mark.parametrize("parameters", [{}, {"letters": "A"}, {"letters": "AA"}, {"labels": ["a", "A."]}, {"letters": "AB", "labels": ["a", "b"]}])
def test_labels_have_to_be_told_apart(parameters: object) -> None:
    with pytest.raises(ValueError, match="choice: "):
        metric_of({"choice": parameters})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", 42.0),
        ("6 x 7 = 42.", 42.0),
        ("It is -3", -3.0),
        ("It is \u22123", -3.0),
        ("1,234.5 km", 1234.5),
        ("pages 12,34", 34.0),
        ("2e5", 2e5),
        (".5", 0.5),
        ("page5", None),
        ("v1.2.3", None),
        ("NaN", None),
        ("inf", None),
        ("forty-two", None),
        ("9" * 1000, None),
        ("", None),
        ("1" + ",000" * 3, 1e9),
        ("$5", 5.0),
        ("(1, 2)", 2.0),
    ],
)
def test_the_last_number_of_an_answer(text: str, value: float | None) -> None:
    assert judged("numeric", [text], ["0.125" if value is None else repr(value)]) == [float(value is not None)]
    assert judged("numeric", [text], ["0.25"]) == [0.0]


@given(st.lists(st.sampled_from([*"0123456789,.+-eEx _\n\t\u2212\xb2\ud800", "12", "1e999", " 7"]), max_size=14).map("".join))
def test_where_a_number_is_looked_for_changes_nothing(text: str) -> None:
    found = [number for number, _ in _numbers(text) if math.isfinite(number)]
    for is_first in (False, True):
        (value,) = metric_of({"numeric": {"first": is_first}})._values([text]).tolist()  # type: ignore[attr-defined]
        wanted = found[0 if is_first else -1] if found else math.nan
        assert value == wanted or (math.isnan(value) and math.isnan(wanted)), (text, found)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 10), st.booleans())
def test_the_tolerance_is_absolute_or_a_part_of_the_reference(value: float, right: float, tolerance: float, relative: bool) -> None:
    allowed = tolerance * abs(right) if relative else tolerance
    if abs(abs(value - right) - allowed) > 1e-9 * max(1.0, abs(value), abs(right)):
        entry = {"numeric": {"tolerance": tolerance, "relative": relative}}
        assert judged(entry, [f"It is {value!r} or so"], [repr(right)]) == [float(abs(value - right) <= allowed)]


def test_a_difference_that_is_the_tolerance_is_right_whatever_floating_point_makes_of_it() -> None:
    assert judged({"numeric": {"tolerance": 0.01}}, ["0.31"], ["0.30"]) == [1]
    assert judged({"numeric": {"tolerance": 0.01}}, ["0.3101"], ["0.30"]) == [0]


def test_units_boxes_and_first_numbers() -> None:
    units = {"numeric": {"units": {"km": 1000, "m": 1, "%": 0.01}}}
    assert judged(units, ["2 km", "2000 m", "2000", "2 km, said 5 people", "3 miles", "2mm"], ["2000 m"]) == [1, 1, 1, 1, 0, 0]
    assert judged(units, ["50 %"], ["0.5"]) == [1]
    assert judged({"numeric": {"boxed": True}}, [r"\boxed{7} and 8", "7", r"\boxed{5} \boxed{ 7 }"], ["7"]) == [1, 0, 1]
    assert judged({"numeric": {"first": True}}, ["7 of 8"], ["7"]) == [1]


def test_a_reference_without_a_number_gives_no_score() -> None:
    assert judged("numeric", ["7"], ["seven"]) == [None]
    assert judged("numeric", ["7"], ["seven", "7"]) == [1]


@pytest.mark.parametrize(
    "text", ["111," * 50_000 + "1111", "1," * 100_000, "." * 200_000, "\\boxed{" * 20_000, "answer is " * 20_000, "(A" * 100_000]
)
def test_no_answer_takes_for_ever(text: str) -> None:
    began = time.process_time()
    judged("numeric", [text], ["1"])
    judged({"numeric": {"boxed": True}}, [text], ["1"])
    judged(LETTERS, [text], ["A"])
    assert time.process_time() - began < 10.0
