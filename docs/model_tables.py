"""Tables of what a file holds, from the models that read it: name, type, default and meaning of each key."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import msgspec
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

Documented = type[BaseModel] | type[msgspec.Struct]


def type_name(annotation: Any) -> str:
    """A type in words that a reader of YAML or JSON knows."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is type(None):
        return "null"
    if origin is typing.Annotated:
        return type_name(args[0])
    if origin is typing.Literal:
        return " or ".join(f"`{value}`" for value in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(arg) for arg in args)
    if origin in (tuple, list):
        return f"list of {type_name(args[0])}" if args else "list"
    if origin in (dict, Mapping):
        return f"mapping of {type_name(args[1])}" if args else "mapping"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return " or ".join(f"`{one.value}`" for one in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    plain = {
        "str": "text",
        "int": "whole number",
        "float": "number",
        "bool": "true or false",
        "datetime": "time",
        "Decimal": "decimal",
        "Any": "anything",
    }
    return plain.get(getattr(annotation, "__name__", ""), str(getattr(annotation, "__name__", annotation)))


def default_of(field: FieldInfo) -> str:
    """The default as it would be written; empty for a required key."""
    if field.is_required():
        return "required"
    value = field.default if field.default is not PydanticUndefined else field.default_factory() if field.default_factory else None  # type: ignore[call-arg]
    if isinstance(value, BaseModel):
        return "see there"
    if value is None:
        return "unset"
    if value in ((), {}, []):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{value}`"


class Key(typing.NamedTuple):
    """One row of a table. default: as it would be written; "required" for a key without one."""

    name: str
    annotation: Any
    default: str
    meaning: str


def fields_of(model: Documented) -> Iterator[Key]:
    """What a file or a line holds. Raises KeyError for a field that nobody explains."""
    if issubclass(model, BaseModel):
        for name, field in model.model_fields.items():
            yield Key(name, field.annotation, default_of(field), field.description or COMMON[name])
        return
    for one in msgspec.structs.fields(model):
        meaning = next(meta.description for meta in one.type.__metadata__ if meta.description)
        yield Key(one.name, one.type, "required" if one.required else "unset", meaning)


def table(model: Documented) -> Iterator[str]:
    """Rows of one model."""
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for one in fields_of(model):
        yield f"| `{one.name}` | {type_name(one.annotation)} | {one.default} | {cell(one.meaning)} |"


COMMON: Mapping[str, str] = {
    "size": "Bytes.",
    "sha256": "Of the file's bytes.",
    "pid": "Process id.",
    "host": "Name of the machine.",
    "started_at": "When.",
    "released_at": "When it left; unset while it is there.",
    **dict.fromkeys(("succeeded", "errored", "expired", "cancelled", "missing"), "Requests that ended so."),
}
"""What a key means wherever it stands, where its model does not say more."""


def cell(text: str) -> str:
    """Text that is safe inside a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def reachable(model: Documented, seen: dict[str, Documented]) -> None:
    """The model and every model that its fields lead to, in the order of first mention."""
    if model.__name__ in seen:
        return
    seen[model.__name__] = model
    for field in fields_of(model):
        for inner in models_in(field.annotation):
            reachable(inner, seen)


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in typing.get_args(annotation):
        yield from models_in(inner)


def sections(model: Documented, *, level: int = 2) -> Iterator[str]:
    """A heading, the docstring and a table for each model."""
    seen: dict[str, Documented] = {}
    reachable(model, seen)
    for name, one in seen.items():
        yield f"{'#' * level} {name}"
        yield ""
        yield " ".join((one.__doc__ or "").split())
        yield ""
        yield from table(one)
        yield ""
