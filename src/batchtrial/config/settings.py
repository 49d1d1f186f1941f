"""What all settings have in common: their base, texts that are read from files, and bounded numbers."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from batchtrial.plugins import faults
from batchtrial.providers.registry import ROWS, names


def _known_backend(name: str) -> str:
    if name in ROWS or name in names():
        return name
    near = difflib.get_close_matches(name, names(), 1)
    told = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
    raise ValueError("; ".join((f"there is no backend {name!r}; {told}", *faults())))


Backend = Annotated[str, AfterValidator(_known_backend)]
"""Name of a row in the registry of providers."""
Temperature = Annotated[float, Field(ge=0, le=2), AfterValidator(lambda temp: temp + 0.0)]
"""Adding nothing makes -0.0 the 0.0 that it equals."""
Probability = Annotated[float, Field(gt=0, lt=1)]


class Model(BaseModel):
    """Base of all settings: frozen, unknown keys and numbers without an end refused."""

    # Built when one is first read: most processes are given records, and read none.
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """What YAML reads from `yes` and `on` would be taken for a one."""
        if info.field_name is not None and _takes_numbers_alone(cls, info.field_name) and _holds_flag(value):
            raise ValueError("a number is wanted, not true or false")
        return value


@cache
def _takes_numbers_alone(model: type[BaseModel], name: str) -> bool:
    """Whether the field holds numbers, by themselves, in a list or by name, and nothing else but words that are spelled out."""
    types = set(_types_in(model.model_fields[name].annotation))
    return not types.isdisjoint({int, float}) and types <= {int, float, type(None)}


def _types_in(annotation: Any) -> Iterator[Any]:
    """What values may be, without the names of a mapping and without words that stand in the annotation itself."""
    kind, inner = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        inner = inner[:1]
    elif isinstance(kind, type) and issubclass(kind, Mapping):
        inner = inner[1:]
    elif kind is Literal or annotation is ...:
        return
    if not inner:
        yield annotation
    for one in inner:
        yield from _types_in(one)


def _holds_flag(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_holds_flag, value))
    return _holds_flag(list(value.values())) if isinstance(value, dict) else isinstance(value, bool)


class Text(Model):
    """A prompt file: the path as it was given and the text that it held."""

    path: str = Field(description="Where the text came from, as written in the config.")
    text: str = Field(description="The text itself, read once when the run starts.")

    @property
    def sha256(self) -> str:
        """Hex sha256 of the UTF-8 text."""
        return hashlib.sha256(self.text.encode()).hexdigest()
