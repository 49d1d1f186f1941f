"""Numbers as reports write them, and the artifacts that they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

BANNERS: Final = {
    "dry_run": "SIMULATED ANSWERS: this was a dry run; no model was asked and the effect was planted",
    "simulated_replay": "SIMULATED ANSWERS: this replays the recording of a dry run; no model was ever asked",
    "replay": "RECORDED ANSWERS: this run replays a recording; no model was asked now",
    "recorded_dry_run": "RECORDED ANSWERS: a real model gave them when the recording was made; none was asked now",
}
HEADER: Final = ("comparison", "control", "treatment", "difference (pp)", "interval (pp)", "p", "adjusted p", "b / c", "pairs", "lost")


def read_json(path: Path) -> dict[str, Any]:
    """One of the trial's own artifacts."""
    return dict(json.loads(path.read_bytes()))


def points(value: float | None) -> str:
    """A share as percentage points with its sign."""
    return "-" if value is None else f"{100 * value:+.1f}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def score(value: float | None) -> str:
    """A number in a unit of its own."""
    return "-" if value is None else f"{value:.4g}"


def p_text(value: float | None) -> str:
    return "-" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def adjusted_p(one: dict[str, Any]) -> str:
    """The p-value of the declared goal, with how it was corrected and, where it is not of the difference, that it is of the margin."""
    notes = ["margin"] if one.get("decided_by") == "margin" else []  # results of earlier versions do not say
    notes += {"none": [], "holm": ["Holm"], "bh": ["BH"]}[one["correction"]]
    return p_text(one["p_adjusted"]) + (f" ({', '.join(notes)})" if notes else "")


def usd(value: float | None) -> str:
    """Dollars: cents where they matter, three digits that count where they do not."""
    if value is None:
        return "unknown"
    return f"${value:,.2f}" if abs(value) >= 100 else f"${value:,.4f}" if abs(value) >= 0.01 or value == 0 else f"${value:.7f}".rstrip("0")


def name_of(one: Mapping[str, Any]) -> str:
    """What a comparison of significance.json is called in tables: with its temperature where that is not the trial's first."""
    return str(one["label"]) + (f", t = {one['temp']:g}" if one["family"] == "temperatures" else "")


def row_of(one: dict[str, Any]) -> tuple[str, ...]:
    """A comparison of significance.json under HEADER."""
    estimate, arms, counts = one["estimate"], one["arms"], one.get("counts")
    signed, plain = (points, percent) if one["is_share"] else (score, score)
    interval = "-" if estimate["ci_low"] is None else f"{signed(estimate['ci_low'])} to {signed(estimate['ci_high'])}"
    changed = "-" if counts is None else f"{counts['treatment_only']} / {counts['control_only']}"
    control, treatment = (plain(arms[name]["value"]) for name in ("control", "treatment"))
    lost = str(one["pairs"]["dropped"])
    return (
        name_of(one),
        control,
        treatment,
        signed(estimate["value"]) + ("" if one["is_share"] else " (not pp)"),
        interval,
        p_text(one["test"]["p_value"]),
        adjusted_p(one),
        changed,
        str(one["pairs"]["n"]),
        lost,
    )
