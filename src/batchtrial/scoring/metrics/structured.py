"""Metrics of answers that are JSON: whether they are, whether they fit a schema, and which of their fields are right."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from batchtrial.errors import ConfigError
from batchtrial.names import near_file
from batchtrial.scoring.metrics.base import Numbers, ReferenceMetric, Rows, TextMetric, Texts
from batchtrial.scoring.metrics.jsontext import NONE, json_in

_MOST_SCHEMA_BYTES: Final = 1 << 20
_LONGEST_PLACE: Final = 9


class JsonValid(TextMetric):
    """1 when the answer is JSON."""

    id: ClassVar[str] = "json_valid"
    fenced: bool = Field(True, description="Whether the JSON may stand in a code fence.")

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        return np.array([json_in(text, fenced=self.fenced) is not NONE for text in texts], dtype=np.float64)


class JsonSchema(TextMetric):
    """1 when the answer is JSON that fits the schema. References inside the schema are followed, others are refused: nothing is ever fetched."""

    id: ClassVar[str] = "json_schema"
    library: ClassVar[str | None] = "jsonschema"
    module: ClassVar[str | None] = "jsonschema"

    schema_: dict[str, Any] | bool | None = Field(None, alias="schema", description="The schema itself.")
    file: str | None = Field(None, min_length=1, description="File that holds it, as JSON.")
    fenced: bool = Field(True, description="Whether the JSON may stand in a code fence.")
    _compiled: Any = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.schema_ is None) == (self.file is None):
            raise ValueError("give either `schema` or `file`")
        return self

    @property
    def schema_now(self) -> Any:
        """The schema, read again when it is a file. Raises ConfigError."""
        if self.file is None:
            return self.schema_
        try:
            data = Path(self.file).read_bytes()
        except OSError as error:
            said = error.strerror or type(error).__name__
            near = near_file(Path(self.file)) if isinstance(error, FileNotFoundError) else ""
            hint = f"did you mean {near}?" if near else "paths are taken from the working directory"
            raise ConfigError(f"the schema {self.file} cannot be read: {said}", where=f"metrics.{self.column}.file", hint=hint) from None
        found = json_in(data.decode("utf-8", "replace"), fenced=False)
        if len(data) > _MOST_SCHEMA_BYTES or not isinstance(found, dict | bool):
            raise ConfigError(f"{self.file} is no JSON schema", where=f"metrics.{self.column}.file", hint="a JSON object of at most 1 MiB")
        return found

    def made_of(self) -> Any:
        try:
            return [super().made_of(), self.schema_now if self.file is not None else None]
        except ConfigError:  # a file that is gone says nothing; `check` names it before anything is sent
            return [super().made_of(), None]

    def check(self) -> None:
        super().check()
        self._validator()

    def _validator(self) -> Any:
        from batchtrial.scoring.metrics.schemas import fitting

        if self._compiled is None:
            self._compiled = fitting(self.schema_now, f"metrics.{self.column}")
        return self._compiled

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        fits = self._validator()
        known: dict[str, bool] = {}
        for text in dict.fromkeys(texts):
            value = json_in(text, fenced=self.fenced)
            known[text] = value is not NONE and fits(value)
        return np.array([known[text] for text in texts], dtype=np.float64)


class JsonFields(ReferenceMetric):
    """Share of the fields that are as in the reference, which is JSON too; 0 when the answer is no JSON. With `fields` also each by itself.

    A field that the reference lacks is left out of the share, whatever the answer says there; one that it has as `null` has to be `null`.
    """

    id: ClassVar[str] = "json_fields"
    undefined: ClassVar[str] = "the item has no reference, or it is no JSON object, or has none of the fields"

    fields_: Texts = Field(
        (),
        alias="fields",
        description="The fields, `a.b` for one inside another, `a.0.b` for one in the first of a list; unset: those of the reference, at its top.",
    )
    case: bool = Field(False, description="Whether upper and lower case differ in texts.")
    tolerance: float = Field(0.0, ge=0, description="Largest difference of numbers that is right.")
    fenced: bool = Field(True, description="Whether the JSON may stand in a code fence.")

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column, *(f"{self.column}.{field}" for field in self.fields_))

    @model_validator(mode="after")
    def _is_apart(self) -> Self:
        if len(set(self.fields_)) < len(self.fields_) or not all(self.fields_):
            raise ValueError("fields: each once, and none of them empty")
        if self.is_negated:
            raise ValueError("not: it has no meaning for several fields")
        return self

    def of(self, rows: Rows) -> dict[str, Numbers]:
        found = {column: np.full(len(rows.texts), np.nan) for column in self.columns}
        for place, text in enumerate(rows.texts):
            if text is not None:
                for column, value in self._scores(text, self.references(rows.items[place])).items():
                    found[column][place] = value
        for column in found:
            found[column][list(rows.worst)] = 0.0 if self.direction == "higher" else 1.0
        return found

    def is_defined(self, references: tuple[str, ...]) -> bool:
        return bool(self._scores("{}", references))

    def undefined_columns(self, references: tuple[str, ...]) -> tuple[str, ...]:
        found = self._scores("{}", references)
        return tuple(column for column in self.columns if column not in found) if found else (self.column,)

    def near(self, column: str, references: tuple[str, ...]) -> str:
        if column == self.column:
            return ""
        names = [name for said in references if isinstance(one := json_in(said, fenced=False), dict) for name in _names(one)]
        near = difflib.get_close_matches(column.removeprefix(f"{self.column}."), names, 1)
        return f"did you mean {near[0]!r}?" if near else f"the fields are {', '.join(names)}"

    def _scores(self, text: str, references: tuple[str, ...]) -> dict[str, float]:
        wanted = next((one for one in (json_in(said, fenced=False) for said in references) if isinstance(one, dict)), None)
        if wanted is None:
            return {}
        value = json_in(text, fenced=self.fenced)
        right = {}
        for field in self.fields_ or tuple(wanted):
            path = (field,) if not self.fields_ or field in wanted else tuple(field.split("."))
            expected = _reach(wanted, path)
            if expected is not NONE:
                right[field] = float(self._same(_reach(value, path), expected))
        if not right:
            return {}
        own = {f"{self.column}.{field}": number for field, number in right.items()} if self.fields_ else {}
        return {self.column: sum(right.values()) / len(right)} | own

    def _same(self, value: Any, expected: Any) -> bool:
        if isinstance(expected, bool) or isinstance(value, bool) or expected is None:
            return value is expected
        if isinstance(expected, int | float):
            return isinstance(value, int | float) and self._is_near(value, expected)
        if isinstance(expected, str):
            return isinstance(value, str) and self._plain(value) == self._plain(expected)
        if isinstance(expected, list):
            return isinstance(value, list) and len(value) == len(expected) and all(map(self._same, value, expected))
        return isinstance(value, dict) and value.keys() == expected.keys() and all(self._same(value[key], one) for key, one in expected.items())

    def _is_near(self, value: float, expected: float) -> bool:
        try:
            slack = 0.0 if isinstance(value, int) and isinstance(expected, int) else 1e-12 * max(abs(value), abs(expected))
            return abs(value - expected) <= self.tolerance + slack
        except OverflowError:  # a whole number beyond every float
            return value == expected

    def _plain(self, text: str) -> str:
        plain = " ".join(text.split())
        return plain if self.case else plain.casefold()


def _reach(value: Any, path: tuple[str, ...]) -> Any:
    """What stands at the path, NONE where nothing does."""
    for step in path:
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and len(step) <= _LONGEST_PLACE and int(step) < len(value):
            value = value[int(step)]
        else:
            return NONE
    return value


def _names(value: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """The fields of an object as `fields` writes them, those of objects inside it after their own."""
    for name, one in value.items():
        yield f"{before}{name}"
        if isinstance(one, Mapping):
            yield from _names(one, f"{before}{name}.")


FAMILY: tuple[type[TextMetric], ...] = (JsonValid, JsonSchema, JsonFields)
