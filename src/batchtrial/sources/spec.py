"""Settings of one question set; the config embeds them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from batchtrial.names import Name
from batchtrial.plugins import added, faults

Format = Literal["jsonl", "json", "csv", "parquet", "squad_v2", "nq_open", "triviaqa"]
FORMATS: tuple[Format, ...] = ("jsonl", "json", "csv", "parquet", "squad_v2", "nq_open", "triviaqa")

KEYS_OF: Mapping[str, tuple[str, ...]] = {"bundled": (), "file": ("path", "format", "rows_in"), "hub": ("path", "split", "subset")}
"""The sources of this package, and which settings mean something to each."""


def own_sources() -> Mapping[str, Callable[[SourceSpec], Iterable[Mapping[str, Any]]]]:
    """Sources that plugins add: name -> what gives the rows."""
    return {plugin.name: read for plugin, read in added("batchtrial.sources") if plugin.name not in KEYS_OF and callable(read)}


BUNDLED = ("bundled_open", "bundled_closed")
"""Question sets that ship with the package."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskReads:
    """What a run's tasks read of an item. is_all: they may read any column. has_questions: beside them, questions are asked under an instruction.

    names: columns read for whatever reason. asked: those of them that stand in requests. is_reference_optional: accepted answers are not needed.
    """

    names: frozenset[str]
    asked: frozenset[str] = frozenset()
    is_all: bool = False
    has_questions: bool = False
    is_reference_optional: bool = False


class FieldMap(BaseModel):
    """Names of a row's fields where they differ from the usual ones; `a.b` reaches into a nested object."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str | None = Field(None, description="Item id; unset: `id` or a like name (docs/data.md), else made from the row number.")
    question: str | None = Field(None, description="Question; unset: `question` or a like name.")
    context: str | None = Field(None, description="Passage of an open-book question; unset: `context` or `passage`.")
    answers: str | None = Field(None, description="Accepted answer or list of them; unset: `answers` or a like name.")
    is_unanswerable: str | None = Field(None, description="True or false; unset: `is_unanswerable` or `is_impossible`.")
    cluster: str | None = Field(None, description="What makes items dependent (passage, document); unset: cluster, else title and passage.")
    dataset: str | None = Field(
        None,
        description="Set name per row, for files that mix several; `auto` tries dataset, source and collection. Unset: every row belongs to `name`.",
    )


class SourceSpec(BaseModel):
    """One question set: where it comes from, what its rows look like, how it is scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="Name of the question set in tables, reports and item keys.")
    source: str = Field(
        description="bundled: shipped with the package; file: a local file; hub: Hugging Face `datasets` (extra `hub`); or a plugin's name."
    )
    path: str | None = Field(
        None,
        min_length=1,
        description="file: the file, .gz too; hub: the repository such as rajpurkar/squad_v2 (unset: known from `name`); bundled: not used.",
    )
    format: Format | None = Field(None, description="file: how the file is laid out; unset: guessed from its content, and said.")
    kind: Literal["open", "closed"] | None = Field(
        None, description="open: answered from a passage; closed: from memory; unset: open when the first row has a passage."
    )
    metric: str | None = Field(
        None,
        min_length=1,
        description="squad_v2, triviaqa, nq_open or `package.module:function`; unset: by name and format, else squad_v2 for open "
        "and triviaqa for closed.",
    )
    split: str | None = Field(None, min_length=1, description="hub: split; unset: validation.")
    subset: str | None = Field(None, min_length=1, description="hub: configuration name such as rc.nocontext.")
    max_items: int | None = Field(
        None, ge=1, description="Use at most this many items, chosen by a hash of their ids, so that file order does not matter."
    )
    answer_separator: str | None = Field(
        None, min_length=1, description="Text between accepted answers where one field holds several, such as `|` in a CSV."
    )
    context_separator: str | None = Field(
        None,
        min_length=1,
        description="Text put between the passages where a row has a list of them, such as a blank line; unset: a list of passages is refused.",
    )
    rows_in: str | None = Field(
        None, min_length=1, description="json: name of the list that holds the rows where the file is one object; `a.b` reaches deeper."
    )
    ignore_columns: tuple[str, ...] = Field(
        (),
        description="Columns left out on purpose: they are not named as unread, and `choices`, `messages`, `image`, `system` and their like, without "
        "which a question is another one, are no longer refused.",
    )
    fields: FieldMap = Field(FieldMap(), description="Names of the row's fields where they differ from the usual ones.")

    @model_validator(mode="after")
    def _fits_its_source(self) -> SourceSpec:
        if self.source == "file" and self.path is None:
            raise ValueError("`source: file` needs a `path`")
        if self.source == "bundled" and self.name not in BUNDLED:
            raise ValueError(f"there is no bundled question set {self.name!r}; the names are {' and '.join(BUNDLED)}")
        if self.source not in KEYS_OF and self.source not in own_sources():
            near = difflib.get_close_matches(self.source, (*KEYS_OF, *own_sources()), 1)
            told = f"did you mean {near[0]}?" if near else f"there are {', '.join((*KEYS_OF, *own_sources()))}"
            raise ValueError("; ".join((f"there is no source {self.source!r}; {told}", *faults())))
        allowed = KEYS_OF.get(self.source, ("path", "split", "subset"))
        for key in ("path", "format", "rows_in", "split", "subset"):
            if key not in allowed and getattr(self, key) is not None:
                raise ValueError(f"`{key}` has no meaning with `source: {self.source}`")
        if self.rows_in is not None and self.format not in (None, "json"):
            raise ValueError(f"`rows_in` has no meaning with `format: {self.format}`")
        return self
