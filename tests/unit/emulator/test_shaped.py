"""Simulated answers that have a form: one of the labels, JSON of the schema; right when planted as right, else wrong."""

from __future__ import annotations

import json

import pytest

from batchtrial.emulator.answers.request import BadRequest, from_chat, from_messages, from_responses
from batchtrial.emulator.answers.shaped import json_of, label
from batchtrial.emulator.world.draws import digest

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "n": {"type": "integer", "minimum": 3, "maximum": 9}, "kind": {"enum": ["a", "b"]}},
}
RAWS = [digest("x", k) for k in range(50)]


def test_a_label_is_right_or_another_one() -> None:
    for raw in RAWS:
        assert label(("a", "b", "c"), ("b",), True, raw) == "b"
        assert label(("a", "b", "c"), ("b",), False, raw) in ("a", "c")


def test_json_is_the_accepted_object_or_differs_from_it() -> None:
    gold = {"name": "Ada", "n": 4, "kind": "a"}
    for raw in RAWS:
        assert json.loads(json_of(SCHEMA, json.dumps(gold), True, raw)) == gold
        wrong = json.loads(json_of(SCHEMA, json.dumps(gold), False, raw))
        assert wrong != gold
        assert wrong.keys() == gold.keys()


def test_json_is_made_up_where_nothing_is_accepted() -> None:
    for raw in RAWS:
        value = json.loads(json_of(SCHEMA, None, True, raw))
        assert (3 <= value["n"] <= 9, value["kind"] in ("a", "b"), isinstance(value["name"], str)) == (True, True, True)
    assert json.loads(json_of(SCHEMA, "plain words", True, RAWS[0]))["name"] == "plain words"


def test_the_schema_of_each_wire_is_read() -> None:
    said = [{"role": "user", "content": "x"}]
    chat = from_chat("i", {"model": "m", "messages": said, "response_format": {"type": "json_schema", "json_schema": {"schema": SCHEMA}}})
    response = from_responses("i", {"model": "m", "input": said, "text": {"format": {"type": "json_schema", "schema": SCHEMA}}})
    message = from_messages("i", {"model": "m", "max_tokens": 5, "messages": said, "output_config": {"format": {"schema": SCHEMA}}})
    assert chat.schema == response.schema == message.schema == json.dumps(SCHEMA)
    assert from_chat("i", {"model": "m", "messages": said, "response_format": {"type": "json_object"}}).schema == ""
    with pytest.raises(BadRequest, match="expected a JSON schema"):
        from_chat("i", {"model": "m", "messages": said, "response_format": {"json_schema": {"schema": 3}}})
