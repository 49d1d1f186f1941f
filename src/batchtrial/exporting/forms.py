"""Every form that a run is exported in: its flag, what it takes, and what writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchtrial.amounts import counted
from batchtrial.errors import ConfigError
from batchtrial.reading.run_tables import RunTables


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """takes: what the flag names. has_texts: questions and answers are in it, and cannot be left out. write: says what was written."""

    takes: str
    about: str
    write: Callable[[RunTables, str, bool], str]
    has_texts: bool = False


def _csv(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.rows import write_csv

    return counted(write_csv(tables, _file(path, "--csv"), is_redacted=is_redacted), "row")


def _jsonl(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.rows import write_jsonl

    return counted(write_jsonl(tables, _file(path, "--jsonl"), is_redacted=is_redacted), "row")


def _parquet(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.rows import write_parquet

    return counted(write_parquet(tables, _file(path, "--parquet"), is_redacted=is_redacted), "row")


def _latex(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.latex import latex
    from batchtrial.reading.results import comparisons_frame, costs_frame

    tests, costs = comparisons_frame(tables.layout, tables.trials), costs_frame(tables.layout, tables.trials)
    return _bytes(path, "--latex", latex(tests, costs, mode=tables.config.mode).encode())


def _svg(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.figures import svg

    return _bytes(path, "--svg", svg(tables))


def _pdf(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.figures import pdf

    return _bytes(path, "--pdf", pdf(tables))


def _inspect(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.inspect_log import write_inspect

    return counted(len(write_inspect(tables, Path(path))), "log")


def _mlflow(tables: RunTables, uri: str, is_redacted: bool) -> str:
    from batchtrial.exporting.tracking import track

    return f"run {track(tables, uri)}"


def _card(tables: RunTables, path: str, is_redacted: bool) -> str:
    from batchtrial.exporting.dataset_card import write_card

    return counted(len(write_card(tables, Path(path))), "file")


def _bytes(path: str, flag: str, data: bytes) -> str:
    from batchtrial.state.store import write_bytes

    write_bytes(_file(path, flag), data)
    return f"{len(data):,} bytes"


def _file(path: str, flag: str) -> Path:
    """The file. Raises ConfigError when its folder is not there."""
    if not Path(path).parent.is_dir():
        raise ConfigError(f"there is no folder {Path(path).parent}", where=flag, hint="name a file in a folder that is there")
    return Path(path)


FORMS: Final[Mapping[str, Form]] = {
    "csv": Form(takes="FILE", about="a row a request: question, prompts, answer, scores; formulas are disarmed", write=_csv),
    "jsonl": Form(takes="FILE", about="the same as JSON lines, texts to the letter", write=_jsonl),
    "parquet": Form(takes="FILE", about="the same as Parquet", write=_parquet),
    "latex": Form(takes="FILE", about="tables with booktabs rules, for \\input in a paper", write=_latex),
    "svg": Form(takes="FILE", about="the forest plot of all trials", write=_svg),
    "pdf": Form(takes="FILE", about="the same as PDF (extra: figures)", write=_pdf),
    "inspect": Form(takes="DIR", about="a log of inspect_ai for each arm (extra: inspect)", write=_inspect, has_texts=True),
    "mlflow": Form(takes="URI", about="a run in an MLflow store, such as file:mlruns (extra: mlflow)", write=_mlflow, has_texts=True),
    "dataset_card": Form(takes="DIR", about="a folder for Hugging Face: card, requests, pairs", write=_card, has_texts=True),
}
