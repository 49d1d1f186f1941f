"""A run as a folder that Hugging Face's `datasets` loads: every request as a row, the pairs of each trial, and a card that says what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from batchtrial.errors import ConfigError
from batchtrial.exporting.folders import whole
from batchtrial.exporting.rows import write_parquet
from batchtrial.modes import MODES
from batchtrial.phases.report.render import Bullets, Grid, Heading, Paragraph, markdown
from batchtrial.phases.tables.arm_table import for_tables
from batchtrial.reading.declared_plan import declared_plan
from batchtrial.reading.frames import pairs_frame
from batchtrial.reading.results import comparisons_frame
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.store import write_bytes

CARD: Final = "README.md"
_COLUMNS: Final = (
    ("arm, label, backend, model, temp", "who answered, and what the run calls it"),
    ("dataset, item_id, item_key, kind, cluster", "the item; items of one cluster depend on each other"),
    ("sample", "which answer to it, from 0"),
    ("question, reference, context, system, prompt", "what was asked, and what counts as right"),
    ("outcome, answer_state, finish_reason, answer, error", "what became of the request; only `complete` is an answer"),
    ("input_tokens, output_tokens, usd", "empty where the provider did not say"),
    ("em, f1 and further", "the item's scores in this arm, means over its samples"),
)


def write_card(tables: RunTables, folder: Path) -> list[Path]:
    """Write the folder, which must be empty or not there; returns its files. Raises ConfigError, RunStateMissing."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already", where="--dataset_card", hint="name a folder that is empty or not there")
    with whole(folder) as made:
        written = _written(tables, made)
    return [folder / path.relative_to(made) for path in written]


def _written(tables: RunTables, folder: Path) -> list[Path]:
    (folder / "data").mkdir()
    rows = folder / "data" / "requests.parquet"
    write_parquet(tables, rows)
    sets: dict[str, Path] = {"requests": rows}
    for trial, temp in tables.ready():
        control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
        if control is not None and treatment is not None:
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", f"pairs-{trial.slug}" + (f"-t{temp:g}" if len(trial.temps) > 1 else ""))
            sets[name] = folder / "data" / f"{name}.parquet"
            with sets[name].open("wb") as file, for_tables(file) as out:
                pairs_frame(tables, control, treatment).write_parquet(out)
    write_bytes(folder / CARD, _card(tables, folder, sets).encode())
    return [folder / CARD, *sets.values()]


def _card(tables: RunTables, folder: Path, sets: dict[str, Path]) -> str:
    """The card: what programs read of it first, then what people do."""
    configs = [
        {"config_name": name, "data_files": [{"split": "test", "path": path.relative_to(folder).as_posix()}]}
        | ({"default": True} if not place else {})
        for place, (name, path) in enumerate(sets.items())
    ]
    facts: dict[str, Any] = {
        "pretty_name": f"Prompt trial {tables.layout.run_id}",
        "license": "unknown",
        "tags": ["batchtrial", "evaluation", *(["simulated"] if tables.config.is_simulated else [])],
        "configs": configs,
    }
    head = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=120)
    return f"---\n{head}---\n\n{markdown(list(_told(tables)), MODES[tables.config.mode].banner or None)}"


def _told(tables: RunTables) -> Iterator[Heading | Paragraph | Bullets | Grid]:
    models = sorted({f"{arm.model} ({arm.backend})" for arm in tables.arms()})
    plan = declared_plan(tables.layout)
    yield Heading(1, f"Prompt trial {tables.layout.run_id}")
    yield Paragraph(f"{tables.n_asked:,} items, asked of {', '.join(models)}: every request with its answer and scores, and the pairs of each trial.")
    yield Paragraph("Answers are the output of models. The licence of the questions is that of their source: set `license` before you publish this.")
    yield Heading(2, "Results")
    yield Paragraph(plan.statement)
    tests = comparisons_frame(tables.layout, tables.trials)
    sentences = tests.filter("is_declared").select("trial", "sentence").iter_rows()
    yield Bullets(tuple(f"{slug}: {sentence}" for slug, sentence in sentences) or ("Nothing is compared yet.",))
    yield Heading(2, "Columns")
    yield Grid(("columns of `requests`", "are"), _COLUMNS)
    yield Paragraph("In `pairs`, METRIC_a is the control's and METRIC_b the treatment's; n_lost counts samples without an answer.")
