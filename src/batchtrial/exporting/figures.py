"""The comparisons of a run as a forest plot in a file of its own: SVG, or PDF for a paper."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from batchtrial.errors import RunStateMissing
from batchtrial.exporting.extras import needed
from batchtrial.modes import MODES
from batchtrial.phases.report.forest import WIDE, Line, forest_alone, ticks
from batchtrial.phases.report.lines import forest_lines
from batchtrial.phases.report.render import visible
from batchtrial.reading.results import significance_of
from batchtrial.reading.run_tables import RunTables

BLUE, GREY, RED = "#0a58ca", "#8c959f", "#b02a37"
INCHES_PER_LINE: Final = 0.32


def figure_lines(tables: RunTables) -> list[Line]:
    """The comparisons of shares of every trial; of several trials each with its own name. Raises RunStateMissing when nothing can be drawn."""
    found = [(trial.slug, line) for trial, tests in significance_of(tables.layout, tables.trials) for line in forest_lines(tests)]
    if not found:
        what = f"run {tables.layout.run_id} has no comparison that can be drawn yet"
        raise RunStateMissing(what, where=str(tables.layout.root), hint="`batchtrial resume` goes on with the run; a picture is of shares")
    is_one = len({slug for slug, _ in found}) == 1
    return [line if is_one else replace(line, label=f"{slug}: {line.label}") for slug, line in found]


def svg(tables: RunTables) -> bytes:
    """The picture as SVG, in percentage points. Raises RunStateMissing."""
    banner = html.escape(MODES[tables.config.mode].banner.partition(":")[0])
    told = f'<text x="0" y="14" fill="{RED}" font-weight="650">{banner}</text>' if banner else ""
    return forest_alone(figure_lines(tables)).replace("</svg>", f"{told}</svg>").encode()


def pdf(tables: RunTables) -> bytes:
    """The picture as PDF with fonts that can be searched. Raises RunStateMissing, MissingExtra."""
    lines = figure_lines(tables)
    needed("matplotlib", extra="figures", what="--pdf")
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    out = io.BytesIO()
    with rc_context({"pdf.fonttype": 42, "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 9.0}):
        figure = Figure(figsize=(8.0, 1.0 + INCHES_PER_LINE * len(lines)), layout="constrained")
        FigureCanvasPdf(figure)
        _draw(figure.add_subplot(), lines, MODES[tables.config.mode].banner or "")
        figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Creator": "batchtrial", "Producer": None})
    return out.getvalue()


def _draw(axes: Any, lines: Sequence[Line], banner: str) -> None:
    places = range(len(lines), 0, -1)
    for place, line in zip(places, lines, strict=True):
        wide = 3.0 if line.is_declared else 1.5
        axes.plot([line.low, line.high], [place, place], color=BLUE, linewidth=wide)
        axes.plot([line.value], [place], marker="o", color=BLUE, markersize=6 if line.is_declared else 4)
        if line.margin is not None:
            axes.plot([line.margin] * 2, [place - 0.35, place + 0.35], color=RED, linewidth=1.5)
    axes.axvline(0.0, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(list(places), [f"{visible(line.shown(WIDE.chars))}\n{'more' if line.is_up_better else 'less'} is better" for line in lines])
    reach = max(1.0, *(abs(end) for line in lines for end in (line.low, line.high, line.margin or 0.0))) * 1.08
    axes.set_xlim(-reach, reach)
    axes.set_ylim(0.4, len(lines) + 0.6)
    axes.set_xticks(ticks(reach))
    axes.set_xlabel("difference, treatment minus control, in percentage points")
    if banner:
        axes.set_title(banner, fontsize=7, color=RED)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
