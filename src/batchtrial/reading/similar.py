"""What answers of the same arms took in runs and tries that are there: an arm's name says what it asks, whatever run it is in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from batchtrial.config.model import Config
from batchtrial.errors import RunnerError
from batchtrial.reading.config import config_of_run
from batchtrial.records import Outcome
from batchtrial.state.layout import PREFIX, RunLayout

TRIES: Final = "tries"
"""Folder beside the runs in which tries are, each a run of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the answers of an arm took. n: answers. input_tokens, output_tokens: of one, on average. run: where they are."""

    n: int
    input_tokens: float
    output_tokens: float
    run: str


def taken_by(experiments: Path, config: Config, arms: Iterable[str]) -> dict[str, Taken]:
    """By the names of arms, from the run or try with the most answers. Simulated answers speak for simulated ones alone."""
    found: dict[str, Taken] = {}
    names = frozenset(arms)
    for root in sorted((*experiments.glob(f"{PREFIX}*"), *(experiments / TRIES).glob(f"{PREFIX}*"))):
        layout = RunLayout(root)
        there = [name for name in names if layout.arm(name).answers.exists()]
        if there and _is_alike(layout, config):
            for name in there:
                for taken in _taken(layout, name, root.relative_to(experiments).as_posix()):
                    if name not in found or taken.n > found[name].n:
                        found[name] = taken
    return found


def _is_alike(layout: RunLayout, config: Config) -> bool:
    try:
        return config_of_run(layout).is_simulated == config.is_simulated
    except (RunnerError, OSError):  # damaged, or of a version that nobody reads: it says nothing
        return False


def _taken(layout: RunLayout, arm: str, run: str) -> Iterator[Taken]:
    import polars as pl  # a plan of a run that has no like needs no tables

    try:
        table = pl.scan_parquet(layout.arm(arm).answers).filter(pl.col("outcome") == Outcome.SUCCEEDED.value, pl.col("output_tokens").is_not_null())
        n, n_in, n_out = table.select(pl.len(), pl.col("input_tokens").mean(), pl.col("output_tokens").mean().alias("out")).collect().row(0)
    except (OSError, pl.exceptions.PolarsError):
        return
    if n:
        yield Taken(n=n, input_tokens=n_in, output_tokens=n_out, run=run)
