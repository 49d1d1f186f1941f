"""Decoded result lines as columns of answers.parquet: those that a line tells of, each with the line's place among those given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from types import SimpleNamespace
from typing import Any, Final

import msgspec
import polars as pl

from batchtrial.phases.tables import columns
from batchtrial.providers.base import state_of_text
from batchtrial.records import Outcome, RawResult, Usage

_OF_PLAIN: Final = {field.name: field.default for field in msgspec.structs.fields(RawResult)} | {"outcome": Outcome.SUCCEEDED}
"""What a plain line says in fields that it does not tell of."""
_NOT_TOLD: Final = SimpleNamespace(**dict.fromkeys(Usage.__struct_fields__))
"""Stands where an answer does not say what it used."""


def of_plain(lines: Sequence[int], fields: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """Of what a decoder told of plain lines with these numbers."""
    states = {word: state_of_text(word).value for word in set(fields["finish_reason"])}
    told = {**fields, "state": [states[word] for word in fields["finish_reason"]]}

    def column(one: columns.Column) -> pl.Series:
        if one.field in told:
            return pl.Series(one.name, told[one.field], dtype=_type(one))
        return pl.Series(one.name, [_OF_PLAIN[one.field]], dtype=_type(one)).new_from_index(0, len(lines))

    return pl.DataFrame([pl.Series("line", lines, dtype=pl.Int64), *(column(one) for one in columns.ANSWERS if one.of in ("result", "usage"))])


def of_results(results: Mapping[int, RawResult]) -> pl.DataFrame:
    """Of records by place."""
    of: dict[str, list[Any]] = {"result": list(results.values()), "usage": [one.usage or _NOT_TOLD for one in results.values()]}
    own = [column for column in columns.ANSWERS if column.of in of]
    made = [pl.Series(one.name, list(map(attrgetter(one.field), of[one.of])), dtype=_type(one)) for one in own]
    return pl.DataFrame([pl.Series("line", list(results), dtype=pl.Int64), *made])


def _type(column: columns.Column) -> Any:
    return getattr(pl, column.type)
