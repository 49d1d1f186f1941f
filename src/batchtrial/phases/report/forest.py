"""A forest plot as SVG: one line per comparison, its difference and interval, the declared margin, and the line of no difference.

Colours are classes of the page that holds it; beside a page they are written out, so that the picture stands alone. A page holds it twice: on a
phone each label stands above its line.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

TOP: Final = 34
HEAD: Final = 20
"""What a picture's own heading takes, where there are several."""
CHAR: Final = 8.0
"""Width of a digit, at most, in the picture's own unit."""
STANDALONE: Final = (
    "<style>text{fill:#1b1f24}.q{fill:#57606a}.b{stroke:#0a58ca}.d{fill:#0a58ca}.z{stroke:#8c959f}.g{stroke:#d0d7de}.m{stroke:#b02a37}"
    ".t{fill:#b02a37}</style>"
)


@dataclass(frozen=True, slots=True)
class Room:
    """Where things stand. left: where the axis begins; chars: of a label; drop: from a row's label down to its line."""

    name: str
    left: int
    width: int
    row: int
    chars: int
    drop: int


WIDE: Final = Room("wide", left=390, width=860, row=26, chars=44, drop=0)
NARROW: Final = Room("narrow", left=0, width=360, row=44, chars=36, drop=18)


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison, in percentage points, or in the unit of its metric. margin: where the declared margin stands, None without one."""

    label: str
    value: float
    low: float
    high: float
    is_declared: bool = False
    is_up_better: bool = True
    margin: float | None = None
    unit: str = " pp"

    def shown(self, most: int) -> str:
        """The label in the room that there is; what is left out is of the name, not of where it was measured."""
        if len(self.label) <= most:
            return self.label
        title, bracket, where = self.label.rpartition(" (")
        room = max(most - len(bracket) - len(where), 12)
        return f"{title[: room - 3]}...{bracket}{where}"[:most]


def ticks(reach: float, most: int = 4) -> list[float]:
    """Round numbers from 0 to either side, at most so many a side."""
    power = 10.0 ** math.floor(math.log10(reach / most))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if reach / (size * power) <= most)
    n = int(reach / step + 1e-9)
    return [step * k for k in range(-n, n + 1)]


def forest(lines: Sequence[Line]) -> str:
    """The plot for a page, once for each width; empty text without lines."""
    return "".join(_forest(lines, room) for room in (WIDE, NARROW)) if lines else ""


def forest_alone(groups: Sequence[tuple[str, Sequence[Line]]], told: str = "") -> str:
    """The plots as a file of their own, one below the other: (in which unit, lines) of each. told: stands above all; empty text without lines."""
    if not groups:
        return ""
    y, parts = 20.0 if told else 0.0, [f'<text x="0" y="14" class="t">{html.escape(told)}</text>'] if told else []
    for where, lines in groups:
        drawn, height = _plot(lines, WIDE)
        head = [f'<text x="0" y="14" font-weight="650">{html.escape(where[0].upper() + where[1:])}</text>'] if len(groups) > 1 else []
        parts += [f'<g transform="translate(0 {y:g})">', *head, f'<g transform="translate(0 {HEAD * len(head)})">', *drawn, "</g></g>"]
        y += height + HEAD * len(head)
    return "".join([_opened(WIDE, y, ' xmlns="http://www.w3.org/2000/svg"'), STANDALONE, *parts, "</svg>"])


def _opened(room: Room, height: float, attributes: str) -> str:
    width = room.width
    size = f'viewBox="0 0 {width} {height:g}" width="{width}" height="{height:g}"'
    return f'<svg{attributes} {size} font-family="system-ui,sans-serif" font-size="13">'


def _forest(lines: Sequence[Line], room: Room) -> str:
    drawn, height = _plot(lines, room)
    return "".join([_opened(room, height, f' class="{room.name}"'), *drawn, "</svg>"])


def _plot(lines: Sequence[Line], room: Room) -> tuple[list[str], int]:
    """What is drawn of lines in one unit, and how high it is. The axis reaches as far as the widest interval or margin."""
    ends = [abs(end) for line in lines for end in (line.low, line.high, line.margin or 0.0)]
    unit = lines[0].unit
    reach = (max(1.0 if unit else 0.0, *ends) or 1.0) * 1.08
    axis, width = TOP + room.row * len(lines) + 4, room.width

    def x(value: float) -> float:
        return round(room.left + (value / reach + 1) / 2 * (width - room.left - 20), 1)

    parts = [
        f'<text x="{x(-reach)}" y="14" class="q">less under the treatment</text>',
        f'<text x="{width - 20}" y="14" text-anchor="end" class="q">more under the treatment</text>',
    ]
    for tick in ticks(reach, 4 if room is WIDE else 2):
        kind = 'class="g"' if tick else 'class="z" stroke-dasharray="4 3"'
        parts.append(f'<line x1="{x(tick)}" y1="{TOP - 8}" x2="{x(tick)}" y2="{axis}" {kind}/>')
        name = f"{tick:+g}{unit}" if tick else "0"
        half = CHAR * len(name) / 2  # one at the edge of the picture would be cut
        at = round(min(max(x(tick), half), width - half), 1)
        parts.append(f'<text x="{at}" y="{axis + 16}" text-anchor="middle" class="q">{name}</text>')
    for place, line in enumerate(lines):
        parts += _drawn(line, room, TOP + room.row * place + 8, x)
    return parts, axis + 30


def _drawn(line: Line, room: Room, top: int, x: Callable[[float], float]) -> list[str]:
    weight = ' font-weight="650"' if line.is_declared else ""
    y, beside = top + room.drop, room.left - 8 if room.left else room.width
    found = [f'<text x="0" y="{top + 4}"{weight}>{html.escape(line.shown(room.chars))}</text>']
    found.append(
        f'<text x="{beside}" y="{top + 4}" text-anchor="end" class="q" font-size="11">{"more" if line.is_up_better else "less"} is better</text>'
    )
    if line.margin is not None:
        found.append(f'<line x1="{x(line.margin)}" y1="{y - 10}" x2="{x(line.margin)}" y2="{y + 10}" class="m" stroke-width="2"/>')
    size, width = (5, 4) if line.is_declared else (4, 2)
    found.append(f'<line x1="{x(line.low)}" y1="{y}" x2="{x(line.high)}" y2="{y}" class="b" stroke-width="{width}"/>')
    return [*found, f'<circle cx="{x(line.value)}" cy="{y}" r="{size}" class="d"/>']
