"""Can this judge be believed? What a report says of each judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from batchtrial.amounts import counted
from batchtrial.phases.report.render import Block, Bullets, Grid, Heading

QUESTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "prefers": ("what it prefers, treatment minus control", "0: neither; as it stands, bias and all"),
    "corrected": ("the same, corrected by labels", "what people would prefer (PPI++)"),
    "favours_treatment": ("how far it favours the treatment beyond people", "0: not at all; of its own family: self-preference"),
    "flips": ("verdicts that flip with the order", "0: none; each counts as a tie"),
    "position_bias": ("position bias", "0: none; 1: the first answer always wins"),
    "longer_wins": ("the longer answer wins", "0.5: length plays no part"),
    "longer_wins_by_labels": ("the same by labels", "what people prefer, for comparison"),
    "agrees_with_itself": ("agreement with itself, kappa", "1: the same verdict every time"),
    "agrees_with_people": ("agreement with people, kappa", "1: always; 0: as chance would"),
    "people_agree": ("agreement of people, kappa", "no judge can be expected to agree more"),
}
"""Number of significance.json -> how the table calls it, and how to read it."""


HEADER: Final = ("", "value", "interval", "n", "how to read it")


class JudgeTable(NamedTuple):
    """What is known of one judge, in words: rows under `HEADER`, and remarks."""

    title: str
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...]


def judge_tables(tests: Mapping[str, Any]) -> tuple[JudgeTable, ...]:
    """Of each judge and panel. tests: the content of significance.json."""
    return tuple(map(_of, tests.get("judges") or ()))


def judge_blocks(tests: Mapping[str, Any]) -> list[Block]:
    """A section for the judges; empty without any. tests: the content of significance.json."""
    found: list[Block] = []
    for one in judge_tables(tests):
        found += [Heading(3, one.title), Grid(HEADER, one.rows), Bullets(one.remarks)]
    return [Heading(2, "Can the judges be believed?"), *found] if found else []


def _of(one: Mapping[str, Any]) -> JudgeTable:
    rows = [_row(*QUESTIONS[name], one["numbers"][name]) for name in QUESTIONS if name in one["numbers"]]
    panel = one.get("panel")
    who = f"{panel['by']} of {', '.join(panel['judges'])}: " if panel else ""
    for pair in panel["agreement"] if panel else ():
        rows.append(_row(f"agreement of {' and '.join(pair['judges'])}, kappa", "1: always; 0: as chance would", pair))
    title = f"{one['name']}: {who}{one['model']}, {one['kind']}, rubric {one['rubric'] or 'of its own'}"
    return JudgeTable(title, tuple(rows), tuple(_remarks(one)))


def _row(called: str, how: str, number: Mapping[str, Any]) -> tuple[str, ...]:
    value, low, high = (number[key] for key in ("value", "ci_low", "ci_high"))
    bounds = number.get("reason") or "none" if low is None else f"{low:.3f} to {high:.3f}"
    return called, "" if value is None else f"{value:.3f}", bounds, f"{number['n']:,}", how


def _remarks(one: Mapping[str, Any]) -> list[str]:
    counts, n_labels = one["counts"], one["n_labels"]
    said = [
        f"{counted(counts['judged'], 'verdict')}; {counts['unparseable']} unparseable, {counts['lost']} lost or without a whole answer, "
        f"{counts['identical']} of equal answers, which are ties"
    ]
    aside = one.get("labels_aside") or {}
    if n := aside.get("not_blind"):
        said.append(f"{counted(n, 'label')} of items that were seen with their arms named {'does' if n == 1 else 'do'} not correct it.")
    if n := aside.get("cannot"):
        said.append(f"{counted(n, 'label')} {'says' if n == 1 else 'say'} that the answers cannot be compared: what is left may be no random draw.")
    if n := aside.get("other_answers"):
        labels = "1 label is" if n == 1 else f"{n:,} labels are"
        said.append(f"{labels} about other answers than the run has now: {'it does' if n == 1 else 'they do'} not correct it.")
    if n := aside.get("not_drawn"):
        said.append(
            f"{counted(n, 'label')} {'does' if n == 1 else 'do'} not correct it: in the seeded order an item before {'it' if n == 1 else 'them'} has "
            "none, and labels of items that were chosen are no random draw. `batchtrial label` shows what was left out."
        )
    if since := one.get("labels_changed"):
        said.append(
            f"A corrected difference was first shown on {since['at'][:10]} with {counted(since['n_then'], 'labelled item')}, and is now one of "
            f"{since['n_now']:,}. To go on labelling once it is known is optional stopping: it is exploratory."
        )
    if one["is_corrected"]:
        said.append(f"Corrected by {counted(n_labels, 'labelled item')}, the first of the seeded order, which is a random draw.")
    else:
        said.append(f"With {n_labels or 'no'} labels its word is exploratory: the judge prefers, and nobody knows how far it is right.")
    if one["same_family"]:
        said.append(f"The judge is of the same family as the model of: {', '.join(one['same_family'])}. Judges tend to prefer their own.")
    return said
