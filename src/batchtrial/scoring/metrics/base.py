"""What a metric by name is: its parameters, what its numbers are, and how it reads many answers at once.

A metric is a frozen record of its parameters. It says of itself what kind of number it gives, which direction is better, what it needs, when it is
undefined and which library computes it; nothing of that is asked of the config.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from typing import Annotated, Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from batchtrial.errors import MissingExtra

Numbers = NDArray[np.float64]
Kind = Literal["share", "grade", "count", "corpus"]
Better = Literal["higher", "lower"]
REFERENCE: Literal["a reference"] = "a reference"
EXTRA = "metrics"
NAME = r"\A[A-Za-z][A-Za-z0-9_.-]{0,59}\z"
"""What a column may be called."""


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One text or several."""


class Asked(Protocol):
    """What a metric may know of an item."""

    @property
    def answers(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Answers of one set. texts: what is scored of each, None where nothing is. items: what each answers.

    facts: what is known of each answer beside its text, NaN where it is not: tokens and dollars by the names of the columns of answers.parquet, and
    `refused`, 1 where the provider says that its model or filter declined. worst: places of answers that are declared to count as wrong.
    """

    texts: Sequence[str | None]
    items: Sequence[Asked]
    facts: Mapping[str, Numbers] = field(default_factory=dict)
    worst: Sequence[int] = ()


class NamedMetric(BaseModel):
    """Base of all of them; the fields are parameters that any metric takes."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, allow_inf_nan=False, populate_by_name=True, protected_namespaces=(), defer_build=True
    )

    id: ClassVar[str]
    kind: ClassVar[Kind] = "share"
    limits: ClassVar[tuple[float, float] | None] = None
    """The lowest and the highest that a grade or a count can be, where it has both; lost answers are then bounded by them."""
    better_when: ClassVar[Better] = "higher"
    needs: ClassVar[str] = "the answer"
    undefined: ClassVar[str] = "never"
    facts: ClassVar[tuple[str, ...]] = ()
    """What it reads of Rows.facts."""
    counts: ClassVar[frozenset[str]] = frozenset()
    """States of answers that are lost to scoring and of which it has a number all the same."""
    library: ClassVar[str | None] = None
    """The distribution whose module computes it."""
    module: ClassVar[str | None] = None

    name: str | None = Field(None, pattern=NAME, description="Its column in the tables; unset: the metric's own name.")
    sets: Texts = Field((), description="Question sets that it is for; unset: all.")
    better: Better | None = Field(None, description="Which direction is better, where the usual one is not meant.")
    is_negated: bool = Field(False, alias="not", description="One minus the share: of answers of which it is not true.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.is_negated and self.number_kind != "share":
            raise ValueError(f"not: only a share has a negation, and {self.id} is a {self.number_kind}")
        if self.name is not None and self.name.endswith("_std"):
            raise ValueError("name: names that end with _std are batchtrial's own")
        return self

    @property
    def column(self) -> str:
        """The name that it goes by."""
        return self.name or (f"not_{self.id}" if self.is_negated else self.id)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table of scores that it fills."""
        return (self.column,)

    @property
    def number_kind(self) -> Kind:
        """What its numbers are, where parameters say it too."""
        return self.kind

    @property
    def direction(self) -> Better:
        """Which direction is better. Whoever negates a share asks for the negation."""
        return self.better or ("higher" if self.is_negated else self.better_when)

    @property
    def scales(self) -> dict[str, str]:
        """What the number of each column is."""
        return dict.fromkeys(self.columns, self.number_kind)

    @property
    def version(self) -> str | None:
        """Version of the library that computes it; None where nothing beside this program does, and where it is not installed."""
        try:
            return None if self.library is None else metadata.version(self.library)
        except metadata.PackageNotFoundError:
            return None

    @property
    def uses_references(self) -> bool:
        """Whether it compares with references of the items."""
        return self.needs == REFERENCE

    def check(self) -> None:
        """Raises ConfigError for what cannot work, MissingExtra for a library that is not installed; nothing was paid by then."""
        if self.module is not None and importlib.util.find_spec(self.module) is None:
            raise MissingExtra(f"the metric {self.id} needs {self.library}", hint=f"pip install 'batchtrial[{EXTRA}]'")

    def made_of(self) -> Any:
        """What decides its numbers, as JSON values: its parameters, and the content of files that they name."""
        return self.model_dump(mode="json", by_alias=True, exclude={"name", "better", "sets"})

    def record(self) -> dict[str, Any]:
        """What scoring.json says of it."""
        return {
            "files": [],
            "names": list(self.columns),
            "scales": self.scales,
            "limits": {name: list(self.limits) for name in self.columns if self.limits is not None},
            "n_failed": 0,
            "failures": [],
            "metric": self.id,
            "parameters": self.made_of(),
            "better": self.direction,
            "library": self.library,
            "version": self.version,
        }

    def of(self, rows: Rows) -> dict[str, Numbers]:
        """Its columns for these answers, NaN where it is undefined."""
        raise NotImplementedError


class TextMetric(NamedMetric):
    """A metric of the answer's text, perhaps compared with references: one number an answer."""

    def of(self, rows: Rows) -> dict[str, Numbers]:
        there = [place for place, text in enumerate(rows.texts) if text is not None]
        values = np.full(len(rows.texts), np.nan)
        if there:
            texts = [rows.texts[place] or "" for place in there]
            found = np.asarray(self.judge(texts, [self.references(rows.items[place]) for place in there] if self.uses_references else ()))
            if found.shape != (len(there),):  # one number alone would be taken for the number of every answer
                raise ValueError(f"{found.size} numbers for {len(there)} answers")
            values[there] = found
        if self.kind == "share":
            values[list(rows.worst)] = 0.0 if self.better_when == "higher" else 1.0
            values = 1.0 - values if self.is_negated else values
            values[list(rows.worst)] = 0.0 if self.direction == "higher" else 1.0
        return {self.column: values}

    def references(self, item: Asked) -> tuple[str, ...]:
        """What the item's answer is compared with."""
        return tuple(item.answers)

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        """One number for each text. references: of each, empty when the metric uses none."""
        raise NotImplementedError


class ReferenceMetric(TextMetric):
    """A metric that compares with references of the item."""

    needs: ClassVar[str] = REFERENCE
    undefined: ClassVar[str] = "the item has no reference"

    reference: str | None = Field(None, min_length=1, description="Column of the item that holds the reference; unset: the accepted answers.")

    def references(self, item: Asked) -> tuple[str, ...]:
        if self.reference is None:
            return tuple(item.answers)
        value = getattr(item, "columns", {}).get(self.reference)
        if type(value) is int:
            return (str(value),)
        values = value if isinstance(value, list | tuple) else (value,)
        texts = (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in values if one is not None)
        return tuple(text for text in texts if text.strip())  # an empty one would be found in every answer

    def is_defined(self, references: tuple[str, ...]) -> bool:
        """Whether an answer to an item with these references has a value."""
        return bool(references)

    def undefined_columns(self, references: tuple[str, ...]) -> tuple[str, ...]:
        """Which of the columns have no value for an item with these references; where its own has none, that one alone."""
        return () if self.is_defined(references) else (self.column,)

    def near(self, column: str, references: tuple[str, ...]) -> str:
        """What may have been meant by a column without a value: an end of a hint, "" where nothing is near."""
        return ""
