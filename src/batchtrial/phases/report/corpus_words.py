"""Scores of all answers together, as the report shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchtrial.phases.analyse.numbers import p_text
from batchtrial.phases.report.render import Block, Bullets, Grid, Heading, Paragraph
from batchtrial.phases.tables.columns import kind_words
from batchtrial.stats.rounding import sided


def corpus_blocks(tests: Mapping[str, Any], *, has_questions: bool) -> list[Block]:
    """The section; empty where no such metric was asked for. tests: the content of significance.json. has_questions: see `kind_words`."""
    found = tests.get("corpus", ())
    if not found:
        return []
    rows = tuple(
        (
            f"{one['metric']} ({kind_words(one['kind'], has_questions=has_questions)}, temperature {one['temp']:g})",
            *(_number(one[name]) for name in ("control", "treatment")),
            _change(one["difference"]),
            f"{_change(one['ci_low'])} to {_change(one['ci_high'])}" if one["ci_low"] is not None else one["reason"] or "",
            p_text(one["p_value"]),
            f"{one['n_items']:,}",
            f"{one.get('n_lost', 0):,}",
        )
        for one in found
    )
    signatures = tuple(sorted({f"{one['metric']}: {one['signature']}" for one in found}))
    lost = (
        " Lost pairs are left out, and nothing bounds what their answers would have made of a score."
        if any(one.get("n_lost") for one in found)
        else ""
    )
    said = (
        "Scores of all answers together, 0 to 100, treatment minus control, with paired bootstrap intervals "
        f"({100 * found[0]['level']:g} %) over items or their clusters. They are exploratory, and p is not corrected.{lost} To compute the same:"
    )
    header = ("score", "control", "treatment", "difference", "interval", "p", "pairs", "lost")
    return [Heading(3, "Scores of all answers together"), Grid(header, rows), Paragraph(said), Bullets(signatures)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _change(value: float | None) -> str:
    return "-" if value is None else sided(value, 2, is_signed=True)
