"""Why answers of a comparison were not scored, by arm, and how that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from batchtrial.config.expand import Trial
from batchtrial.phases.analyse.tables import COLUMNS, Cell, Table, is_usage
from batchtrial.phases.base import View
from batchtrial.phases.score.told import METRIC, read_lost
from batchtrial.phases.tables.trial_scores import scores_of
from batchtrial.records import CONDITIONS, AnswerState, Outcome

FURTHER: Final = "further_metric"
"""Why an answer is lost to the comparison of a metric that has no number of it, while the metric of its set has."""
USAGE: Final = "usage"
"""Why an answer that was scored is lost to the comparison of what answers took: the provider did not say what it took."""
JUDGE: Final = "judge"
"""Why an answer that was scored is lost to a judge's comparison: there is no verdict on it."""
SAID: Final[Mapping[str, str]] = {
    AnswerState.CUT: "cut off",
    AnswerState.REFUSED: "refused by the model",
    AnswerState.FILTERED: "withheld by a content filter",
    AnswerState.TOOL_CALL: "a call of a tool instead of text",
    AnswerState.EMPTY: "empty",
    AnswerState.UNFINISHED_THINKING: "thinking that reached no answer",
    AnswerState.NOT_UNDERSTOOD: "not understood",
    Outcome.ERRORED: "lost to errors",
    Outcome.EXPIRED: "lost to the batch's window",
    Outcome.CANCELLED: "lost to a cancelled batch",
    Outcome.MISSING: "missing",
    METRIC: "lost to the set's metric, which failed on them",
    FURTHER: "left without a number of this metric, which failed on their items or is undefined there",
    USAGE: "without usage or a known price, so that this metric has no number of them",
    JUDGE: "left without a verdict (the judge's reply was lost or cannot be read)",
}
"""What is said of answers after "were"."""
Lost = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True)
class Losses:
    """Rows of per_item_scores.csv that lost a sample, of one temperature."""

    frame: pl.DataFrame

    def of(self, table: Table, cell: Cell) -> Lost:
        """condition -> why -> how many answers, of the items of a cell."""
        rows = self.frame
        mask = table.members_of(cell)
        if mask is not None and rows.height:
            rows = rows.filter(pl.col("item_key").is_in(table.keys.filter(pl.Series(mask)).implode()))
        found: dict[str, Counter[str]] = {condition: Counter() for condition in CONDITIONS}
        for condition, shown in rows.select("condition", "lost_to").iter_rows():
            found[condition].update(read_lost(shown))
        of_metric, why = (
            (_left_by_judge, JUDGE)
            if cell.metric in table.judges
            else (_lost_to_further, USAGE if is_usage(table.counts.get(cell.metric)) else FURTHER)
        )
        for condition, n in of_metric(table, cell).items():
            found[condition][why] += n
        return {condition: dict(sorted(counts.items())) for condition, counts in found.items()}

    def counted(self, table: Table, cell: Cell) -> Lost:
        """Those of them of which the metric has a number all the same, such as what they cost."""
        column = table.column(cell.metric)
        found: dict[str, Counter[str]] = {condition: Counter() for condition in CONDITIONS}
        for condition, own in zip(CONDITIONS, column or (), strict=False):
            rows = self.frame.filter(pl.col("condition") == condition)
            # The few items that lost something are looked up among all, and not all among them.
            has_it = table.keys.filter(pl.Series(~np.isnan(own)) & table.keys.is_in(rows["item_key"].implode()))
            for shown in rows.filter(pl.col("item_key").is_in(has_it.implode()))["lost_to"]:
                found[condition].update({why: n for why, n in read_lost(shown).items() if table.counts_lost(cell.metric, why)})
        return {condition: dict(sorted(counts.items())) for condition, counts in found.items() if counts}


def _left_by_judge(table: Table, cell: Cell) -> dict[str, int]:
    """condition -> answers without a verdict; of a judge of pairs where both arms have an answer, so that there was a pair to be judged."""
    mask, left = table.members_of(cell), table.left_by_judge(cell.metric)
    counts = {condition: int(n.sum() if mask is None else n[mask].sum()) for condition, n in zip(CONDITIONS, left, strict=True)}
    return {condition: n for condition, n in counts.items() if n}


def _lost_to_further(table: Table, cell: Cell) -> dict[str, int]:
    """condition -> scored answers to items of which a metric beside that of the set has no number: it failed on one of them, or is undefined."""
    column, mask = table.column(cell.metric), table.members_of(cell)
    if cell.metric in COLUMNS or column is None or "abstain_rate" not in table.scores:
        return {}
    found = dict[str, int]()
    for condition, own, answered, lost in zip(CONDITIONS, column, table.scores["abstain_rate"], table.scores["n_lost"], strict=True):
        failed = np.isnan(own) & ~np.isnan(answered) & (True if mask is None else mask)
        if failed.any():
            found[condition] = int((table.samples - lost[failed]).sum())
    return found


def load_losses(view: View, trial: Trial) -> dict[float, Losses]:
    """By temperature. What an earlier version scored may have no such column: then nothing is known."""
    scores = scores_of(view.layout, trial)
    columns = ("item_key", "condition", "temp", "lost_to")
    if "lost_to" in scores.collect_schema().names():
        frame = scores.select(columns).filter(pl.col("lost_to").is_not_null()).collect()
    else:
        frame = pl.DataFrame(schema=dict.fromkeys(columns, pl.String) | {"temp": pl.Float64})
    return {temp: Losses(frame.filter(pl.col("temp") == temp)) for temp in trial.temps}


def told(lost: Mapping[str, Mapping[str, int]]) -> str:
    """`40 treatment answers were cut off, 1 control answer was refused by the model`; empty when nothing was lost. The largest number first."""
    parts = [(n, condition, why) for condition, counts in lost.items() for why, n in counts.items()]
    parts.sort(key=lambda one: (-one[0], one[1], one[2]))
    return ", ".join(f"{n} {condition} answer{'s were' if n > 1 else ' was'} {SAID.get(why, why)}" for n, condition, why in parts)
