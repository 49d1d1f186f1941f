"""The picture of `plan_trial`: effect that can be seen by number of items, as one SVG that needs nothing else."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 64, 120, 40, 52
COLOURS = ("#0969da", "#bc4c00", "#1a7f37", "#8250df", "#bf3989", "#57606a")


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One number of samples. spots: (items, percentage points), items ascending."""

    label: str
    spots: tuple[tuple[float, float], ...]


def opening(title: str) -> list[str]:
    """The begin of a picture: white, with its title."""
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="system-ui,sans-serif" font-size="13">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{html.escape(title)}</text>',
    ]


def plot(curves: Sequence[Curve], *, target: float, title: str) -> str:
    """Curves over a logarithmic axis of items, with the target as a dashed line. target: percentage points."""
    spots = [spot for curve in curves for spot in curve.spots] or [(1.0, target)]
    low, high = math.log10(min(x for x, _ in spots)), math.log10(max(x for x, _ in spots))
    low, high = (low - 0.1, high + 0.1) if high - low < 1e-9 else (low, high)
    top = 1.08 * max(target, *(y for _, y in spots))

    def x(items: float) -> float:
        return round(LEFT + (math.log10(items) - low) / (high - low) * (WIDTH - LEFT - RIGHT), 1)

    def y(points: float) -> float:
        return round(HEIGHT - BOTTOM - points / top * (HEIGHT - TOP - BOTTOM), 1)

    parts = opening(title)
    for step in range(5):
        points = top / 1.08 * step / 4
        parts.append(f'<line x1="{LEFT}" y1="{y(points)}" x2="{WIDTH - RIGHT}" y2="{y(points)}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(points) + 4}" text-anchor="end" fill="#57606a">{points:.1f}</text>')
    for items in sorted({items for items, _ in spots}):
        parts.append(f'<text x="{x(items)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#57606a">{items:,.0f}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 12}" fill="#57606a">items (left: percentage points)</text>')
    parts.append(f'<line x1="{LEFT}" y1="{y(target)}" x2="{WIDTH - RIGHT}" y2="{y(target)}" stroke="#8c959f" stroke-dasharray="5 4"/>')
    parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y(target) + 4}" fill="#57606a">target {target:g}</text>')
    for place, curve in enumerate(curves):
        colour = COLOURS[place % len(COLOURS)]
        path = " ".join(f"{x(items)},{y(points)}" for items, points in curve.spots)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x(items)}" cy="{y(points)}" r="3" fill="{colour}"/>' for items, points in curve.spots]
        # A column of its own for the labels: the curves' ends lie too close together to carry them.
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{TOP + 16 * place + 8}" fill="{colour}">{html.escape(curve.label)}</text>')
    return "".join([*parts, "</svg>\n"])
