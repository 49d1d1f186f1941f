"""How the goldens about normalising and matching answers are asked of `batchtrial.scoring`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchtrial.scoring.match import Metric
from batchtrial.scoring.normalize import Normalizer
from batchtrial.scoring.nq_open import NQ_OPEN
from batchtrial.scoring.squad import SQUAD_V2
from batchtrial.scoring.triviaqa import TRIVIAQA

Case = dict[str, Any]


def normalized(normalizer: Normalizer) -> Callable[[Case], object]:
    return lambda case: {"normalized": [normalizer(text) for text in case["texts"]]}


def matched(metric: Metric) -> Callable[[Case], object]:
    def adapter(case: Case) -> object:
        # the one-answer functions of the scripts compare with an empty accepted answer where golds are not filtered
        scores = [metric.match(metric.golds([gold]), prediction) for gold, prediction in case["gold_pred_pairs"]]
        return {"em": [em for em, _ in scores], "f1": [f1 for _, f1 in scores]}

    return adapter


def squad_em_f1_multi(case: Case) -> object:
    scores = {key: SQUAD_V2.match(SQUAD_V2.golds(golds), case["pred"][key]) for key, golds in case["gold"].items()}
    return {"em": {key: em for key, (em, _) in scores.items()}, "f1": {key: f1 for key, (_, f1) in scores.items()}}


ADAPTERS: dict[str, Callable[[Case], object]] = {
    "normalize_squad": normalized(SQUAD_V2.normalizer),
    "normalize_triviaqa": normalized(TRIVIAQA.normalizer),
    "normalize_nq_open": normalized(NQ_OPEN.normalizer),
    "squad_em_f1": matched(SQUAD_V2),
    "triviaqa_em_f1": matched(TRIVIAQA),
    "squad_em_f1_multi": squad_em_f1_multi,
}
