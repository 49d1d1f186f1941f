"""JSON in an answer: what stands in its code fence, or else the whole text, read strictly."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

NONE: Final = object()
"""The value of a text that is no JSON; None is that of `null`."""
_FENCE: Final = re.compile(r"```[ \t]*(?:json|JSON)?[ \t]*\r?\n(.*?)\r?\n?[ \t]*```", re.DOTALL)
_NO_JSON: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdeghijklmopqrsuvwxyz")
"""What no JSON begins with and most prose does: the failure of a whole decoding costs more than this look."""
_decode = msgspec.json.Decoder().decode


def json_in(text: str, *, fenced: bool) -> Any:
    """The JSON value that the text is; NONE for anything else, also for NaN, for two values, and for what is nested too deeply to be read.

    fenced: whether it may stand in a code fence, with other text around it.
    """
    inner = text
    if fenced and "```" in text:
        fence = _FENCE.search(text)
        inner = text if fence is None else fence.group(1)
    if inner[:1] in _NO_JSON:
        return NONE
    try:
        return _decode(inner.strip("\ufeff"))
    except (ValueError, RecursionError):  # msgspec's own errors are of the first kind
        return NONE
