"""The comparisons of a run as forest plots in a file of their own, one for each unit: SVG, or PDF for a paper."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from batchtrial.errors import RunStateMissing
from batchtrial.exporting.extras import needed
from batchtrial.modes import MODES
from batchtrial.phases.report.forest import WIDE, Line, forest_alone, ticks
from batchtrial.phases.report.lines import forests
from batchtrial.reading.results import significance_of
from batchtrial.reading.run_tables import RunTables
from batchtrial.visible import visible

BLUE, GREY, RED = "#0a58ca", "#8c959f", "#b02a37"
INCHES_PER_LINE: Final = 0.32


def figure_groups(tables: RunTables) -> list[tuple[str, list[Line]]]:
    """The comparisons of every trial by the unit that they are drawn in; of several trials each with its own name. Raises RunStateMissing when
    nothing can be drawn."""
    found: dict[str, list[Line]] = {}
    is_one = len(tables.trials) == 1
    for trial, tests in significance_of(tables.layout, tables.trials):
        for where, lines in forests(tests):
            found.setdefault(where, []).extend(line if is_one else replace(line, label=f"{trial.slug}: {line.label}") for line in lines)
    if not found:
        raise nothing_compared(tables, "that can be drawn ")
    return list(found.items())


def nothing_compared(tables: RunTables, what: str = "") -> RunStateMissing:
    """Why nothing can be shown of such a run."""
    hint = f"`batchtrial resume {tables.layout.flags}` goes on with the run"
    return RunStateMissing(f"run {tables.layout.run_id} has no comparison {what}yet", where=str(tables.layout.root), hint=hint)


def svg(tables: RunTables) -> bytes:
    """The pictures as one SVG. Raises RunStateMissing."""
    return forest_alone(figure_groups(tables), (MODES[tables.config.mode].banner or "").partition(":")[0]).encode()


def pdf(tables: RunTables) -> bytes:
    """The pictures as PDF with fonts that can be searched. Raises RunStateMissing, MissingExtra."""
    groups = figure_groups(tables)
    needed("matplotlib", extra="figures", what="--pdf")
    from matplotlib import rc_context
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    out = io.BytesIO()
    heights = [1.0 + INCHES_PER_LINE * len(lines) for _, lines in groups]
    with rc_context({"pdf.fonttype": 42, "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 9.0}):
        figure = Figure(figsize=(8.0, sum(heights)), layout="constrained")
        FigureCanvasPdf(figure)
        every = figure.subplots(len(groups), squeeze=False, height_ratios=heights)[:, 0]
        for axes, (where, lines) in zip(every, groups, strict=True):
            _draw(axes, where, lines)
        if banner := MODES[tables.config.mode].banner:
            every[0].set_title(banner, fontsize=7, color=RED)
        figure.savefig(out, format="pdf", metadata={"CreationDate": None, "Creator": "batchtrial", "Producer": None})
    return out.getvalue()


def _draw(axes: Any, where: str, lines: Sequence[Line]) -> None:
    places = range(len(lines), 0, -1)
    for place, line in zip(places, lines, strict=True):
        wide = 3.0 if line.is_declared else 1.5
        axes.plot([line.low, line.high], [place, place], color=BLUE, linewidth=wide)
        axes.plot([line.value], [place], marker="o", color=BLUE, markersize=6 if line.is_declared else 4)
        if line.margin is not None:
            axes.plot([line.margin] * 2, [place - 0.35, place + 0.35], color=RED, linewidth=1.5)
    axes.axvline(0.0, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_yticks(list(places), [f"{visible(line.shown(WIDE.chars))}\n{'more' if line.is_up_better else 'less'} is better" for line in lines])
    reach = (max(1.0 if lines[0].unit else 0.0, *(abs(end) for line in lines for end in (line.low, line.high, line.margin or 0.0))) or 1.0) * 1.08
    axes.set_xlim(-reach, reach)
    axes.set_ylim(0.4, len(lines) + 0.6)
    axes.set_xticks(ticks(reach))
    axes.set_xlabel(f"difference, treatment minus control, {visible(where)}")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
