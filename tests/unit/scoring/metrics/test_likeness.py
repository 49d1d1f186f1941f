"""Likeness to a reference: against plain implementations of the definitions, and the libraries' own figures."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.scoring.metrics.answers import judged

WORDS = st.lists(st.sampled_from(["a", "b", "Cat", "dog", "runs", "1"]), min_size=1, max_size=8).map(" ".join)


def longest_common(a: list[str], b: list[str]) -> int:
    """Length of a longest common subsequence, from the definition."""
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i + 1][j + 1] = table[i][j] + 1 if x == y else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


@given(WORDS, WORDS)
def test_rouge_l_is_the_f1_of_a_longest_common_subsequence_of_words(reference: str, text: str) -> None:
    pytest.importorskip("rouge_score")
    a, b = (re.findall("[a-z0-9]+", one.lower()) for one in (reference, text))
    common = longest_common(a, b)
    wanted = 0.0 if not common else 2 * common / (len(a) + len(b))
    assert judged("rouge_l", [text], [reference]) == [pytest.approx(wanted)]


@given(st.text("abC ", max_size=8), st.text("abC ", min_size=1, max_size=8))
def test_similarity_is_twice_the_common_subsequence_over_both_lengths(reference: str, text: str) -> None:
    pytest.importorskip("rapidfuzz")
    common = longest_common(list(reference.lower()), list(text.lower()))
    assert judged("similarity", [text], [reference]) == [pytest.approx(2 * common / (len(reference) + len(text)))]


@pytest.mark.parametrize(
    ("method", "wanted"),
    [("levenshtein", 4 / 7), ("jaro_winkler", 0.7460317), ("token_sort_ratio", 8 / 13), ("token_set_ratio", 8 / 13), ("partial_ratio", 2 / 3)],
)
def test_the_other_measures_have_their_known_values(method: str, wanted: float) -> None:
    """kitten and sitting: three edits of seven; Jaro 0.746 and no common prefix."""
    pytest.importorskip("rapidfuzz")
    assert judged({"similarity": {"method": method}}, ["sitting"], ["kitten"]) == [pytest.approx(wanted)]


@pytest.mark.parametrize("name", ["rouge_l", "similarity"])
def test_the_nearest_reference_counts_and_none_gives_no_score(name: str) -> None:
    pytest.importorskip("rouge_score")
    pytest.importorskip("rapidfuzz")
    assert judged(name, ["the cat"], ["a dog", "the cat"]) == [1]
    assert judged(name, ["the cat", None], []) == [None, None]
    assert judged(name, ["", "x" * 200_000, "\x00"], ["the cat"])[0] == 0
