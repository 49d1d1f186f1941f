"""Simulated answers that have a form: one of the labels, JSON of the schema; right when planted as right, else wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from batchtrial.emulator.answers.by_rule import told_by_rule
from batchtrial.emulator.answers.modelfile import ModelFile
from batchtrial.emulator.answers.output_form import TEXT, OutputForm
from batchtrial.emulator.answers.request import BadRequest, ChatRequest, from_chat, from_messages, from_responses
from batchtrial.emulator.answers.shaped import json_of, label, object_of
from batchtrial.emulator.wires.gemini.lines import as_chat
from batchtrial.emulator.world.draws import digest, pick

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "n": {"type": "integer", "minimum": 3, "maximum": 9}, "kind": {"enum": ["a", "b"]}},
}
RAWS = [digest("x", k) for k in range(50)]


def test_a_label_is_right_or_another_one() -> None:
    for raw in RAWS:
        assert label(("a", "b", "c"), ("b",), True, raw) == "b"
        assert label(("a", "b", "c"), ("b",), False, raw) in ("a", "c")


def test_errors_are_of_every_kind() -> None:
    assert {label(("a", "b", "c", "d"), ("b",), False, raw) for raw in RAWS} == {"a", "c", "d"}
    gold = {"name": "Ada", "n": 4, "kind": "a"}
    wrong = [json.loads(json_of(SCHEMA, json.dumps(gold), False, raw)) for raw in RAWS]
    assert {name for one in wrong for name in gold if one[name] != gold[name]} == gold.keys()
    with pytest.raises(IndexError):
        pick(RAWS[0], 4, 2)


def test_json_is_the_accepted_object_or_differs_from_it() -> None:
    gold = {"name": "Ada", "n": 4, "kind": "a"}
    for raw in RAWS:
        assert json.loads(json_of(SCHEMA, json.dumps(gold), True, raw)) == gold
        wrong = json.loads(json_of(SCHEMA, json.dumps(gold), False, raw))
        assert wrong != gold
        assert wrong.keys() == gold.keys()


@pytest.mark.parametrize(
    ("order_no", "is_null"),
    [
        ({"type": ["string", "null"]}, True),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"$ref": "#/$defs/number"}, True),
        ({"type": "STRING", "nullable": True}, True),
        ({"enum": ["a", None]}, True),
        ({"type": "string"}, False),
    ],
)
@pytest.mark.parametrize("is_right", [True, False])
def test_json_has_what_its_schema_requires_also_where_the_accepted_object_lacks_it(order_no: dict[str, Any], is_null: bool, is_right: bool) -> None:
    wanted = {"type": "object", "properties": {"name": {"type": "string"}, "order_no": order_no, "note": {"type": "string"}}}
    schema = {**wanted, "required": ["name", "order_no"], "$defs": {"number": {"type": ["null", "integer"]}}}
    for raw in RAWS:
        answer = json.loads(json_of(schema, '{"name": "Ada"}', is_right, raw))
        assert answer.keys() == {"name", "order_no"}
        assert answer["order_no"] is None if is_null else isinstance(answer["order_no"], str)
        assert (answer["name"] == "Ada") == is_right


def test_json_is_made_up_where_nothing_is_accepted() -> None:
    for raw in RAWS:
        value = json.loads(json_of(SCHEMA, None, True, raw))
        assert (3 <= value["n"] <= 9, value["kind"] in ("a", "b"), isinstance(value["name"], str)) == (True, True, True)
    assert json.loads(json_of(SCHEMA, "plain words", True, RAWS[0]))["name"] == "plain words"


NARROW = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "const": "dog"},
        "born": {"type": "string", "format": "date"},
        "at": {"type": "string", "format": "date-time"},
        "mail": {"type": "string", "format": "email"},
        "key": {"type": "string", "format": "uuid"},
        "host": {"type": "string", "format": "ipv4"},
        "code": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
        "zip": {"type": "string", "pattern": "^[0-9]{5}$"},
        "short": {"type": "string", "maxLength": 4},
        "long": {"type": "string", "minLength": 40},
        "weeks": {"type": "integer", "multipleOf": 7, "minimum": 10},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        "age": {"type": "integer", "exclusiveMinimum": 17, "maximum": 19},
    },
}


def test_what_is_made_up_keeps_to_formats_lengths_patterns_and_bounds() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    checker = jsonschema.Draft202012Validator({**NARROW, "required": list(NARROW["properties"])}, format_checker=jsonschema.FormatChecker())
    for gold in (None, "an answer that is right"):
        for raw in RAWS:
            checker.validate(json.loads(json_of(NARROW, gold, True, raw)))
    assert json.loads(json_of(NARROW, "salt and pepper", True, RAWS[0]))["short"] == "salt"


PERSON = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}, "required": ["name", "age"]}
PUT_TOGETHER: dict[str, dict[str, Any]] = {
    # As pydantic writes an optional model, a model in a list, and a chain of models.
    "another model or none": {"properties": {"who": {"anyOf": [{"$ref": "#/$defs/person"}, {"type": "null"}]}, "said": {"type": "string"}}},
    "a model": {"properties": {"who": {"$ref": "#/$defs/person"}}},
    "a model with words beside": {"properties": {"who": {"allOf": [{"$ref": "#/$defs/person"}], "description": "who"}}},
    "a list of models": {"properties": {"who": {"type": "array", "items": {"$ref": "#/$defs/person"}, "minItems": 1}}},
    "a chain": {"properties": {"n": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
    "parts": {"allOf": [PERSON, {"properties": {"town": {"type": "string"}}, "required": ["town"]}]},
    "one of, beside what all have": {"properties": {"name": {"type": "string"}}, "oneOf": [{"properties": {"a": {"const": 1}}, "required": ["a"]}]},
    "required and not described": {"properties": {}, "required": ["said"]},
    "places": {"properties": {"at": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": False, "minItems": 2}}},
    "a text or none": {"properties": {"said": {"type": ["string", "null"], "maxLength": 3}}},
}


@pytest.mark.parametrize("name", PUT_TOGETHER)
def test_what_is_put_together_from_several_schemas_is_valid(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = {"type": "object", "required": list(PUT_TOGETHER[name].get("properties", ())), **PUT_TOGETHER[name], "$defs": {"person": PERSON}}
    checker = jsonschema.Draft202012Validator(schema)
    for gold in (None, "an answer that is right"):
        for raw in RAWS[:20]:
            checker.validate(json.loads(json_of(schema, gold, True, raw)))
    if "said" in schema["required"]:
        assert json.loads(json_of(schema, "yes", True, RAWS[0]))["said"] == "yes"


SAID = [{"role": "user", "content": "x"}]
CALLED = OutputForm(is_json=True, schema=json.dumps(SCHEMA), tool="look_up")
READERS: dict[str, Callable[..., ChatRequest]] = {
    "chat": lambda **body: from_chat("i", {"model": "m", "messages": SAID, **body}),
    "response": lambda **body: from_responses("i", {"model": "m", "input": SAID, **body}),
    "message": lambda **body: from_messages("i", {"model": "m", "max_tokens": 5, "messages": SAID, **body}),
    "gemini": lambda **body: from_chat("i", as_chat({"request": {"contents": [{"role": "user", "parts": [{"text": "x"}]}], **body}}, "m")),
}


@pytest.mark.parametrize(
    ("wire", "body", "form"),
    [
        ("chat", {"response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}}, replace(CALLED, tool="")),
        ("response", {"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}, replace(CALLED, tool="")),
        ("message", {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}, replace(CALLED, tool="")),
        ("gemini", {"generationConfig": {"responseJsonSchema": SCHEMA}}, replace(CALLED, tool="")),
        ("chat", {"response_format": {"type": "json_object"}}, OutputForm(is_json=True)),
        ("response", {"text": {"format": {"type": "json_object"}}}, OutputForm(is_json=True)),
        ("gemini", {"generationConfig": {"responseMimeType": "application/json"}}, OutputForm(is_json=True)),
        ("chat", {"response_format": {"type": "text"}}, TEXT),
        ("chat", {"tools": [{"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}]}, TEXT),
        ("chat", {"tools": [{"function": {"name": "look_up", "parameters": SCHEMA}}], "tool_choice": "required"}, CALLED),
        (
            "chat",
            {
                "tools": [{"function": {"name": "look_up", "parameters": SCHEMA}}],
                "tool_choice": {"type": "function", "function": {"name": "look_up"}},
            },
            CALLED,
        ),
        ("response", {"tools": [{"name": "look_up", "parameters": SCHEMA}], "tool_choice": {"type": "function", "name": "look_up"}}, CALLED),
        ("message", {"tools": [{"name": "look_up", "input_schema": SCHEMA}], "tool_choice": {"type": "tool", "name": "look_up"}}, CALLED),
        ("message", {"tools": [{"name": "look_up", "input_schema": SCHEMA}], "tool_choice": {"type": "any"}}, CALLED),
        ("message", {"tools": [{"name": "look_up", "input_schema": SCHEMA}], "tool_choice": {"type": "auto"}}, TEXT),
        (
            "gemini",
            {
                "tools": [{"functionDeclarations": [{"name": "look_up", "parametersJsonSchema": SCHEMA}]}],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look_up"]}},
            },
            CALLED,
        ),
        ("gemini", {"tools": 3, "toolConfig": [], "generationConfig": "x", "contents": [{"parts": 4}]}, TEXT),
    ],
)
def test_the_form_that_each_wire_asks_for_is_read(wire: str, body: dict[str, Any], form: OutputForm) -> None:
    assert READERS[wire](**body).form == form


def _nested(n: int) -> dict[str, Any]:
    return {"type": "object", "properties": {"in": _nested(n - 1)}, "required": ["in"]} if n else {"type": "integer"}


NODE = {"$ref": "#/$defs/node"}


@pytest.mark.parametrize(
    "node",
    [
        {
            "type": "object",
            "properties": {"n": {"type": "integer"}, "in": {"type": "array", "items": NODE}},
            "required": ["n", "in"],
        },
        {"type": "object", "properties": {"in": {"anyOf": [NODE, {"type": "null"}]}}, "required": ["in"]},
        {"type": "object", "properties": {"in": {"anyOf": [NODE, {"enum": ["leaf"]}]}}, "required": ["in"]},
        {"type": "object", "properties": {"n": {"type": "integer"}, "in": NODE}, "required": ["n"]},
        _nested(12),
    ],
    ids=["list", "null", "leaf", "optional", "deep"],
)
def test_a_schema_that_refers_to_itself_or_goes_deep_is_met(node: dict[str, Any]) -> None:
    """A tree ended in nulls where no null is allowed, and a client that checks its answers bought it again and again."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = {"type": "object", "properties": {"root": NODE}, "required": ["root"], "$defs": {"node": node}}
    for raw in RAWS:
        jsonschema.validate(json.loads(json_of(schema, None, True, raw)), schema)


