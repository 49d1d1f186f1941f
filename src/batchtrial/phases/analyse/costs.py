"""costs: the ledger's bill and the scores in, costs.json of each trial out. What stands in it is in `costs_file`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from batchtrial.config.expand import Trial
from batchtrial.config.judge_arms import arm_of
from batchtrial.phases.analyse.one_file import OneFile
from batchtrial.phases.base import View, arms_in_order, digest_of
from batchtrial.phases.batches.money import Bill, bill, bill_of, price_for
from batchtrial.phases.batches.twice import bought_twice
from batchtrial.phases.waves import judging

if TYPE_CHECKING:
    from batchtrial.phases.analyse.trial_by_trial import TrialByTrial

FORM: Final = 5


def _digest(view: View, trial: Trial) -> str | None:
    """Of predictions, scores, bills and prices; None while the trial is not scored."""
    parsed, scored = (view.stage_artifacts_digest(trial, stage) for stage in ("parsed", "scored"))
    if parsed is None or scored is None:
        return None
    prices = list(dict.fromkeys(repr(price_for(view.config, arm)) for arm in trial.arms))
    priced = prices[0] if len(prices) == 1 else prices
    bills, stats = [bill(view, arm) for arm in arms_in_order(trial)], view.config.stats
    replaced = replaced_bill(view)
    judges = [[repr(one) for one in (*judges_bills(view).values(), *([replaced] if replaced else []))]] if view.config.judges else []
    twice = [told] if (told := bought_twice(view)) is not None else []
    return digest_of([FORM, parsed, scored, priced, [repr(one) for one in bills], stats.alpha, stats.clusters, view.config.mode, *judges, *twice])


def judges_bills(view: View) -> dict[str, Bill]:
    """By name of the judge what was sent in its name; none before the judges' questions are built."""
    inner = judging(view)
    return {judge.name: bill(inner, arm_of(view.config, judge)) for judge in view.config.judges} if inner.build is not None else {}


def replaced_bill(view: View) -> Bill | None:
    """What judges cost that asked by another rubric, model or form before: the ledger has their parts, which nothing builds any more."""
    if view.build is None or view.judge_build is None:
        return None
    built = view.build.shards.keys() | view.judge_build.shards.keys()
    records = [record for part, record in view.parts.items() if part not in built]
    return bill_of(records) if records else None


def _records(view: View, trials: Sequence[Trial], others: TrialByTrial) -> Iterator[Any]:
    from batchtrial.phases.analyse.costs_file import costs_file

    return (costs_file(view, trial) for trial in trials)  # hundredths of a second each: less than telling others of the ledger


phase = OneFile(name="costs", digest=_digest, place=lambda layout: layout.costs, records=_records)
