"""What judges say of the answers that a trial compares, item by item: verdicts brought back to the answers that they are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Trial
from batchtrial.config.judges import JudgeSpec
from batchtrial.phases.base import View
from batchtrial.phases.judge.build import read_asked
from batchtrial.phases.judge.parse import STATES, read_judgements
from batchtrial.phases.judge.questions import sets_of

Floats = NDArray[np.float64]
NOT_JUDGED: Final = ("identical", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One judge on one trial at one temperature, by place of the item; NaN where there is no verdict.

    control, treatment: mean of the verdicts on each arm's samples; of a pairwise judge the share of wins, ties counting half.
    first_ab, first_ba: of a pairwise judge, how often the first answer won where the control's, and where the treatment's, stood first.
    longer: +1 where the treatment's answers are longer, -1 where the control's are. again: pairs of verdicts on the same question, where it was put
    several times. counts: judgements by state, and answers or pairs that were not judged by reason.
    """

    judge: JudgeSpec
    control: Floats
    treatment: Floats
    first_ab: Floats
    first_ba: Floats
    longer: Floats
    again: tuple[Floats, Floats]
    counts: dict[str, int]


def judged(view: View, trial: Trial, temp: float, n_items: int) -> tuple[Judged, ...]:
    """Every judge of the run on the trial; none where an arm is missing. Reads the tables of judgements."""
    control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
    if control is None or treatment is None or not view.config.judges:
        return ()
    asked, said = read_asked(view), read_judgements(view)
    names = (control.name, treatment.name)
    return tuple(_judged(judge, asked, said.filter(pl.col("judge") == judge.name), names, n_items) for judge in view.config.judges)


def _judged(judge: JudgeSpec, asked: pl.DataFrame, said: pl.DataFrame, arms: tuple[str, str], n_items: int) -> Judged:
    mine = asked.filter((pl.col("set") == sets_of(judge)) & pl.col("arm").is_in(arms))
    mine = mine.filter(pl.col("other").is_in(arms)) if judge.is_pairwise else mine
    means = said.group_by("item_hash").agg(pl.col("verdict").mean())
    rows = mine.join(means, on="item_hash", how="left")
    counts = _counts(mine, said)
    again = _again(mine, said)
    if judge.is_pairwise:
        return _pairs(judge, rows, arms, n_items, again, counts)
    by_arm = [_by_place(rows.filter(pl.col("arm") == name), "verdict", n_items) for name in arms]
    lengths = [_by_place(rows.filter(pl.col("arm") == name), "chars", n_items) for name in arms]
    nothing = np.full(n_items, np.nan)
    return Judged(
        judge=judge,
        control=by_arm[0],
        treatment=by_arm[1],
        first_ab=nothing,
        first_ba=nothing,
        longer=np.sign(np.nan_to_num(lengths[1] - lengths[0])),
        again=again,
        counts=counts,
    )


def _pairs(judge: JudgeSpec, rows: pl.DataFrame, arms: tuple[str, str], n_items: int, again: tuple[Floats, Floats], counts: dict[str, int]) -> Judged:
    """d is half the difference of the two orders, so that a verdict which flips with the order is a tie."""
    is_ab = pl.col("arm") == arms[0]
    tied = rows.filter(pl.col("why") == "identical").with_columns(pl.lit(0.5).alias("verdict"))
    told = rows.filter(pl.col("verdict").is_not_null())
    wins = pl.concat([told, tied]).with_columns(pl.when(is_ab).then(1.0 - pl.col("verdict")).otherwise(pl.col("verdict")).alias("win"))
    if judge.orders == "both":  # a pair that was judged in one order alone would have the position's favour in it
        both = wins.group_by("place", "sample").agg(pl.len().alias("n"), (pl.col("why") == "identical").any().alias("is_tie"))
        wins = wins.join(both.filter((pl.col("n") == 2) | pl.col("is_tie")), on=["place", "sample"], how="semi")
    treatment = _by_place(wins, "win", n_items)
    lengths = [_by_place(rows.filter(pl.col("arm") == name), "chars", n_items) for name in arms]
    return Judged(
        judge=judge,
        control=1.0 - treatment,
        treatment=treatment,
        first_ab=_by_place(told.filter(is_ab), "verdict", n_items),
        first_ba=_by_place(told.filter(~is_ab), "verdict", n_items),
        longer=np.sign(np.nan_to_num(lengths[1] - lengths[0])),
        again=again,
        counts=counts,
    )


def _by_place(rows: pl.DataFrame, column: str, n_items: int) -> Floats:
    """Mean of a column by the item's place."""
    found = np.full(n_items, np.nan)
    means = rows.filter(pl.col(column).is_not_null()).group_by("place").agg(pl.col(column).cast(pl.Float64).mean()).filter(pl.col("place") < n_items)
    found[means["place"].to_numpy()] = means[column].to_numpy()
    return found


def _again(mine: pl.DataFrame, said: pl.DataFrame) -> tuple[Floats, Floats]:
    """First and second verdict on each question that was put at least twice."""
    asked = said.filter(pl.col("item_hash").is_in(mine["item_hash"].drop_nulls().unique().implode()))
    one, two = (asked.filter(pl.col("sample") == number).select("item_hash", "verdict") for number in (0, 1))
    both = one.join(two, on="item_hash", suffix="_2").sort("item_hash")
    return tuple(both[name].fill_null(float("nan")).to_numpy().astype(np.float64) for name in ("verdict", "verdict_2"))  # type: ignore[return-value]


def _counts(mine: pl.DataFrame, said: pl.DataFrame) -> dict[str, int]:
    asked = said.filter(pl.col("item_hash").is_in(mine["item_hash"].drop_nulls().unique().implode()))
    found = {state: int((asked["state"] == state).sum()) for state in STATES}
    return found | {why: int((mine["why"] == why).sum()) for why in NOT_JUDGED}