def test_what_is_no_schema_is_refused() -> None:
    with pytest.raises(BadRequest, match="expected a JSON schema"):
        READERS["chat"](response_format={"json_schema": {"schema": 3}})


def test_references_inside_a_schema_are_followed() -> None:
    inner = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 7, "maximum": 7}}}
    schema: dict[str, Any] = {
        "$defs": {"inner": inner},
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/inner"}, "b": {"type": "ARRAY", "minItems": 2}},
    }
    made = json.loads(json_of(schema, None, True, RAWS[0]))
    assert (made["a"], len(made["b"])) == ({"n": 7}, 2)
    told = json.loads(
        json_of({**schema, "properties": {**schema["properties"], "c": {"anyOf": [{"type": "null"}, {"type": "string"}]}}}, "salt", True, RAWS[0])
    )
    assert (told["a"], told["c"]) == ({"n": 7}, "salt")
    assert json.loads(json_of({"$ref": "#"}, None, True, RAWS[0])) is not None


def test_a_text_becomes_an_object_unless_it_is_one() -> None:
    assert json.loads(object_of("salt")) == {"answer": "salt"}
    assert object_of('{"a": 1}') == '{"a": 1}'


@pytest.mark.parametrize(
    ("file", "body", "text"),
    [
        (ModelFile(answer="echo"), {}, "x"),
        (ModelFile(answer="echo"), {"response_format": {"type": "json_object"}}, '{"answer": "x"}'),
        (ModelFile(template='{"id": "{custom_id}", "said": "{user}", "n": {}}'), {}, '{"id": "i", "said": "x", "n": {}}'),
        (ModelFile(template="{item} of {model}"), {"response_format": {"type": "json_object"}}, '{"answer": "q1 of m"}'),
        (ModelFile(answer="json"), {}, None),
        (ModelFile(), {}, None),
    ],
)
def test_a_rule_says_what_is_told(file: ModelFile, body: dict[str, Any], text: str | None) -> None:
    assert told_by_rule(file, READERS["chat"](**body), "q1", "0") == text


def test_two_rules_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match="not both"):
        ModelFile(answer="echo", template="x")
