"""Exact match and token F1 against a question's accepted answers: the part that the three benchmarks share.

A metric is a normaliser and two decisions about emptiness. Both scores are the best over all accepted answers, on the raw
answer text: nothing is extracted from a verbose answer, so a right answer inside a long sentence has a low F1 and no EM.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from batchtrial.scoring.normalize import ARTICLES, Normalizer

_MANY_WORDS = 40  # accepted answers with more distinct words are looked up in a set, not by substring search
_LONG_ANSWER = 30  # tokens; beyond it counting in a joined string beats a Python loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Official scores of one answer: em 0 or 1, f1 in [0, 1]."""

    em: int
    f1: float


MISS = Match(em=0, f1=0.0)
HIT = Match(em=1, f1=1.0)


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

    def golds(self, answers: Sequence[str]) -> tuple[str, ...]:
        """Normalised accepted answers without repeats, in the given order."""
        golds = tuple(dict.fromkeys(map(self.normalizer, answers)))
        if self.drops_empty_golds:
            golds = tuple(gold for gold in golds if gold) or ("",)
        return golds

    def match(self, golds: tuple[str, ...], words: tuple[str, ...], text: str) -> Match:
        """EM and F1 of `text`, the best over `golds` (normalised), whose distinct words are `words`."""
        blanked = self.normalizer.blanked(text)
        present = _present(words, blanked)
        if not present and "" not in golds:
            return MISS
        tokens = blanked.split()
        if len(tokens) > _LONG_ANSWER:
            # Two spaces between tokens, so that neighbours do not share the space that delimits them.
            joined = f" {'  '.join(tokens)} "
            counts = {word: n for word in present if (n := joined.count(f" {word} "))}
            n_tokens = len(tokens) - joined.count(" the ") - joined.count(" a ") - joined.count(" an ")
        else:
            tokens = [token for token in tokens if token not in ARTICLES]
            counts = {word: n for word in present if (n := tokens.count(word))}
            n_tokens = len(tokens)
        if n_tokens == 0:
            is_empty_gold = "" in golds
            return Match(em=int(is_empty_gold), f1=float(is_empty_gold and self.is_empty_pair_right))
        if not counts:
            return MISS
        return self._best(golds, counts, tokens, n_tokens)

    def _best(self, golds: tuple[str, ...], counts: dict[str, int], tokens: list[str], n_tokens: int) -> Match:
        best = 0.0
        for gold in golds:
            gold_tokens = gold.split()
            n_same = 0
            for word, n_answer in counts.items():
                if word in gold_tokens:
                    n_same += min(n_answer, gold_tokens.count(word))
            if n_same == 0:
                continue
            if n_same == n_tokens == len(gold_tokens) and gold_tokens == [t for t in tokens if t not in ARTICLES]:
                return HIT
            precision, recall = n_same / n_tokens, n_same / len(gold_tokens)
            best = max(best, (2 * precision * recall) / (precision + recall))
        return Match(em=0, f1=best)


def _present(words: tuple[str, ...], blanked: str) -> Collection[str]:
    """The words that may be tokens of the text: no token is left out, and a word inside a longer one may be in."""
    if len(words) > _MANY_WORDS:
        return set(blanked.split()).intersection(words)
    return [word for word in words if word in blanked]


def distinct_words(golds: Sequence[str]) -> tuple[str, ...]:
    """The words of normalised answers, each once, in order of appearance."""
    return tuple(dict.fromkeys(word for gold in golds for word in gold.split()))
