"""One answer in, its scores out.

The rules that hold for every metric: on an unanswerable question abstaining is right and anything else is a false answer; on
an answerable one abstaining is wrong, unless the abstaining words are themselves an accepted answer ("unknown" may be one).
Only answers come here: a provider's error is no answer and is never scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, compress, groupby
from types import MappingProxyType
from typing import NamedTuple

from batchtrial.errors import ConfigError
from batchtrial.records import Item
from batchtrial.scoring.abstention import is_abstention
from batchtrial.scoring.match import HIT, MISS, EmF1, Golds, Metric
from batchtrial.scoring.unsupported import OverlapRule, all_overlaps, overlap

_CHARS_AT_ONCE = 1 << 22

CustomMetric = Callable[[Item, str], Mapping[str, float] | float]
"""A user's metric: item and answer in, one number or named numbers out."""


class ItemScore(NamedTuple):
    """Scores of one answer; a tuple, because a million of them are made.

    em: 0 or 1. f1: in [0, 1]. abstained: declined to answer, or said nothing.
    false_answer: answered although unanswerable; None when the question is answerable.
    unsupported, overlap: the word heuristic of open-book answers; None for closed book. overlap is also None when there is no
    word to look for, and then the answer is not flagged.
    custom: a user's numbers by name.
    """

    em: int
    f1: float
    abstained: bool
    false_answer: bool | None = None
    unsupported: bool | None = None
    overlap: float | None = None
    custom: Mapping[str, float] = MappingProxyType({})


class Gold(NamedTuple):
    """What an answer is compared with, normalised once per item.

    golds: accepted answers, None when the question is unanswerable. context: open book only.
    item: kept only where a user's metric needs it.
    """

    golds: Golds | None
    context: str | None
    item: Item | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores answers by one metric, and by a user's further ones.

    main: a user's metric that decides em and f1 in place of `metric`; further: others, whose numbers only go to `custom`.
    Both by name, with their function.
    """

    metric: Metric
    rule: OverlapRule = field(default_factory=OverlapRule)
    main: tuple[str, CustomMetric] | None = None
    further: tuple[tuple[str, CustomMetric], ...] = ()

    @property
    def name(self) -> str:
        """The metric's name, as the config has it."""
        return self.main[0] if self.main else self.metric.name

    def prepare_gold(self, item: Item) -> Gold:
        """Once per item; answers of any number can be scored against it."""
        return self.prepare_golds([item])[0]

    def prepare_golds(self, items: Sequence[Item]) -> list[Gold]:
        """`prepare_gold` of each item, and cheaper."""
        found = self.metric.all_golds([item.answers for item in items])
        is_kept = bool(self.main or self.further)
        return [
            Gold(None if item.is_unanswerable else golds, item.context if item.kind == "open" else None, item if is_kept else None)
            for item, golds in zip(items, found, strict=True)
        ]

    def score(self, gold: Gold, text: str) -> ItemScore:
        """Raises ConfigError when a user's metric returns what is no number."""
        custom: dict[str, float] = {}
        if gold.item is not None:
            match = self._by_user(gold, gold.item, text, custom)
        else:
            match = MISS if gold.golds is None else self.metric.match(gold.golds, text)
        abstained = _abstained(gold, match, text)
        is_read = gold.context is not None and not abstained
        share = overlap(gold.context or "", text, min_token_overlap=self.rule.min_token_overlap) if is_read else None
        return self._ruled(gold, match, abstained, share, custom)

    def score_all(self, golds: Sequence[Gold], texts: Sequence[str]) -> list[ItemScore]:
        """As `score` for each pair, and cheaper for some thousands of them."""
        if self.main or self.further:
            return [self.score(gold, text) for gold, text in zip(golds, texts, strict=True)]
        if len(golds) != len(texts):
            raise ValueError(f"{len(golds)} golds for {len(texts)} texts")
        scores: list[ItemScore] = []
        # Long answers in several rounds, since each is held in several forms.
        rounds = [total // _CHARS_AT_ONCE for total in accumulate(map(len, texts))]
        for _, places in groupby(range(len(texts)), rounds.__getitem__):
            here = list(places)
            scores += self._score_round(golds[here[0] : here[-1] + 1], texts[here[0] : here[-1] + 1])
        return scores

    def _score_round(self, golds: Sequence[Gold], texts: Sequence[str]) -> list[ItemScore]:
        found = iter(self.metric.match_all([(gold.golds, text) for gold, text in zip(golds, texts, strict=True) if gold.golds is not None]))
        matches = [MISS if gold.golds is None else next(found) for gold in golds]
        abstained = list(map(_abstained, golds, matches, texts))
        read = [gold.context is not None and not is_out for gold, is_out in zip(golds, abstained, strict=True)]
        pairs = [(gold.context or "", text) for gold, text in compress(zip(golds, texts, strict=True), read)]
        shares = iter(all_overlaps(pairs, min_token_overlap=self.rule.min_token_overlap) if pairs else ())
        return [
            self._ruled(gold, match, is_out, next(shares) if is_read else None, {})
            for gold, match, is_out, is_read in zip(golds, matches, abstained, read, strict=True)
        ]

    def _ruled(self, gold: Gold, match: EmF1, abstained: bool, share: float | None, custom: dict[str, float]) -> ItemScore:
        """The rules that hold for every metric, over what the metric and the word heuristic found."""
        is_unanswerable = gold.golds is None
        em, f1 = HIT if abstained and is_unanswerable else MISS if abstained or is_unanswerable else match
        unsupported = None if gold.context is None else share is not None and share < self.rule.threshold
        return ItemScore(em, f1, abstained, not abstained if is_unanswerable else None, unsupported, share, custom)

    def _by_user(self, gold: Gold, item: Item, text: str, custom: dict[str, float]) -> EmF1:
        """EM and F1 before the rules on abstaining; fills `custom`."""
        for name, function in self.further:
            custom.update(_numbers(name, function(item, text)))
        if self.main is None:
            return MISS if gold.golds is None else self.metric.match(gold.golds, text)
        name, function = self.main
        numbers = _numbers(name, function(item, text))
        em = numbers.pop("em", None)
        f1 = numbers.pop("f1", em)
        custom.update(numbers)
        if em not in (0, 1) or f1 is None or not 0 <= f1 <= 1:
            raise ConfigError(
                f"the metric {name} returned em = {em!r} and f1 = {f1!r}",
                where=f"item {item.key}",
                hint='return {"em": 0 or 1} and, when it differs from em, "f1" between 0 and 1',
            )
        return int(em), float(f1)


def _abstained(gold: Gold, match: EmF1, text: str) -> bool:
    """Abstaining words that are themselves an accepted answer are an answer."""
    return (match[0] == 0 or gold.golds is None) and is_abstention(text)


def _numbers(name: str, returned: Mapping[str, float] | float) -> dict[str, float]:
    """Named finite numbers; a single one takes the function's name."""
    named = dict(returned) if isinstance(returned, Mapping) else {name.rpartition(":")[2]: returned}
    for key, value in named.items():
        if not isinstance(value, bool | int | float) or not math.isfinite(value):
            raise ConfigError(
                f"the metric {name} returned {value!r} for {key!r}",
                hint="return a finite number, or a mapping of names to finite numbers",
            )
    return {str(key): float(value) for key, value in named.items()}
