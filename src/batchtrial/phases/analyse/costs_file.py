"""The content of costs.json: what each arm's answers cost, by the ledger's bill, and what a right answer costs.

Tokens are in the normal form of every provider, prices from the dated table or the config's overrides, at batch rate. A model without a known price
has no cost: null with the reason, never zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Trial, TrialArm, users_of
from batchtrial.phases.analyse.costs import judges_bills, replaced_bill
from batchtrial.phases.analyse.tables import order_of
from batchtrial.phases.base import View, arms_in_order
from batchtrial.phases.batches.money import Bill, bill, price_for
from batchtrial.phases.batches.twice import bought_twice
from batchtrial.phases.tables.trial_scores import n_items_of, of_arm, scores_of
from batchtrial.prices import Price, source
from batchtrial.records import Outcome, Usage
from batchtrial.state.money import rounded, together
from batchtrial.stats.costs import cost_effectiveness, cost_ratio
from batchtrial.stats.missing import is_loss_doubtful
from batchtrial.stats.results import Estimate, undefined_estimate

NO_PRICE: Final = "the model is in no price table; add it under pricing.overrides"


def money(value: Decimal | float | None) -> float | None:
    """Dollars as JSON has them."""
    return None if value is None else rounded(value)


def _interval(estimate: Estimate) -> dict[str, Any]:
    record: dict[str, Any] = {"usd": money(estimate.value), "ci": [money(estimate.ci_low), money(estimate.ci_high)], "method": estimate.method}
    if estimate.reason is not None:
        record["reason"] = estimate.reason
    if estimate.warnings:
        record["warnings"] = list(estimate.warnings)
    return record


def per_item(view: View, trial: Trial) -> pl.DataFrame:
    """One row per item in the order of the items' keys: item_key, cluster, and five columns of each role that an arm plays (`_role`).

    usd: dollars of all its samples, n: their number, answered: those that brought an answer, scored: those of which none was lost, right: right
    answers among them. The dollars are null when one of the samples may have been billed a sum that nobody told: an answer without usage, or a
    request without a line.
    """
    arms = arms_in_order(trial)
    has_tables = all(view.layout.arm(arm.name).scores.exists() for arm in arms)
    table = pl.scan_parquet(view.layout.items).select("place", "item_key", "cluster")
    table = table.head(n_items_of(view.layout, arms)) if has_tables else table
    for arm in arms:
        scores = of_arm(view.layout, arm, ()) if has_tables else scores_of(view.layout, trial).filter(condition=arm.condition, temp=arm.at)
        scored = pl.col("n_samples")
        right = scores.select("place", scored.alias(f"scored {_role(arm)}"), (pl.col("em") * scored).alias(f"right {_role(arm)}"))
        table = table.join(_billed(view, arm), on="place", how="left", maintain_order="left")
        table = table.join(right, on="place", how="left", maintain_order="left")
    found = table.drop("place").filter(pl.any_horizontal(pl.col("^n .*$").is_not_null())).collect()
    return found[order_of(found["item_key"])]


def _role(arm: TrialArm) -> str:
    return f"{arm.condition} {arm.at}"


def _billed(view: View, arm: TrialArm) -> pl.LazyFrame:
    """usd, n and answered of the items that the arm asked about, by place."""
    is_answered = (pl.col("outcome") == Outcome.SUCCEEDED.value).cast(pl.UInt32).alias(f"answered {_role(arm)}")
    answers = pl.scan_parquet(view.layout.arm(arm.name).answers).select("place", "usd", is_answered)
    if arm.samples == 1:
        n = pl.lit(1, dtype=pl.UInt32).alias(f"n {_role(arm)}")
        return answers.select("place", pl.col("usd").alias(f"usd {_role(arm)}"), n, is_answered.meta.output_name())
    # An item's samples stand one behind the other, so that no table of all items is needed to add them up.
    dollars = pl.when(pl.col("usd").has_nulls()).then(None).otherwise(pl.col("usd").sum())
    found = answers.group_by("place", maintain_order=True)
    return found.agg(dollars.alias(f"usd {_role(arm)}"), pl.len().alias(f"n {_role(arm)}"), pl.col(is_answered.meta.output_name()).sum())


def effectiveness(view: View, trial: Trial, table: pl.DataFrame) -> dict[str, Any]:
    """Per temperature: dollars per right answer of each arm, and per additional right answer, each with an interval."""
    level = 1 - view.config.stats.alpha
    found = {}
    for temp in trial.temps:
        treatment, control = f"treatment {temp}", f"control {temp}"
        if not {f"usd {treatment}", f"usd {control}"} <= set(table.columns):
            continue
        here = table.filter(pl.any_horizontal(pl.col(f"n {treatment}", f"n {control}").is_not_null()))
        scores = _columns(here, f"right {treatment}", f"right {control}")
        costs = _columns(here, f"usd {treatment}", f"usd {control}")
        obtained = _columns(here.select(_obtained(treatment, control), _obtained(control, treatment)), f"right {treatment}", f"right {control}")
        clusters = _clusters(here) if view.config.stats.clusters == "auto" else None
        got = cost_effectiveness(*costs, *obtained, clusters=clusters, level=level)
        found[f"{temp:.1f}"] = {
            "usd_per_correct": {"control": _interval(got.usd_per_correct_control), "treatment": _interval(got.usd_per_correct_treatment)},
            "extra_usd_per_item": _interval(got.cost_usd),
            **_of_answers(here, treatment, control, clusters, level),
            "usd_per_additional_correct": _interval(_held(got.usd_per_additional_correct, *scores)),
            "trade": got.trade,
            "is_clear": got.is_clear,
        }
    return found


def _columns(items: pl.DataFrame, *names: str) -> tuple[NDArray[np.float64], ...]:
    return tuple(items[name].cast(pl.Float64).fill_null(float("nan")).to_numpy() for name in names)


def _obtained(role: str, other: str) -> pl.Expr:
    """Right answers among those that came: none of an item of which all were cut off or refused. Null where none came, or none can be right."""
    right, has_none = pl.col(f"right {role}"), (pl.col(f"scored {role}") == 0) & (pl.col(f"answered {role}") > 0)
    can_be_right = pl.col(f"right {other}").is_not_null() | (pl.col(f"scored {other}") == 0)
    return pl.when(right.is_null() & has_none & can_be_right & _is_scored(role, other)).then(0.0).otherwise(right).alias(f"right {role}")


def _is_scored(role: str, other: str) -> pl.Expr:
    """Whether any answer of these arms is held against an accepted one."""
    return pl.col(f"right {role}").is_not_null().any() | pl.col(f"right {other}").is_not_null().any()


def _held(price: Estimate, right_treatment: NDArray[np.float64], right_control: NDArray[np.float64]) -> Estimate:
    """The price of one more right answer; none where so many answers are not scored that they could explain the gain."""
    lost = [np.isnan(one) for one in (right_treatment, right_control)]
    is_asked = ~(lost[0] & lost[1])  # the others may have no accepted answer
    if not is_loss_doubtful(lost[0][is_asked].astype(np.float64), lost[1][is_asked].astype(np.float64)):
        return price
    return undefined_estimate("lost answers could explain the gain", level=price.level, method=price.method, n=price.n, dropped=price.dropped)


def _of_answers(items: pl.DataFrame, treatment: str, control: str, clusters: NDArray[np.int64] | None, level: float) -> dict[str, Any]:
    """What the treatment's answers cost beside the control's. A request that brought none cost nothing, and makes the others no cheaper."""
    usd, n, answered = (_columns(items, f"{what} {treatment}", f"{what} {control}") for what in ("usd", "n", "answered"))
    with np.errstate(divide="ignore", invalid="ignore"):
        each = [np.where(came > 0, one * asked / came, np.nan) for one, asked, came in zip(usd, n, answered, strict=True)]
    is_unknown, is_bare = (np.isnan(a) | np.isnan(b) for a, b in (usd, each))
    lost = [1.0 - came / asked for asked, came in zip(n, answered, strict=True)]
    both = ~np.isnan(lost[0] + lost[1])
    return {
        "cost_ratio": ratio_json(cost_ratio(each[0], each[1], clusters=clusters, level=level)),
        "items_without_cost": int(is_unknown.sum()),
        "items_without_answer": int((is_bare & ~is_unknown).sum()),
        "is_loss_doubtful": is_loss_doubtful(lost[0][both], lost[1][both]),
    }


def _clusters(items: pl.DataFrame) -> NDArray[np.int64] | None:
    """A number per item, the same for items that depend on each other; None when all stand alone."""
    named = items.select("item_key", pl.when(pl.col("cluster") != "").then("cluster").alias("cluster"))
    if named["cluster"].null_count() == named.height:
        return None
    label = pl.coalesce(pl.concat_str(pl.lit("cluster "), "cluster"), pl.concat_str(pl.lit("item "), "item_key"))
    codes = named.select(label.rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    return codes if int(np.bincount(codes).max()) > 1 else None


def ratio_json(one: Estimate) -> dict[str, Any]:
    """A ratio as JSON."""
    record = {"value": one.value, "ci": [one.ci_low, one.ci_high], "level": one.level, "method": one.method, "n": one.n}
    return record | ({"reason": one.reason} if one.reason is not None else {})


def costs_file(view: View, trial: Trial) -> dict[str, Any]:
    """The content of costs.json."""
    config = view.config
    prices = {arm.stem: price_for(config, arm) for arm in arms_in_order(trial)}
    bills = {arm.stem: bill(view, arm) for arm in arms_in_order(trial)}
    once = {arm.name: bills[arm.stem] for arm in arms_in_order(trial)}.values()  # an arm may play both roles
    total = Usage()
    for one in once:
        total += one.usage
    spent = together(one.money for one in once)
    reasons = [*spent.why_unknown(), *([NO_PRICE] if None in prices.values() else [])]
    table = None if None in prices.values() or not prices else per_item(view, trial)
    return {
        "schema_version": 2,
        "simulated": config.is_simulated,
        "prompt_tokens": total.input_tokens,
        "completion_tokens": total.output_tokens,
        "total_tokens": total.input_tokens + total.output_tokens,
        "cached_tokens": total.cached_tokens,
        "cache_write_tokens": total.cache_write_tokens,
        "reasoning_tokens": total.reasoning_tokens,
        **spent.as_json(),
        "cost": spent.sentence(),
        **({"bought_twice": twice} if (twice := bought_twice(view)) is not None else {}),
        "reason": "; ".join(reasons) or None,
        "usage_source": "the ledger: every attempt whose results were fetched",
        "pricing": _pricings(arms_in_order(trial), prices),
        "arms": {arm.stem: _arm(view, arm, bills[arm.stem], table) for arm in arms_in_order(trial)},
        **({"judges": _judges(view)} if config.judges else {}),
        "effectiveness": None if table is None else effectiveness(view, trial, table),
    }


def _arm(view: View, arm: TrialArm, one: Bill, table: pl.DataFrame | None) -> dict[str, Any]:
    return {
        "condition": arm.condition,
        "temp": arm.temp,
        "requests": sum(shard.lines for shard in view.shards(arm)),
        "prompt_tokens": one.usage.input_tokens,
        "completion_tokens": one.usage.output_tokens,
        **one.money.as_json(),
        "cost": one.money.short(),
        "usd_per_request": None if table is None else _per_request(arm, table),
        "estimate_usd": money(one.reserved_usd) if not one.money.unpriced else None,
        "attempts": one.n_attempts,
        "arm": arm.name,
        "shared_by_trials": len(users_of(arm, view.trials)),
    }


def _judges(view: View) -> dict[str, Any]:
    """What the judges' wave cost, for all trials of the run: none of it stands in the sums of a trial's arms."""
    each, replaced = judges_bills(view), replaced_bill(view)
    whole = together(one.money for one in (*each.values(), *([replaced] if replaced else [])))
    return {
        **whole.as_json(),
        "cost": whole.sentence(),
        "by_judge": {name: _judge(one) for name, one in each.items()},
        **({"replaced": _judge(replaced)} if replaced else {}),
    }


def _judge(one: Bill) -> dict[str, Any]:
    return {
        "prompt_tokens": one.usage.input_tokens,
        "completion_tokens": one.usage.output_tokens,
        **one.money.as_json(),
        "cost": one.money.short(),
        "estimate_usd": money(one.reserved_usd) if not one.money.unpriced else None,
    }


def _per_request(arm: TrialArm, table: pl.DataFrame) -> float | None:
    """What a request of the arm costs by its tokens, whoever paid for it: an arm taken over from another run was not billed here."""
    usd = f"usd {_role(arm)}"
    known = table.filter(pl.col(usd).is_not_null())
    n = int(known[f"n {_role(arm)}"].sum())
    return money(known[usd].sum() / n) if n else None


def _pricings(arms: Sequence[TrialArm], prices: Mapping[str, Price | None]) -> dict[str, Any]:
    """What the arms are priced by: the first one's, and each one's where they differ."""
    found = {arm.stem: _pricing(arm.backend, arm.pricing_key, prices[arm.stem]) for arm in arms}
    first: dict[str, Any] = next(iter(found.values()), {"table": {}})
    return first if all(one == first for one in found.values()) else first | {"by_arm": found}


def _pricing(provider: str, key: str, price: Price | None) -> dict[str, Any]:
    table = source()
    record: dict[str, Any] = {
        "provider": provider,
        "model_key": key,
        "rate_type": "batch" if price is None else price.rate,
        "table_found": price is not None,
    }
    if price is not None:
        record |= {
            "input_rate_per_mtok": float(price.input_per_mtok),
            "output_rate_per_mtok": float(price.output_per_mtok),
            "cached_rate_per_mtok": float(price.cached_per_mtok),
            "cache_write_rate_per_mtok": float(price.cache_write_per_mtok),
            "provenance": price.provenance,
        }
    return record | {"table": {"source": table.name, "version": table.version, "prices_on": table.prices_on, "newest_entry": table.newest_entry}}
