"""A forest plot as SVG: one line per comparison, its difference and interval, and the line of no difference."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

LEFT, WIDTH, ROW, TOP = 300, 760, 26, 14
MOST_CHARS = 44


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison, in percentage points."""

    label: str
    value: float
    low: float
    high: float

    @property
    def shown(self) -> str:
        """The label in the room that there is; what is left out is of the name, not of where it was measured."""
        if len(self.label) <= MOST_CHARS:
            return self.label
        title, bracket, where = self.label.rpartition(" (")
        room = max(MOST_CHARS - len(bracket) - len(where), 12)
        return f"{title[: room - 3]}...{bracket}{where}"[:MOST_CHARS]


def forest(lines: Sequence[Line]) -> str:
    """The plot; the axis reaches as far as the widest interval. Empty text without lines."""
    if not lines:
        return ""
    reach = max(1.0, *(abs(end) for line in lines for end in (line.low, line.high))) * 1.08
    height = TOP + ROW * len(lines) + 34

    def x(value: float) -> float:
        return round(LEFT + (value / reach + 1) / 2 * (WIDTH - LEFT - 20), 1)

    axis = TOP + ROW * len(lines) + 4
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui,sans-serif" font-size="13">',
        f'<line x1="{x(0)}" y1="{TOP - 8}" x2="{x(0)}" y2="{axis}" stroke="#8c959f" stroke-dasharray="4 3"/>',
        f'<line x1="{x(-reach)}" y1="{axis}" x2="{x(reach)}" y2="{axis}" stroke="#8c959f"/>',
    ]
    for tick in (-reach / 1.08, 0.0, reach / 1.08):
        label = f"{tick:+.1f}" if tick else "0"
        parts.append(f'<text x="{x(tick)}" y="{axis + 16}" text-anchor="middle" fill="#57606a">{label} pp</text>')
    for place, line in enumerate(lines):
        y = TOP + ROW * place + 8
        parts.append(f'<text x="0" y="{y + 4}" fill="#1b1f24">{html.escape(line.shown)}</text>')
        parts.append(f'<line x1="{x(line.low)}" y1="{y}" x2="{x(line.high)}" y2="{y}" stroke="#0969da" stroke-width="2"/>')
        parts.append(f'<circle cx="{x(line.value)}" cy="{y}" r="4" fill="#0969da"/>')
    return "".join([*parts, "</svg>"])
