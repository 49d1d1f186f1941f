"""Metrics by name: the built-in ones, and a user's own as `package.module:function`.

A metric of your own, in a file `tolerant.py` in the working directory:

    def numeric(item, text):
        '''Right when the last number of the answer equals the accepted one.'''
        numbers = re.findall(r"-?[0-9]+(?:[.][0-9]+)?", text.replace(",", ""))
        return {"em": int(bool(numbers) and float(numbers[-1]) == float(item.answers[0]))}

As a question set's metric (`metric: tolerant:numeric`) it decides em (0 or 1) and f1 (left out: as em, and not shown); the rules on
abstaining then apply as to any metric. Among the further metrics it only adds its numbers, under its own name when it returns just one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from types import MappingProxyType

from batchtrial.errors import ConfigError
from batchtrial.scoring.match import Metric
from batchtrial.scoring.metrics.base import NamedMetric
from batchtrial.scoring.nq_open import NQ_OPEN
from batchtrial.scoring.own_phrases import OwnPhrases
from batchtrial.scoring.scorer import Failures, Scorer, Watch
from batchtrial.scoring.squad import SQUAD_V2
from batchtrial.scoring.triviaqa import TRIVIAQA
from batchtrial.scoring.unsupported import OverlapRule
from batchtrial.scoring.user_metrics import load_metric

BENCHMARKS = MappingProxyType({metric.name: metric for metric in (SQUAD_V2, TRIVIAQA, NQ_OPEN)})
METRIC_BY_DATASET = MappingProxyType({"bundled_open": SQUAD_V2, "bundled_closed": TRIVIAQA})


def scorer_for(
    dataset_or_name: str,
    *,
    further: Sequence[str] = (),
    named: Sequence[NamedMetric] = (),
    rule: OverlapRule | None = None,
    folders: Sequence[str] = (),
    phrases: Sequence[str] = (),
    failures: Failures | None = None,
    watch: Watch | None = None,
) -> Scorer:
    """The scorer for a metric's name, a bundled question set's name, or an import path.

    further: import paths of metrics that only add numbers. named: metrics by name beside them. folders: where modules that Python's own path does
    not have are looked for. phrases: abstentions beside the English ones that are known. failures, watch: as in Scorer. Raises ConfigError for a
    name that is not known, naming the nearest ones, and for a path that leads nowhere.
    """
    added = tuple(load_metric(path, folders) for path in further)
    is_own = ":" in dataset_or_name
    return Scorer(
        metric=SQUAD_V2 if is_own else _named(dataset_or_name),
        rule=rule or OverlapRule(),
        main=load_metric(dataset_or_name, folders) if is_own else None,
        further=added,
        named=tuple(named),
        phrases=OwnPhrases(tuple(phrases)),
        failures=failures,
        watch=watch,
    )


def _named(name: str) -> Metric:
    known = {**BENCHMARKS, **METRIC_BY_DATASET}
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or sorted(BENCHMARKS)
    raise ConfigError(
        f"there is no metric {name!r}",
        where="datasets.metric",
        hint=f"did you mean {' or '.join(near)}? A metric of your own is written package.module:function",
    )
