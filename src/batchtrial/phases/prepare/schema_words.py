"""Refuses a misspelt keyword in a JSON schema of the config: it forbids nothing, and neither a library nor every provider says so.

It is looked for before anything is bought and not when a config is read, so that a run that was begun with one goes on.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from batchtrial.config.metric_entries import named_metrics
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.scoring.metrics.structured import JsonSchema
from batchtrial.tasks.recipe import compiled

_OF_NAMES: Final = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"})
"""Keywords whose keys are a user's own names, with a schema each."""
_OF_SCHEMAS: Final = """
    items additionalItems prefixItems contains additionalProperties unevaluatedItems unevaluatedProperties propertyNames if then else not allOf anyOf
    oneOf contentSchema extends disallow
"""
"""Keywords whose value is a schema or a list of them."""
_OTHERS: Final = """
    type enum const default examples title description format $schema $id id $ref $anchor $dynamicRef $dynamicAnchor $recursiveRef $recursiveAnchor
    $comment $vocabulary multipleOf divisibleBy maximum exclusiveMaximum minimum exclusiveMinimum maxLength minLength pattern maxItems minItems
    uniqueItems maxContains minContains maxProperties minProperties required dependentRequired contentMediaType contentEncoding readOnly writeOnly
    deprecated
"""
_KEYWORDS: Final = {word.lower(): word for word in (*_OF_NAMES, *_OF_SCHEMAS.split(), *_OTHERS.split())}
_NOTES: Final = frozenset({"example", "comment", "note", "notes", "schema", "nullable", "enumNames", "enumDescriptions", "propertyOrdering"})
"""What other tools write into schemas and forbids nothing, however near to a keyword."""
_NEAR: Final = 0.8


def check_schemas(config: Config, recipes: Sequence[str]) -> None:
    """Look at the schemas of these tasks, and of the metrics. Raises ConfigError."""
    for where, schema in _schemas(config, recipes):
        for path, key, meant in _misspelt(schema):
            raise ConfigError(f"{key!r} is no keyword of JSON schemas, and forbids nothing", where=f"{where}{path}", hint=f"did you mean {meant!r}?")


def _schemas(config: Config, recipes: Sequence[str]) -> Iterator[tuple[str, Any]]:
    for recipe in (compiled(one).recipe for one in recipes):
        if recipe.response_format is not None:
            yield "task.response_format.json_schema", recipe.response_format["schema"]
        for place, tool in enumerate(recipe.tools):
            yield f"task.tools.{place}.parameters", tool["parameters"]
    for metric in named_metrics(config.metrics):
        if isinstance(metric, JsonSchema):
            yield f"metrics.{metric.column}.schema", metric.schema_now


def _misspelt(schema: Any) -> Iterator[tuple[str, str, str]]:
    """Words that are nearly a keyword, each behind the path to where it stands and before the keyword."""
    waiting = [(schema, "")]
    while waiting:
        one, at = waiting.pop()
        if isinstance(one, list):
            waiting += [(inner, f"{at}.{place}") for place, inner in enumerate(one)]
        if not isinstance(one, dict):
            continue
        for key, value in one.items():
            if key in _OF_NAMES and isinstance(value, dict):
                waiting += [(inner, f"{at}.{key}.{name}") for name, inner in value.items()]
            elif key in _OF_SCHEMAS.split():
                waiting.append((value, f"{at}.{key}"))
            elif (meant := _meant(str(key))) is not None:
                yield at, key, meant


def _meant(key: str) -> str | None:
    if key in _KEYWORDS.values() or key in _NOTES:
        return None
    near = difflib.get_close_matches(key.lower(), _KEYWORDS, 1, cutoff=_NEAR)
    return _KEYWORDS[near[0]] if near else None
