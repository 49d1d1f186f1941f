"""The rules that hold for every metric, and metrics of one's own."""

from __future__ import annotations

import ast
import pickle
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import ConfigError
from batchtrial.records import Item
from batchtrial.scoring import ItemScore, OverlapRule, Scorer, Scores, registry, scorer_for

from .oracle import official
from .test_normalize import TEXT

PASSAGE = "The mill at Styal was built in 1784 by Samuel Greg. It spun cotton and was driven by a water wheel."
OPEN = Item(dataset="d", item_id="1", kind="open", question="Who built the mill?", answers=("Samuel Greg", "Greg"), context=PASSAGE)
UNANSWERABLE = Item(dataset="d", item_id="2", kind="open", question="Who sold it?", answers=(), context=PASSAGE, is_unanswerable=True)
CLOSED = Item(dataset="d", item_id="3", kind="closed", question="Capital of France?", answers=("Paris", "City of Paris"))


def scored(item: Item, text: str, metric: str = "squad_v2") -> ItemScore:
    scorer = scorer_for(metric)
    return scorer.score(scorer.prepare_gold(item), text)


def one_by_one(scores: Scores) -> list[ItemScore]:
    return [scores.one(place) for place in range(scores.numbers.shape[1])]


def test_a_right_answer() -> None:
    assert scored(OPEN, "Samuel Greg.") == ItemScore(em=1, f1=1.0, abstained=False, unsupported=False, overlap=1.0)


def test_abstaining_on_an_answerable_question_is_wrong() -> None:
    assert scored(OPEN, "I don't know.") == ItemScore(em=0, f1=0.0, abstained=True, unsupported=False)
    assert scored(OPEN, "I don't know who Greg is.").f1 == 0.0


@pytest.mark.parametrize("text", ["I don't know.", "I don’t know.", "unanswerable", "The passage does not say.", "", " . "])
def test_abstaining_on_an_unanswerable_question_is_right(text: str) -> None:
    assert scored(UNANSWERABLE, text) == ItemScore(em=1, f1=1.0, abstained=True, false_answer=False, unsupported=False)


@pytest.mark.parametrize("text", ["The Tomb of the Unknown Soldier", "Samuel Greg", "I don't know, but perhaps Greg."])
def test_answering_an_unanswerable_question_is_a_false_answer(text: str) -> None:
    got = scored(UNANSWERABLE, text)
    assert (got.em, got.f1, got.abstained, got.false_answer) == (0, 0.0, False, True)


def test_closed_book_answers_have_no_passage_to_be_supported_by() -> None:
    assert scored(CLOSED, "Paris", "triviaqa") == ItemScore(em=1, f1=1.0, abstained=False)
    assert scored(CLOSED, "I don't know.", "triviaqa") == ItemScore(em=0, f1=0.0, abstained=True)


def test_words_that_abstain_are_right_when_they_are_the_accepted_answer() -> None:
    item = Item(dataset="d", item_id="4", kind="closed", question="Who is on third base?", answers=("I Don't Know", "I Dunno"))
    assert scored(item, "I don't know.", "triviaqa") == ItemScore(em=1, f1=1.0, abstained=False)


def test_an_unsupported_answer_is_flagged_at_its_threshold() -> None:
    share = scored(OPEN, "Greg bought cotton from Liverpool merchants").overlap
    assert share == 0.4
    for threshold, is_flagged in ((0.3, False), (0.4, False), (0.5, True)):
        scorer = scorer_for("squad_v2", rule=OverlapRule(threshold=threshold))
        assert scorer.score(scorer.prepare_gold(OPEN), "Greg bought cotton from Liverpool merchants").unsupported is is_flagged


@pytest.mark.parametrize("metric", ["squad_v2", "triviaqa", "nq_open"])
@given(answers=st.lists(TEXT, min_size=1, max_size=3), text=TEXT)
def test_scores_are_official_unless_the_answer_abstains(metric: str, answers: list[str], text: str) -> None:
    item = Item(dataset="d", item_id="5", kind="closed", question="?", answers=tuple(answers))
    got = scored(item, text, metric)
    assert got.f1 is not None
    assert (got.em, got.f1) == ((0, 0.0) if got.abstained else official(metric, answers, text))
    assert 0 <= got.f1 <= 1


