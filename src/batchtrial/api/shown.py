"""A run as a notebook shows it: a few lines of HTML in which everything that is not ours is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import polars as pl

from batchtrial.modes import MODES
from batchtrial.phases.analyse.numbers import name_of, p_text, percent, points, score, signed_score
from batchtrial.reading.inventory import RunSummary
from batchtrial.visible import visible

MOST_ROWS = 12


def run_html(run: RunSummary, tests: pl.DataFrame | None) -> str:
    """How the run stands, and its declared comparisons; others where nothing is declared."""
    banner = MODES[run.mode].banner if run.mode in MODES else None
    counts = run.outcomes
    lines = [
        f"<strong>{_text(run.run_id)}</strong> {_text(run.standing)}" + (f", in {_text(run.phase)}" if run.phase else ""),
        f"{counts.succeeded:,} of {run.n_requests:,} requests answered, {counts.total - counts.succeeded:,} without an answer; "
        + _text(run.money.sentence("spent" if run.mode == "live" else "by the price table")),
    ]
    told = f"<p><strong>{_text(banner)}</strong></p>" if banner else ""
    return f"<div>{told}<p>{'<br>'.join(lines)}</p>{'' if tests is None else ''.join(_table(tests))}</div>"


def _table(tests: pl.DataFrame) -> Iterator[str]:
    declared = tests.filter("is_declared")
    rows = (declared if declared.height else tests).head(MOST_ROWS)
    if not rows.height:
        return
    names = ("trial", "comparison", "control", "treatment", "difference", "interval", "adjusted p", "pairs", "lost", "verdict")
    yield f"<table><thead><tr>{''.join(f'<th>{name}</th>' for name in names)}</tr></thead><tbody>"
    for one in rows.iter_rows(named=True):
        yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in _row(one))}</tr>"
    yield "</tbody></table>"


def _row(one: dict[str, Any]) -> Iterator[str]:
    plain, signed, unit = (percent, points, " pp") if one["is_share"] else (score, signed_score, "")
    yield from (one["trial"], name_of({**one, "estimate": {"method": one["method"]}}), plain(one["control"]), plain(one["treatment"]))
    yield signed(one["difference"]) + ("" if one["difference"] is None else unit)
    yield "-" if one["low"] is None or one["high"] is None else f"{signed(one['low'])} to {signed(one['high'])}{unit}"
    yield from (p_text(one["p_adjusted"]), str(one["pairs"]), str(one["lost"]), str(one["verdict"]))


def _text(text: object) -> str:
    return html.escape(visible(str(text)))
