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

_TOKENS: Final = Usage.__struct_fields__
_FIELDS: Final = ("custom_id", "text", "finish_reason", "request_id", *_TOKENS)
"""What the fields of a plain line are called in the records of other lines, in order."""
_OF_PLAIN: Final = {field.name: field.default for field in msgspec.structs.fields(RawResult)} | {"outcome": Outcome.SUCCEEDED}
"""What a plain line says in the other fields."""
_NOT_TOLD: Final = SimpleNamespace(**dict.fromkeys(_TOKENS))
"""Stands where an answer does not say what it used."""


def of_plain(told: Sequence[Sequence[Any] | None]) -> pl.DataFrame:
    """Of what a decoder told of plain lines; without a row where it told nothing."""
    places = [place for place, one in enumerate(told) if one is not None]
    read = told if len(places) == len(told) else [told[place] for place in places]
    fields = zip(*read, strict=True) if places else [()] * len(_FIELDS)
    kinds = {name: pl.Int64 if name in _TOKENS else pl.String for name in _FIELDS}
    frame = pl.DataFrame([pl.Series(name, values, dtype=kinds[name]) for name, values in zip(_FIELDS, fields, strict=True)])
    finish = pl.col("finish_reason")
    states = {word: state_of_text(word).value for word in frame["finish_reason"].unique()}
    frame = frame.with_columns(finish.replace_strict(states, return_dtype=pl.String).alias("state"), pl.when(finish != "").then(finish))
    own = [column for column in columns.ANSWERS if column.of in ("result", "usage")]
    values = [pl.col(one.field) if one.field in frame.columns else pl.lit(_OF_PLAIN[one.field]) for one in own]
    made = [value.cast(_type(one)).alias(one.name) for one, value in zip(own, values, strict=True)]
    return frame.select(pl.Series("line", places, dtype=pl.Int64), *made)


def of_results(results: Mapping[int, RawResult]) -> pl.DataFrame:
    """Of records by place."""
    of: dict[str, list[Any]] = {"result": list(results.values()), "usage": [one.usage or _NOT_TOLD for one in results.values()]}
    own = [column for column in columns.ANSWERS if column.of in of]
    made = [pl.Series(one.name, list(map(attrgetter(one.field), of[one.of])), dtype=_type(one)) for one in own]
    return pl.DataFrame([pl.Series("line", list(results), dtype=pl.Int64), *made])


def _type(column: columns.Column) -> Any:
    return getattr(pl, column.type)
