"""A choice or a number read out of an answer: known answers, and sweeps against an own reading of the same rule."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scoring.metrics.answers import judged

from batchtrial.scoring.metrics.named import metric_of
from batchtrial.scoring.metrics.spelling import plainly
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
        ("A) or B)", None),
        ("The answer is A or B", None),
        ("A, B and C are wrong", None),
        ("The answer is A, and a half of C", "A"),
        ("B\n\nExplanation: A is wrong", "B"),
        ("## Answer\n\nB", "B"),
        ("**Answer:** B. For A) is wrong", "B"),
        ("B - Lima, A - Rome", "B"),
        ('{"answer": "B"}', "B"),
        ("<answer>B</answer> A) is wrong", "B"),
        ("the answer is a matter of taste: B", "B"),
        ("\uff22", "B"),
        ("\u7b54\u6848\u662fB\u3002", "B"),
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
        ("billing, refund", None),
        ('{"category": ["billing", "refund"]}', None),
        ('{"category": "billing"}', "billing"),
        ("Billing, for the refund failed", "billing"),
        ("# Refund\nnot billing", "refund"),
        ("It asks for the refund\nstatus.", "refund status"),
        ("This is non-refund mail", None),
        ("refunds", None),
        ('{"x": 1}', None),
    ],
)
def test_the_label_that_an_answer_picks(text: str, label: str | None) -> None:
    for one in ("billing", "refund", "refund status"):
        assert judged(LABELS, [text], [one.upper()]) == [float(one == label)], one


def test_labels_that_stand_in_a_number_or_in_words_without_spaces() -> None:
    stars = {"choice": {"labels": ["1", "4", "5"]}}
    assert judged(stars, ["4.5 stars", "4.5", "-4", "4/5", "I give it a 4."], ["4"]) == [0, 0, 0, 0, 1]
    assert judged({"choice": {"labels": ["-1", "0", "1"]}}, ["\u22121", "The label is -1."], ["-1"]) == [1, 1]
    places = {"choice": {"labels": ["\u65e5\u672c", "na\xefve"]}}
    assert judged(places, ["\u3053\u308c\u306f\u65e5\u672c\u3067\u3059"], ["\u65e5\u672c"]) == [1]
    assert judged(places, ["It is nai\u0308ve."], ["na\xefve"]) == [1]


def test_the_letter_that_is_also_a_pronoun() -> None:
    ten = {"choice": {"letters": "ABCDEFGHIJ"}}
    assert judged(ten, ["The best option I see is B", "The answer is I."], ["B"]) == [1, 0]
    assert judged(ten, ["The answer is I."], ["I"]) == [1]


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
        ("-$5", -5.0),
        ("\u2212US$1,500.50", -1500.5),
        ("3/4", 0.75),
        (r"\boxed{-\dfrac{1}{2}}", -0.5),
        ("10,000 / 4 of them", 2500.0),
        ("on 05/06/2024", 2024.0),
        ("1/0", 0.0),
        ("3 \xd7 10^5", 3e5),
        (r"1.5 \times 10^{-3}", 0.0015),
        ("2\xd710\u2075", 2e5),
        ("5\xbd", 5.5),
        ("1\u202f234\u202f567", 1234567.0),
        ("1'234", 1234.0),
        (r"\boxed{1{,}234}", 1234.0),
        ("\uff14\uff12", 42.0),
        ("\u0664\u0662", 42.0),
    ],
)
def test_the_last_number_of_an_answer(text: str, value: float | None) -> None:
    assert judged("numeric", [text], ["0.125" if value is None else repr(value)]) == [float(value is not None)]
    assert judged("numeric", [text], ["0.25"]) == [0.0]


@given(st.lists(st.sampled_from([*"0123456789,.+-eEx _\n\t\u2212\xb2\ud800", "12", "1e999", " 7"]), max_size=14).map("".join))
def test_where_a_number_is_looked_for_changes_nothing(text: str) -> None:
    found = [number for number, _ in _numbers(plainly(text)) if math.isfinite(number)]
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


def test_whole_numbers_are_told_apart_however_long() -> None:
    assert judged("numeric", ["1234567890123"], ["1234567890124"]) == [0]
    assert judged({"numeric": {"tolerance": 1}}, ["1234567890123"], ["1234567890124"]) == [1]
    assert judged("json_fields", ['{"id": 1234567890123}'], ['{"id": 1234567890124}']) == [0]


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
    "text",
    [
        "111," * 50_000 + "1111",
        "1," * 100_000,
        "." * 200_000,
        "\\boxed{" * 20_000,
        "answer is " * 20_000,
        "(A" * 100_000,
        "1/" * 100_000,
        "1'" * 100_000,
        "A or " * 50_000,
    ],
)
def test_no_answer_takes_for_ever(text: str) -> None:
    began = time.process_time()
    judged("numeric", [text], ["1"])
    judged({"numeric": {"boxed": True}}, [text], ["1"])
    judged(LETTERS, [text], ["A"])
    assert time.process_time() - began < 10.0
