"""Normalisation equals the official scripts, on their quirks and on any text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchtrial.scoring.normalize import NQ_OPEN, SQUAD, TRIVIAQA, Normalizer

from .oracle import NORMAL

# Articles, signs that touch them, control characters, odd white space, letters whose lower form is longer or ASCII.
PIECES = [
    "a", "an", "the", "A", "The", "AN", "cat", "U.S.A.", "don't", "don’t", "“the”", "—a—", "_the_", "the_", "x_Σ_y",
    "ΑΣ", "naïve", "the—a", "漢字" * 70, "Ångström", "é", "İ", "\u212a", "\x00", "\x01", "a\x00b", "\x1f", "\x85",
    "\xa0", "\u2003", "\u200b", "🐸", "\ud800", "3.5", "$12", "10%", "-", "...", "`", "´", "‘", "’", " ", "  ", "\n",
    "\t", "ǅ", "ſ", "²", "½", "\uff41", "the\u0301",
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=12).map("".join)


@pytest.mark.parametrize(
    ("normalizer", "text", "expected"),
    [
        (SQUAD, "The U.S.A.", "usa"),
        (TRIVIAQA, "The U.S.A.", "u s"),
        (NQ_OPEN, "The U.S.A.", "usa"),
        (SQUAD, "Ångström", "ångström"),
        (TRIVIAQA, "Ångström", "ångström"),
        (NQ_OPEN, "Ångström", "\u030angstro\u0308m"),
        (SQUAD, "the “Tomb” – it’s", "“tomb” – it’s"),
        (SQUAD, "“the” end", "“ ” end"),
        (TRIVIAQA, "it’s the_end", "it s end"),
        (SQUAD, "the_end", "theend"),
        (SQUAD, "anthem of a nation", "anthem of nation"),
        (SQUAD, "a\x00b", "\x00b"),
        (SQUAD, "The", ""),
        (SQUAD, "  \n\t ", ""),
    ],
)
def test_known_quirks(normalizer: Normalizer, text: str, expected: str) -> None:
    assert normalizer(text) == expected


@pytest.mark.parametrize("normalizer", [SQUAD, TRIVIAQA, NQ_OPEN], ids=lambda n: n.name)
@given(text=TEXT)
@example(text="x the the a an y")
@example(text="\x1cthe\x1d")
def test_fast_equals_the_plain_rule_on_any_text(normalizer: Normalizer, text: str) -> None:
    expected = NORMAL[normalizer.name](text)
    assert normalizer(text) == expected
    assert " ".join(normalizer.tokens(text)) == expected


@pytest.mark.parametrize("normalizer", [SQUAD, TRIVIAQA, NQ_OPEN], ids=lambda n: n.name)
@given(text=TEXT)
def test_every_token_is_a_substring_of_the_blanked_text(normalizer: Normalizer, text: str) -> None:
    blanked = normalizer.blanked(text)
    assert all(token in blanked for token in normalizer.tokens(text))


@pytest.mark.parametrize("normalizer", [SQUAD, TRIVIAQA, NQ_OPEN])
@given(texts=st.lists(st.one_of(TEXT, st.sampled_from(["", "The Cat", "U.S.A.", "a", "line\nend", " an  owl "])), max_size=6))
@example(texts=[])
@example(texts=["", ""])
def test_many_texts_at_once_have_the_tokens_of_each(normalizer: Normalizer, texts: list[str]) -> None:
    assert normalizer.all_spaced(texts) == [f" {normalizer.blanked(text)} " for text in texts]
    assert normalizer.all_tokens(texts) == [normalizer.tokens(text) for text in texts]
