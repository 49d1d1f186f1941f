"""What judges say of the answers that a trial compares, item by item: verdicts brought back to the answers that they are about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Trial
from batchtrial.config.judges import JudgeSpec
from batchtrial.config.model import Config
from batchtrial.config.panels import PanelSpec, members
from batchtrial.phases.judge.build import read_asked
from batchtrial.phases.judge.parse import STATES, read_judgements
from batchtrial.phases.judge.questions import sets_of
from batchtrial.state.layout import RunLayout
from batchtrial.stats.judge_quality import flipped

Floats = NDArray[np.float64]
NOT_JUDGED: Final = ("identical", "lost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One judge on one trial at one temperature, by place of the item; NaN where there is no verdict.

    control, treatment: mean of the verdicts on each arm's samples; of a pairwise judge the share of wins, ties counting half.
    first_ab, first_ba: of a pairwise judge, how often the first answer won where the control's, and where the treatment's, stood first; of pairs that
    have a verdict in both orders. flips: the share of these whose verdict changes sides with the order.
    panel: where several judges' verdicts are taken together; `judge` is then the first of its `members`, under the panel's name. between: control
    and treatment of each member. longer: +1 where the treatment's answers are longer, -1 where the control's are. again: pairs of verdicts on the
    same question, where it was put several times. unjudged: (control, treatment) share of each item's answers, or pairs, that
    have no verdict. counts: judgements by state, and answers or pairs that were not judged by reason.
    """

    judge: JudgeSpec
    control: Floats
    treatment: Floats
    first_ab: Floats
    first_ba: Floats
    flips: Floats
    longer: Floats
    again: tuple[Floats, Floats]
    unjudged: tuple[Floats, Floats]
    counts: dict[str, int]
    panel: PanelSpec | None = None
    members: tuple[JudgeSpec, ...] = ()
    between: tuple[tuple[Floats, Floats], ...] = ()


def judged(layout: RunLayout, config: Config, trial: Trial, temp: float, n_items: int) -> tuple[Judged, ...]:
    """Every judge of the run on the trial, then every panel; none where an arm is missing. Reads the tables of judgements."""
    control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
    if control is None or treatment is None or not config.judges:
        return ()
    return judged_arms(layout, config, (control.name, treatment.name), n_items)


