"""Answers that have a form: one of the labels that an item may get, a JSON object, or JSON of the schema that a request asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from batchtrial.emulator.answers.made_up import amount_of, fitted, is_free, number_in, text_of
from batchtrial.emulator.world.draws import digest, number, pick

_DEEPEST: Final = 8


def label(labels: Sequence[str], golds: Sequence[str], is_right: bool, raw: bytes) -> str:
    """An accepted label, or another of the labels."""
    others = [one for one in labels if one not in golds]
    chosen = golds if (is_right and golds) or not others else others
    return chosen[pick(raw, 4, len(chosen))]


def object_of(text: str) -> str:
    """The text as a JSON object: itself where it is one, else `{"answer": TEXT}`."""
    return text if _object_in(text) is not None else json.dumps({"answer": text}, ensure_ascii=False)


def json_of(schema: Mapping[str, Any], gold: str | None, is_right: bool, raw: bytes) -> str:
    """JSON of the schema: the accepted answer where that is an object, with a field changed when it is to be wrong; else made up.

    What the schema requires is there also where the accepted answer lacks it, as null where the schema allows that.
    """
    value = None if gold is None else _object_in(gold)
    maker = _Maker(schema, raw)
    properties = _properties(maker.resolved(schema))
    if value is None:
        made_up = maker.value(schema, "", 0)
        names = [name for name, one in properties.items() if is_free(maker.resolved(one) if isinstance(one, Mapping) else one)]
        if gold is not None and is_right and names and isinstance(made_up, dict):
            made_up[names[0]] = fitted(gold, properties[names[0]])
        return json.dumps(made_up, ensure_ascii=False)
    if not is_right and value:
        name = list(value)[pick(raw, 4, len(value))]
        tries = (_Maker(schema, digest("field", raw.hex(), k)).value(properties.get(name, {}), name, 1) for k in range(8))
        value[name] = next((one for one in tries if one != value[name]), None)
    for name in _list(maker.resolved(schema).get("required")):
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

    def value(self, schema: Any, path: str, depth: int) -> Any:
        if not isinstance(schema, Mapping) or depth > _DEEPEST:
            return None
        schema = self.resolved(schema)
        draw = number("value", self.raw.hex(), path)
        for key in ("enum", "anyOf", "oneOf", "allOf"):
            choices = schema.get(key)
            if isinstance(choices, list) and choices:
                one = choices[draw % len(choices)]
                return one if key == "enum" else self.value(one, path, depth + 1)
        if "const" in schema:
            return schema["const"]
        kind = schema.get("type", "object" if "properties" in schema else "string")
        kind = str(kind[0] if isinstance(kind, list) and kind else kind).lower()  # Gemini's are upper case
        if kind == "object":
            return {name: self.value(one, f"{path}.{name}", depth + 1) for name, one in _properties(schema).items()}
        if kind == "array":
            return self._array(schema, path, depth, draw)
        if kind in ("integer", "number"):
            return amount_of(schema, draw)
        return {"boolean": bool(draw % 2), "null": None}[kind] if kind in ("boolean", "null") else text_of(schema, draw)

    def _array(self, schema: Mapping[str, Any], path: str, depth: int, draw: int) -> list[Any]:
        least, most = int(number_in(schema, "minItems", 0)), int(number_in(schema, "maxItems", 10))
        n = max(least, min(draw % 3, most))
        return [self.value(schema.get("items", {}), f"{path}.{place}", depth + 1) for place in range(min(n, 10))]
