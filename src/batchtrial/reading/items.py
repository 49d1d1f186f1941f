"""The items of a run as columns: what slices are cut by, without any text; and the items themselves, a page at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.errors import StateError
from batchtrial.phases.build.questions import Questions
from batchtrial.records import Item
from batchtrial.state.layout import RunLayout

MOST_VALUES: Final = 60
"""Values of a column that one can choose from; a column with more is no category."""


class Items:
    """The items in the run's order. datasets, kinds: category of each; clusters: a number each, None when all stand alone.

    Raises RunStateMissing when a prepared file is gone, StateError while the table is of other items than the prepared lines.
    """

    def __init__(self, layout: RunLayout) -> None:
        self._layout = layout
        table = pl.read_parquet(layout.items, columns=["dataset", "kind", "cluster"])
        self.n = table.height
        self.datasets: pl.Series = table["dataset"].cast(pl.Categorical)
        self.kinds: pl.Series = table["kind"].cast(pl.Categorical)
        self.clusters = numbered(table["cluster"])
        self._questions = Questions(layout)
        if not self._questions.fits():
            self.close()
            what = f"the prepared items of run {layout.run_id} are not those of its table of items: a run that grows makes both anew"
            raise StateError(what, where="prepared/", hint=f"ask again; `batchtrial repair --check {layout.flags}` names what is damaged")
        self._values: dict[str, list[str]] = {}

    def close(self) -> None:
        """Close the prepared files."""
        self._questions.__exit__()

    def keys(self, places: Sequence[int]) -> list[str]:
        """The key of each of these items."""
        found: list[str] = pl.read_parquet(self._layout.items, columns=["item_key"])["item_key"].gather(list(places)).to_list()
        return found

    @cached_property
    def columns(self) -> dict[str, pl.Series]:
        """Columns of the source with few values, by name: text of each item, null where it has none."""
        found: dict[str, list[str | None]] = {}
        known: dict[str, set[str]] = {}
        for place, columns in self._questions.described():
            for name, value in columns.items():
                if len(known.setdefault(name, set())) <= MOST_VALUES:
                    text = shown(value)
                    found.setdefault(name, [None] * self.n)[place] = text
                    known[name].update(() if text is None else (text,))
        most = min(MOST_VALUES, self.n // 2)  # what names each item anew is no category
        self._values = {name: sorted(values) for name, values in known.items() if 1 < len(values) <= most}
        return {name: pl.Series(name, found[name], dtype=pl.Categorical) for name in self._values}

    def places_of(self, keys: Iterable[str]) -> NDArray[np.int64]:
        """The places of the items with these keys."""
        wanted = pl.Series(list(keys), dtype=pl.String)
        own = pl.scan_parquet(self._layout.items).select(pl.col("item_key").is_in(wanted.implode()).alias("is_in")).collect()["is_in"]
        return own.arg_true().to_numpy().astype(np.int64)

    def column(self, name: str) -> pl.Series | None:
        """`dataset`, `kind`, or a column of the source as `x.NAME`; None when there is none of that name."""
        if name in ("dataset", "kind"):
            return self.datasets if name == "dataset" else self.kinds
        return self.columns.get(name.removeprefix("x.")) if name.startswith("x.") else None

    @cached_property
    def choices(self) -> dict[str, list[str]]:
        """The values of each column that one can choose from."""
        own = {"dataset": self.datasets, "kind": self.kinds}
        found = {name: sorted(one.drop_nulls().unique().cast(pl.String).to_list()) for name, one in own.items()}
        return {name: values for name, values in found.items() if len(values) > 1} | {f"x.{name}": self._values[name] for name in self.columns}

    def read(self, places: Sequence[int]) -> list[Item]:
        """The items at these places."""
        return self._questions.read_at(places)


def shown(value: Any) -> str | None:
    """A value of a source's column as text; None where there is none."""
    if value is None:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def numbered(clusters: pl.Series) -> NDArray[np.int64] | None:
    """A number per item, the same for items that depend on each other; None when all stand alone."""
    is_alone = (clusters.is_null() | (clusters == "")).to_numpy()
    if is_alone.all():
        return None
    own = np.arange(len(clusters), dtype=np.int64)
    first = clusters.to_frame("name").with_row_index("place").select(pl.col("place").min().over("name"))["place"].to_numpy()
    codes = np.where(is_alone, own, first).astype(np.int64)
    return codes if int(np.bincount(codes).max()) > 1 else None
