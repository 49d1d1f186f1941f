"""A form of export: `batchtrial export --run_id r1 --sentences FILE`."""

from __future__ import annotations

from pathlib import Path

from batchtrial.exporting.forms import Form
from batchtrial.reading.results import comparisons_frame
from batchtrial.reading.run_tables import RunTables


def write_sentences(tables: RunTables, path: str, is_redacted: bool) -> str:
    """A line for each comparison, as the reports say it; there is no answer in it to leave out."""
    sentences = comparisons_frame(tables.layout, tables.trials)["sentence"]
    Path(path).write_text("".join(f"{sentence}\n" for sentence in sentences), encoding="utf-8")
    return f"{len(sentences)} sentences"


FORM = Form(name="sentences", takes="FILE", about="a line for each comparison", write=write_sentences)
