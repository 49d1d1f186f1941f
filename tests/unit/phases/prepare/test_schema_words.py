"""A word in a schema that is nearly a keyword is refused before anything is bought; what other tools write there is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.prepare.test_values_there import config_of

from batchtrial.errors import ConfigError
from batchtrial.phases.prepare import phase as prepare

FINE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "requierd": {"type": "string", "example": "yes", "nullable": True, "x-order": 1},
        "typ": {"enum": [{"propertys": 1}], "default": {"itmes": []}, "const": {"typ": 1}, "$comment": "kept"},
        "n": {"$ref": "#/$defs/itmes"},
    },
    "required": ["requierd", "typ", "n"],
    "additionalProperties": False,
    "$defs": {"itmes": {"type": "array", "items": {"type": "string"}, "note": "not what it says"}},
}
WRONG = [
    ({"propertys": {}}, "", "propertys", "properties"),
    ({"properties": {"a": {"type": "array", "item": {}}}}, ".properties.a", "item", "items"),
    ({"anyOf": [{}, {"requierd": ["a"]}]}, ".anyOf.1", "requierd", "required"),
    ({"AdditionalProperties": False}, "", "AdditionalProperties", "additionalProperties"),
    ({"$defs": {"a": {"not": {"minimun": 1}}}}, ".$defs.a.not", "minimun", "minimum"),
    ({"properties": {"a": {"ref": "#/$defs/b"}}}, ".properties.a", "ref", "$ref"),
]


@pytest.mark.parametrize("settings", ["response_format", "tools", "json_schema"])
def test_a_schema_with_the_names_and_notes_of_its_user_is_taken(settings: str, tmp_path: Path) -> None:
    assert prepare.choose(_config(tmp_path, settings, FINE)).items


@pytest.mark.parametrize(("schema", "path", "key", "meant"), WRONG)
@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ("response_format", "task.response_format.json_schema"),
        ("tools", "task.tools.0.parameters"),
        ("json_schema", "metrics.json_schema.schema"),
    ],
)
def test_a_misspelt_keyword_is_refused(settings: str, where: str, schema: dict[str, Any], path: str, key: str, meant: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare.choose(_config(tmp_path, settings, schema))
    assert f"{key!r} is no keyword of JSON schemas" in caught.value.what
    assert (caught.value.where, caught.value.hint) == (f"{where}{path}", f"did you mean {meant!r}?")


def _config(folder: Path, settings: str, schema: dict[str, Any]) -> Any:
    if settings == "json_schema":
        return config_of(folder, {"json_schema": {"schema": schema}})
    if settings == "tools":
        return config_of(folder, "words", task={"user": "{{ body }}", "tools": [{"name": "look", "parameters": schema}]})
    form = {"json_schema": {"type": "object", **schema}, "strict": False}
    return config_of(folder, "words", task={"user": "{{ body }}", "response_format": form})
