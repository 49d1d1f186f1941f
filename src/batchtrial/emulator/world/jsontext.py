"""JSON in and out, strictly: what a provider would refuse is refused here, as one error class."""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class BadJson(ValueError):
    """The bytes are not JSON text that a provider would accept."""


def _refuse_constant(name: str) -> NoReturn:
    raise BadJson(f"{name} is not JSON")


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse_constant)


def decode(raw: bytes | str) -> Any:
    """One JSON value.

    Raises BadJson for bytes that are not UTF-8, for NaN and Infinity, lone surrogates, numbers of thousands of digits and
    nesting deeper than the interpreter's stack: each of them breaks something further down otherwise.
    """
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
        value = _DECODER.decode(text)
        if "\\ud" in text or "\\uD" in text:
            _ENCODER.encode(value).encode("utf-8")
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("nested too deeply") from None
    except ValueError as err:
        raise BadJson(str(err)) from None
    return value


def decode_object(raw: bytes | str) -> dict[str, Any]:
    """One JSON object. Raises BadJson for anything else."""
    value = decode(raw)
    if not isinstance(value, dict):
        raise BadJson("expected a JSON object")
    return value


def encode(value: Any) -> str:
    """Compact JSON text on one line."""
    return _ENCODER.encode(value)


def encode_line(value: Any) -> bytes:
    """Compact JSON text as one UTF-8 line with its newline."""
    return _ENCODER.encode(value).encode("utf-8") + b"\n"


def encode_spaced_line(value: Any, *, is_raw: bool = False) -> bytes:
    """JSON text as Python writes it when nothing else is asked for: spaces behind its signs, and what is not ASCII escaped unless it is raw."""
    return json.dumps(value, ensure_ascii=not is_raw).encode("utf-8") + b"\n"
