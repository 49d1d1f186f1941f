"""What a run would buy to have more items, samples, arms or judges: nothing that it has is asked again or cut anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from batchtrial.amounts import counted
from batchtrial.config.expand import arms_of, expand
from batchtrial.config.growth import GrownFrom
from batchtrial.config.judge_arms import arm_of
from batchtrial.config.load import drift
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, StateError
from batchtrial.phases.base import View
from batchtrial.phases.batches.gates import has_stopped
from batchtrial.phases.batches.money import price_for
from batchtrial.phases.build import phase as build
from batchtrial.phases.build.sent import fits_what_was_sent, parts_of_answers
from batchtrial.phases.judge.questions import judgements, sets_of
from batchtrial.phases.prepare import phase as prepare
from batchtrial.phases.prepare.items import load_prepared
from batchtrial.prices import cost_usd
from batchtrial.providers.base import Provider
from batchtrial.records import Item, Usage
from batchtrial.run.judge_plan import judge_plans
from batchtrial.state.money import dollars

OF_SIZE: Final = {"limit_items": "--limit_items", "samples_per_item": "--samples"}
"""Settings that grow by their flag alone, which writes down what the run was before."""
MAY_CHANGE: Final = (
    *OF_SIZE,
    "grown",
    "panels",
    "submission.",
    "sweep.",
    "prompt_sets.",
    "arms.",
    "contrasts",
    "trials",
    "default_prompt_set",
    "judges",
)
"""Settings that a growth may change: each leaves what was asked as it was, or the check of the arms refuses it."""
JUDGE: Final = "judge "
GOES_ON: Final = "`batchtrial resume` goes on with a growth that was interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """What an arm would ask in addition. usd: at most, None without a known price. is_exact: else so many requests at most."""

    arm: str
    is_new: bool
    parts: int
    requests: int
    usd: Decimal | None
    is_exact: bool = True


def grown_settings(
    view: View, *, items: int | None = None, samples: int | None = None, lines_per_part: int | None = None, parts: int | None = None
) -> dict[str, Any]:
    """The dotted settings of a run with so many items, and so many samples of each. Raises ConfigError when it has them, or may not have them.

    items, samples: None: as it has. lines_per_part, parts: how what comes is cut; None: as what was there before.
    """
    config = view.config
    have = prepare.n_prepared(view)
    if config.grown and _is_unfinished(view, have):  # a growth that was interrupted before anything was built
        if items in (None, config.limit_items) and samples in (None, config.samples_per_item):
            return {}
        where = " ".join(f"--{name} {n}" for name, n in (("limit_items", items), ("samples", samples)) if n is not None)
        raise ConfigError("the run has begun to grow otherwise", where=where, hint="`batchtrial resume` goes on with that; then grow further")
    if items is not None and items <= have:
        raise ConfigError(f"the run has {counted(have, 'item')} already", where=f"--limit_items {items}", hint=f"say how many in all; {GOES_ON}")
    if have == 0:
        raise ConfigError("the run has prepared no items yet", where="--samples", hint="`batchtrial resume` goes on with it first")
    _check_samples(config, samples)
    _check_looks(view, items, samples)
    lines_then = (
        view.build.lines_per_part if view.build is not None and config.submission.lines_per_part == "auto" else config.submission.lines_per_part
    )
    then = config.samples_per_item if samples is not None else None
    before = GrownFrom(
        items=have,
        lines_per_part=lines_then,
        parts_per_dataset=config.submission.parts_per_dataset,
        samples_per_item=then if isinstance(then, int) else None,
        held={name: int(source["items"]) for name, source in view.prepared.sources.items()} if view.prepared is not None else None,
    )
    changes: dict[str, Any] = {"grown": [one.model_dump() for one in (*config.grown, before)]}
    changes |= {} if items is None else {"limit_items": items}
    changes |= {} if samples is None else {"samples_per_item": samples}
    if items is None and config.limit_items is not None:
        changes["limit_items"] = have  # the question sets may hold fewer, and more of them later
    if lines_per_part is not None or parts is not None:
        changes |= {"submission.lines_per_part": lines_per_part, "submission.parts_per_dataset": parts}
    return changes


def _is_unfinished(view: View, have: int) -> bool:
    """Whether the last growth was written down, and nothing was built for it."""
    last = view.config.grown[-1]
    if last.samples_per_item is None:
        return last.items == have and view.config.limit_items != have
    return not any(shard.samples.stop > last.samples_per_item for shard in view.build.shards.values()) if view.build is not None else True


def _check_samples(config: Config, samples: int | None) -> None:
    if samples is None:
        return
    where = f"--samples {samples}"
    if not isinstance(config.samples_per_item, int):
        raise ConfigError("each temperature of the run has a number of samples of its own", where=where, hint="other numbers are a new run")
    if samples <= config.samples_per_item:
        had = counted(config.samples_per_item, "sample")
        raise ConfigError(f"the run has {had} of each item already", where=where, hint=f"say how many of each in all; {GOES_ON}")


def _check_looks(view: View, items: int | None, samples: int | None) -> None:
    planned = view.config.stats.sequential
    if planned is None:
        return
    if samples is not None:
        raise ConfigError(
            "the looks of this run were planned for the samples that it has, and more would move their bounds",
            where=f"--samples {samples}",
            hint="start a new run",
        )
    if items is not None and (planned.n_max is None or items > planned.n_max):
        most = "its items" if planned.n_max is None else f"{planned.n_max:,} items"
        raise ConfigError(
            f"the looks of this run were planned for {most}, and more would move their bounds",
            where=f"--limit_items {items}",
            hint="declare `stats.sequential.n_max` before the first request of a run that may grow; or start a new run",
        )
    if view.trials and all(has_stopped(view.looks.get(trial.slug, ())) for trial in view.trials):
        raise ConfigError("every trial of the run has stopped at a planned look: there is nothing left to decide", where="--limit_items")


def check_growth(before: Config, after: Config) -> None:
    """Raises ConfigError for a change that is no growth: another setting, or an arm that would be gone."""
    changes = drift(before, after)
    by_flag = [key for key in OF_SIZE if key in changes]
    if by_flag and not any(key.startswith("grown") for key in changes):
        raise ConfigError(
            f"{by_flag[0]} differs ({changes[by_flag[0]]})", where="--config", hint=f"leave it as it was, and give {OF_SIZE[by_flag[0]]}"
        )
    for key, change in changes.items():
        if not key.startswith(MAY_CHANGE):
            raise ConfigError(f"{key} differs ({change}), and `grow` only adds", where="--config", hint="a run with other settings is a new run")
    if after.arm_form == 1:
        raise ConfigError("arms of runs begun by an earlier version hang on all of their items: such a run cannot grow", hint="start a new run")
    kept = {arm.name for arm in arms_of(expand(after, ""))}
    gone = [arm.name for arm in arms_of(expand(before, "")) if arm.name not in kept]
    if gone:
        raise ConfigError(f"the arm {gone[0]} would be gone or another one", where="--config", hint="leave the recipes that were bought as they are")


def purchases(view: View, after: Config, codec: Provider) -> tuple[Purchase, ...]:
    """What would be bought, arm by arm. Raises DataError, and StateError when the items that were asked about are not the first of those now."""
    if after.limit_items == view.config.limit_items and view.prepared is not None and not prepare.is_to_grow(view):
        chosen = prepare.Prepared(items=load_prepared(view.layout), sources={})
    else:
        chosen = prepare.choose(after)
    if not fits_what_was_sent(after, codec, chosen.items, chosen.sha256, parts_of_answers(view.build, view.parts)):
        raise StateError(
            "the question sets do not hold the items that requests were sent about, in that order",
            where="datasets",
            hint="put the question files back as they were, or start a new run",
        )
    prepare.check_further(view, after, chosen)
    arms, in_order = arms_of(expand(after, chosen.sha256)), build.order(chosen.items, after)
    slices, known = build.cut(in_order, arms, after, codec.limits, codec), {arm.name for arm in arms_of(view.trials)}
    found = []
    for arm in arms:
        price, usage, n_requests, n_parts = price_for(after, arm), Usage(), 0, 0
        for index, piece in enumerate(slices, 1):
            record = view.parts.get(arm.part(index))
            if record is not None and record.attempts:
                continue
            mine, k = in_order[piece.first : piece.first + piece.n], len(piece.samples(arm))
            n_parts, n_requests = n_parts + 1, n_requests + piece.n * k
            usage += Usage(
                input_tokens=k * sum(build.input_tokens(arm, item) for item in mine),
                output_tokens=k * sum(build.output_tokens(arm, item) for item in mine),
            )
        cost = None if price is None else cost_usd(price, usage)
        found.append(Purchase(arm=arm.name, is_new=arm.name not in known, parts=n_parts, requests=n_requests, usd=cost))
    are_there = not any(one.requests for one in found) and all(view.stage_artifacts_digest(trial, "parsed") for trial in view.trials)
    return (*found, *(_of_judges(view, after) if are_there else _of_judges_at_most(view, after, in_order)))


def _of_judges(view: View, after: Config) -> Iterator[Purchase]:
    """What judges are to be asked about the answers, all of which are there."""
    if not after.judges:
        return
    asked, to_judge = _judged(view), judgements(replace(view, config=after))
    for judge in after.judges:
        arm = arm_of(after, judge)
        items = [item for (kind, _), item in to_judge.items.items() if kind == sets_of(judge)]
        n_all, price = len(items) * judge.repeats, price_for(after, arm)
        n = max(0, n_all - asked[arm.name])
        tokens = sum(build.input_tokens(arm, item) for item in items) * judge.repeats if price is not None and n else 0
        whole = None if price is None else cost_usd(price, Usage(input_tokens=tokens, output_tokens=n_all * judge.max_tokens))
        usd = None if whole is None else round(whole * n / max(1, n_all), 9)
        yield Purchase(arm=f"{JUDGE}{judge.name}", is_new=not asked[arm.name], parts=0, requests=n, usd=usd)


def _of_judges_at_most(view: View, after: Config, items: Sequence[Item]) -> Iterator[Purchase]:
    """What judges may be asked at most beyond what they were asked, while answers are not there."""
    asked = _judged(view)
    for judge, one in zip(after.judges, judge_plans(after, expand(after, ""), items), strict=True):
        n = max(0, one.judgements - asked[arm_of(after, judge).name])
        usd = None if one.at_most_usd is None else round(one.at_most_usd * n / max(1, one.judgements), 9)
        yield Purchase(arm=f"{JUDGE}{judge.name}", is_new=False, parts=0, requests=n, usd=usd, is_exact=False)


def _judged(view: View) -> Counter[str]:
    """Judgements that were asked for already, by the judge's arm."""
    asked = Counter[str]()
    for shard in view.judge_build.shards.values() if view.judge_build is not None else ():
        asked[shard.arm] += shard.lines
    return asked


