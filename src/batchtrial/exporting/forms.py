"""Every form that a run is exported in: its flag, what it takes, and what writes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchtrial.amounts import counted
from batchtrial.errors import ConfigError, PhaseFailed, RunnerError
from batchtrial.plugins import added, words_of
from batchtrial.reading.run_tables import RunTables

NAME: Final = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """name: of the flag. takes: what the flag names, `FILE`, `DIR` or `URI`. has_texts: questions and answers are in it, and cannot be left out.

    write: of a run's tables, what the flag named and whether texts are to be left out, writes it, and says what was written.
    """

    name: str
    takes: str
    about: str
    write: Callable[[RunTables, str, bool], str]
    has_texts: bool = False

    def written(self, tables: RunTables, target: str, *, is_redacted: bool) -> str:
        """What was written there. Raises PhaseFailed, naming the form, for whatever one of another package raises."""
        try:
            return self.write(tables, target, is_redacted)
        except OSError as error:
            error.filename = error.filename or target  # a disk without room does not say what it had no room for
            raise
        except RunnerError:
            raise
        except (Exception, SystemExit) as error:
            if FORMS.get(self.name) is self:
                raise
            hint = "its package says why; nothing of the run was changed"
            raise PhaseFailed(f"the form of export {self.name!r} failed: {words_of(error)}", where=f"--{self.name}", hint=hint) from error


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
    from batchtrial.exporting.figures import nothing_compared
    from batchtrial.exporting.latex import latex
    from batchtrial.reading.results import comparisons_frame, costs_frame

    tests, costs = comparisons_frame(tables.layout, tables.trials), costs_frame(tables.layout, tables.trials)
    if tests.is_empty():
        raise nothing_compared(tables)
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


OWN: Final[tuple[Form, ...]] = (
    Form(name="csv", takes="FILE", about="a row a request: question, prompts, answer, scores; formulas are disarmed", write=_csv),
    Form(name="jsonl", takes="FILE", about="the same as JSON lines, texts to the letter", write=_jsonl),
    Form(name="parquet", takes="FILE", about="the same as Parquet", write=_parquet),
    Form(name="latex", takes="FILE", about="tables with booktabs rules, for \\input in a paper", write=_latex),
    Form(name="svg", takes="FILE", about="forest plots of all trials", write=_svg),
    Form(name="pdf", takes="FILE", about="the same as PDF (extra: figures)", write=_pdf),
    Form(name="inspect", takes="DIR", about="a log of inspect_ai for each arm (extra: inspect)", write=_inspect, has_texts=True),
    Form(name="mlflow", takes="URI", about="a run in an MLflow store, such as file:mlruns (extra: mlflow)", write=_mlflow, has_texts=True),
    Form(name="dataset_card", takes="DIR", about="a folder for Hugging Face: card, requests, pairs", write=_card, has_texts=True),
)
FORMS: Final[Mapping[str, Form]] = {form.name: form for form in OWN}


def known(taken: Collection[str]) -> Mapping[str, Form]:
    """Every form: our own, then those that plugins add under names of their own. taken: names of other flags."""
    others = {one.name: one for _, one in added("batchtrial.exporters") if isinstance(one, Form) and NAME.fullmatch(one.name)}
    return {**FORMS, **{name: form for name, form in others.items() if name not in (*FORMS, *taken)}}
