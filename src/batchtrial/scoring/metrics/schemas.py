"""JSON schemas of users: references stay inside the schema, and nothing in one can make a check take for ever."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

import jsonschema
import referencing
import referencing.exceptions
import referencing.jsonschema
from jsonschema.validators import extend, validator_for

from batchtrial.errors import ConfigError
from batchtrial.scoring.metrics.everyday import check_of
from batchtrial.scoring.metrics.patterns import matches, pattern_fault

_AS_DATA: Final = frozenset({"enum", "const", "default", "examples"})
"""Keywords whose value is data, where a key called `pattern` is none."""
EMPTY: Final[tuple[Any, ...]] = ({}, [], "", 0, None)
"""Values on which a schema is tried."""
_TOO_DEEP: Final = "the schema refers to itself without an end, or is nested too deeply"


def fitting(schema: Any, where: str) -> Callable[[Any], bool]:
    """Whether a value fits the schema. Raises ConfigError for what is no schema, or one that asks for what is not there."""
    dialect = validator_for(schema, default=jsonschema.Draft202012Validator)
    try:
        dialect.check_schema(schema)
        _check_patterns(schema, where)
        _check_references(dialect, schema, where)
        made = extend(
            dialect,
            {
                "pattern": _pattern,
                "patternProperties": _pattern_properties,
                "additionalProperties": _additional,
                "uniqueItems": _unique_items,
                "multipleOf": _multiple_of,
            },
        )
        validator = made(schema, registry=referencing.Registry(), format_checker=None)
        for value in EMPTY:
            validator.is_valid(value)
        is_new = dialect not in (jsonschema.Draft3Validator, jsonschema.Draft4Validator)
        quick = check_of(schema, _matches) if is_new else None
    except jsonschema.SchemaError as error:
        path = ".".join(map(str, error.absolute_path))
        raise ConfigError(f"this is no JSON schema: {error.message[:200]}", where=f"{where}.schema{'.' if path else ''}{path}") from None
    except RecursionError:
        raise ConfigError(_TOO_DEEP, where=f"{where}.schema") from None

    def fits(value: Any) -> bool:
        try:
            return bool(validator.is_valid(value)) if quick is None else quick(value)
        except RecursionError:  # an answer nested more deeply than any that is meant
            return False
        except referencing.exceptions.Unresolvable as error:
            raise ConfigError(f"the schema refers to what is not in it: {error}"[:300], where=f"{where}.schema") from None

    return fits


def _subschemas(schema: Any) -> Iterator[dict[str, Any]]:
    """Every object in a schema that may be one itself."""
    waiting = [schema]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            yield one
            waiting += [value for key, value in one.items() if key not in _AS_DATA]
        elif isinstance(one, list):
            waiting += one


def _check_patterns(schema: Any, where: str) -> None:
    for one in _subschemas(schema):
        properties = one.get("patternProperties")
        patterns = [one.get("pattern"), *(properties if isinstance(properties, dict) else ())]
        for pattern in patterns:
            fault = pattern_fault(pattern) if isinstance(pattern, str) else None
            if fault is not None:
                raise ConfigError(f"the pattern {pattern!r}: {fault}", where=f"{where}.schema")
        if isinstance(properties, dict) and "unevaluatedProperties" in one:
            raise ConfigError(
                "`unevaluatedProperties` beside `patternProperties` is not supported", where=f"{where}.schema", hint="use `additionalProperties`"
            )


def _check_references(dialect: Any, schema: Any, where: str) -> None:
    specification = referencing.jsonschema.specification_with(dialect.META_SCHEMA["$schema"])
    resource = specification.create_resource(schema)
    base = resource.id() or ""
    resolver = referencing.Registry().with_resource(base, resource).crawl().resolver(base)
    for one in _subschemas(schema):
        for target in (one.get("$ref"), one.get("$dynamicRef")):
            if not isinstance(target, str):
                continue
            try:
                resolver.lookup(target)
            except (referencing.exceptions.Unresolvable, ValueError):
                is_outside = not target.startswith("#")
                hint = "write what it refers to into the schema, under `$defs`" if is_outside else "see its spelling"
                what = f"the schema refers to {target!r}, which is not in it" + ("; nothing is ever fetched" if is_outside else "")
                raise ConfigError(what, where=f"{where}.schema", hint=hint) from None


@lru_cache(maxsize=4096)
def _matches(pattern: str, text: str) -> bool:
    """By an automaton that never goes back, in place of Python's `re`."""
    try:
        return bool(matches([text], pattern)[0])
    except UnicodeEncodeError:
        return False


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    if isinstance(instance, str) and not _matches(pattern, instance):
        yield jsonschema.ValidationError("does not match the pattern")


def _pattern_properties(validator: Any, properties: dict[str, Any], instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    for pattern, inner in properties.items() if isinstance(instance, dict) else ():
        for key, value in instance.items():
            if _matches(pattern, key):
                yield from validator.descend(value, inner, path=key, schema_path=pattern)


def _additional(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    known, patterns = schema.get("properties", {}), tuple(schema.get("patternProperties", {}))
    for key, value in instance.items() if isinstance(instance, dict) else ():
        if key in known or any(_matches(pattern, key) for pattern in patterns):
            continue
        if allowed is False:
            yield jsonschema.ValidationError("has a further property")
            return
        yield from validator.descend(value, allowed, path=key)


def _unique_items(validator: Any, is_asked: Any, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """In one pass, where the library compares each with each."""
    if is_asked is True and isinstance(instance, list) and len({json.dumps(_same(one), sort_keys=True) for one in instance}) < len(instance):
        yield jsonschema.ValidationError("has equal items")


def _multiple_of(validator: Any, unit: float, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """By the decimals that were written: 19.99 is a multiple of 0.01, which it is not in binary."""
    if isinstance(instance, int | float) and not isinstance(instance, bool) and (_written(instance) / _written(unit)).denominator != 1:
        yield jsonschema.ValidationError("is no multiple")


def _written(value: float) -> Fraction:
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def _same(value: Any) -> Any:
    """1.0 as the 1 that it equals."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_same(one) for one in value]
    return {key: _same(one) for key, one in value.items()} if isinstance(value, dict) else value
