"""The word heuristic: what it flags, what it lets pass, and that its shares are what it says they are."""

from __future__ import annotations

from math import ceil, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import ConfigError
from batchtrial.scoring.unsupported import _COMMON, OverlapRule, all_overlaps, overlap

from .oracle import triviaqa_normal

PASSAGE = "The Menai Bridge, designed by Thomas Telford, opened on 30 January 1826. Its iron chains were soaked in linseed oil."
WORDS = st.sampled_from(["bridge", "bridges", "bridged", "bride", "iron", "ironing", "1826", "1827", "oil", "oily", "the", "x", "Telford's", "zinc"])


def plain_overlap(context: str, text: str, least: float) -> float | None:
    words = [word for word in triviaqa_normal(text).split() if word not in _COMMON]
    passage = set(triviaqa_normal(context).split())

    def is_there(word: str) -> bool:
        n_letters = max(ceil(round(len(word) * least, 6)), 4)
        beginning = word[:n_letters]
        is_begun = len(beginning) >= 4 and any(other.startswith(beginning) for other in passage)
        return word in passage or (word.isalpha() and is_begun)

    return sum(map(is_there, words)) / len(words) if words else None


@settings(deadline=None)  # the first look-up starts polars
@given(st.lists(WORDS, max_size=8).map(" ".join), st.lists(WORDS, max_size=8).map(" ".join), st.sampled_from([0.0, 0.5, 0.6, 0.8, 1.0]))
def test_share_equals_the_plain_definition(context: str, text: str, least: float) -> None:
    assert overlap(context, text, min_token_overlap=least) == plain_overlap(context, text, least)


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        ("Thomas Telford", 1.0),
        ("According to the passage, it was designed by Thomas Telford.", 1.0),
        ("the bridges", 1.0),
        ("1827", 0.0),
        ("Telford, in 1827", 0.5),
        ("Telford, Telford, Brunel", 2 / 3),
        ("Isambard Kingdom Brunel", 0.0),
        ("linseed-oil", 1.0),
        ("It is.", None),
        ("", None),
    ],
)
def test_share_of_known_answers(answer: str, share: float | None) -> None:
    assert overlap(PASSAGE, answer) == share


def test_asking_for_whole_words_is_stricter() -> None:
    assert overlap(PASSAGE, "bridges", min_token_overlap=0.6) == 1.0
    assert overlap(PASSAGE, "bridges", min_token_overlap=1.0) == 0.0


def test_only_the_beginning_of_a_long_answer_is_read() -> None:
    answer = "Thomas Telford. " * 30 + "Zinc and copper."
    assert overlap(PASSAGE, answer) == 1.0
    assert overlap(PASSAGE, "Zinc and copper. " + answer[:32]) == 4 / 6
    assert overlap(PASSAGE, "Zinc " * 100 + answer) == 0.0


def test_a_rule_outside_its_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1\.5 is not between 0 and 1"):
        OverlapRule(threshold=1.5)


def test_many_at_once_equal_one_by_one() -> None:
    texts = ["", "the of", "The bridge was designed by Telford.", "zinc \ud800 oil", "Iron—chains\u2003soaked", "x" * 50 + " bridge " * 40]
    pairs = [(context, text) for context in (PASSAGE, "", "oil \ud800") for text in texts]
    want = [nan if (share := overlap(context, text)) is None else share for context, text in pairs]
    assert all_overlaps(pairs).tolist() == pytest.approx(want, rel=0, abs=0, nan_ok=True)
    assert all_overlaps([("oil \ud800", "oil \ud800")]).tolist() == [1.0]
    assert all_overlaps([]).size == 0
