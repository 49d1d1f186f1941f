"""Exact match and token F1 against a question's accepted answers: the part that the three benchmarks share.

A metric is a normaliser and two decisions about emptiness. Both scores are the best over all accepted answers, on the raw
answer text: nothing is extracted from a verbose answer, so a right answer inside a long sentence has a low F1 and no EM.

How it is fast: with a space at either end of both, `" word " in answer` says whether the word is a token, and a word that is no
substring is none; most wrong answers are done with there. Tokens are counted after a hit only, and mostly without being split.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from batchtrial.scoring.normalize import ARTICLES, Normalizer
from batchtrial.scoring.tokens import count_tokens

EmF1 = tuple[int, float]
"""Exact match, 0 or 1, and F1 in [0, 1]."""
MISS: EmF1 = (0, 0.0)
HIT: EmF1 = (1, 1.0)

_EMPTY = " "  # an accepted answer that normalises to nothing
_ARTICLE_TOKEN = re.compile(r" (?:the|an?)(?= )")
_FEW_WORDS = 6  # accepted answers with more distinct words are looked up in one pass over the tokens


class Golds(NamedTuple):
    """Accepted answers, normalised, each once, with a space at either end; and their distinct words.

    plain: those in which no word occurs twice, so that seeing each word is counting it. repeating: the few others.
    words: a set where they are many.
    """

    plain: tuple[str, ...]
    repeating: tuple[str, ...]
    words: tuple[str, ...] | frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One benchmark's exact match and F1.

    drops_empty_golds: accepted answers that normalise to nothing are ignored; when all do, "" is the one right answer.
    is_empty_pair_right: F1 of an empty answer against an empty accepted answer is 1, else 0.
    """

    name: str
    normalizer: Normalizer
    drops_empty_golds: bool
    is_empty_pair_right: bool

    def golds(self, answers: Sequence[str]) -> Golds:
        """Prepared once per item. Without any answer an empty one is right."""
        plain: dict[str, None] = {}
        repeating: dict[str, None] = {}
        words: dict[str, None] = {}
        for tokens in self.normalizer.all_tokens(list(dict.fromkeys(answers))):
            if tokens:
                is_plain = len(tokens) == 1 or len(set(tokens)) == len(tokens)
                (plain if is_plain else repeating)[f" {' '.join(tokens)} "] = None
                words |= dict.fromkeys(tokens)
            elif not self.drops_empty_golds:
                plain[_EMPTY] = None
        if not plain and not repeating:
            plain[_EMPTY] = None
        few = len(words) <= _FEW_WORDS
        return Golds(tuple(plain), tuple(repeating), tuple(words) if few else frozenset(words))

    def match(self, golds: Golds, text: str) -> EmF1:
        """EM and F1 of the answer `text`, the best over `golds`."""
        spaced, hits = self._hits(golds, text)
        if not hits and _EMPTY not in golds.plain:
            return MISS
        return self._scored(golds, spaced, hits, _n_tokens(spaced))

    def match_all(self, pairs: Sequence[tuple[Golds, str]]) -> list[EmF1]:
        """As `match` for each pair. Cheaper for some dozens of pairs, since their tokens are counted at once."""
        cases = [(golds, *self._hits(golds, text)) for golds, text in pairs]
        to_count = [bool(hits) or _EMPTY in golds.plain for golds, _, hits in cases]
        counts = iter(count_tokens([spaced for (_, spaced, _), is_open in zip(cases, to_count, strict=True) if is_open]))
        return [
            self._scored(golds, spaced, hits, next(counts)) if is_open else MISS
            for (golds, spaced, hits), is_open in zip(cases, to_count, strict=True)
        ]

    def _hits(self, golds: Golds, text: str) -> tuple[str, list[str]]:
        """The normalised answer, articles still in it, and the words that it shares with the accepted answers; all spaced."""
        blanked = self.normalizer.blanked(text)
        if not blanked.isascii():
            blanked = " ".join(blanked.split())  # Unicode has more spaces than one
        spaced = f" {blanked} "
        words = golds.words
        if isinstance(words, tuple):
            # The bare word first: a pattern that begins and ends with the commonest sign of all is slow to search for.
            return spaced, [found for word in words if word in blanked and (found := f" {word} ") in spaced]
        return spaced, [f" {word} " for word in words.intersection(blanked.split())]

    def _scored(self, golds: Golds, spaced: str, hits: Sequence[str], n_tokens: int) -> EmF1:
        if n_tokens == 0:
            return (1, float(self.is_empty_pair_right)) if _EMPTY in golds.plain else MISS
        best = 0.0
        for gold in golds.plain if hits else ():
            n_same = 0
            for word in hits:
                if word in gold:
                    n_same += 1
            if n_same:
                n_gold = gold.count(" ") - 1
                if n_same == n_tokens == n_gold and gold == _respaced(spaced):
                    return HIT
                f1 = _f1(n_same, n_tokens, n_gold)
                if f1 > best:
                    best = f1
        if golds.repeating and hits:
            return _counted(golds.repeating, spaced, best)
        return (0, best)


def _n_tokens(spaced: str) -> int:
    """Tokens that are no articles."""
    # Where no run of spaces is longer than two, each run but the last begins one token.
    n_all = len(spaced.split()) if "   " in spaced else spaced.count(" ") - spaced.count("  ") - 1
    return n_all - len(_ARTICLE_TOKEN.findall(spaced))


def _respaced(spaced: str) -> str:
    """The normalised answer in the form that accepted answers are kept in."""
    return f" {' '.join([token for token in spaced.split() if token not in ARTICLES])} "


def _f1(n_same: int, n_tokens: int, n_gold: int) -> float:
    # In the scripts' order of operations, so that not even the last bit differs.
    precision, recall = n_same / n_tokens, n_same / n_gold
    return (2 * precision * recall) / (precision + recall)


def _counted(answers: Sequence[str], spaced: str, best: float) -> EmF1:
    """The definition itself, with multisets of tokens; at least `best`."""
    normal = _respaced(spaced)
    tokens = normal.split()
    for gold in answers:
        if gold == normal:
            return HIT
        gold_tokens = gold.split()
        n_same = sum(min(gold_tokens.count(word), tokens.count(word)) for word in set(gold_tokens))
        if n_same:
            best = max(best, _f1(n_same, len(tokens), len(gold_tokens)))
    return (0, best)