def judged_arms(layout: RunLayout, config: Config, names: tuple[str, str], n_items: int) -> tuple[Judged, ...]:
    """Every judge, then every panel, on two arms of these names, the first as the control; of one arm twice what is said of each of its answers."""
    asked, said = read_asked(layout), read_judgements(layout)
    seen = {judge.name: _Seen.of(judge, asked, said, names) for judge in config.judges}
    alone = tuple(_judged(one, names, n_items) for one in seen.values())
    return (
        *alone,
        *(_of_panel(panel, [seen[one.name] for one in members(panel, config.judges)], names, n_items) for panel in config.panels),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A judge's part of the tables. mine: what it was asked about these arms; said: its verdicts; rows: `mine`, each with its mean verdict."""

    judge: JudgeSpec
    mine: pl.DataFrame
    said: pl.DataFrame
    rows: pl.DataFrame

    @classmethod
    def of(cls, judge: JudgeSpec, asked: pl.DataFrame, said: pl.DataFrame, arms: tuple[str, str]) -> _Seen:
        mine = asked.filter((pl.col("set") == sets_of(judge)) & pl.col("arm").is_in(arms))
        mine = mine.filter(pl.col("other").is_in(arms)) if judge.is_pairwise else mine
        own = said.filter((pl.col("judge") == judge.name) & pl.col("item_hash").is_in(mine["item_hash"].drop_nulls().unique().implode()))
        return cls(judge, mine, own, mine.join(own.group_by("item_hash").agg(pl.col("verdict").mean()), on="item_hash", how="left"))

    def worth(self, arms: tuple[str, str]) -> pl.DataFrame:
        """What the judge says by place, sample and arm; of a pairwise judge the share of the treatment's wins under the treatment's name."""
        if not self.judge.is_pairwise:
            return self.rows.filter(pl.col("verdict").is_not_null()).select("place", "sample", "arm", "verdict")
        tied = self.rows.filter(pl.col("why") == "identical").with_columns(pl.lit(0.5).alias("verdict"))
        told = self.rows.filter(pl.col("verdict").is_not_null())
        # The share of wins in both orders, so that a verdict which flips with the order is a tie.
        wins = pl.when(pl.col("arm") == arms[0]).then(1.0 - pl.col("verdict")).otherwise(pl.col("verdict")).alias("verdict")
        by_pair = pl.concat([told, tied]).with_columns(wins).group_by("place", "sample")
        found = by_pair.agg(pl.col("verdict").mean(), pl.len().alias("n"), (pl.col("why") == "identical").any().alias("is_tie"))
        if self.judge.orders == "both":  # a pair that was judged in one order alone would have the position's favour in it
            found = found.filter((pl.col("n") == 2) | pl.col("is_tie"))
        return found.select("place", "sample", pl.lit(arms[1]).alias("arm"), "verdict")

    def lengths(self, arms: tuple[str, str], n_items: int) -> Floats:
        control, treatment = (_by_place(self.mine.filter(pl.col("arm") == name), "chars", n_items) for name in arms)
        return np.sign(np.nan_to_num(treatment - control))

    def counts(self) -> dict[str, int]:
        """Judgements by state, and answers or pairs that were not judged by reason."""
        found = dict.fromkeys((*STATES, *NOT_JUDGED), 0)
        for column, names in ((self.said["state"], STATES), (self.mine["why"], NOT_JUDGED)):
            for name in names:  # `lost` is both a judgement that never came and an answer that could not be judged
                found[name] += int((column == name).sum())
        return found

    def in_both_orders(self, arms: tuple[str, str]) -> pl.DataFrame:
        """A row a pair of answers that has verdicts in both orders: how often the first won where each arm's stood first, and whether that flips."""
        asked = self.rows if self.judge.is_pairwise and self.judge.orders == "both" else self.rows.clear()
        ab, ba = (asked.filter(pl.col("arm") == name).select("place", "sample", "verdict").drop_nulls() for name in arms)
        both = ab.join(ba, on=("place", "sample"), suffix="_ba")
        flips = pl.Series(flipped(both["verdict"].to_numpy(), both["verdict_ba"].to_numpy()), dtype=pl.Float64)
        return both.with_columns(flips.alias("flips"))

    def again(self) -> tuple[Floats, Floats]:
        """First and second verdict on each question that was put at least twice."""
        one, two = (self.said.filter(pl.col("sample") == number).select("item_hash", "verdict") for number in (0, 1))
        both = one.join(two, on="item_hash", suffix="_2").sort("item_hash")
        first, second = (both[name].fill_null(float("nan")).to_numpy().astype(np.float64) for name in ("verdict", "verdict_2"))
        return first, second


def _judged(one: _Seen, arms: tuple[str, str], n_items: int) -> Judged:
    worth = one.worth(arms)
    control, treatment = _arms(one.judge, worth, arms, n_items)
    both = one.in_both_orders(arms)
    return Judged(
        judge=one.judge,
        control=control,
        treatment=treatment,
        first_ab=_by_place(both, "verdict", n_items),
        first_ba=_by_place(both, "verdict_ba", n_items),
        flips=_by_place(both, "flips", n_items),
        longer=one.lengths(arms, n_items),
        again=one.again(),
        unjudged=_unjudged(one, worth, arms, n_items),
        counts=one.counts(),
    )


def _of_panel(panel: PanelSpec, seen: Sequence[_Seen], arms: tuple[str, str], n_items: int) -> Judged:
    """Answers, or pairs, that every member has judged, each with what the panel says of it."""
    first, each = seen[0], [one.worth(arms) for one in seen]
    every = pl.concat(each).group_by("place", "sample", "arm").agg(pl.col("verdict"), pl.len().alias("n")).filter(pl.col("n") == len(seen))
    votes = pl.col("verdict").list.eval((pl.element() - 0.5).sign()).list.sum()
    said = votes.sign() / 2 + 0.5 if panel.by == "majority" else pl.col("verdict").list.mean()
    control, treatment = _arms(first.judge, every.with_columns(said.alias("verdict")), arms, n_items)
    nothing = np.full(n_items, np.nan)
    counts = [one.counts() for one in seen]
    unanswered = int((first.mine["why"] == "lost").sum())  # the same answers for each judge
    summed = {name: sum(one[name] for one in counts) for name in STATES}
    return Judged(
        judge=first.judge.model_copy(update={"name": panel.name, "repeats": 1}),
        control=control,
        treatment=treatment,
        first_ab=nothing,
        first_ba=nothing,
        flips=nothing,
        longer=first.lengths(arms, n_items),
        again=(nothing[:0], nothing[:0]),
        unjudged=_unjudged(first, every, arms, n_items),
        counts={**summed, "lost": summed["lost"] - unanswered * (len(seen) - 1), "identical": counts[0]["identical"]},
        panel=panel,
        members=tuple(one.judge for one in seen),
        between=tuple(_arms(one.judge, worth, arms, n_items) for one, worth in zip(seen, each, strict=True)),
    )


def _unjudged(one: _Seen, worth: pl.DataFrame, arms: tuple[str, str], n_items: int) -> tuple[Floats, Floats]:
    """(control, treatment): of each item the share of its answers that have no verdict, of a pairwise judge that of its pairs for both."""

    def share(asked: pl.DataFrame, told: pl.DataFrame) -> Floats:
        n_asked = _by_place(asked.group_by("place").agg(pl.col("sample").n_unique().alias("n")), "n", n_items)
        n_told = np.nan_to_num(_by_place(told.group_by("place").len("n"), "n", n_items))
        return np.nan_to_num(1.0 - n_told / n_asked, nan=1.0)

    if one.judge.is_pairwise:
        both = share(one.mine, worth)
        return both, both
    control, treatment = (share(*(rows.filter(pl.col("arm") == name) for rows in (one.mine, worth))) for name in arms)
    return control, treatment


def _arms(judge: JudgeSpec, worth: pl.DataFrame, arms: tuple[str, str], n_items: int) -> tuple[Floats, Floats]:
    """(control, treatment) by the item's place."""
    control, treatment = (_by_place(worth.filter(pl.col("arm") == name), "verdict", n_items) for name in arms)
    return (1.0 - treatment, treatment) if judge.is_pairwise else (control, treatment)


def _by_place(rows: pl.DataFrame, column: str, n_items: int) -> Floats:
    """Mean of a column by the item's place."""
    found = np.full(n_items, np.nan)
    means = rows.filter(pl.col(column).is_not_null()).group_by("place").agg(pl.col(column).cast(pl.Float64).mean()).filter(pl.col("place") < n_items)
    found[means["place"].to_numpy()] = means[column].to_numpy()
    return found
