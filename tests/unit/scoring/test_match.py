"""EM and F1 equal the official definitions on any answers and any text."""

from __future__ import annotations

import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchtrial.scoring.match import Metric
from batchtrial.scoring.nq_open import NQ_OPEN
from batchtrial.scoring.squad import SQUAD_V2
from batchtrial.scoring.triviaqa import TRIVIAQA

from .oracle import official
from .test_normalize import TEXT

METRICS = [SQUAD_V2, TRIVIAQA, NQ_OPEN]
EACH_METRIC = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
# Few words, so that answers and accepted answers overlap, repeat and contain each other.
PHRASE = st.lists(st.sampled_from(["the", "a", "an", "cat", "cats", "at", "Cat.", "dog", "x-y", "é", "“the”", "-"]), max_size=6)
LONG = st.lists(st.sampled_from(["the", "a", "cat", "cats", "dog,", "then", "an", "é"]), min_size=31, max_size=60)


def scored(metric: Metric, answers: list[str], text: str) -> tuple[int, float]:
    return metric.match(metric.golds(answers), text)


@EACH_METRIC
@given(
    answers=st.lists(st.one_of(PHRASE.map(" ".join), TEXT), min_size=1, max_size=4),
    text=st.one_of(PHRASE.map(" ".join), LONG.map(" ".join), TEXT),
)
@example(answers=["the"], text="")
@example(answers=["the", "cat"], text="a")
@example(answers=["cat the cat"], text="the cat cat " * 20)
@example(answers=["a b", "b a"], text="b A")
def test_fast_equals_the_official_definition(metric: Metric, answers: list[str], text: str) -> None:
    assert scored(metric, answers, text) == official(metric.name, answers, text)


@EACH_METRIC
@settings(deadline=None)  # the first look-up starts polars
@given(
    cases=st.lists(
        st.tuples(
            st.lists(st.one_of(PHRASE.map(" ".join), TEXT), min_size=1, max_size=3),
            st.one_of(PHRASE.map(" ".join), LONG.map(" ".join), TEXT),
        ),
        max_size=6,
    )
)
def test_many_at_once_equal_one_by_one(metric: Metric, cases: list[tuple[list[str], str]]) -> None:
    pairs = [(metric.golds(answers), text) for answers, text in cases]
    assert metric.match_all(pairs) == [metric.match(golds, text) for golds, text in pairs]


@EACH_METRIC
def test_fast_equals_the_official_definition_with_many_aliases_and_long_answers(metric: Metric) -> None:
    rng = random.Random(5)
    vocabulary = [f"w{n}" for n in range(120)] + ["the", "a", "an"] * 5
    n_hits = 0
    for _ in range(200):
        answers = [" ".join(rng.choices(vocabulary, k=rng.randint(1, 4))) for _ in range(rng.choice((1, 3, 40)))]
        text = " ".join(rng.choices(vocabulary, k=rng.choice((2, 20, 200))))
        got = scored(metric, answers, text)
        assert got == official(metric.name, answers, text)
        n_hits += got[1] > 0
    assert n_hits > 50


@pytest.mark.parametrize(
    ("metric", "answers", "text", "expected"),
    [
        (SQUAD_V2, ["The Eiffel Tower"], "Eiffel tower.", (1, 1.0)),
        (SQUAD_V2, ["October 1973"], "in October 1973", (0, 0.8)),
        (SQUAD_V2, ["the"], "", (1, 1.0)),
        (TRIVIAQA, ["the"], "", (1, 0.0)),
        (TRIVIAQA, ["Rock & Roll"], "rock-roll", (1, 1.0)),
        (SQUAD_V2, ["Rock & Roll"], "rock-roll", (0, 0.0)),
        (NQ_OPEN, ["Ångström"], "Ångström", (1, 1.0)),
        (NQ_OPEN, ["Ångström"], "angstrom", (0, 0.0)),
        (SQUAD_V2, ["cat cat dog"], "cat dog dog", (0, 2 / 3)),
    ],
)
def test_known_scores(metric: Metric, answers: list[str], text: str, expected: tuple[int, float]) -> None:
    em, f1 = scored(metric, answers, text)
    assert em == expected[0]
    assert f1 == pytest.approx(expected[1], abs=1e-12)


def test_a_long_answer_is_not_searched_for_the_right_words() -> None:
    # One word of five: precision 0.2, recall 1.
    assert scored(SQUAD_V2, ["Paris"], "The capital is Paris, of course.") == (0, 0.4 / 1.2)