def purchase_lines(bought: tuple[Purchase, ...]) -> Iterator[str]:
    """What would be bought, for a person."""
    for one in bought:
        if one.requests:
            cost = "a cost that no price is known for" if one.usd is None else f"at most {dollars(one.usd)}"
            parts = f"{counted(one.parts, 'part')}, " if one.parts else "" if one.is_exact else "at most "
            name = one.arm if one.arm.startswith(JUDGE) else f"arm {one.arm}"
            yield f"  {'new ' if one.is_new else ''}{name}: {parts}{counted(one.requests, 'request')}, {cost}"
    total = sum(one.requests for one in bought)
    known = [one.usd for one in bought if one.usd is not None]
    cost = f", at most {dollars(sum(known, Decimal(0)))}" if len(known) == len(bought) else ""
    most = "" if all(one.is_exact for one in bought) else "at most "
    yield f"  in all: {most}{counted(total, 'request')} to buy{cost}; what the run has is not asked again"


def honest_words(view: View, after: Config) -> str:
    """What the growth does to what may be claimed."""
    planned = after.stats.sequential
    if not any(attempt.is_saved for record in view.parts.values() for attempt in record.attempts):
        return "no result has arrived yet: the plan is changed before the first one"
    if all(key.startswith(("judges", "panels")) for key in drift(view.config, after)):
        return "results have arrived: a judge that comes, or changes, now was not declared before them and makes no claim; all else stays as it is"
    if planned is not None and planned.n_max is not None and drift(view.config, after).keys() <= {"limit_items", *_grown_keys(view.config, after)}:
        return f"the plan declared looks up to {planned.n_max:,} items: the bounds take this growth into account"
    return (
        "results have arrived: growing now is optional stopping, so the enlarged analysis is exploratory; the first one is kept beside it, under "
        "earlier_scores/"
    )


def _grown_keys(before: Config, after: Config) -> set[str]:
    return {key for key in drift(before, after) if key.startswith(("grown", "submission."))}
