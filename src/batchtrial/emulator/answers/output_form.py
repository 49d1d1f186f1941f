"""The form that a request wants its answer in: any text, a JSON object, JSON of a schema, or a call of a tool that it does not leave to the model.

Each endpoint spells it in its own way; here are all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_OPEN: Final[dict[str, Any]] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class OutputForm:
    """is_json: an object, of whatever schema. schema: as JSON text, "" for none. tool: name of the one that has to be called."""

    is_json: bool = False
    schema: str = ""
    tool: str = ""


class BadForm(ValueError):
    """A form that cannot be meant; `param` names the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


TEXT: Final = OutputForm()


def of_chat(body: Mapping[str, Any]) -> OutputForm:
    """`response_format`, `tools` and `tool_choice` of a chat completion. Raises BadForm."""
    tools = {name: tool["function"].get("parameters") for tool in _objects(body.get("tools")) if (name := _name(tool.get("function")))}
    choice = body.get("tool_choice")
    return _called(tools, choice in ("required", "any"), _name(_at(choice, "function"))) or _said(
        body, ("response_format",), ("response_format", "json_schema", "schema")
    )


def of_response(body: Mapping[str, Any]) -> OutputForm:
    """`text.format`, `tools` and `tool_choice` of a response. Raises BadForm."""
    tools = {name: tool.get("parameters") for tool in _objects(body.get("tools")) if (name := _name(tool))}
    choice = body.get("tool_choice")
    return _called(tools, choice == "required", _name(choice)) or _said(body, ("text", "format"), ("text", "format", "schema"))


def of_message(params: Mapping[str, Any]) -> OutputForm:
    """`output_config.format`, `tools` and `tool_choice` of an Anthropic message. Raises BadForm."""
    tools = {name: tool.get("input_schema") for tool in _objects(params.get("tools")) if (name := _name(tool))}
    choice = params.get("tool_choice")
    called = _called(tools, _at(choice, "type") == "any", _name(choice))
    return called or _said(params, ("output_config", "format"), ("output_config", "format", "schema"))


def _called(tools: Mapping[str, Any], is_any: bool, named: str) -> OutputForm | None:
    """The call of the tool that is named, or of the first one where any will do."""
    name = named if named in tools else next(iter(tools), "") if is_any else ""
    if not name:
        return None
    schema = tools[name]
    return OutputForm(is_json=True, schema=json.dumps(schema if isinstance(schema, Mapping) else _OPEN), tool=name)


def _said(body: Mapping[str, Any], at: tuple[str, ...], schema_at: tuple[str, ...]) -> OutputForm:
    schema = _at(body, *schema_at)
    if schema is not None and not isinstance(schema, Mapping):
        raise BadForm(f"{'.'.join(schema_at)}: expected a JSON schema", ".".join(schema_at))
    if schema is not None:
        return OutputForm(is_json=True, schema=json.dumps(schema))
    return OutputForm(is_json=True) if _at(body, *at, "type") in ("json_object", "json_schema") else TEXT


def _at(value: Any, *path: str) -> Any:
    """What lies at a path; None where nothing does."""
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _name(value: Any) -> str:
    name = _at(value, "name")
    return name if isinstance(name, str) else ""


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in value if isinstance(one, Mapping)) if isinstance(value, list) else ()
