"""Cost as the second axis of a verdict: what the treatment's answers cost beside the control's, and what a right answer costs, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchtrial.phases.analyse.numbers import ONE_ARM, UNSETTLED, is_share, usd
from batchtrial.stats.ratios import NO_ITEMS
from batchtrial.stats.rounding import sided


def two_axes(tests: Mapping[str, Any], costs: Mapping[str, Any]) -> str | None:
    """Quality by the primary endpoint and cost by item in one sentence; None when there is no verdict, or no price is known."""
    head, found = primary_and_cost(tests, costs)
    ratio = found.get("cost_ratio")
    if head is not None and ONE_ARM in (head.get("not_decidable") or ""):
        return None
    return None if head is None or ratio is None else f"{_quality(head)} {cost_words(ratio)}{_basis(head, found)}."


def cost_cell(tests: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    """The same in a table: per cent more or less than the control's answers, with the interval."""
    ratio = primary_and_cost(tests, costs)[1].get("cost_ratio")
    if ratio is None or ratio["value"] is None:
        return "-"
    ends = "" if None in ratio["ci"] else f" ({_signed(ratio['ci'][0])} to {_signed(ratio['ci'][1])})"
    return f"{_signed(ratio['value'])}{ends}"


def primary_and_cost(tests: Mapping[str, Any], costs: Mapping[str, Any]) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """The primary comparison, and what costs.json says of its temperature; empty where that is nothing."""
    head = next((one for one in tests["tests"] if one["family"] == "primary"), None)
    found = (costs.get("effectiveness") or {}).get(f"{head['temp']:.1f}") if head is not None else None
    return head, found or {}


def left_out(found: Mapping[str, Any]) -> dict[str, int]:
    """Why items are left out of the cost ratio, in words after "items with", with how many."""
    named = {"answers of unknown cost": "items_without_cost", "no answer in an arm": "items_without_answer"}
    return {why: n for why, name in named.items() if (n := int(found.get(name, 0)))}


def _basis(head: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """On how many items the cost rests, where not on all of them."""
    without, ratio = left_out(found), found["cost_ratio"]
    n = sum(without.values())
    if not n or ratio["value"] is None:
        return ""
    why = " or ".join(without)
    if head.get("n_clusters") is not None:  # the ratio then counts documents
        return f"; {n} item{'s' * (n > 1)} with {why} left out"
    return f"; on {ratio['n']} of {ratio['n'] + n} items, since the others have {why}"


def _signed(ratio: float) -> str:
    change = round(100 * (ratio - 1), 9)
    return sided(change, 0 if abs(change) >= 10 else 1, is_signed=True)


def _quality(head: Mapping[str, Any]) -> str:
    name = f"quality by {head['label']}"
    if head["verdict"] in UNSETTLED:
        return f"What the treatment does to {name} is not settled;"
    if not head["is_claim"]:
        return f"No claim is made about {name};"
    margin = _margin(head)
    said = {"superior": "is better", "inferior": "is worse", "non-inferior": f"holds{margin}", "equivalent": f"is the same{margin}"}
    return f"{name[0].upper()}{name[1:]} {said[head['verdict']]} and"


def _margin(head: Mapping[str, Any]) -> str:
    bound = (head.get("margin") or {}).get("low")
    if bound is None:
        return ""
    return f" within {100 * abs(bound):g} pp" if is_share(head) else f" within {abs(bound):g}"


def cost_words(ratio: Mapping[str, Any]) -> str:
    """What the treatment's answers cost beside the control's, such as "the answers cost 37 % less (31 to 42)"."""
    value, (low, high) = ratio["value"], ratio["ci"]
    if value is None:
        reason = "no item has answers of known cost in both arms" if not ratio.get("n") else ratio.get("reason", "no costs")
        return f"what its answers cost beside the control's is not defined ({reason})"
    change = 100 * (value - 1)
    if low is None or high is None:
        return f"the answers cost {_change(change)} (no interval: {ratio.get('reason', 'too few items')})"
    ends = sorted((100 * (low - 1), 100 * (high - 1)), key=abs)
    if low == high == 1:
        return "the answers cost the same"
    if low > 1 or high < 1:
        return f"the answers cost {_change(change)} ({_size(ends[0])} to {_size(ends[1])})"
    return f"whether the answers cost more or less is not settled ({_change(change)}; {_change(100 * (low - 1))} to {_change(100 * (high - 1))})"


def _change(change: float) -> str:
    if round(change, 9) == 0:
        return "the same"
    return f"{_size(change)} % {'less' if change < 0 else 'more'}"


def _size(change: float) -> str:
    size = round(abs(change), 9)
    return sided(size, 0 if size >= 10 else 1)


def _each(one: Mapping[str, Any]) -> str:
    """Dollars per right answer of an arm, or why there are none to tell."""
    if one["usd"] is not None:
        return f"{usd(one['usd'])} per right answer"
    return "no item with known cost and a score in both arms" if one.get("reason") == NO_ITEMS else "no right answer to divide its cost by"


def per_right_answer(costs: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each temperature: dollars for each right answer, and for an additional one where the gain is more than chance."""
    for temp, one in (costs["effectiveness"] or {}).items():
        each, extra = one["usd_per_correct"], one["usd_per_additional_correct"]
        if extra["usd"] is not None and None not in extra["ci"]:
            more = f"per additional right answer: {usd(extra['usd'])}, {usd(extra['ci'][0])} to {usd(extra['ci'][1])}"
        else:
            more = f"per additional right answer: no price ({extra.get('reason', 'no effect')})"
        yield (f"At temperature {temp}: {_each(each['control'])} under the control, {_each(each['treatment'])} under the treatment; {more}.")
