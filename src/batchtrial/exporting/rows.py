"""Every request of a run as a row with its question, accepted answers, prompts, answer and scores: as CSV, JSON lines or Parquet.

JSON lines and Parquet have texts to the letter. In CSV a text that a spreadsheet would take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import polars as pl

from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.expand import Arm
from batchtrial.errors import RunStateMissing
from batchtrial.phases.build.questions import Questions, reference
from batchtrial.phases.tables.arm_table import for_tables
from batchtrial.reading.frames import answers_of, arms_with, prompts_of, scores_of_arm
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.store import replacing

ITEMS_AT_ONCE: Final = 1 << 13
FORMULA: Final = r"^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""What a spreadsheet takes for the beginning of a formula: the four signs, also as wide as East Asian letters, and white space that it may drop."""
_ANSWER: Final = ("outcome", "answer_state", "finish_reason", "text", "error", "input_tokens", "output_tokens", "usd", "request_id")


TEXTS: Final = ("question", "reference", "context", "system", "prompt", "answer", "error")
"""Columns that a file without texts is without."""


def stretches(tables: RunTables, *, is_redacted: bool = False) -> Iterator[pl.DataFrame]:
    """The rows, arm by arm, some items at a time. is_redacted: without TEXTS. Raises RunStateMissing while no arm has answers."""
    arms = arms_with(tables, "answers")
    if not arms:
        hint = f"`batchtrial resume {tables.layout.flags}` goes on with the run"
        raise RunStateMissing(f"run {tables.layout.run_id} has no answers yet", where=str(tables.layout.root), hint=hint)
    scored = [scores_of_arm(tables, arm) if tables.has_scores(arm) else None for arm in arms]
    metrics = dict.fromkeys(
        name for one in scored if one is not None for name in one.columns if name not in ("place", "n_samples", "n_lost", "lost_to")
    )
    with Questions(tables.layout) as questions:
        for arm, scores in zip(arms, scored, strict=True):
            for first in range(0, tables.items.n, ITEMS_AT_ONCE):
                rows = _stretch(tables, questions, arm, scores, list(metrics), first)
                if rows.height:
                    yield rows.drop(TEXTS) if is_redacted else rows


def _stretch(tables: RunTables, questions: Questions, arm: Arm, scores: pl.DataFrame | None, metrics: list[str], first: int) -> pl.DataFrame:
    answers = answers_of(tables, arm, first, ITEMS_AT_ONCE)
    n = min(ITEMS_AT_ONCE, tables.items.n - first)
    found = questions.read(first, n)
    columns = ["place", "item_key", "dataset", "item_id", "kind", "cluster", "question", "references"]
    items = pl.scan_parquet(tables.layout.items).slice(first, n).select(columns).collect()
    prompts = list(prompts_of(tables, arm, found))
    asked = items.with_columns(
        reference(),
        pl.Series("context", [item.context for item in found], dtype=pl.String),
        pl.Series("system", [turns[0]["content"] if turns[0]["role"] == "system" else "" for turns in prompts], dtype=pl.String),
        pl.Series("prompt", [_one_text(turns) for turns in prompts], dtype=pl.String),
    )
    whole = answers.join(asked, on="place", how="left", maintain_order="left")
    inside = {name: f"metric {name}" for name in metrics}  # a metric may be called as a column of the answers is
    if scores is not None:
        own = scores.drop("n_samples", "n_lost", "lost_to").rename(inside, strict=False)
        whole = whole.join(own, on="place", how="left", maintain_order="left")
    missing = [pl.lit(None, dtype=pl.Float64).alias(name) for name in inside.values() if name not in whole.columns]
    about = {
        "run": tables.layout.run_id,
        "simulated": tables.config.is_simulated,
        "arm": arm.name,
        "label": labels_of_arms(tables.config, tables.trials)[arm.name],
        "backend": str(arm.backend),
        "model": arm.model,
        "temp": arm.temp,
    }
    order = (*about, *columns[1:6], "sample", "question", "reference", "context", "system", "prompt", *_ANSWER)
    said = whole.with_columns(*missing, *(pl.lit(value).alias(name) for name, value in about.items()))
    taken = {*order, "answer"}
    numbers = (pl.col(column).alias(f"score_{name}" if name in taken else name) for name, column in inside.items())
    return said.select(*order, *numbers).rename({"text": "answer"})


def _one_text(turns: list[dict[str, str]]) -> str:
    """What was sent after the system prompt: the text of one user turn, or several turns as JSON."""
    sent = [turn for turn in turns if turn["role"] != "system"]
    return sent[0]["content"] if len(sent) == 1 and sent[0]["role"] == "user" else json.dumps(sent, ensure_ascii=False)


def write_csv(tables: RunTables, path: Path, *, is_redacted: bool = False) -> int:
    """Write CSV; how many rows. Raises RunStateMissing."""
    n = 0
    with replacing(path) as out:
        for rows in stretches(tables, is_redacted=is_redacted):
            texts = [name for name, dtype in rows.schema.items() if dtype == pl.String]
            plain = rows.with_columns(guarded(name) for name in texts)
            out.write(plain.write_csv(include_header=n == 0, line_terminator="\r\n").encode())
            n += rows.height
    return n


def guarded(name: str) -> pl.Expr:
    """The column with an apostrophe before what a spreadsheet would take for a formula."""
    column = pl.col(name)
    return pl.when(column.str.contains(FORMULA)).then(pl.lit("'") + column).otherwise(column).alias(name)


def write_jsonl(tables: RunTables, path: Path, *, is_redacted: bool = False) -> int:
    """Write JSON lines; how many rows. Raises RunStateMissing."""
    n = 0
    with replacing(path) as out:
        for rows in stretches(tables, is_redacted=is_redacted):
            out.write(rows.write_ndjson().encode())
            n += rows.height
    return n


def write_parquet(tables: RunTables, path: Path, *, is_redacted: bool = False) -> int:
    """Write Parquet; how many rows. Raises RunStateMissing."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        parts = list(_kept(stretches(tables, is_redacted=is_redacted), Path(folder)))
        with replacing(path) as file, for_tables(file) as out:
            pl.scan_parquet([part for part, _ in parts]).collect(engine="streaming").write_parquet(out, compression="zstd")
    return sum(n for _, n in parts)


def _kept(frames: Iterable[pl.DataFrame], folder: Path) -> Iterator[tuple[Path, int]]:
    for number, frame in enumerate(frames):
        path = folder / f"{number:06d}.parquet"
        with path.open("wb") as file, for_tables(file) as out:
            frame.write_parquet(out)
        yield path, frame.height
