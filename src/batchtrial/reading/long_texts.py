"""Texts that are too long to be shown at once: an item has their beginnings, and the rest comes page by page."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import polars as pl

from batchtrial.config.expand import Arm
from batchtrial.errors import ConfigError
from batchtrial.reading.run_tables import RunTables
from batchtrial.records import Item

LONGEST: Final = 200_000
"""Characters of a page, and of what an item has of a text."""
_ANSWER = re.compile(r"answer/([0-9]{1,6})/([0-9]{1,6})")


def fold(found: dict[str, Any]) -> dict[str, Any]:
    """Leave of an item's long texts their beginnings; `long` says how many characters each has, by its key."""
    long: dict[str, int] = {}

    def cut(key: str, text: str) -> str:
        if len(text) > LONGEST:
            long[key] = len(text)
        return text[:LONGEST]

    found |= {name: cut(name, found[name]) for name in ("question", "context") if name in found}
    if "columns" in found:
        found["columns"] = {
            name: cut(f"column/{name}", text) if len(text := of_column(value)) > LONGEST else value for name, value in found["columns"].items()
        }
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
    arms = tables.arms()
    if (found := _ANSWER.fullmatch(key)) is not None and int(found[1]) < len(arms) and int(found[2]) < arms[int(found[1])].samples:
        return _of_answer(tables, arms[int(found[1])], place, int(found[2]), number)
    texts = _of_item(tables, place)
    if key not in texts:
        raise ConfigError(f"an item has no text {key[:80]!r}", where="key")
    return texts[key][number * LONGEST : (number + 1) * LONGEST]


def _of_answer(tables: RunTables, arm: Arm, place: int, sample: int, number: int) -> str:
    row = place * arm.samples + sample
    table = pl.scan_parquet(tables.layout.arm(arm.name).answers).slice(row, 1)
    found = table.select(pl.col("text").str.slice(number * LONGEST, LONGEST)).collect()["text"].to_list()
    return (found[0] or "") if found else ""


def _of_item(tables: RunTables, place: int) -> dict[str, str]:
    item = tables.items.read([place])[0]
    turns, _ = conversations(tables, item)
    sent_ = {f"sent/{at}/{turn}": text for at, one in enumerate(turns) for turn, (_, text) in enumerate(one)}
    columns = {f"column/{name}": of_column(value) for name, value in item.columns.items()}
    return {"question": item.question, "context": item.context or "", **columns, **sent_}


def of_column(value: Any) -> str:
    """A column's value as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


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
    return system + [[turn.role, "\n".join(one if kind == "text" else image_told(one) for kind, one in turn.in_order())] for turn in request.turns]


def image_told(link: str) -> str:
    """An image by its address; of one that is sent itself, what it is."""
    return f"[image] {link}" if not link.startswith("data:") else f"[image] {link[:40]}... ({len(link):,} characters)"
