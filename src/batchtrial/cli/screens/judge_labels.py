"""What `plan_trial --judge` says: how many labels buy which width."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from batchtrial.stats.judge_plan import label_widths

Table = Callable[[Sequence[str], Sequence[Sequence[str]]], list[str]]


def judge_record(accuracy: float | None, variance: float, items: Sequence[int], alpha: float) -> dict[str, Any]:
    """The part of the plan about labels; empty without a judge. variance: of one item's difference, one sample each."""
    if accuracy is None:
        return {}
    widths = {n: [asdict(one) for one in label_widths(variance, accuracy, items=n, level=1 - alpha)] for n in items}
    return {"judge": {"accuracy": accuracy, "widths": [{"items": n, **one} for n, found in widths.items() for one in found]}}


def judge_lines(found: Mapping[str, Any], table: Table) -> list[str]:
    """The same for a person; empty without a judge."""
    if "judge" not in found:
        return []
    judge = found["judge"]
    rows = [
        (f"{one['items']:,}", str(one["labels"]), f"{100 * one['width_alone']:.1f} pp", f"{100 * one['width_corrected']:.1f} pp", str(one["worth"]))
        for one in judge["widths"]
    ]
    share, level = 100 * judge["accuracy"], 100 * (1 - found["alpha"])
    title = f"with a judge that sees {share:g} % of the answers rightly, whole width of the {level:g} % interval:"
    header = ("judged items", "labels", "by labels alone", "corrected", "as good as labels")
    return ["", title, *table(header, rows)]
