"""What of an answer is scored: thoughts are taken out, and what is no answer counts as the plan says."""

from __future__ import annotations

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.records import AnswerState
from batchtrial.scoring.standing import ABSTENTION, AnswerRules, Treated
from batchtrial.scoring.thinking import MAY_HOLD_MARKS, answer_in, has_marks, rule_fault

S = AnswerState


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>\nIt may be Milan.\n</think>\n\nRome", "Rome"),
        ("<think>I don't know</think>Rome", "Rome"),
        ("  <think>a</think> <think>b</think> Rome ", "Rome"),
        ("It may be Milan.\n</think>\n\nRome", "Rome"),
        ("<thinking>a</thinking>Rome", "Rome"),
        ("<THINK>a</Think>Rome", "Rome"),
        ("<reasoning>a</reasoning>Rome", "Rome"),
        ("<reflection>a</reflection>\nRome", "Rome"),
        ("<scratchpad>a</scratchpad>Rome", "Rome"),
        ("<seed:think>a</seed:think>Rome", "Rome"),
        ("[THINK]a[/THINK]Rome", "Rome"),
        ("◁think▷a◁/think▷Rome", "Rome"),
        ("<|START_THINKING|>a<|END_THINKING|>Rome", "Rome"),
        ("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>Rome", "Rome"),
        ("<think>a <think> b</think> c</think>Rome", "Rome"),
        ("Rome", "Rome"),
        (" Rome\n", " Rome\n"),
        ("The tag <think> opens it", "The tag <think> opens it"),
        ("a <think>b</think> c", "a <think>b</think> c"),
        ("1 < 2 [3]", "1 < 2 [3]"),
        ("", ""),
    ],
)
def test_auto_leaves_the_answer(text: str, answer: str) -> None:
    read = answer_in(text, "auto")
    assert (read.text, read.is_unfinished) == (answer, False)
    assert read.had_marks == has_marks(text)


@given(st.lists(st.sampled_from([*"<>[]/|◁▷ aK\u212a", "think", "THINK", "ThinK", "channel", "final", "END_THINKING"]), max_size=9).map("".join))
def test_no_mark_is_missed_where_texts_are_looked_through_at_once(text: str) -> None:
    assert not has_marks(text) or pl.Series([text]).str.contains(MAY_HOLD_MARKS).all()


@pytest.mark.parametrize("text", ["<think>\nIt may be Milan, or", "<think>", "  [THINK]a", "<think>a</think><think>b", "<think>a</reasoning>Rome"])
@pytest.mark.parametrize("rule", ["auto", "<note>.*?</note>"])
def test_a_thought_without_an_end_leaves_no_answer(text: str, rule: str) -> None:
    if rule == "auto" or not text.startswith("<think>a</think>"):
        assert answer_in(text, rule).is_unfinished


def test_a_rule_of_ones_own_takes_out_what_it_matches_over_lines() -> None:
    assert answer_in("<note>a\nb</note>\nRome", "<note>.*?</note>").text == "Rome"
    assert answer_in(" Rome", "<note>.*?</note>").text == " Rome", "where nothing matches nothing changes"


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("<note>.*?</note>", None),
        ("(?i)<note>.*?</note>", None),
        ("(a+)+b", None),
        ("^.*?</think>", None),
        (".*", "takes all of an answer"),
        ("[^<]*", "takes all of an answer"),
        ("(?<=x)y", "look-around"),
        (r"(a)\1", "backreference"),
    ],
)
def test_a_rule_leaves_answers_without_thoughts_and_can_be_read_in_bounded_time(rule: str, fault: str | None) -> None:
    found = rule_fault(rule)
    assert found is None if fault is None else fault in (found or "")


def test_an_expression_that_goes_back_and_forth_elsewhere_is_read_once() -> None:
    text = "a" * 5000 + "c"
    assert answer_in(text, "(a+)+b").text == text
    assert answer_in("xy<x", "(?<=x)y").text == "x<x", "a rule of an earlier version"


def test_off_leaves_everything() -> None:
    text = "<think>Milan"
    assert answer_in(text, "off") == (text, False, True)
    assert AnswerRules(strip_thinking="off").scored(S.COMPLETE, text) == ("as_is", text)


@pytest.mark.parametrize("text", ["<think></think>" * 200_000, "<think>" * 400_000, "<" * 2_000_000, "</think>" * 300_000])
def test_many_marks_take_no_longer_than_reading_them(text: str) -> None:
    begun = time.process_time()
    answer_in(text, "auto")
    assert time.process_time() - begun < 20


@pytest.mark.parametrize(
    ("given", "text", "state"),
    [
        (S.COMPLETE, "Rome", S.COMPLETE),
        (S.COMPLETE, " \n", S.EMPTY),
        (S.COMPLETE, "", S.EMPTY),
        (S.COMPLETE, "\u200b\u2060\ufeff\x00", S.EMPTY),
        (S.COMPLETE, "\u200b.", S.COMPLETE),
        (S.COMPLETE, "<think>Milan</think>\u200b", S.UNFINISHED_THINKING),
        (S.COMPLETE, "<think>a</think>\n", S.UNFINISHED_THINKING),
        (S.COMPLETE, "<think>a", S.UNFINISHED_THINKING),
        (S.CUT, "<think>a", S.UNFINISHED_THINKING),
        (S.CUT, "<think>a</think>Ro", S.CUT),
        (S.CUT, "", S.CUT),
        (S.REFUSED, "<think>a", S.REFUSED),
        (S.NOT_UNDERSTOOD, "", S.NOT_UNDERSTOOD),
    ],
)
def test_the_text_has_a_say_in_the_state(given: AnswerState, text: str, state: AnswerState) -> None:
    assert AnswerRules().state_of(given, text) is state


@pytest.mark.parametrize("state", [one for one in AnswerState if one is not S.COMPLETE])
def test_what_is_no_answer_is_lost_unless_the_plan_says_otherwise(state: AnswerState) -> None:
    assert AnswerRules().scored(state, "Rome") == ("lost", "")


@pytest.mark.parametrize(
    ("rules", "state", "text", "want"),
    [
        (AnswerRules(cut="as_is"), S.CUT, "Rome is", ("as_is", "Rome is")),
        (AnswerRules(cut="as_is"), S.CUT, "<think>a</think>Rome", ("as_is", "Rome")),
        (AnswerRules(cut="as_is"), S.CUT, "", ("lost", "")),
        (AnswerRules(cut="as_is"), S.CUT, "\u200b\ufeff", ("lost", "")),
        (AnswerRules(cut="as_is"), S.UNFINISHED_THINKING, "<think>a", ("lost", "")),
        (AnswerRules(cut="wrong"), S.CUT, "Rome", ("wrong", "")),
        (AnswerRules(cut="wrong"), S.UNFINISHED_THINKING, "<think>a", ("wrong", "")),
        (AnswerRules(cut="wrong"), S.FILTERED, "", ("lost", "")),
        (AnswerRules(refused="wrong"), S.REFUSED, "No.", ("wrong", "")),
        (AnswerRules(refused="abstained"), S.REFUSED, "No.", ("abstained", ABSTENTION)),
        (AnswerRules(refused="abstained"), S.CUT, "No.", ("lost", "")),
    ],
)
def test_declared_rules(rules: AnswerRules, state: AnswerState, text: str, want: tuple[Treated, str]) -> None:
    assert rules.scored(state, text) == want
