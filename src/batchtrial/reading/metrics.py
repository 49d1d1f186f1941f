"""The metrics of a trial: what each is called, in which unit it is, and which direction is better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from batchtrial.config.metric_entries import lower_is_better, named_metrics
from batchtrial.config.model import Config
from batchtrial.phases.analyse.declared import better_when_higher
from batchtrial.phases.analyse.judges import scale_of
from batchtrial.phases.analyse.paired import Paired
from batchtrial.phases.analyse.tables import COLUMNS, EVERY_ITEM_HAS, is_usage
from batchtrial.phases.judge.scores import Judged
from batchtrial.phases.prepare.set_rules import set_rules
from batchtrial.phases.score.record import limits_of
from batchtrial.phases.tables.columns import RATES, SCORES
from batchtrial.scoring.metrics.corpus import is_count

Floats = NDArray[np.float64]
_NAMES: Final = {column: name for name, column in COLUMNS.items()}


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric of a trial. column: of the scores.

    is_share: lies between 0 and 1, so that differences are percentage points. is_rate: a share of right samples, which decides how an interval
    is made. is_number: declared to be a count or a grade. is_total: every item has it, so that an item without is an answer that was lost.
    limits: the lowest and the highest that it can be, where it says so. judge: its kind, where it is what a judge or a panel says.
    """

    name: str
    column: str
    title: str
    is_share: bool
    is_rate: bool
    is_number: bool
    is_total: bool
    higher_is_better: bool
    judge: str = ""
    limits: tuple[float, float] | None = None


def metrics_of(
    config: Config,
    record: Mapping[str, Any],
    scores: Mapping[str, tuple[Floats, Floats]],
    judges: Mapping[str, Judged],
    samples: int,
    sets: Sequence[str],
) -> tuple[Metric, ...]:
    """The metrics that any item of the trial has, that of the primary endpoint first; all of them where no answer came. record: of scoring; scores:
    by column, those of the judges among them."""
    rules = set_rules(record)
    scales = {name: scale for one in record.get("metrics", {}).values() for name, scale in one["scales"].items()}
    told = frozenset(name for one in record.get("metrics", {}).values() if one.get("better") == "lower" for name in one["names"])
    lower = told | frozenset(lower_is_better(config.metrics))
    scales |= {name: scale_of(one.judge) for name, one in judges.items()}
    limits = limits_of(record)
    usage = {column for one in named_metrics(config.metrics) if is_usage(one.counts) for column in one.columns}
    found = []
    known = {column for column, arms in scores.items() if not all(np.isnan(arm).all() for arm in arms)} or set(scores)
    for column, arms in scores.items():
        if column not in known or (column == "f1" and record.get("f1_is_em")):
            continue
        name = _NAMES.get(column, column)
        declared = next((one for one in (config.stats.primary, *config.stats.confirmatory) if one.metric == name), None)
        one = _metric(name, column, arms, samples, scales.get(name), rules.title(name, sets), better_when_higher(name, declared, lower))
        one = msgspec.structs.replace(one, is_total=one.is_total or column in usage)
        found.append(msgspec.structs.replace(one, limits=limits.get(name)) if name not in judges else _of_judge(one, judges[name]))
    first = config.stats.primary.metric
    return tuple(sorted(found, key=lambda one: one.name != first))


def _metric(name: str, column: str, arms: tuple[Floats, Floats], samples: int, scale: str | None, title: str, is_up: bool) -> Metric:
    paired = Paired(treatment=arms[1], control=arms[0], samples_treatment=samples, samples_control=samples, is_number=scale in ("count", "grade"))
    in_unit = all(bool(((arm >= 0.0) & (arm <= 1.0) | np.isnan(arm)).all()) for arm in arms)
    return Metric(
        name=name,
        column=column,
        title=title,
        is_share=scale == "share" if scale is not None else in_unit,
        is_rate=paired.is_share,
        is_number=paired.is_number,
        is_total=column in EVERY_ITEM_HAS,
        higher_is_better=is_up,
    )


def _of_judge(metric: Metric, one: Judged) -> Metric:
    """It is asked about every item."""
    title = f"judge {metric.name}" if one.panel is None else f"panel {metric.name}"
    return msgspec.structs.replace(metric, title=title, is_total=True, judge=one.judge.kind, limits=one.judge.limits)


def score_columns(names: Sequence[str]) -> list[str]:
    """Those of a table of scores that hold metrics."""
    own = [name for name in names if name not in SCORES and not name.endswith("_std") and not is_count(name)]
    return [*RATES, *own]


def metrics_json(metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """The metrics as JSON."""
    return [msgspec.to_builtins(one) for one in metrics]
