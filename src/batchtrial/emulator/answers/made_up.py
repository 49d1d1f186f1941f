"""Single values that a schema allows: numbers between its bounds, texts of its format and length."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

_WORDS: Final = ("copper", "about forty", "in early spring", "Vienna", "the night watch", "salt", "Jonas Reed", "a wooden bridge")
_NARROW: Final = ("pattern", "format", "const", "enum")


def is_free(schema: Mapping[str, Any]) -> bool:
    """Whether a text of the schema, which refers to no other, can be any text of its length."""
    if any(key in schema for key in _NARROW):
        return False
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return "string" in (kind if isinstance(kind, list) else [kind])


def fitted(text: str, schema: Mapping[str, Any]) -> str:
    """The text, as long as the schema wants it."""
    least, most = int(number_in(schema, "minLength", 0)), int(number_in(schema, "maxLength", max(1_000, len(text))))
    return text.ljust(least, ".")[:most]


def text_of(schema: Mapping[str, Any], draw: int) -> str:
    """A text. A pattern is met where one of a few usual texts meets it."""
    one = 1 + draw % 28
    of_format = {
        "date": f"2026-03-{one:02}",
        "date-time": f"2026-03-{one:02}T09:26:53Z",
        "time": f"09:{one:02}:53Z",
        "duration": f"PT{one}M",
        "email": f"reader{one}@example.org",
        "hostname": f"host{one}.example.org",
        "ipv4": f"192.0.2.{one}",
        "ipv6": f"2001:db8::{one:x}",
        "uuid": str(uuid.UUID(int=draw % 2**64, version=4)),
        "uri": f"https://example.org/{one}",
    }
    if schema.get("format") in of_format:
        return of_format[str(schema["format"])]
    pattern = schema.get("pattern")
    if isinstance(pattern, str):
        digits = "".join(str((one + k) % 10) for k in range(12))
        letters = "".join(chr(65 + (one + k) % 26) for k in range(12))
        parts = [kind[:n] for kind in (letters, letters.lower(), digits, letters.capitalize()) for n in range(1, 13)]
        usual = (*of_format.values(), *parts, f"{letters[:3]}-{digits[:4]}", f"{letters[0]}{digits[:3]}", f"+{digits}", f"{one}.5", f"#{digits[:6]}")
        return next((text for text in usual if _meets(pattern, text)), _WORDS[draw % len(_WORDS)])
    return fitted(_WORDS[draw % len(_WORDS)], schema)


def _meets(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        return False


def amount_of(schema: Mapping[str, Any], draw: int) -> Any:
    """A number between the bounds, a multiple of the step where there is one."""
    step = number_in(schema, "multipleOf", 0) or 1
    over, under = number_in(schema, "exclusiveMinimum", None), number_in(schema, "exclusiveMaximum", None)
    low = number_in(schema, "minimum", 0 if over is None else over + step)
    high = number_in(schema, "maximum", low + 50 if under is None else under - step)
    if low > high:
        return (number_in(schema, "minimum", over) + number_in(schema, "maximum", under)) / 2 if over is not None or under is not None else high
    value = min(low + draw % 50, high)
    if "multipleOf" in schema:
        value = value // step * step
        value += step if value < low else 0
    return value


def number_in(schema: Mapping[str, Any], key: str, otherwise: Any) -> Any:
    """A number of the schema, or what stands for it."""
    value = schema.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
