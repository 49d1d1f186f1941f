"""Answers that have a form: one of the labels that an item may get, a JSON object, or JSON of the schema that a request asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from batchtrial.emulator.answers.made_up import amount_of, fitted, is_free, number_in, text_of
from batchtrial.emulator.world.draws import digest, number, pick

_DEEPEST: Final = 8
_DEEP: Final = 6
"""From here on values are as small as the schema allows: one that refers to itself has to end somewhere."""
_BOTTOM: Final = 16
_SEVERAL: Final = ("allOf", "anyOf", "oneOf")


def label(labels: Sequence[str], golds: Sequence[str], is_right: bool, raw: bytes) -> str:
    """An accepted label, or another of the labels."""
    others = [one for one in labels if one not in golds]
    chosen = golds if (is_right and golds) or not others else others
    return chosen[pick(raw, 2, len(chosen))]


def object_of(text: str) -> str:
    """The text as a JSON object: itself where it is one, else `{"answer": TEXT}`."""
    return text if _object_in(text) is not None else json.dumps({"answer": text}, ensure_ascii=False)


def json_of(schema: Mapping[str, Any], gold: str | None, is_right: bool, raw: bytes) -> str:
    """JSON of the schema: the accepted answer where that is an object, with a field changed when it is to be wrong; else made up.

    What the schema requires is there also where the accepted answer lacks it, as null where the schema allows that.
    """
    value = None if gold is None else _object_in(gold)
    maker = _Maker(schema, raw)
    root = maker.whole(schema, "")
    properties = _properties(root)
    if value is None:
        made_up = maker.value(schema, "", 0)
        names = [*properties, *_required(root)]
        free = next(((name, text) for name in names if (text := maker.free(properties.get(name, {}))) is not None), None)
        if gold is not None and is_right and free is not None and isinstance(made_up, dict):
            made_up[free[0]] = fitted(gold, free[1])
        return json.dumps(made_up, ensure_ascii=False)
    if not is_right and value:
        name = list(value)[pick(raw, 2, len(value))]
        tries = (_Maker(schema, digest("field", raw.hex(), k)).value(properties.get(name, {}), name, 1) for k in range(8))
        value[name] = next((one for one in tries if one != value[name]), None)
    for name in _required(root):
        if name in properties and name not in value:
            value[name] = None if maker.allows_null(properties[name]) else maker.value(properties[name], f".{name}", 1)
    return json.dumps(value, ensure_ascii=False)


def _object_in(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _required(schema: Mapping[str, Any]) -> list[str]:
    return [name for name in _list(schema.get("required")) if isinstance(name, str)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes up what a schema allows, as far as it is an ordinary one. root: the whole schema, where references lead."""

    root: Mapping[str, Any]
    raw: bytes

    def resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """The schema that a reference inside the whole one leads to; itself without a reference."""
        for _ in range(_DEEPEST):
            place = schema.get("$ref")
            if not isinstance(place, str) or not place.startswith("#"):
                break
            found: Any = self.root
            for step in place.removeprefix("#").strip("/").split("/"):
                found = found.get(step) if step and isinstance(found, Mapping) else found
            schema = found if isinstance(found, Mapping) else {}
        return schema

    def allows_null(self, schema: Any, depth: int = 0) -> bool:
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return False
        schema = self.resolved(schema)
        kind, choices = schema.get("type"), [*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))]
        if "null" in (str(one).lower() for one in (kind if isinstance(kind, list) else [kind])) or schema.get("nullable") is True:
            return True
        return None in _list(schema.get("enum")) or any(self.allows_null(one, depth + 1) for one in choices)

    def whole(self, schema: Mapping[str, Any], path: str, depth: int = 0, *, is_deep: bool = False) -> Mapping[str, Any]:
        """The schema with all that it is put together from, one of its alternatives among it. is_deep: one that holds no others, if there is one."""
        schema = self.resolved(schema)
        several = [*_list(schema.get("allOf"))]
        for key in ("anyOf", "oneOf"):
            if choices := _list(schema.get(key)):
                choices = ([one for one in choices if self._is_single(one)] if is_deep else []) or choices
                several.append(choices[number("value", self.raw.hex(), path) % len(choices)])
        found = {key: value for key, value in schema.items() if key not in _SEVERAL}
        for one in several if depth <= _DEEPEST else ():
            found = _together(found, self.whole(one, path, depth + 1) if isinstance(one, Mapping) else {})
        return found

    def _is_single(self, schema: Any) -> bool:
        """Whether its values hold no others."""
        found = self.resolved(schema) if isinstance(schema, Mapping) else {}
        return "const" in found or "enum" in found or str(found.get("type")).lower() in ("string", "integer", "number", "boolean", "null")

    def free(self, schema: Any, depth: int = 0) -> Mapping[str, Any] | None:
        """The schema, or an alternative of it, that any text of its length meets; None where there is none."""
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return None
        schema = self.resolved(schema)
        choices = [*_list(schema.get("anyOf")), *_list(schema.get("oneOf"))]
        if choices or schema.get("allOf"):
            return next((found for one in choices if (found := self.free(one, depth + 1)) is not None), None)
        return schema if is_free(schema) else None

    def value(self, schema: Any, path: str, depth: int) -> Any:
        is_deep = depth >= _DEEP
        if not isinstance(schema, Mapping) or depth > _BOTTOM or (is_deep and self.allows_null(schema)):
            return None
        schema = self.whole(schema, path, is_deep=is_deep)
        draw = number("value", self.raw.hex(), path)
        if choices := _list(schema.get("enum")):
            return choices[draw % len(choices)]
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = str(kind[0] if isinstance(kind, list) and kind else kind).lower()  # Gemini's are upper case
        if kind == "object":
            properties = _properties(schema)
            names = dict.fromkeys([*(() if is_deep else properties), *_required(schema)])
            return {name: self.value(properties.get(name, {}), f"{path}.{name}", depth + 1) for name in names}
        if kind == "array":
            return self._array(schema, path, depth, draw)
        if kind in ("integer", "number"):
            return amount_of(schema, draw)
        return {"boolean": bool(draw % 2), "null": None}[kind] if kind in ("boolean", "null") else text_of(schema, draw)

    def _array(self, schema: Mapping[str, Any], path: str, depth: int, draw: int) -> list[Any]:
        least, most = int(number_in(schema, "minItems", 0)), int(number_in(schema, "maxItems", 10))
        n = least if depth >= _DEEP else max(least, min(draw % 3, most))
        first, items = _list(schema.get("prefixItems")), schema.get("items", {})
        every = [first[place] if place < len(first) else items for place in range(min(n, 10))]
        return [self.value(one, f"{path}.{place}", depth + 1) for place, one in enumerate(every)]


def _together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What has to meet both; where both say the same thing differently, the other's word."""
    found = {**one, **other}
    if "properties" in one and "properties" in other:
        found["properties"] = {**_properties(one), **_properties(other)}
    if "required" in one and "required" in other:
        found["required"] = [*_list(one["required"]), *_list(other["required"])]
    return found
