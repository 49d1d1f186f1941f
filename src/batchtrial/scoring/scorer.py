"""One answer in, its scores out.

The rules that hold for every metric: on an unanswerable question abstaining is right and anything else is a false answer; on
an answerable one abstaining is wrong, unless the abstaining words are themselves an accepted answer ("unknown" may be one).
Only answers come here: a provider's error is no answer and is never scored.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import accumulate, chain, compress, groupby
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from batchtrial.records import Item
from batchtrial.scoring.match import MISS, Golds, Metric
from batchtrial.scoring.metrics.base import NamedMetric, Rows
from batchtrial.scoring.metrics.of_others import columns_of
from batchtrial.scoring.own_phrases import OwnPhrases
from batchtrial.scoring.score_columns import ABSTAINED, NUMBERS, Judged, Numbers
from batchtrial.scoring.unsupported import OverlapRule, all_overlaps
from batchtrial.scoring.user_metrics import MetricFailed, UserMetric, contained

_CHARS_AT_ONCE = 1 << 22
_SAMPLES = 3  # failures of each metric that are kept in words

Watch = Callable[[str, str], AbstractContextManager[None]]
"""(metric, item) -> what is entered around the call."""


class ItemScore(NamedTuple):
    """Scores of one answer.

    em: 0 or 1, f1: in [0, 1]; None where the item has no reference. abstained: declined to answer, or said nothing.
    false_answer: answered although unanswerable; None when the question is answerable.
    unsupported, overlap: the word heuristic of open-book answers; None for closed book. overlap is also None when there is no
    word to look for, and then the answer is not flagged.
    custom: a user's numbers by name.
    """

    em: int | None
    f1: float | None
    abstained: bool
    false_answer: bool | None = None
    unsupported: bool | None = None
    overlap: float | None = None
    custom: Mapping[str, float] = MappingProxyType({})


class Scores(NamedTuple):
    """Scores of n answers, as columns.

    numbers: a row for each of NUMBERS, NaN where an ItemScore has None. custom: as there, for each answer.
    named: those of metrics by name, as columns of length n.
    """

    numbers: Numbers
    custom: list[Mapping[str, float]]
    named: dict[str, Numbers]

    @classmethod
    def lost(cls, n: int) -> Self:
        """Of requests without an answer, which have no scores."""
        return cls(np.full((len(NUMBERS), n), np.nan), [{}] * n, {})

    @property
    def abstained(self) -> Numbers:
        """Of each answer, NaN where nothing could score it."""
        found: Numbers = self.numbers[ABSTAINED]
        return found

    def one(self, place: int) -> ItemScore:
        """Scores of one answer, which is not lost."""
        em, f1, abstained, false_answer, unsupported, share = self.numbers[:6, place].tolist()
        return ItemScore(
            em=None if math.isnan(em) else int(em),
            f1=None if math.isnan(f1) else f1,
            abstained=bool(abstained),
            false_answer=None if math.isnan(false_answer) else bool(false_answer),
            unsupported=None if math.isnan(unsupported) else bool(unsupported),
            overlap=None if math.isnan(share) else share,
            custom=self.custom[place],
        )


class Asked(Protocol):
    """What an Item says about right answers. context: None in a closed-book question."""

    @property
    def answers(self) -> Sequence[str]: ...

    @property
    def context(self) -> str | None: ...

    @property
    def is_unanswerable(self) -> bool: ...


class Gold(msgspec.Struct, frozen=True, gc=False):
    """What an answer is compared with, normalised once per item.

    golds: accepted answers, None when the question is unanswerable. context: open book only.
    item: kept only where a user's metric needs it. asked: what metrics by name compare with.
    """

    golds: Golds | None
    context: str | None
    item: Item | None
    asked: Asked

    @property
    def is_unjudged(self) -> bool:
        """Whether nothing says what is right: then an answer is neither right nor wrong, and not lost."""
        return self.golds is not None and not self.asked.answers


class _Flags(NamedTuple):
    """Of questions: whether no answer is right, whether they have a passage, whether nothing says what is right."""

    is_unanswerable: NDArray[np.bool_]
    is_open: NDArray[np.bool_]
    is_unjudged: NDArray[np.bool_]

    @classmethod
    def of(cls, golds: Sequence[Gold]) -> Self:
        rows = [(gold.golds is None, gold.context is not None, gold.is_unjudged) for gold in golds]
        return cls(*np.array(rows, dtype=np.bool_).reshape(-1, 3).T)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """Scores answers by one metric, and by a user's further ones.

    main: a user's metric that decides em and f1 in place of `metric`; further: others, whose numbers only go to `custom`; named: those of the config
    that are asked for by name.
    phrases: further abstentions. failures: counts what users' metrics could not score, which then is lost; None: such a failure is raised.
    watch: with metric and item, is entered around each call of a user's metric, and may raise.
    """

    metric: Metric
    rule: OverlapRule = field(default_factory=OverlapRule)
    main: UserMetric | None = None
    further: tuple[UserMetric, ...] = ()
    named: tuple[NamedMetric, ...] = ()
    phrases: OwnPhrases = field(default_factory=OwnPhrases)
    failures: Failures | None = None
    watch: Watch | None = None

    @property
    def name(self) -> str:
        """The metric's name, as the config has it."""
        return self.main.path if self.main else self.metric.name

    @property
    def own(self) -> tuple[UserMetric, ...]:
        """The user's metrics, the main one first."""
        return (self.main, *self.further) if self.main else self.further

    @property
    def needs_items(self) -> bool:
        """Whether golds have to be prepared from whole Items: a user's metric is given them."""
        return bool(self.main or self.further)

    def prepare_gold(self, item: Asked) -> Gold:
        """Once per item; answers of any number can be scored against it."""
        return self.prepare_golds([item])[0]

    def prepare_golds(self, items: Sequence[Asked]) -> list[Gold]:
        """`prepare_gold` of each item, and cheaper."""
        found = self.metric.all_golds([item.answers for item in items])
        is_kept = self.needs_items
        return [
            Gold(None if item.is_unanswerable else golds, item.context, item if is_kept and isinstance(item, Item) else None, item)
            for item, golds in zip(items, found, strict=True)
        ]

    def score(self, gold: Gold, text: str) -> ItemScore:
        """Raises ConfigError when a user's metric returns what is no number."""
        return self.score_all([gold], [text]).one(0)

    def score_all(self, golds: Sequence[Gold], texts: Sequence[str]) -> Scores:
        """As `score` for each pair, and cheaper for some thousands of them."""
        if len(golds) != len(texts):
            raise ValueError(f"{len(golds)} golds for {len(texts)} texts")
        scores = Scores.lost(len(texts))
        # Long answers in several rounds, since each is held in several forms.
        rounds = [total // _CHARS_AT_ONCE for total in accumulate(map(len, texts))]
        for _, places in groupby(range(len(texts)), rounds.__getitem__):
            here = list(places)
            begin, end = here[0], here[-1] + 1
            custom: list[dict[str, float]] = [{} for _ in here] if self.needs_items else []
            flags = _Flags.of(golds[begin:end])
            matches = self._matches(golds[begin:end], texts[begin:end], flags, custom)
            scores.numbers[:, begin:end] = self._ruled(golds[begin:end], texts[begin:end], flags, matches)
            if custom:
                scores.custom[begin:end] = custom
        return scores

    def score_named(
        self, golds: Sequence[Gold], texts: Sequence[str | None], facts: Mapping[str, Numbers] | None = None, worst: Sequence[int] = ()
    ) -> dict[str, Numbers]:
        """Columns of the metrics by name for these answers. facts, worst: as in Rows. Raises ConfigError naming a metric of others that fails."""
        rows = Rows(texts=texts, items=[gold.asked for gold in golds], facts=facts or {}, worst=worst)
        return {column: values for metric in self.named for column, values in columns_of(metric, rows).items()}

    def _matches(self, golds: Sequence[Gold], texts: Sequence[str], flags: _Flags, custom: Sequence[dict[str, float]]) -> Numbers:
        """EM and F1 before the rules on abstaining, shape (2, n); fills `custom`, which is empty without a user's metric."""
        is_matched = ~(flags.is_unanswerable | flags.is_unjudged)
        if custom:
            with contained():
                found: Sequence[tuple[float, float]] = [self._by_user(*one) for one in zip(golds, texts, custom, strict=True)]
            is_matched[:] = True
        else:
            pairs = compress(zip(golds, texts, strict=True), is_matched.tolist())
            found = self.metric.match_all([(gold.golds, text) for gold, text in pairs if gold.golds is not None])
        matches = np.zeros((2, len(texts)))
        matches[:, flags.is_unjudged] = np.nan
        matches[:, is_matched] = np.fromiter(chain.from_iterable(found), np.float64, 2 * len(found)).reshape(-1, 2).T
        return matches

    def _ruled(self, golds: Sequence[Gold], texts: Sequence[str], flags: _Flags, matches: Numbers) -> Numbers:
        """The rules that hold for every metric, over what the metric and the word heuristic find; shape as in Scores."""
        is_unanswerable, is_open = flags.is_unanswerable, flags.is_open
        is_unjudged = flags.is_unjudged if self.main is None else np.zeros(len(texts), dtype=np.bool_)
        # Abstaining words that are themselves an accepted answer are an answer.
        abstained = is_unanswerable | (matches[0] == 0) | is_unjudged
        abstained[abstained] = [self.phrases.abstains(text) for text in compress(texts, abstained.tolist())]
        is_read = is_open & ~abstained
        pairs = [(gold.context or "", text) for gold, text in compress(zip(golds, texts, strict=True), is_read.tolist())]
        shares = np.full(len(texts), np.nan)
        shares[is_read] = all_overlaps(pairs, min_token_overlap=self.rule.min_token_overlap)
        judged = Judged(matches, is_unanswerable, is_open, is_unjudged, abstained, shares, self.rule.threshold)
        numbers = np.stack([one.of(judged) for one in NUMBERS])
        numbers[:, np.isnan(matches[0]) & ~is_unjudged] = np.nan  # what the metric could not score is lost, not wrong
        return numbers

    def _by_user(self, gold: Gold, text: str, custom: dict[str, float]) -> tuple[float, float]:
        """EM and F1 before the rules on abstaining, LOST where the metric failed; fills `custom`."""
        item = gold.item
        if item is None:
            raise ValueError("a gold of a scorer without metrics of a user's own")
        for metric in self.further:
            custom.update(self._called(metric, item, text) or {})
        if self.main is None:
            return LOST if gold.is_unjudged else MISS if gold.golds is None else self.metric.match(gold.golds, text)
        numbers = self._called(self.main, item, text)
        if numbers is None:
            return LOST
        em = numbers.pop("em", None)
        f1 = numbers.pop("f1", em)
        if em not in (0, 1) or f1 is None or not 0 <= f1 <= 1:
            self._fail(_no_verdict(self.main, item, em, f1))
            return LOST
        custom.update(numbers)
        return em, float(f1)

    def _called(self, metric: UserMetric, item: Item, text: str) -> dict[str, float] | None:
        """The metric's numbers; None when it could not score the answer, and that is counted."""
        try:
            with nullcontext() if self.watch is None else self.watch(metric.path, item.key):
                return metric(item, text)
        except MetricFailed as failed:
            self._fail(failed)
            return None

    def _fail(self, failed: MetricFailed) -> None:
        """Count it, or raise it when failures are not counted."""
        if self.failures is None:
            raise failed
        self.failures.add(failed)


def _no_verdict(metric: UserMetric, item: Item, em: float | None, f1: float | None) -> MetricFailed:
    return MetricFailed(
        f"the metric {metric.path} returned em = {em!r} and f1 = {f1!r}",
        metric=metric.path,
        where=f"item {item.key}",
        hint='return {"em": 0 or 1} and, when it differs from em, "f1" between 0 and 1; a grade or a count belongs under `metrics`',
    )


LOST: Final = (math.nan, math.nan)


@dataclass(slots=True)
class Failures:
    """What users' metrics could not score: how often each failed, and the first failures in words."""

    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, failed: MetricFailed) -> None:
        """One more."""
        self.counts[failed.metric] = self.counts.get(failed.metric, 0) + 1
        kept = self.samples.setdefault(failed.metric, [])
        if len(kept) < _SAMPLES:
            kept.append(f"{failed.what}, at {failed.where}")

    def extend(self, other: Failures) -> None:
        """Those of other answers, which came later."""
        for metric, n in other.counts.items():
            self.counts[metric] = self.counts.get(metric, 0) + n
            self.samples[metric] = [*self.samples.get(metric, []), *other.samples.get(metric, [])][:_SAMPLES]
