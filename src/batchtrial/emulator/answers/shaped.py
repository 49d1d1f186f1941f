"""Answers that have a form: one of the labels that an item may get, or JSON of the schema that a request asks for."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from batchtrial.emulator.world.draws import digest, number, pick

_DEEPEST: Final = 8
_WORDS: Final = ("copper", "about forty", "in early spring", "Vienna", "the night watch", "salt", "Jonas Reed", "a wooden bridge")


def label(labels: Sequence[str], golds: Sequence[str], is_right: bool, raw: bytes) -> str:
    """An accepted label, or another of the labels."""
    others = [one for one in labels if one not in golds]
    chosen = golds if (is_right and golds) or not others else others
    return chosen[pick(raw, 4, len(chosen))]


def json_of(schema: Mapping[str, Any], gold: str | None, is_right: bool, raw: bytes) -> str:
    """JSON of the schema: the accepted answer where that is an object, with a field changed when it is to be wrong; else made up."""
    try:
        value = json.loads(gold) if gold is not None else None
    except ValueError:
        value = None
    made_up = _value(schema, raw, "", 0)
    if not isinstance(value, dict):
        names = [name for name, one in schema.get("properties", {}).items() if isinstance(one, Mapping) and one.get("type", "string") == "string"]
        if gold is not None and is_right and names and isinstance(made_up, dict):
            made_up[names[0]] = gold
        return json.dumps(made_up, ensure_ascii=False)
    if not is_right and value:
        name = list(value)[pick(raw, 4, len(value))]
        asked = schema.get("properties", {}).get(name, {})
        tries = (_value(asked, digest("field", raw.hex(), k), name, 1) for k in range(8))
        value[name] = next((one for one in tries if one != value[name]), None)
    return json.dumps(value, ensure_ascii=False)


def _value(schema: Any, raw: bytes, path: str, depth: int) -> Any:
    """Something that the schema allows, as far as it is an ordinary one."""
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return None
    draw = number("value", raw.hex(), path)
    for key in ("enum", "anyOf", "oneOf"):
        choices = schema.get(key)
        if isinstance(choices, list) and choices:
            one = choices[draw % len(choices)]
            return one if key == "enum" else _value(one, raw, path, depth + 1)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type", "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        named = schema.get("properties", {})
        return {name: _value(one, raw, f"{path}.{name}", depth + 1) for name, one in named.items()} if isinstance(named, Mapping) else {}
    if kind == "array":
        n = max(int(schema.get("minItems", 0)), draw % 3)
        return [_value(schema.get("items", {}), raw, f"{path}.{place}", depth + 1) for place in range(min(n, 10))]
    if kind in ("integer", "number"):
        low = schema.get("minimum", 0)
        return min(low + draw % 50, schema.get("maximum", low + 50))
    return {"boolean": bool(draw % 2), "null": None}.get(str(kind), _WORDS[draw % len(_WORDS)])
