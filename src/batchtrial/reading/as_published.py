"""Whether a run's tables are what was published: held against their checksums before they leave the run, and named where one cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import polars as pl

from batchtrial.errors import StateError
from batchtrial.phases.judge.parse import on_record
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.files import TrialManifest, load_or_none, refuse_damaged
from batchtrial.state.store import Stamps

STAGES: Final = ("parsed", "scored")
REPLACED: Final = "the run's files were replaced while they were read: ask again"


def refuse_damaged_tables(tables: RunTables) -> None:
    """Nothing when every table that was published is as it was. Raises StateError that names one that is not; one of a run under way may be newer."""
    layout = tables.layout
    stamps = Stamps(layout.root, layout.stamps)
    for trial in tables.trials:
        manifest = load_or_none(TrialManifest, layout.trial(trial.slug).manifest)
        for stage in STAGES if manifest is not None else ():
            record = manifest.stage_status.get(stage) if manifest is not None else None
            refuse_damaged(record.artifacts if record is not None else {}, layout.root, stamps)
    judgements = on_record(layout)
    refuse_damaged({} if judgements is None else {judgements.path: judgements}, layout.root, stamps)


def refuse_replaced(tables: RunTables) -> None:
    """Nothing when the run's files are still those that were opened. Raises StateError: what was read of two publications is half of either."""
    if not tables.is_current():
        raise StateError(REPLACED, where=str(tables.layout.root), hint="a run that is under way replaces its tables when it scores")


@contextmanager
def named_damage(tables: RunTables) -> Iterator[None]:
    """A table that cannot be read ends the block as a StateError that names it and what makes it again."""
    try:
        yield
    except pl.exceptions.PolarsError as error:
        refuse_damaged_tables(tables)
        root, run = tables.layout.root, tables.layout.flags
        hint = f"`batchtrial repair --check {run}` names what is damaged, and `batchtrial resume {run}` makes it again"
        raise StateError(f"a table cannot be read: {str(error).splitlines()[0][:300]}", where=str(root), hint=hint) from None
