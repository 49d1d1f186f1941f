"""Pages use the words of the glossary, and none of those that it sets aside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, pages, text_of, words

GLOSSARY = ROOT / "docs" / "glossary.md"
ROW = re.compile(r"^\| (?P<words>[^|]+?) \| (?P<meaning>[^|]+?) \| (?P<others>[^|]*?) ?\|$", re.M)
SET_ASIDE = re.compile(r"\b(?:variants?|buckets?|chunks?|replicates?|shards?|mocks?|canceled|canceling)\b", re.I)
"""Those of the words set aside that have no everyday meaning in these pages; the rest (job, task, log ...) is for readers to judge."""

LETTERS = "abcdefghijklmnopqrstuvwxyz"
REAL_WORDS = {"contract", "simple", "simulate", "artifact"}
"""Words that are one letter away from a word of the glossary and right."""


def rows() -> list[re.Match[str]]:
    return [match for match in ROW.finditer(text_of(GLOSSARY)) if match["words"] not in ("word", "---")]


def terms() -> list[str]:
    """The words that the glossary explains."""
    return [word.strip() for row in rows() for word in row["words"].split(",")]


def misspellings(word: str) -> set[str]:
    """Everything that one wrong, missing, doubled or swapped letter makes of a word, its inflections aside."""
    cuts = [(word[:n], word[n:]) for n in range(len(word) + 1)]
    made = {left + right[1:] for left, right in cuts if right}
    made |= {left + letter + right for left, right in cuts for letter in LETTERS}
    made |= {left + letter + right[1:] for left, right in cuts if right for letter in LETTERS}
    made |= {left + right[1] + right[0] + right[2:] for left, right in cuts if len(right) > 1}
    return made - {word, f"{word}s", f"{word}d", *REAL_WORDS}


MISSPELT = frozenset(wrong for term in terms() if len(term) > 5 and " " not in term for wrong in misspellings(term)) - set(terms())


@pytest.mark.parametrize("page", [page for page in pages() if page != GLOSSARY], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_the_page_uses_the_words_of_the_glossary(page: Path) -> None:
    """Generated pages hold names of keys and models, which are what they are."""
    text = words(page)
    aside = [match[0] for match in SET_ASIDE.finditer(text)] if "docs/generate.py" not in text_of(page) else []
    found = aside + [word for word in re.findall(r"[a-z]+", text.lower()) if word in MISSPELT]
    assert found == [], "see docs/glossary.md for the word to use"


def test_misspelt_words_are_found() -> None:
    assert {"casette", "recipt", "atempt", "ledgre"} <= MISSPELT
    assert not {"requests", "attempts", "simulated", "simple"} & MISSPELT


def test_the_glossary_has_one_row_per_word() -> None:
    assert len(terms()) == len(set(terms())) > 20
    assert not {word for word in terms() if SET_ASIDE.fullmatch(word)}
    aside = " ".join(row["others"] for row in rows())
    assert [word for word in ("variant", "bucket", "chunk", "replicate", "mock", "shard") if word not in aside] == []
