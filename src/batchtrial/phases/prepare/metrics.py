"""The metrics of a run: which set is scored by which, tried before anything is bought, and recorded with the code that they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, Protocol

from batchtrial.config.metric_entries import named_metrics, own_functions
from batchtrial.config.metric_sources import FOLDERS
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.phases.prepare.slow_metrics import SlowCalls
from batchtrial.phases.tables.columns import MEASURES, SCORE_COLUMNS, TEXTS
from batchtrial.records import Item
from batchtrial.scoring import OverlapRule, Scorer, scorer_for
from batchtrial.scoring.metrics.base import NamedMetric, ReferenceMetric
from batchtrial.scoring.scorer import Watch
from batchtrial.scoring.standing import AnswerRules
from batchtrial.sources import default_metric

_OURS = frozenset((*SCORE_COLUMNS, *MEASURES, *TEXTS, "place"))
"""Columns that no metric of a config may fill."""


class Sets(Protocol):
    """What is known of the question sets once they are read."""

    @property
    def sources(self) -> Mapping[str, Mapping[str, Any]]: ...


def metric_names(config: Config, prepared: Sets | None) -> dict[str, str]:
    """Metric by set name, as the prepared manifest recorded it, else by the set's name in the config."""
    names: dict[str, str] = {}
    for spec in config.datasets:
        record = prepared.sources.get(spec.name, {}) if prepared is not None else {}
        metric = spec.metric or record.get("metric") or default_metric(spec.name, spec.format, spec.kind or "open")
        for name in record.get("sets", {spec.name: None}):
            names[name] = metric
    return names


def scorers(config: Config, prepared: Sets | None, *, watch: Watch | None = None) -> dict[str, Scorer]:
    """Scorer by set name. Raises ConfigError for a metric that is not there or cannot be loaded."""
    rule = OverlapRule(threshold=config.unsupported.threshold, min_token_overlap=config.unsupported.min_token_overlap)
    made: dict[str, Scorer] = {}
    further, named = own_functions(config.metrics), usable_metrics(config)
    found = {}
    for name, metric in metric_names(config, prepared).items():
        if metric not in made:
            made[metric] = scorer_for(
                metric,
                further=further,
                rule=rule,
                folders=FOLDERS,
                phrases=config.answers.abstention_phrases,
                watch=watch,
            )
        here = tuple(one for one in named if not one.sets or name in one.sets)
        found[name] = replace(made[metric], named=here) if here else made[metric]
    return found


def usable_metrics(config: Config) -> tuple[NamedMetric, ...]:
    """The metrics by name. Raises ConfigError, and MissingExtra where the library of one is not installed."""
    found = named_metrics(config.metrics)
    for metric in found:
        metric.check()
    return found


def answer_rules(config: Config) -> AnswerRules:
    """How answers are read, and what those count as that are none."""
    return AnswerRules(strip_thinking=config.answers.strip_thinking or "auto", cut=config.stats.cut_answers, refused=config.stats.refused_answers)


def try_metrics(
    config: Config, prepared: Sets | None, items: Iterable[Item], note: Callable[[str], None], stop: Callable[[], None] = lambda: None
) -> None:
    """Load the user's metrics and score a few answers to the first item of each set, so that faults are told before anything is bought.

    note: is told of a call that takes long. Raises ConfigError naming metric, item, file and line, and what stop raises.
    """
    with SlowCalls(config.metric_seconds, note, stop) as slow:
        by_set = scorers(config, prepared, watch=slow.watched)
        _check_sets(config, by_set)
        _try_each(by_set, items)


@dataclass(slots=True)
class _Without:
    """Items for which a column has no value: how many of each set, and the first of each."""

    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, Item] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        self.counts[item.dataset] += 1
        self.first.setdefault(item.dataset, item)


