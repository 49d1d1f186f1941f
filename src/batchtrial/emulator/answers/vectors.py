"""Embeddings: a vector for each text, drawn from the text and the model's name alone, of length 1 as those of the service are."""

from __future__ import annotations

import base64
import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any, Final

MAX_INPUTS: Final = 2048
USUAL, LARGE, MOST = 1536, 3072, 4096
CHARS_A_TOKEN: Final = 4


class BadInput(ValueError):
    """A body that the endpoint refuses; `param` names the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """What is to be turned into vectors. inputs: texts, lists of tokens written as texts."""

    inputs: tuple[str, ...]
    n_tokens: int
    dimensions: int
    is_base64: bool


def vectors_in(body: Mapping[str, Any]) -> Vectors:
    """What an embeddings body asks for. Raises BadInput."""
    given = body.get("input")
    is_one = isinstance(given, str) or (isinstance(given, list) and bool(given) and all(_is_token(each) for each in given))
    inputs = [given] if is_one else given
    if not isinstance(inputs, list) or not 1 <= len(inputs) <= MAX_INPUTS:
        raise BadInput(f"input: expected a text, a list of tokens, or a list of up to {MAX_INPUTS} of them", "input")
    texts = tuple(_text(each) for each in inputs)
    n_tokens = sum(len(each) if isinstance(each, list) else -(-len(each) // CHARS_A_TOKEN) for each in inputs)
    usual = LARGE if "large" in str(body.get("model")) else USUAL
    dimensions = body.get("dimensions", usual)
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or not 1 <= dimensions <= MOST:
        raise BadInput(f"dimensions: expected an integer from 1 to {MOST}", "dimensions")
    form = body.get("encoding_format", "float")
    if form not in ("float", "base64"):
        raise BadInput("encoding_format: expected float or base64", "encoding_format")
    return Vectors(inputs=texts, n_tokens=n_tokens, dimensions=dimensions, is_base64=form == "base64")


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list) and value and all(_is_token(each) for each in value):
        return " ".join(map(str, value))
    raise BadInput("input: expected texts or lists of tokens, none of them empty", "input")


def embeddings(model: str, wanted: Vectors) -> dict[str, Any]:
    """Body of `/v1/embeddings`."""
    data = [
        {"object": "embedding", "index": index, "embedding": _encoded(_vector(model, text, wanted.dimensions), is_base64=wanted.is_base64)}
        for index, text in enumerate(wanted.inputs)
    ]
    return {"object": "list", "data": data, "model": model, "usage": {"prompt_tokens": wanted.n_tokens, "total_tokens": wanted.n_tokens}}


def _vector(model: str, text: str, dimensions: int) -> array[float]:
    drawn = array("h", hashlib.shake_256(f"{model}\x1f{text}".encode("utf-8", "surrogatepass")).digest(2 * dimensions))
    length = sqrt(sum(each * each for each in drawn)) or 1.0
    return array("f", (each / length for each in drawn))


def _encoded(vector: array[float], *, is_base64: bool) -> str | list[float]:
    return base64.b64encode(vector.tobytes()).decode() if is_base64 else [round(each, 8) for each in vector]
