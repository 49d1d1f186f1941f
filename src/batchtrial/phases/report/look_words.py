"""The planned looks of a trial in its report: a picture of Z against its bounds, a table, and what was not bought."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any, Final

from batchtrial.phases.analyse.numbers import usd
from batchtrial.phases.report.render import Block, Grid, Heading, Paragraph, Picture

WIDTH, HEIGHT, LEFT, BOTTOM = 640, 240, 48, 28
SAID: Final[Mapping[str, str]] = {
    "go on": "went on",
    "too few changed": "went on: too few items changed, or documents",
    "crossed": "stopped: the bound was crossed",
    "futile": "stopped for futility",
    "end": "ended as planned",
}


def look_blocks(tests: Mapping[str, Any], costs: Mapping[str, Any]) -> list[Block]:
    """Nothing where no looks were planned. tests, costs: the trial's files."""
    looks = tests.get("looks")
    if not looks:
        return []
    planned, taken = looks["planned"], looks["taken"]
    found: list[Block] = [Heading(2, "Looks"), Paragraph(looks["sentence"])]
    if taken:
        rows = tuple((f"{one['n_items']:,}", str(one["changed"]), f"{one['z']:+.2f}", _bound(one), SAID[one["decision"]]) for one in taken)
        found.append(Picture(bound_picture(planned["ends"], taken, planned["n_max"]), "Z of the primary endpoint at each look, and its bounds"))
        found.append(Grid(("items", "changed", "Z", "bound", "decision"), rows))
    found.append(
        Paragraph(
            f"Declared before the first request: {planned['looks']} looks at {', '.join(f'{end:,}' for end in planned['ends'])} items, "
            f"two-sided alpha {planned['alpha']:g}, spent as O'Brien and Fleming have it; {_futility(planned['futility'])}; no look before "
            f"{planned['min_changed']} changed items. Rows that were not declared are as seen at the stop and not corrected for the looks."
        )
    )
    if looks["items_not_bought"]:
        found.append(Paragraph(not_bought(looks, costs)))
    return found


def not_bought(looks: Mapping[str, Any], costs: Mapping[str, Any]) -> str:
    """Items, requests, and dollars at what a request of each arm has cost."""
    saved, is_priced = 0.0, True
    for stem, n in looks["requests_not_bought"].items():
        price = costs["arms"].get(stem, {}).get("usd_per_request")
        is_priced &= price is not None or not n
        saved += n * (price or 0.0)
    n_requests = sum(looks["requests_not_bought"].values())
    dollars = f", about {usd(saved)} at what such requests have cost here" if is_priced else ""
    return f"Not bought: {looks['items_not_bought']:,} items, {n_requests:,} requests{dollars}."


def _futility(limit: float | None) -> str:
    return "no stop for futility" if limit is None else f"futile below a chance of {100 * limit:g} % that a later look crosses (not binding)"


def _bound(one: Mapping[str, Any]) -> str:
    return "-" if one["bound"] is None else f"{one['bound']:.2f}"


def bound_picture(ends: Sequence[int], taken: Sequence[Mapping[str, Any]], n_max: int) -> str:
    """Looks from left to right: the bounds as lines above and below, Z as dots."""
    reach = min(6.0, max([3.0, *(abs(float(one["z"])) for one in taken), *(float(one["bound"] or 0.0) for one in taken)])) * 1.08

    def x(items: int) -> float:
        return round(LEFT + items / n_max * (WIDTH - LEFT - 12), 1)

    def y(z: float) -> float:
        return round(12 + (1 - max(-1.0, min(1.0, z / reach))) / 2 * (HEIGHT - BOTTOM - 12), 1)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" font-family="system-ui,sans-serif" font-size="12">']
    parts.append(f'<line x1="{LEFT}" y1="{y(0)}" x2="{WIDTH - 12}" y2="{y(0)}" stroke="#8c959f" stroke-dasharray="4 3"/>')
    for end in ends:
        parts.append(f'<text x="{x(end)}" y="{HEIGHT - 8}" text-anchor="middle" fill="#57606a">{end:,}</text>')
    for sign in (1.0, -1.0):
        points = " ".join(f"{x(one['n_items'])},{y(sign * one['bound'])}" for one in taken if one["bound"] is not None)
        parts.append(f'<polyline points="{points}" fill="none" stroke="#cf222e" stroke-width="2"/>')
    for one in taken:
        label = html.escape(f"{one['z']:+.2f}")
        parts.append(f'<circle cx="{x(one["n_items"])}" cy="{y(one["z"])}" r="4" fill="#0969da"/>')
        parts.append(f'<text x="{x(one["n_items"]) - 8}" y="{y(one["z"]) - 8}" text-anchor="end" fill="#1b1f24">{label}</text>')
    return "".join([*parts, f'<text x="0" y="{y(0) + 4}" fill="#57606a">Z = 0</text></svg>'])