def check_values(config: Config, items: Iterable[Item]) -> dict[str, str]:
    """Set -> what is to be said of metrics that have no value for some of its items, since their references are missing or do not fit.

    items: gone through once. Raises ConfigError for a metric that has none for any item.
    """
    metrics = [one for one in named_metrics(config.metrics) if isinstance(one, ReferenceMetric) and one.uses_references]
    n_items, without = Counter[str](), [dict[str, _Without]() for _ in metrics]
    for item in items if metrics else ():
        n_items[item.dataset] += 1
        for metric, found in zip(metrics, without, strict=True):
            if not metric.sets or item.dataset in metric.sets:
                for column in metric.undefined_columns(metric.references(item)):
                    found.setdefault(column, _Without()).add(item)
    told: dict[str, list[str]] = {}
    for metric, found in zip(metrics, without, strict=True):
        n_mine = sum(n for name, n in n_items.items() if not metric.sets or name in metric.sets)
        n_own = found[metric.column].counts.total() if metric.column in found else 0
        for column, those in found.items():
            if those.counts.total() + (0 if column == metric.column else n_own) == n_mine:
                _refuse(metric, column, next(iter(those.first.values())))
            for name, n in those.counts.items():
                told.setdefault(name, []).append(f"{column} for {n} of {n_items[name]} ({_seen(metric, column, those.first[name])})")
    return {name: f"metrics without a value for some items, which they leave out: {', '.join(those)}" for name, those in told.items()}


def _refuse(metric: ReferenceMetric, column: str, item: Item) -> NoReturn:
    """Raises ConfigError for a column that has a value for no item, one of which is shown."""
    what, seen = f"the metric {column} has a value for no item", _seen(metric, column, item)
    if column == metric.column:
        hint = f"{seen}; `reference: COLUMN` names another column"
        raise ConfigError(f"{what}: {metric.undefined}", where=f"metrics.{metric.column}", hint=hint)
    raise ConfigError(f"{what}: no reference has that field", where=f"metrics.{metric.column}.fields", hint=seen)


def _seen(metric: ReferenceMetric, column: str, item: Item) -> str:
    """The reference that an item has instead, and what may have been meant."""
    found = metric.references(item)
    near = metric.near(column, found)
    return f"{item.item_id} has " + (f"the reference {found[0]!r:.60}" if found else "no reference") + (f"; {near}" if near else "")


def _check_sets(config: Config, by_set: Mapping[str, Scorer]) -> None:
    for metric in named_metrics(config.metrics):
        for name in metric.sets:
            if name not in by_set:
                hint = f"the sets are {', '.join(by_set)}"
                raise ConfigError(f"the metric {metric.column} is for a set, and there is no question set {name!r}", where="metrics", hint=hint)


def _try_each(by_set: Mapping[str, Scorer], items: Iterable[Item]) -> None:
    waiting = {name for name, scorer in by_set.items() if scorer.needs_items or scorer.named}
    for item in items:
        if not waiting:
            return
        if item.dataset in waiting:
            waiting.discard(item.dataset)
            scorer = by_set[item.dataset]
            gold = scorer.prepare_gold(item)
            answers = trial_answers(item)
            for text in answers:
                scorer.score(gold, text)
            scorer.score_named([gold] * len(answers), answers)
            check_names(scorer)


def trial_answers(item: Item) -> tuple[str, ...]:
    """Answers that a model may well give to the item: an accepted one, an abstention, and several sentences over several lines."""
    accepted = item.answers[0] if item.answers else "yes"
    told = f"Let me think about this. {item.question}\n\n1. It depends.\n2. The answer is {accepted}, I believe: 3 of 4 sources say so."
    return (accepted, "I don't know.", told)


def check_names(scorer: Scorer) -> None:
    """Raises ConfigError when two metrics give a number the same name, or one takes a name of ours. The metrics have been called."""
    owner = {column: f"{metric.id} (of `metrics`)" for metric in scorer.named for column in metric.columns}
    for column in owner:
        if column in _OURS:
            raise ConfigError(f"a metric is called {column!r}, which is a name of batchtrial's own", where="metrics", hint="give it another `name`")
    for metric in scorer.own:
        for name in sorted(metric.names):
            if name in _OURS and not (metric is scorer.main and name in ("em", "f1")):
                raise ConfigError(
                    f"the metric {metric.path} returns {name!r}, which is a name of batchtrial's own", where="metrics", hint="give it another name"
                )
            other = owner.setdefault(name, metric.path)
            if other != metric.path:
                raise ConfigError(f"the metrics {other} and {metric.path} both return {name!r}", where="metrics", hint="give one another name")
