"""Results as LaTeX tables with booktabs rules, to be put into a paper with `\\input`.

Labels and names may hold anything: what TeX would act on is escaped, accented Latin letters become commands that every engine and encoding knows,
and any other character its code point, so that a table compiles whatever stands in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from batchtrial.modes import MODES, Mode
from batchtrial.phases.analyse.numbers import adjusted_p, difference_of, marked_label, percent, score

_ACTIVE: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "`": r"\textasciigrave{}",
    "'": "'",
    "\u2013": r"\textendash{}",
    "\u2014": r"\textemdash{}",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "\u2026": r"\ldots{}",
    "\u00a0": "~",
    "\u00df": r"\ss{}",
    "\u00e6": r"\ae{}",
    "\u00c6": r"\AE{}",
    "\u00f8": r"\o{}",
    "\u00d8": r"\O{}",
    "\u0153": r"\oe{}",
    "\u0152": r"\OE{}",
    "\u0142": r"\l{}",
    "\u0141": r"\L{}",
    "\u00d7": r"$\times$",
    "\u00b1": r"$\pm$",
    "\u2212": "$-$",
}
_ACCENTS: Final = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0327": "c",
}
"""Combining mark -> the command that sets it."""
_LONGEST: Final = 90


def escaped(text: str) -> str:
    """The text as TeX sets it, in one line; what is too long for a cell is cut."""
    flat = re.sub(r"\s+", " ", text).strip()
    return _set(flat if len(flat) <= _LONGEST else f"{flat[: _LONGEST - 1]}\u2026")


def _set(text: str) -> str:
    return re.sub("-(?=-)", "-{}", "".join(map(_char, text)))  # two of them would become a dash


def _char(char: str) -> str:
    if char in _ACTIVE:
        return _ACTIVE[char]
    if " " <= char <= "~":
        return char
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return f"\\{_ACCENTS[parts[1]]}{{{parts[0]}}}"
    return f"[U+{ord(char):04X}]"


def _number(text: str) -> str:
    """A number as reports write it, with a minus sign that is one."""
    return re.sub(r"(?<![\w.])-(?=\d)", "$-$", escaped(text))


def latex(tests: pl.DataFrame, costs: pl.DataFrame, *, mode: Mode) -> str:
    """The tables: declared comparisons, the others, and costs, as far as there are any."""
    head = ["% Made by batchtrial. In the preamble: \\usepackage{booktabs}"]
    note = MODES[mode].banner or ""
    declared = tests.filter("is_declared")
    found = [
        _comparisons(declared, "Primary and confirmatory comparisons, treatment minus control.", "declared", note),
        _comparisons(tests.filter(~pl.col("is_declared")), "Exploratory comparisons, treatment minus control.", "exploratory", note),
        _costs(costs, note),
    ]
    return "\n".join([*head, *(line for lines in found for line in lines)]) + "\n"


def _comparisons(tests: pl.DataFrame, caption: str, label: str, note: str) -> Iterator[str]:
    if tests.is_empty():
        return
    levels = sorted({one for one in tests["level"].to_list() if one is not None})
    percent_of = f"{100 * levels[0]:g} % interval" if len(levels) == 1 else "interval"
    head = ("comparison", "control", "treatment", _stacked("difference", percent_of), "adjusted p", "pairs", "lost")
    rows: list[str] = []
    slugs = tests["trial"].unique(maintain_order=True).to_list()
    for slug in slugs:
        if len(slugs) > 1:
            rows.append(f"\\multicolumn{{{len(head)}}}{{l}}{{\\emph{{{escaped(slug)}}}}} \\\\")
        rows += [_row(one) for one in tests.filter(pl.col("trial") == slug).iter_rows(named=True)]
    yield from _table((0.24,), head, rows, caption, label, note)


def _row(one: dict[str, Any]) -> str:
    level = 0.95 if one["level"] is None else one["level"]
    estimate = {"level": level, "value": one["difference"], "ci_low": one["low"], "ci_high": one["high"], "method": one["method"]}
    tested = {**one, "estimate": estimate, "margin": {"low": one["margin_low"], "high": one["margin_high"]}}
    plain, unit = (percent, " pp") if one["is_share"] else (score, "")
    difference, interval = difference_of(tested)
    changed = _stacked(difference + (unit if difference != "-" else ""), interval)
    p = _stacked(*adjusted_p(tested).split(" ("))
    arms, pairs = (_number(plain(one[name])) for name in ("control", "treatment")), (str(one[name]) for name in ("pairs", "lost"))
    return " & ".join([_wrapped(marked_label(tested)), *arms, changed, p, *pairs]) + r" \\"


def _stacked(first: str, *below: str) -> str:
    """A cell of two lines, the second in brackets."""
    second = "".join(rf"\\({_number(text.rstrip(')'))})" for text in below if text != "-")
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{_number(first)}{second}\end{{tabular}}" if second else _number(first)


def _wrapped(text: str) -> str:
    """A cell that may take several lines, broken within names too."""
    return r"\raggedright " + re.sub(r"(\\_|/)", r"\1\\allowbreak{}", escaped(text))


def _costs(costs: pl.DataFrame, note: str) -> Iterator[str]:
    if costs.is_empty():
        return
    head = ("trial", "arm", "requests", "tokens in", "tokens out", "dollars")
    has_temps = len(set(costs["temp"])) > 1
    rows = [
        " & ".join(
            [
                _wrapped(one["trial"]),
                _wrapped(one["condition"] + (f", t = {one['temp']:g}" if has_temps else "")),
                *(f"{one[name]:,}" for name in ("requests", "input_tokens", "output_tokens")),
                "unknown" if one["usd"] is None else f"{one['usd']:.4f}",
            ]
        )
        + r" \\"
        for one in costs.iter_rows(named=True)
    ]
    yield from _table((0.28, 0.18), head, rows, "Requests, tokens and cost by arm.", "costs", note)


def _table(texts: Sequence[float], head: Sequence[str], rows: Sequence[str], caption: str, label: str, note: str) -> Iterator[str]:
    """A table that an article's column takes. texts: how much of its width the first columns have, whose cells may take several lines."""
    aligned = "".join(f"p{{{share:g}\\linewidth}}" for share in texts) + "r" * (len(head) - len(texts))
    yield from (r"\begin{table}", r"\centering", r"\footnotesize", r"\setlength{\tabcolsep}{3pt}")
    yield from (f"\\begin{{tabular}}{{@{{}}{aligned}@{{}}}}", r"\toprule")
    yield " & ".join(head) + r" \\"
    yield from (r"\midrule", *rows, r"\bottomrule", r"\end{tabular}")
    told = f" \\textbf{{{_set(note)}.}}" if note else ""
    yield from (f"\\caption{{{escaped(caption)}{told}}}", f"\\label{{tab:batchtrial-{label}}}", r"\end{table}")
