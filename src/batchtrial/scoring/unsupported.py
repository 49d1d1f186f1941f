"""A heuristic for answers without support in the passage: how many of their words does the passage hold?

It compares words, not meaning. A paraphrase looks unsupported, a wrong sentence built from the passage's own words looks
supported, and no packaged model did measurably better on small samples. Read its rates as a hint; ask a judge for a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, isnan

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.errors import ConfigError
from batchtrial.scoring.normalize import TRIVIAQA

# Words that nearly every English text has, the debris of apostrophes, and the words in which answers point at the passage.
_COMMON_WORDS = """
    a an the of to in on at by for from with and or but nor not no as is are was were be been being it its this that these those he she they
    them his her their we you i who which what when where how there has have had do does did will would can could may than then so if into
    about also s t d ll re ve according passage text context answer question given based states says
"""
_COMMON = frozenset(_COMMON_WORDS.split())
_FEWEST_LETTERS = 4  # that a beginning of a word must have to stand for the word
_MOST_READ = 160  # characters of an answer
_LONGEST_WORD = 40  # letters; a longer one must be there exactly
_NO_WORD = ""  # what is looked for in place of a common word
_MOST_NEEDLES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlapRule:
    """When an answer counts as unsupported.

    threshold: flag an answer with less than this share of its words in the passage; 0 flags none.
    min_token_overlap: a word is in the passage when this share of its letters, from its first on, begins a word there
    (at least four letters; shorter words, and words with a digit, must be there exactly).
    """

    threshold: float = 0.5
    min_token_overlap: float = 0.6

    def __post_init__(self) -> None:
        for name in ("threshold", "min_token_overlap"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ConfigError(f"{value!r} is not between 0 and 1", where=f"unsupported.{name}")


def overlap(context: str, text: str, *, min_token_overlap: float = 0.6) -> float | None:
    """Share of the answer's words that the passage holds, in [0, 1]; common words do not count.

    Only the first 160 characters are read: a verbose answer makes its claim first. None when there is no word to look for.
    The share is what a sweep over thresholds needs: an answer is flagged at threshold t when its share is below t.
    """
    share = float(all_overlaps([(context, text)], min_token_overlap=min_token_overlap)[0])
    return None if isnan(share) else share


def all_overlaps(pairs: Sequence[tuple[str, str]], *, min_token_overlap: float = 0.6) -> NDArray[np.float64]:
    """`overlap` of each passage and answer, NaN for None; cheap for some hundreds of pairs, whose words polars looks up at once."""
    if not pairs:
        return np.empty(0)
    needle = _needles(min_token_overlap).__getitem__
    needles: list[str] = []
    ends = [0]
    for answer in TRIVIAQA.all_spaced([_head(text) for _, text in pairs]):
        needles += filter(None, map(needle, answer.split()))
        ends.append(len(needles))
    n_words = np.diff(ends)
    owners = np.repeat(np.arange(len(pairs)), n_words)
    numbers = {context: number for number, context in enumerate(dict.fromkeys(context for context, _ in pairs))}
    passage_of = np.array([numbers[context] for context, _ in pairs], dtype=np.intp)
    found = owners[_are_in(TRIVIAQA.all_spaced(list(numbers)), passage_of[owners], needles)]
    n_found = np.bincount(found, minlength=len(pairs))
    shares = np.full(len(pairs), np.nan)
    np.divide(n_found, n_words, out=shares, where=n_words > 0)
    return shares


def _are_in(passages: Sequence[str], owners: NDArray[np.intp], needles: Sequence[str]) -> NDArray[np.bool_]:
    """Whether each needle is in the passage whose number stands beside it in `owners`."""
    try:
        columns = [pl.Series("passage", passages, dtype=pl.String).gather(owners), pl.Series("needle", needles, dtype=pl.String)]
    except UnicodeEncodeError:  # half of a surrogate pair, which only Python's own search takes
        return np.array([needle in passages[owner] for owner, needle in zip(owners, needles, strict=True)], dtype=np.bool_)
    return pl.DataFrame(columns).select(pl.col("passage").str.contains(pl.col("needle"), literal=True)).to_series().to_numpy()


def _head(text: str) -> str:
    """What is read of an answer."""
    return text if len(text) <= _MOST_READ else text[: text.rfind(" ", 0, _MOST_READ) + 1 or _MOST_READ]


class _Needles(dict[str, str]):
    """What to look for in a passage, by word of an answer: the word or its beginning, nothing for a common word.

    Answers say the same words again and again, so that most are looked up and not worked out.
    """

    def __init__(self, min_token_overlap: float) -> None:
        # Letters that must agree, by length of the word; 1e-9 less, because a product such as 0.55 * 20 comes out a little above the whole
        # number that it is.
        self._cuts = tuple(max(ceil(n * min_token_overlap - 1e-9), min(n, _FEWEST_LETTERS)) for n in range(_LONGEST_WORD))

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_NEEDLES:
            self.clear()
        n_letters = len(word)
        if word in _COMMON:
            needle = _NO_WORD
        elif _FEWEST_LETTERS <= n_letters < _LONGEST_WORD and word.isalpha():
            needle = f" {word[: self._cuts[n_letters]]}"
        else:
            needle = f" {word} "
        self[word] = needle
        return needle


_needles = lru_cache(maxsize=16)(_Needles)