@pytest.mark.parametrize("metric", ["squad_v2", "triviaqa", "nq_open"])
def test_many_at_once_equal_one_by_one(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = scorer_for(metric)
    texts = ["Samuel Greg", "I don't know.", "", "It was Samuel Greg who built the mill for cotton.", "Paris", "a the an"]
    pairs = [(scorer.prepare_gold(item), text) for item in (OPEN, UNANSWERABLE, CLOSED) for text in texts]
    golds, answers = [gold for gold, _ in pairs], [text for _, text in pairs]
    assert one_by_one(scorer.score_all(golds, answers)) == [scorer.score(gold, text) for gold, text in pairs]
    assert one_by_one(scorer.score_all([], [])) == []
    monkeypatch.setattr("batchtrial.scoring.scorer._CHARS_AT_ONCE", 30)
    assert one_by_one(scorer.score_all(golds, answers)) == [scorer.score(gold, text) for gold, text in pairs]


def test_scorers_and_scores_can_be_sent_to_another_process() -> None:
    scorer: Scorer = pickle.loads(pickle.dumps(scorer_for("triviaqa")))
    score = scorer.score(pickle.loads(pickle.dumps(scorer.prepare_gold(CLOSED))), "Paris")
    assert pickle.loads(pickle.dumps(score)) == scored(CLOSED, "Paris", "triviaqa")


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no metric 'squad_v3'") as caught:
        scorer_for("squad_v3")
    assert "squad_v2" in caught.value.hint


def test_bundled_sets_have_their_metric() -> None:
    assert scorer_for("bundled_open").name == "squad_v2"
    assert scorer_for("bundled_closed").name == "triviaqa"


@pytest.fixture
def tolerant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The worked example of the registry's docstring, as a user's file."""
    documented = ast.get_docstring(ast.parse(Path(registry.__file__).read_text("utf-8"))) or ""
    start = documented.index("    def numeric")
    example = textwrap.dedent(documented[start : documented.index("\n\nAs a question set's metric")])
    assert example.count("\n") < 30
    (tmp_path / "tolerant.py").write_text(f"import re\n\n\n{example}\n\ndef length(item, text):\n    return len(text)\n")
    monkeypatch.delitem(sys.modules, "tolerant", raising=False)
    yield str(tmp_path)
    sys.modules.pop("tolerant", None)


def test_a_metric_of_ones_own_decides_em_under_the_same_rules(tolerant: str) -> None:
    item = Item(dataset="sums", item_id="1", kind="closed", question="2 + 2?", answers=("4",))
    scorer = scorer_for("tolerant:numeric", folders=[tolerant])
    gold = scorer.prepare_gold(item)
    assert scorer.name == "tolerant:numeric"
    assert scorer.score(gold, "That makes 4.0, I think") == ItemScore(em=1, f1=1.0, abstained=False)
    assert scorer.score(gold, "5") == ItemScore(em=0, f1=0.0, abstained=False)
    assert scorer.score(gold, "I don't know.") == ItemScore(em=0, f1=0.0, abstained=True)


def test_a_further_metric_adds_its_number_and_changes_nothing_else(tolerant: str) -> None:
    scorer = scorer_for("triviaqa", further=["tolerant:length"], folders=[tolerant])
    want = ItemScore(em=1, f1=1.0, abstained=False, custom={"length": 5.0})
    assert scorer.score(scorer.prepare_gold(CLOSED), "Paris") == want
    assert one_by_one(scorer.score_all([scorer.prepare_gold(CLOSED)], ["Paris"])) == [want]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere:f", "there is no module 'nowhere'"),
        ("no.where:f", "there is no module 'no.where'"),
        ("tolerant:numerik", "no function 'numerik'"),
        (":f", "no import path"),
        ("tolerant:1", "no import path"),
        ("broken:f", "cannot be loaded"),
    ],
)
def test_a_path_that_leads_nowhere_says_so(tolerant: str, path: str, message: str) -> None:
    (Path(tolerant) / "broken.py").write_text("import does_not_exist_anywhere\n")
    with pytest.raises(ConfigError, match=message):
        scorer_for(path, folders=[tolerant])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("'good'", "returned 'good'"),
        ("float('nan')", "returned nan"),
        ("{'em': 0.5}", "em = 0.5"),
        ("{'em': 1, 'f1': 2}", "f1 = 2"),
        ("3", "em = None"),
    ],
)
def test_a_metric_that_returns_no_score_is_named(tmp_path: Path, returned: str, message: str) -> None:
    (tmp_path / "odd.py").write_text(f"def odd(item, text):\n    return {returned}\n")
    scorer = scorer_for("odd:odd", folders=[str(tmp_path)])
    try:
        with pytest.raises(ConfigError, match=message):
            scorer.score(scorer.prepare_gold(CLOSED), "Paris")
    finally:
        del sys.modules["odd"]


def test_an_item_without_a_reference_is_neither_right_nor_wrong_and_not_lost() -> None:
    scorer = scorer_for("triviaqa")
    known = Item(dataset="d", item_id="1", kind="closed", question="q", answers=("Rome",))
    unknown = replace(known, answers=())
    golds = scorer.prepare_golds([known, unknown, unknown])
    scores = scorer.score_all(golds, ["Rome", "Rome", "I don't know."])
    assert scores.numbers[:2, 0].tolist() == [1.0, 1.0]
    assert np.isnan(scores.numbers[:2, 1:]).all()
    assert scores.numbers[2].tolist() == [0.0, 0.0, 1.0]
    assert scores.one(1).em is None
