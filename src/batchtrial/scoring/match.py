"""Exact match and token F1 against a question's accepted answers: the part that the three benchmarks share.

A metric is a normaliser and two decisions about emptiness. Both scores are the best over all accepted answers, on the raw
answer text: nothing is extracted from a verbose answer, so a right answer inside a long sentence has a low F1 and no EM.

How it is fast: with a space at either end of both, `" word " in answer` says whether the word is a token; most wrong answers are done with
there. Tokens are counted after a hit only, and mostly without being split. Many answers are searched by polars, whose search looks at sixteen
letters at a time where Python's looks at one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, islice, zip_longest

import msgspec
import polars as pl

from batchtrial.scoring.normalize import ARTICLES, Normalizer
from batchtrial.scoring.tokens import count_tokens

EmF1 = tuple[int, float]
"""Exact match, 0 or 1, and F1 in [0, 1]."""
MISS: EmF1 = (0, 0.0)
HIT: EmF1 = (1, 1.0)

_EMPTY = " "  # an accepted answer that normalises to nothing
_ARTICLE_TOKEN = re.compile(r" (?:the|an?)(?= )")
_FEW_WORDS = 6  # accepted answers with more distinct words are looked up in one pass over the tokens


class Golds(msgspec.Struct, frozen=True, gc=False):
    """Accepted answers, normalised, each once, with a space at either end; and their distinct words.

    plain: those in which no word occurs twice, so that seeing each word is counting it. repeating: the few others.
    words: with a space at either end too; a set, and without spaces, where they are many.

    A struct that the garbage collector passes over: there is one for each item.
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
        return self.all_golds([answers])[0]

    def all_golds(self, answers: Sequence[Sequence[str]]) -> list[Golds]:
        """`golds` of each item's accepted answers, and cheaper."""
        spaced = iter(self.normalizer.all_spaced([one for each in answers for one in each]))
        return [self._golds(islice(spaced, len(each))) for each in answers]

    def _golds(self, answers: Iterable[str]) -> Golds:
        """Of one item's accepted answers, blanked and spaced."""
        plain: list[str] = []
        repeating: list[str] = []
        words: dict[str, None] = {}
        for spaced in dict.fromkeys(answers):  # half of them differ in letters or signs that are gone by now
            tokens = spaced.split()
            if not ARTICLES.isdisjoint(tokens):
                tokens = [token for token in tokens if token not in ARTICLES]
                answer = f" {' '.join(tokens)} "
            else:
                answer = f" {' '.join(tokens)} " if "  " in spaced else spaced
            if not tokens:
                if self.drops_empty_golds:
                    continue
                answer = _EMPTY
            if answer in plain or answer in repeating:
                continue
            each_once = dict.fromkeys(tokens)
            (plain if len(each_once) == len(tokens) else repeating).append(answer)
            words |= each_once
        if not plain and not repeating:
            plain.append(_EMPTY)
        few = len(words) <= _FEW_WORDS
        return Golds(tuple(plain), tuple(repeating), tuple([f" {word} " for word in words]) if few else frozenset(words))

    def match(self, golds: Golds, text: str) -> EmF1:
        """EM and F1 of the answer `text`, the best over `golds`."""
        spaced = f" {self.normalizer.blanked(text)} "
        hits = [word for word in golds.words if word in spaced] if isinstance(golds.words, tuple) else _hits_of_many(golds.words, spaced)
        if not hits and _EMPTY not in golds.plain:
            return MISS
        return self._scored(golds, spaced, hits, _n_tokens(spaced))

    def match_all(self, pairs: Sequence[tuple[Golds, str]]) -> list[EmF1]:
        """As `match` for each pair. Cheaper for some hundreds of pairs, whose words are looked up and whose tokens are counted at once."""
        spaced = self.normalizer.all_spaced([text for _, text in pairs])
        hits = _hits([golds.words for golds, _ in pairs], spaced)
        to_count = [bool(found) or _EMPTY in golds.plain for (golds, _), found in zip(pairs, hits, strict=True)]
        counts = iter(count_tokens(list(compress(spaced, to_count))))
        return [
            self._scored(golds, answer, found, next(counts)) if is_open else MISS
            for (golds, _), answer, found, is_open in zip(pairs, spaced, hits, to_count, strict=True)
        ]

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


def _hits(words: Sequence[tuple[str, ...] | frozenset[str]], spaced: Sequence[str]) -> list[Sequence[str]]:
    """For each answer the words of its accepted answers that are tokens of it, spaced."""
    columns = list(zip_longest(*[each if isinstance(each, tuple) else () for each in words]))
    names = [str(place) for place in range(len(columns))]
    try:
        frame = pl.DataFrame([pl.Series(name, column, dtype=pl.String) for name, column in zip(["answer", *names], [spaced, *columns], strict=True)])
        looked_up = frame.select(pl.col("answer").str.contains(pl.col(name), literal=True).alias(name) for name in names)
        found = [looked_up[name].to_list() for name in names]
    except UnicodeEncodeError:  # half of a surrogate pair, which only Python's own search takes
        found = [[word is not None and word in answer for word, answer in zip(column, spaced, strict=True)] for column in columns]
    rows = zip(*found, strict=True) if found else [()] * len(words)
    return [
        (tuple(compress(each, there)) if True in there else ()) if isinstance(each, tuple) else _hits_of_many(each, answer)
        for each, answer, there in zip(words, spaced, rows, strict=True)
    ]


def _hits_of_many(words: frozenset[str], spaced: str) -> list[str]:
    return [f" {word} " for word in words.intersection(spaced.split())]


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
