"""All trials of a run side by side, and what their number does to their p-values.

Trials that share a control share its luck: when its answers happen to be poor, every treatment looks good. Their differences are compared with
one set of sign flips for all of them (step-down max-T), so that the chance of even one false finding across the trials stays at alpha and the
correlation is used instead of feared.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Trial
from batchtrial.phases.base import View, digest_of
from batchtrial.phases.comparison import Floats, seed_of
from batchtrial.phases.document import Block, Grid, Heading, Paragraph, markdown
from batchtrial.phases.figures import BANNERS, p_text, points, read_json, row_of, score
from batchtrial.phases.tables import Cell, Table, load_tables
from batchtrial.stats import max_t

FORM: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """One trial's primary endpoint, corrected for the trials that were compared with the same control answers. n_trials: how many those are."""

    slug: str
    control: str
    n_trials: int
    p_adjusted: float | None
    ci_low: float | None
    ci_high: float | None


def aggregate(view: View) -> str:
    """aggregate_report.md, from the trials' significance.json and aggregate.json. Raises FileNotFoundError when the latter is not there."""
    record = json.loads(view.layout.aggregate_json.read_bytes())
    joint = {one["slug"]: Joint(**one) for one in record["joint"]}
    rows = []
    for trial in view.trials:
        tests = read_json(view.trial_layout(trial).significance)
        head = next((one for one in tests["tests"] if one["standing"] == "primary"), None)
        verdict = tests["headline"]["verdict"] if tests.get("headline") else "-"
        numbers = row_of(head)[1:6] if head else ("-",) * 5
        together = joint.get(trial.slug)
        rows.append(
            (
                trial.slug,
                trial.model,
                trial.prompt_set,
                verdict,
                *numbers,
                *(_joint_cells(together, is_share=head is None or head["is_share"]) if joint else ()),
            )
        )
    header: tuple[str, ...] = ("trial", "model", "prompt set", "verdict", "control", "treatment", "difference (pp)", "interval (pp)", "p")
    if joint:
        header = (*header, "p across trials", "joint interval (pp)")
    found: list[Block] = [Heading(1, "All trials"), Heading(2, "Primary endpoint"), Grid(header, tuple(rows))]
    if len(rows) > 1:
        found.append(Paragraph(_note(list(joint.values()))))
    return markdown(found, BANNERS.get(view.config.mode))


def aggregate_file(view: View) -> dict[str, Any]:
    """The content of aggregate.json: the joint correction, and what it was made from."""
    return {
        "schema_version": 1,
        "simulated": view.config.is_simulated,
        "inputs": _inputs(view),
        "joint": [asdict(one) for one in joint_correction(view)],
    }


def _inputs(view: View) -> str:
    return digest_of([FORM, [(trial.slug, view.stage_artifacts_digest(trial, "stats")) for trial in view.trials]])


def aggregate_problem(view: View) -> str | None:
    """Why aggregate_report.md is not what the trials' results make it; None when it is. No trial's manifest speaks for it."""
    try:
        is_stale = json.loads(view.layout.aggregate_json.read_bytes())["inputs"] != _inputs(view)
        is_other = view.layout.aggregate_report.read_bytes() != aggregate(view).encode()
    except FileNotFoundError:
        return "is gone"
    except (ValueError, KeyError, TypeError):
        return "is damaged"
    return "is not what the trials' results make it" if is_stale or is_other else None


def _joint_cells(one: Joint | None, *, is_share: bool) -> tuple[str, str]:
    if one is None:
        return "-", "-"
    signed = points if is_share else score
    bounds = "-" if one.ci_low is None or one.ci_high is None else f"{signed(one.ci_low)} to {signed(one.ci_high)}"
    return p_text(one.p_adjusted), bounds


def _note(joint: list[Joint]) -> str:
    if not joint:
        return (
            "No two trials were compared with the same control answers; p-values are not corrected across trials, and each verdict is about its "
            "own trial alone."
        )
    groups = sorted({one.control: one.n_trials for one in joint}.values())
    return (
        f"Trials with the same control share its answers and its luck ({', '.join(str(n) for n in groups)} of them do). Verdicts and the first p are "
        "each trial's own; p across trials and the joint intervals hold the error over all of them together, by shared sign flips (step-down max-T), "
        "which use that the differences are correlated. Who looks for the best of several treatments should read these."
    )


def joint_correction(view: View) -> list[Joint]:
    """Every trial that shares its control with another, in the order of the trials."""
    groups: dict[str, list[Trial]] = {}
    for trial in view.trials:
        control = trial.arm("control", trial.temps[0])
        if control is not None:
            groups.setdefault(control.name, []).append(trial)
    found = {one.slug: one for name, trials in groups.items() if len(trials) > 1 for one in _group(view, name, trials)}
    return [found[trial.slug] for trial in view.trials if trial.slug in found]


def _group(view: View, control: str, trials: list[Trial]) -> list[Joint]:
    primary, stats = view.config.stats.primary, view.config.stats
    by_trial: dict[str, tuple[pl.Series, Floats]] = {}
    cluster_of: dict[str, str] = {}
    for trial in trials:
        temp = trial.temps[0]
        table = load_tables(view, trial).get(temp)
        differences = None if table is None else _differences(table, Cell(metric=primary.metric, kind=primary.kind, temp=temp))
        if table is not None and differences is not None:
            by_trial[trial.slug] = (table.keys, differences)
            cluster_of |= _clusters(table)
    if len(by_trial) < 2:
        return []
    keys = pl.concat([keys for keys, _ in by_trial.values()]).unique().sort()
    matrix = np.stack([_placed(keys, own, d) for own, d in by_trial.values()], axis=1)
    has_any = ~np.isnan(matrix).all(axis=1)
    if not has_any.any():
        return []
    clusters = np.unique([cluster_of.get(key, key) for key in keys.to_list()], return_inverse=True)[1] if cluster_of else None
    got = max_t(
        matrix[has_any],
        seed=seed_of(stats.random_seed, f"across/{primary.metric}/{primary.kind}"),
        level=1 - stats.alpha,
        clusters=None if clusters is None else clusters[has_any],
        flips=stats.permutation_samples,
    )
    return [
        Joint(slug=slug, control=control, n_trials=len(by_trial), p_adjusted=test.p_value, ci_low=estimate.ci_low, ci_high=estimate.ci_high)
        for slug, test, estimate in zip(by_trial, got.tests, got.estimates, strict=True)
    ]


def _differences(table: Table, cell: Cell) -> Floats | None:
    """Treatment minus control for every item of the table, NaN outside the cell; None when the metric is not there."""
    column = table.column(cell.metric)
    if column is None:
        return None
    control, treatment = column
    mask = table.members(cell.kind, cell.dataset)
    d: Floats = treatment - control
    return d if mask is None else np.where(mask, d, np.nan)


def _clusters(table: Table) -> dict[str, str]:
    """Item -> first item of its cluster, for items in clusters."""
    if table.clusters is None:
        return {}
    keys = table.keys.to_list()
    first: dict[int, str] = {}
    return {key: first.setdefault(code, key) for key, code in zip(keys, table.clusters.tolist(), strict=True)}


def _placed(keys: pl.Series, own: pl.Series, values: Floats) -> Floats:
    """Values of a trial's items at their places among all items; NaN for items that the trial lacks."""
    places: NDArray[Any] = keys.search_sorted(own).to_numpy() if len(own) else np.zeros(0, dtype=np.int64)
    placed = np.full(len(keys), np.nan)
    placed[places] = values
    return placed
