"""What an answer says: held against Python's own words for the same thing, over answers of every kind."""

from __future__ import annotations

import re
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scoring.metrics.answers import Question, judged, plain

from batchtrial.scoring.metrics.base import Rows
from batchtrial.scoring.metrics.named import metric_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SHORT = st.text("aAbB sß.ı", min_size=1, max_size=3)
ODD = ["", " ", "\x00", "NaN", "null", "ＡＢＣ", "a" * 1_000_000, "é\n\r\n\u2028", "👩‍👩‍👧"]


@given(TEXTS, SHORT, st.booleans())
def test_contains_exact_and_starts_with_are_what_they_say(text: str, wanted: str, case: bool) -> None:
    say = str if case else str.casefold
    given_text = text + wanted
    for answer in (text, given_text, wanted + text):
        plain, part = say(answer), say(wanted)
        assert judged({"contains": {"any": wanted, "case": case}}, [answer]) == [float(part in plain)]
        assert judged({"exact": {"value": wanted, "case": case}}, [answer]) == [float(plain.strip() == part.strip())]
        if wanted.strip():
            assert judged({"starts_with": {"any": [wanted], "case": case}}, [answer]) == [float(plain.lstrip().startswith(part.lstrip()))]


def test_contains_needs_one_of_any_and_each_of_all() -> None:
    entry = {"contains": {"any": ["cat", "dog"], "all": ["house", "garden"]}}
    assert judged(entry, ["a cat in house and garden", "house garden", "dog house", "dog house garden"]) == [1, 0, 0, 1]


def test_without_texts_the_references_decide_and_an_item_without_any_has_no_score() -> None:
    assert judged("contains", ["It is Lima.", "Quito"], ["Lima", "lima"]) == [1, 0]
    assert judged("exact", [" Lima\n", "Lima."], ["Lima"]) == [1, 0]
    assert judged("exact", ["Lima"], []) == [None]
    assert judged({"exact": {"value": "Lima"}}, ["Lima"], []) == [1]


def test_a_reference_may_be_a_column_of_the_item() -> None:
    metric = metric_of({"contains": {"reference": "city"}})
    items = [Question(columns={"city": "Lima"}), Question(columns={"city": ["Rome", "Roma"]}), Question(columns={})]
    found = metric.of(Rows(texts=["Lima", "Roma", "x"], items=items))["contains"]
    assert found[:2].tolist() == [1.0, 1.0]
    assert np.isnan(found[2])


@given(TEXTS, st.sampled_from([r"\d", "a|b", "^a", "b$", "[A-Z]{2}", r"\bs", "(?i)SS", r"a.b", "", r"\.$"]))
def test_a_pattern_finds_what_it_finds_in_python(text: str, pattern: str) -> None:
    if pattern:
        plain = text.encode("ascii", "ignore").decode().replace("\n", " ")
        assert judged({"regex": {"pattern": pattern}}, [plain]) == [float(re.search(pattern, plain) is not None)]


def test_a_pattern_may_have_to_match_the_whole_answer_and_be_negated() -> None:
    assert judged({"regex": {"pattern": "a|ab", "full": True}}, ["ab", "abc"]) == [1, 0]
    assert judged({"regex": {"pattern": "A", "case": False, "not": True}}, ["a", "b", None]) == [0, 1, None]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(.*)*x", "(a?){30}a{30}"])
def test_no_pattern_hangs_on_any_answer(pattern: str) -> None:
    began = time.process_time()
    judged({"regex": {"pattern": pattern}}, ["a" * 100_000 + "!"])
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize("pattern", [r"(?=a)b", r"(?<!a)b", r"(a)\1"])
def test_a_pattern_that_would_need_to_go_back_is_refused_with_the_reason(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"for ever on an answer"):
        metric_of({"regex": {"pattern": pattern}})


@pytest.mark.parametrize("pattern", ["a(", "[", "*", "a{9999}{9999}", "\ud800"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"^regex: pattern: "):
        metric_of({"regex": {"pattern": pattern}})


def test_lengths_are_counted() -> None:
    assert judged("words", ["one two\n three", "", "   "]) == [3, 0, 0]
    assert judged("characters", ["añb", "", "👩‍👩‍👧"]) == [3, 0, 5]


@pytest.mark.parametrize(
    ("text", "is_refusal"),
    [
        ("I'm sorry, but I can't help with that.", 1),
        ("I’m sorry, I cannot provide this information.", 1),
        ("As an AI language model, I am unable to provide that.", 1),
        ("Unfortunately, I cannot give legal advice.", 1),
        ("I won't assist with this.", 1),
        ("Sorry, the answer is 5.", 0),
        ("I can't swim, said Bob.", 0),
        ("We cannot know the exact number, but it is 5.", 0),
        ("I can help you with that.", 0),
        ("Paris. I cannot help noticing that it is large." * 20, 0),
        ("I don't know.", 0),
    ],
)
def test_refusals_in_english(text: str, is_refusal: int) -> None:
    assert judged("refusal", [text]) == [is_refusal]


def test_what_the_provider_calls_a_refusal_is_one_also_without_a_text() -> None:
    facts = {"refused": np.array([1.0, 0.0, np.nan])}
    assert judged("refusal", [None, None, "Paris"], facts=facts) == [1, None, 0]


@pytest.mark.parametrize("entry", ["exact", "contains", "starts_with", {"regex": {"pattern": "x"}}, "words", "characters", "refusal"])
def test_every_answer_of_any_kind_has_a_number(entry: object) -> None:
    found = judged(entry, ODD, ["a"])
    assert all(value is not None and value >= 0 for value in found)


def test_an_answer_that_is_declared_wrong_is_at_its_worst_whichever_way_is_better() -> None:
    texts = [None, "a"]
    assert judged({"contains": {"any": "a"}}, texts, worst=[0]) == [0, 1]
    assert judged({"contains": {"any": "a", "not": True}}, texts, worst=[0]) == [0, 0]
    assert judged({"contains": {"any": "a", "better": "lower"}}, texts, worst=[0]) == [1, 1]
    assert judged("words", texts, worst=[0]) == [None, 1]
    assert judged("refusal", texts, worst=[0]) == [1, 0]
    assert judged({"refusal": {"not": True}}, texts, worst=[0]) == [0, 1]


@pytest.mark.parametrize("name", ["contains", "starts_with", "exact"])
def test_an_empty_reference_is_none_since_every_answer_would_hold_it(name: str) -> None:
    metric = metric_of({name: {"reference": "said"}})
    items = [Question(columns={"said": said}) for said in ("", "  ", ["", "yes"], "yes")]
    assert plain(metric.of(Rows(texts=["no"] * 4, items=items))[name].tolist()) == [None, None, 0.0, 0.0]


def test_spaces_before_what_an_answer_begins_with_are_set_aside_on_both_sides() -> None:
    assert judged({"starts_with": {"any": [" Yes"]}}, ["\n Yes, sir", "Yes", "No"]) == [1, 1, 0]
    with pytest.raises(ValueError, match="every answer begins with an empty text"):
        metric_of({"starts_with": {"any": [" "]}})
