"""What all settings have in common: their base, texts that are read from files, and bounded numbers."""

from __future__ import annotations

import difflib
import hashlib
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

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

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False)


class Text(Model):
    """A prompt file: the path as it was given and the text that it held."""

    path: str = Field(description="Where the text came from, as written in the config.")
    text: str = Field(description="The text itself, read once when the run starts.")

    @property
    def sha256(self) -> str:
        """Hex sha256 of the UTF-8 text."""
        return hashlib.sha256(self.text.encode()).hexdigest()
