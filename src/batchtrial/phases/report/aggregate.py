"""All trials of a run side by side, from what their statistics say and their joint correction (`shared_alpha.py`). No numbers are computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from batchtrial.config.contrasts import as_counted
from batchtrial.config.expand import Trial
from batchtrial.config.report import has_answers_page
from batchtrial.modes import MODES
from batchtrial.phases.analyse.cost_words import cost_cell
from batchtrial.phases.analyse.numbers import p_text, points, row_of, signed_score, title_of, verdict_of
from batchtrial.phases.base import View, digest_of
from batchtrial.phases.report.forest import forest
from batchtrial.phases.report.lines import forests
from batchtrial.phases.report.render import Block, Grid, Heading, Links, Paragraph, Picture, markdown, page
from batchtrial.phases.tables.columns import LABELS
from batchtrial.state.ledger import money
from batchtrial.state.store import decode_json, encode_json, read_json

FORM: Final = 3
LOOKED_AT: Final = (
    "Verdicts hold the chance of even one false claim over all trials of the run at alpha: each was looked at, at an equal part of it, and ended by "
    "itself. The first p is each trial's own. There is no joint correction of trials that share answers: it would know nothing of the looks."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AcrossTrials:
    """One trial's primary endpoint, corrected for the trials that were compared with the same control answers. n_trials: how many those are."""

    slug: str
    control: str
    n_trials: int
    p_adjusted: float | None
    ci_low: float | None
    ci_high: float | None


def aggregate(view: View) -> str:
    """aggregate_report.md, from the trials' significance.json and aggregate.json. Raises FileNotFoundError when the latter is not there."""
    return markdown(_blocks(view), MODES[view.config.mode].banner or None)


def index(view: View) -> str:
    """index.html: the same as a page, with each trial's verdict and the ways to its report. Raises as `aggregate` does."""
    found: list[Block] = []
    for block in _blocks(view):
        found.append(block)
        if isinstance(block, Heading) and block.level == 1:
            found += [Links((("every answer, pair by pair", "answers.html"),))] if has_answers_page(view.config.report) else []
    for trial in _shown(view):
        tests = read_json(view.trial_layout(trial).significance)
        found += [Heading(2, trial.slug), Links((("report", f"{quote(trial.slug)}/reports/report.html"),))]
        found += [Paragraph(tests["headline"]["sentence"], strong=True)] if tests.get("headline") else []
        declared = forests(tests, is_declared_only=True)
        found += [Picture(forest(lines), f"Declared differences with their intervals, {where}") for where, lines in declared]
    return page(found, "batchtrial: all trials", MODES[view.config.mode].banner or None)


def _shown(view: View) -> list[Trial]:
    return sorted(view.trials, key=lambda one: as_counted(view.config, one.against, one.prompt_set))


def _blocks(view: View) -> list[Block]:
    record = decode_json(view.layout.aggregate_json.read_bytes())
    across = {one["slug"]: AcrossTrials(**one) for one in record["joint"]}
    rows = []
    not_followed: dict[str, None] = {}
    own: dict[str, None] = {}
    for trial in _shown(view):
        tests = read_json(view.trial_layout(trial).significance)
        head = next((one for one in tests["tests"] if one["family"] == "primary"), None)
        verdict = verdict_of(head) if head else trial.why_absent or "-"
        if head and title_of(head) != LABELS.get(head["metric"], head["metric"]):
            own |= dict.fromkeys(tests.get("rules") or [title_of(head)])
        numbers = row_of(head)[1:6] if head else ("-",) * 5
        together = across.get(trial.slug)
        rows.append(
            (
                trial.slug,
                trial.model,
                trial.prompt_set,
                verdict,
                *numbers,
                *(_cells_across_trials(together, head) if across else ()),
                cost_cell(tests, read_json(view.trial_layout(trial).costs)),
            )
        )
        if not tests.get("plan", {}).get("followed", True):
            not_followed[tests["plan"]["statement"]] = None
    kind = "arm" if view.config.arms else "prompt set"
    header: tuple[str, ...] = ("trial", "model", kind, "verdict", "control", "treatment", "difference (pp)", "interval (pp)", "p")
    if across:
        header = (*header, "p across trials", "joint interval (pp)")
    header = (*header, "answers cost (%)")
    found: list[Block] = [Heading(1, "All trials"), Heading(2, "Primary endpoint"), Grid(header, tuple(rows))]
    if own:
        found.append(Paragraph(f"What is right is told by metrics of the user's own: {', '.join(own)}."))
    found += [Paragraph(text) for text in not_followed]
    if len(rows) > 1:
        has_looks = view.build is not None and view.build.looks is not None
        found.append(Paragraph(LOOKED_AT if has_looks else _note(list(across.values()), is_any_arm=bool(view.config.arms))))
    paid = "" if view.config.is_live else " (nothing was paid)"
    found.append(Paragraph(f"Cost of the whole run: {money(view.parts.values()).sentence()}, at batch rate{paid}."))
    return found


def inputs(view: View) -> str:
    """Digest of what the joint correction is made from."""
    return digest_of([FORM, [(trial.slug, view.stage_artifacts_digest(trial, "stats")) for trial in view.trials]])


def sealed(content: Mapping[str, Any]) -> bytes:
    """The bytes of aggregate.json, which ends with the digest of all that stands before it: no manifest would notice a flipped bit in it."""
    return encode_json({**content, "digest": digest_of(content)})


def aggregate_problem(view: View) -> str | None:
    """Why aggregate_report.md is not what the trials' results make it; None when it is. No trial's manifest speaks for it."""
    try:
        raw = view.layout.aggregate_json.read_bytes()
        record = decode_json(raw)
        if sealed({name: value for name, value in record.items() if name != "digest"}) != raw:
            return "is damaged"
        is_stale = record["inputs"] != inputs(view)
        pages = ((view.layout.aggregate_report, aggregate(view)), (view.layout.index_page, index(view)))
        is_other = any(path.read_bytes() != made.encode() for path, made in pages)
    except FileNotFoundError:
        return "is gone"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "is damaged"
    return "is not what the trials' results make it" if is_stale or is_other else None


def _cells_across_trials(one: AcrossTrials | None, head: Mapping[str, Any] | None) -> tuple[str, str]:
    """Nothing where lost answers, or documents that are too few, leave the trial without a verdict: no flip of signs knows of them."""
    if one is None or (head is not None and head["verdict"] in ("not decided", "not decidable")):
        return "-", "-"
    signed = points if head is None or head["is_share"] else signed_score
    bounds = "-" if one.ci_low is None or one.ci_high is None else f"{signed(one.ci_low)} to {signed(one.ci_high)}"
    return p_text(one.p_adjusted), bounds


def _note(across: list[AcrossTrials], *, is_any_arm: bool) -> str:
    shared = (
        "Verdicts hold the chance of even one false claim over all trials of the run at alpha: they share it, each starting with an equal part, and "
        "a trial that could claim all that it declared hands its part on. The first p is each trial's own."
    )
    if not across:
        return f"{shared} No two trials {'have an arm in common' if is_any_arm else 'were compared with the same control answers'}."
    groups = sorted({one.control: one.n_trials for one in across}.values())
    what = "Trials that have an arm in common share its answers" if is_any_arm else "Trials with the same control share its answers"
    return (
        f"{shared} {what} and its luck ({', '.join(str(n) for n in groups)} of them do): p across trials and "
        "the joint intervals hold the error of their differences together, by shared sign flips (step-down max-T), which use that they are "
        "correlated. Who looks for the best of several treatments should read these beside the verdicts."
    )
