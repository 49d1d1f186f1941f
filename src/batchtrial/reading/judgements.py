"""What judges said of a run's answers: on which pairs each prefers whom or contradicts others, and verdict by verdict with their reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Trial
from batchtrial.config.judges import JudgeSpec
from batchtrial.config.model import Config
from batchtrial.phases.judge.questions import sets_of
from batchtrial.phases.judge.scores import Judged, judged, judged_arms
from batchtrial.reading.ask import Said
from batchtrial.state.layout import RunLayout

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
_JUDGEMENT: Final[Mapping[str, type[pl.DataType]]] = {
    **dict.fromkeys(("judge", "item_key"), pl.String),
    **dict.fromkeys(("place", "sample"), pl.Int32),
    **dict.fromkeys(("arm", "other"), pl.String),
    "repeat": pl.Int32,
    "state": pl.String,
    "verdict": pl.Float64,
    "reason": pl.String,
}


def judged_pairs(layout: RunLayout, config: Config, trial: Trial, temp: float, n_items: int) -> dict[str, Judged]:
    """Every judge and panel that has said something of these two arms, by name; none before the judges' answers are read."""
    return _by_name(judged(layout, config, trial, temp, n_items)) if _is_read(layout, config) else {}


def scores_by_judges(layout: RunLayout, config: Config, a: str, b: str, n_items: int) -> dict[str, tuple[pl.Series, pl.Series]]:
    """What each judge and panel says of the answers of arms a and b, by place of the item; of a judge of pairs their shares of wins, where it saw
    them, so that of one arm alone (a is b) there is nothing of it."""
    if not _is_read(layout, config):
        return {}
    found = _by_name(judged_arms(layout, config, (a, b), n_items))
    return {name: (pl.Series(one.control, nan_to_null=True), pl.Series(one.treatment, nan_to_null=True)) for name, one in found.items()}


def judgements_frame(layout: RunLayout, config: Config) -> pl.DataFrame:
    """A row a judgement of an answer, or of two in one order, and of each time that it was put. Those that were not sent say why in `state`."""
    frames = [pl.DataFrame(schema=_JUDGEMENT)]
    if _is_read(layout, config):
        asked, said = pl.read_parquet(layout.asked), pl.read_parquet(layout.judgements)
        keys = pl.read_parquet(layout.items, columns=["item_key"])["item_key"].cast(pl.String)
        for judge in config.judges:
            mine = asked.filter(pl.col("set") == sets_of(judge))
            mine = mine.with_columns(keys.gather(mine["place"]).alias("item_key"))
            own = said.filter(pl.col("judge") == judge.name).select("item_hash", "state", "verdict", "reason", repeat="sample")
            rows = mine.with_columns(judge=pl.lit(judge.name)).join(own, on="item_hash", how="left", maintain_order="left_right")
            why = pl.col("why").replace("lost", "no_answer")
            frames.append(rows.with_columns(state=pl.coalesce("state", why)).select(*(pl.col(name).cast(_JUDGEMENT[name]) for name in _JUDGEMENT)))
    return pl.concat(frames)


def _is_read(layout: RunLayout, config: Config) -> bool:
    return bool(config.judges) and layout.judgements.exists() and layout.asked.exists()


def _by_name(every: Iterable[Judged]) -> dict[str, Judged]:
    return {one.judge.name: one for one in every if not (np.isnan(one.control).all() and np.isnan(one.treatment).all())}


def is_flipped(one: Judged) -> Mask:
    """Items on one of whose pairs a pairwise judge prefers whichever answer stands first, or whichever stands second."""
    return np.asarray(one.flips > 0.0)


def pairs_said(one: Judged, said: Said, change: Floats, labels: tuple[Mask, Mask]) -> Mask:
    """The pairs on which the judge says that. change: of the metric that it is held against, above 0 where the treatment is better; labels: (better,
    worse)."""
    prefers = np.sign(one.treatment - one.control)
    with np.errstate(invalid="ignore"):
        against_metric = prefers * change < 0
    found = {
        "treatment": prefers > 0,
        "control": prefers < 0,
        "neither": prefers == 0,
        "nothing": np.isnan(prefers),
        "orders": is_flipped(one),
        "metric": against_metric,
        "label": (labels[0] & (prefers < 0)) | (labels[1] & (prefers > 0)),
    }
    return np.asarray(found[said])


def informative(change: Floats, judges: Sequence[Judged]) -> Floats:
    """Least where the metric and the judges contradict each other most; among those alike, where the metric changed most."""
    signs = np.sign(np.array([change, *(one.treatment - one.control for one in judges)]))
    spread = np.fmax.reduce(signs) - np.fmin.reduce(signs)
    flips = np.logical_or.reduce([np.zeros(change.size, dtype=np.bool_), *(is_flipped(one) for one in judges)])
    size = np.abs(np.nan_to_num(change))
    return np.asarray(-(2.0 * np.nan_to_num(spread) + flips) - size / (1.0 + size))


def verdicts(layout: RunLayout, config: Config, places: Sequence[int], arms: Mapping[str, int]) -> dict[int, list[dict[str, Any]]]:
    """By place of the item, what each judge said of each answer or pair of answers, with its reason. arms: name -> the number it is called by."""
    found: dict[int, list[dict[str, Any]]] = {place: [] for place in places}
    if not _is_read(layout, config):
        return found
    asked = pl.scan_parquet(layout.asked).filter(pl.col("place").is_in(list(places)), pl.col("arm").is_in(list(arms))).collect()
    hashes = asked["item_hash"].drop_nulls().unique()
    said = pl.scan_parquet(layout.judgements).filter(pl.col("item_hash").is_in(hashes.implode())).collect()
    for judge in config.judges:
        mine = asked.filter((pl.col("set") == sets_of(judge)) & (pl.col("why").fill_null("") != "lost"))
        own = said.filter(pl.col("judge") == judge.name).select("item_hash", "state", "verdict", "reason")
        for row in mine.join(own, on="item_hash", how="left", maintain_order="left_right").iter_rows(named=True):
            if row["other"] in arms or not judge.is_pairwise:
                found[row["place"]].append(_verdict(judge, row, arms))
    return found


def _verdict(judge: JudgeSpec, row: Mapping[str, Any], arms: Mapping[str, int]) -> dict[str, Any]:
    word = next((name for name, value in judge.verdicts.items() if value == row["verdict"]), "")
    made = {"judge": judge.name, "arm": arms[row["arm"]], "sample": row["sample"], "said": word, "reason": row["reason"] or ""}
    if judge.is_pairwise:
        made["other"] = arms[row["other"]]
    if not word:
        made["said"] = "the same text: a tie, not asked" if row["why"] == "identical" else f"no verdict ({row['state'] or 'not asked'})"
    return made
