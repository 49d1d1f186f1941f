"""JSON in an answer: what stands in its code fence, or else the whole text, read strictly."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

NONE: Final = object()
"""The value of a text that is no JSON; None is that of `null`."""
_OPENING: Final = re.compile(r"```[ \t]*([A-Za-z0-9+-]*)(?:[ \t]*\r?\n|[ \t]*(?=[{\[]))")
_CLOSING: Final = re.compile(r"\r?\n[ \t]*```|```[ \t]*(?:\r?\n|\Z)")
_TAGS: Final = frozenset({"", "json", "jsonc", "json5"})
"""What a fence around JSON may say, in lower case."""
_NO_JSON: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdeghijklmopqrsuvwxyz")
"""What no JSON begins with and most prose does: the failure of a whole decoding costs more than this look."""
_decode = msgspec.json.Decoder().decode


def json_in(text: str, *, fenced: bool) -> Any:
    """The JSON value that the text is; NONE for anything else, also for NaN, for two values, and for what is nested too deeply to be read.

    fenced: whether it may stand in a code fence, with other text around it.
    """
    inner = text
    if fenced and "```" in text:
        inner = _fenced(text) or text
    if inner[:1] in _NO_JSON:
        return NONE
    try:
        return _decode(inner.strip("\ufeff"))
    except (ValueError, RecursionError):  # msgspec's own errors are of the first kind
        return NONE


def _fenced(text: str) -> str:
    """What stands in the first code fence that may hold JSON; nothing where there is none."""
    place = 0
    while (opening := _OPENING.search(text, place)) is not None:
        closing = _CLOSING.search(text, opening.end() - 1 if text[opening.end() - 1] == "\n" else opening.end())
        if closing is None:
            return ""
        if opening[1].lower() in _TAGS:
            return text[opening.end() : closing.start()]
        place = closing.end()
    return ""
