"""JSON schemas of everyday keywords as plain functions: what `jsonschema` says of a value, some twenty times as fast.

A schema with any other keyword has no such function, and is left to the library. What each keyword means is the same from draft 6 on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Check = Callable[[Any], bool]
"""Whether a value fits."""
SAYS_NOTHING: Final = frozenset(
    ("$schema", "$defs", "definitions", "$comment", "title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "format")
)
"""Keywords that no value is held against; `format` is a note, as the library takes it too."""


class _Other(Exception):
    """The schema says something that is not read here."""


def _is_integer(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


_TYPES: Final[Mapping[str, Check]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": _is_integer,
}
_is_number: Final = _TYPES["number"]


def check_of(schema: Any, matches: Callable[[str, str], bool]) -> Check | None:
    """The schema as a function; None where it needs the library.

    schema: a sound one of draft 6 or later. matches: whether a pattern, the first, matches in a text.
    """
    try:
        return _Reader(schema, matches).read(schema)
    except _Other:
        return None


class _Reader:
    """Makes functions of a schema's parts."""

    def __init__(self, root: Any, matches: Callable[[str, str], bool]) -> None:
        self.root, self.matches = root, matches
        self.known: dict[str, Check | None] = {}  # None while it is read

    def read(self, schema: Any) -> Check:
        """Raises _Other."""
        if isinstance(schema, bool):
            return lambda value: schema
        checks = [self._keyword(name, said, schema) for name, said in schema.items() if name not in SAYS_NOTHING]
        if len(checks) == 1:
            return checks[0]
        if len(checks) == 2:
            first, second = checks
            return lambda value: first(value) and second(value)
        return _all_of(checks)

    def _keyword(self, name: str, said: Any, schema: Mapping[str, Any]) -> Check:
        if name == "$ref" and schema.keys() <= {"$ref"} | SAYS_NOTHING:
            return self._of_reference(said)
        if name in ("anyOf", "allOf", "oneOf"):
            return self._of_several(name, said)
        if name == "not":
            inner = self.read(said)
            return lambda value: not inner(value)
        if name in ("properties", "additionalProperties"):
            return self._of_properties(name, said, schema)
        if name == "items" and not isinstance(said, list):
            inner = self.read(said)
            return lambda value: not isinstance(value, list) or all(map(inner, value))
        if name == "pattern":
            return lambda value: not isinstance(value, str) or self.matches(said, value)
        return _plain(name, said)

    def _of_reference(self, target: str) -> Check:
        if target not in self.known:
            head, _, name = target.rpartition("/")
            parts = self.root.get(head.removeprefix("#/"))
            if head not in ("#/$defs", "#/definitions") or not isinstance(parts, dict) or name not in parts:
                raise _Other
            self.known[target] = None
            self.known[target] = self.read(parts[name])
        found = self.known[target]
        if found is None:  # a schema that holds itself is the library's
            raise _Other
        return found

    def _of_several(self, name: str, said: list[Any]) -> Check:
        checks = [self.read(one) for one in said]
        if name == "oneOf":
            return lambda value: sum(check(value) for check in checks) == 1
        return _all_of(checks) if name == "allOf" else lambda value: any(check(value) for check in checks)

    def _of_properties(self, name: str, said: Any, schema: Mapping[str, Any]) -> Check:
        if name == "additionalProperties":
            known, further = schema.get("properties", {}).keys(), self.read(said)
            if said is False:
                return lambda value: not isinstance(value, dict) or value.keys() <= known
            return lambda value: not isinstance(value, dict) or all(further(one) for key, one in value.items() if key not in known)
        checks = {key: self.read(one) for key, one in said.items()}
        return lambda value: not isinstance(value, dict) or all(check(value[key]) for key, check in checks.items() if key in value)


def _all_of(checks: list[Check]) -> Check:
    return lambda value: all(check(value) for check in checks)


def _plain(name: str, said: Any) -> Check:
    """A keyword without schemas in it. Raises _Other."""
    if name == "type":
        if isinstance(said, str):
            return _TYPES[said]
        kinds = [_TYPES[one] for one in said]
        return lambda value: any(kind(value) for kind in kinds)
    if name == "required":
        wanted = frozenset(said)
        return lambda value: not isinstance(value, dict) or value.keys() >= wanted
    if name in ("enum", "const"):
        return _among(said if name == "enum" else [said])
    if name in _BOUNDS:
        is_meant, holds = _BOUNDS[name]
        return lambda value: not is_meant(value) or holds(value, said)
    raise _Other


def _among(values: list[Any]) -> Check:
    """Raises _Other for values that are lists or objects."""
    if any(isinstance(one, list | dict) for one in values):
        raise _Other
    known = {(isinstance(one, bool), one) for one in values}  # 1 is 1.0, and neither is true
    return lambda value: not isinstance(value, list | dict) and (isinstance(value, bool), value) in known


_BOUNDS: Final[Mapping[str, tuple[Check, Callable[[Any, Any], bool]]]] = {
    "minimum": (_is_number, lambda value, bound: value >= bound),
    "maximum": (_is_number, lambda value, bound: value <= bound),
    "exclusiveMinimum": (_is_number, lambda value, bound: value > bound),
    "exclusiveMaximum": (_is_number, lambda value, bound: value < bound),
    "minLength": (_TYPES["string"], lambda value, bound: len(value) >= bound),
    "maxLength": (_TYPES["string"], lambda value, bound: len(value) <= bound),
    "minItems": (_TYPES["array"], lambda value, bound: len(value) >= bound),
    "maxItems": (_TYPES["array"], lambda value, bound: len(value) <= bound),
    "minProperties": (_TYPES["object"], lambda value, bound: len(value) >= bound),
    "maxProperties": (_TYPES["object"], lambda value, bound: len(value) <= bound),
}
