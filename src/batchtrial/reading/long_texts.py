"""Texts that are too long to be shown at once: an item has their beginnings, and the rest comes page by page."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from batchtrial.config.expand import Arm
from batchtrial.errors import ConfigError
from batchtrial.reading.run_tables import RunTables
from batchtrial.records import Item

LONGEST: Final = 200_000
"""Characters of a page, and of what an item has of a text."""


def fold(found: dict[str, Any]) -> dict[str, Any]:
    """Leave of an item's long texts their beginnings; `long` says how many characters each has, by its key."""
    long: dict[str, int] = {}

    def cut(key: str, text: str) -> str:
        if len(text) > LONGEST:
            long[key] = len(text)
        return text[:LONGEST]

    found |= {name: cut(name, found[name]) for name in ("question", "context") if name in found}
    found["sent"] = [[[role, cut(f"sent/{at}/{turn}", text)] for turn, (role, text) in enumerate(turns)] for at, turns in enumerate(found["sent"])]
    for arm, answers in enumerate(found["by_arm"]):
        for sample, one in enumerate(answers):
            if n := one.pop("n_characters", 0):
                long[f"answer/{arm}/{sample}"] = n
    return found | ({"long": long} if long else {})


def text_head() -> list[pl.Expr]:
    """Of an answer's text the beginning, and how long it is where that is not all."""
    n = pl.col("text").str.len_chars()
    return [pl.col("text").str.head(LONGEST), pl.when(n > LONGEST).then(n).alias("n_characters")]


def page_of(tables: RunTables, place: int, key: str, number: int) -> str:
    """A page of one of an item's long texts; empty behind its end. Raises ConfigError when there is no text of that key."""
    what, *at = key.split("/")
    if what == "answer" and len(at) == 2 and all(one.isdigit() for one in at):
        arms = tables.arms()
        if int(at[0]) < len(arms):
            return _of_answer(tables, arms[int(at[0])], place, int(at[1]), number)
    texts = _of_item(tables, place)
    if key not in texts:
        raise ConfigError(f"an item has no text {key[:80]!r}", where="key")
    return texts[key][number * LONGEST : (number + 1) * LONGEST]


def _of_answer(tables: RunTables, arm: Arm, place: int, sample: int, number: int) -> str:
    row = place * arm.samples + sample
    table = pl.scan_parquet(tables.layout.arm(arm.name).answers).slice(row, 1)
    found = table.select(pl.col("text").str.slice(number * LONGEST, LONGEST)).collect()["text"].to_list()
    return (found[0] or "") if found and sample < arm.samples else ""


def _of_item(tables: RunTables, place: int) -> dict[str, str]:
    item = tables.items.read([place])[0]
    turns, _ = conversations(tables, item)
    sent_ = {f"sent/{at}/{turn}": text for at, one in enumerate(turns) for turn, (_, text) in enumerate(one)}
    return {"question": item.question, "context": item.context or "", **sent_}


def conversations(tables: RunTables, item: Item) -> tuple[list[list[list[str]]], list[int]]:
    """What was sent about an item, each conversation once, and by arm which of them."""
    kept: list[list[list[str]]] = []
    by = []
    for arm in tables.arms():
        turns = sent(arm, item)
        if turns not in kept:
            kept.append(turns)
        by.append(kept.index(turns))
    return kept, by


def sent(arm: Arm, item: Item) -> list[list[str]]:
    """The conversation as it was sent: role and text of each turn, images by their address. Its system prompt where that is not the arm's alone."""
    request = arm.request(item, "")
    if not request.turns:
        return [["user", request.user]]
    system = [] if request.system == arm.prompt.system.text else [["system", request.system]]
    return system + [[turn.role, "\n".join([turn.text, *(f"[image] {one}" for one in turn.images)])] for turn in request.turns]
