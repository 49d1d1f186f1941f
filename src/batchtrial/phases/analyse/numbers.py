"""Numbers as reports write them, and the artifacts that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from batchtrial.stats import rounding
from batchtrial.stats.rounding import sided, without_noise

UNSETTLED: Final = ("inconclusive", "undefined", "not decided", "not decidable")
"""Verdicts that say that there is none."""
ONE_ARM: Final = "control and treatment are the same arm, whose requests were asked once, so that nothing can differ"
NOT_ANALYSED: Final = "The declared primary endpoint could not be analysed: no answer of this trial has a value of it."
"""What stands in the place of a verdict."""
HEADER: Final = ("comparison", "control", "treatment", "difference (pp)", "interval (pp)", "p", "adjusted p", "b / c", "pairs", "lost")


def points(value: float | None, *lines: float) -> str:
    """A share as percentage points with its sign; with more digits where one would not tell on which side of zero or another line it is."""
    return "-" if value is None else sided(100 * value, 1, lines=(0.0, *(100 * line for line in lines)), is_signed=True)


def percent(value: float | None) -> str:
    """A share; "0.0 %" and "100.0 %" are exact."""
    return "-" if value is None else f"{sided(100 * value, 1, lines=(0.0, 100.0))} %"


def score(value: float | None) -> str:
    """A number in a unit of its own."""
    return "-" if value is None else f"{without_noise(value):.4g}"


def signed_score(value: float | None, *lines: float) -> str:
    """A difference in a unit of its own, with its sign."""
    if value is None:
        return "-"
    plain = f"{without_noise(value):+.4g}"
    return plain if value and not any(float(plain) == line for line in lines) else sided(value, 4, lines=(0.0, *lines), is_signed=True)


def p_text(value: float | None, *levels: float) -> str:
    """A p-value; with more digits next to a level that decides."""
    return "-" if value is None else rounding.p_text(value, levels=levels or (0.05,))


def levels_of(one: Mapping[str, Any]) -> tuple[float, ...]:
    """Levels that decide about a comparison of significance.json: two-sided, and of a margin."""
    alpha = round(1 - one["estimate"].get("level", 0.95), 12)
    return alpha, alpha / 2


def difference_of(one: Mapping[str, Any]) -> tuple[str, str]:
    """(difference, interval) of a comparison of significance.json, without their unit."""
    estimate, margin = one["estimate"], one.get("margin") or {}
    signed = points if is_share(one) else signed_score
    lines = [bound for name in ("low", "high") if (bound := margin.get(name)) is not None]
    lines += [-line for line in lines]
    interval = "-" if estimate["ci_low"] is None else f"{signed(estimate['ci_low'], *lines)} to {signed(estimate['ci_high'], *lines)}"
    return signed(estimate["value"], *lines), interval


def arms_of(one: Mapping[str, Any]) -> tuple[str, str]:
    """(control, treatment) of a comparison of significance.json."""
    plain = percent if is_share(one) else score
    return plain(one["arms"]["control"]["value"]), plain(one["arms"]["treatment"]["value"])


def is_share(one: Mapping[str, Any]) -> bool:
    """Whether a comparison of significance.json is of shares, so that differences are percentage points; results of earlier versions do not say."""
    return bool(one.get("is_share", True))


def is_declared(one: Mapping[str, Any]) -> bool:
    """Whether it belongs to the plan's own endpoints, even when a change of the plan has made it exploratory."""
    return one["family"] in ("primary", "confirmatory")


def marked_label(one: Mapping[str, Any]) -> str:
    """What it is called where no verdict stands beside it: an endpoint of the plan says whether it has become exploratory, or cannot be decided."""
    if not is_declared(one):
        return name_of(one)
    is_open = one.get("verdict") in ("not decided", "not decidable")
    mark = "exploratory: " if one.get("standing") == "exploratory" else f"{one['verdict']}: " if is_open else ""
    return mark + name_of(one)


def verdict_of(one: Mapping[str, Any]) -> str:
    """The verdict in a word, and whether it is no claim."""
    is_open = one["verdict"] in UNSETTLED
    return str(one["verdict"]) + ("" if is_open or one.get("is_claim", True) else " (exploratory)")


def adjusted_p(one: Mapping[str, Any]) -> str:
    """The p-value of the declared goal, with how it was corrected and, where it is not of the difference, that it is of the margin."""
    notes = ["margin"] if one.get("decided_by") == "margin" else []  # results of earlier versions do not say
    notes += {"none": [], "holm": ["Holm"], "bh": ["BH"]}[one["correction"]]
    return p_text(one["p_adjusted"], *levels_of(one)) + (f" ({', '.join(notes)})" if notes else "")


def usd(value: float | None) -> str:
    """Dollars: cents where they matter, three digits that count where they do not."""
    if value is None:
        return "unknown"
    return f"${value:,.2f}" if abs(value) >= 100 else f"${value:,.4f}" if abs(value) >= 0.01 or value == 0 else f"${value:.7f}".rstrip("0")


def name_of(one: Mapping[str, Any]) -> str:
    """What a comparison of significance.json is called in tables: with its temperature where that is not the trial's first.

    A judge's arms are its own word, and no difference of them is one that labels correct.
    """
    by_labels = ", corrected by labels" if str(one.get("estimate", {}).get("method", "")).startswith("ppi") else ""
    return str(one["label"]) + (f", t = {one['temp']:g}" if one["family"] == "temperatures" else "") + by_labels


def title_of(one: Mapping[str, Any]) -> str:
    """What the metric of a comparison of significance.json is called."""
    return str(one["label"]).rpartition(" (")[0]


def row_of(one: dict[str, Any]) -> tuple[str, ...]:
    """A comparison of significance.json under HEADER."""
    counts, (control, treatment), (difference, interval) = one.get("counts"), arms_of(one), difference_of(one)
    changed = "-" if counts is None else f"{counts['treatment_only']} / {counts['control_only']}"
    return (
        name_of(one),
        control,
        treatment,
        difference + ("" if is_share(one) else " (not pp)"),
        interval,
        p_text(one["test"]["p_value"], *levels_of(one)),
        adjusted_p(one),
        changed,
        str(one["pairs"]["n"]),
        str(one["pairs"]["dropped"]),
    )
