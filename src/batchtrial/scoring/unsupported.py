"""A heuristic for answers without support in the passage: how many of their words does the passage hold?

It compares words, not meaning. A paraphrase looks unsupported, a wrong sentence built from the passage's own words looks
supported, and no packaged model did measurably better on small samples. Read its rates as a hint; ask a judge for a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

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
    if len(text) > _MOST_READ:
        text = text[: text.rfind(" ", 0, _MOST_READ) + 1 or _MOST_READ]
    words = [word for word in TRIVIAQA.blanked(text).split() if word not in _COMMON]
    if not words:
        return None
    passage, cuts, n_found = _spaced(context), _cuts(min_token_overlap), 0
    for word in words:
        n_letters = len(word)
        if _FEWEST_LETTERS <= n_letters < _LONGEST_WORD and word.isalpha():
            n_found += f" {word[: cuts[n_letters]]}" in passage
        else:
            n_found += f" {word} " in passage
    return n_found / len(words)


# A passage is asked about once for each arm, in a row.
@lru_cache(maxsize=2048)
def _spaced(context: str) -> str:
    """The passage's words, a space before and behind each."""
    blanked = TRIVIAQA.blanked(context)
    return f" {blanked if blanked.isascii() else ' '.join(blanked.split())} "


@lru_cache(maxsize=64)
def _cuts(min_token_overlap: float) -> tuple[int, ...]:
    """Letters that must agree, by length of the word."""
    # 1e-9 less, because a product such as 0.55 * 20 comes out a little above the whole number that it is.
    return tuple(max(ceil(n * min_token_overlap - 1e-9), min(n, _FEWEST_LETTERS)) for n in range(_LONGEST_WORD))
