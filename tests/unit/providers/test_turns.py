"""Conversations, pictures, schemas and tools in each wire's words; and what a wire does not take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.providers.test_codecs import ALL, REQUEST, anthropic, chat, encoded, fireworks, responses

from batchtrial.errors import ConfigError
from batchtrial.records import Request, Turn

BRACES = "{ {{ name }} {% if %} $HOME ${X}\n\n"
WEB, PNG = "https://a.example/x.png", "data:image/png;base64,iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
FORM = {"name": "answer", "schema": SCHEMA, "strict": True}
TOOL = {"name": "look", "description": "Finds.", "parameters": {"type": "object"}}


def asked(*turns: Turn, **more: Any) -> Request:
    return replace(REQUEST, system=BRACES, user="", turns=turns, **more)


TALK = asked(Turn(role="user", text=BRACES), Turn(role="assistant", text="yes"), Turn(role="user", text="and?"))
SEEN = asked(Turn(role="user", text="See", images=(WEB, PNG)))
FORMED = asked(Turn(role="user", text="x"), response_format=FORM, tools=(TOOL,), tool_choice="look")


@pytest.mark.parametrize(("name", "where"), [("fireworks", "messages"), ("chat", "messages"), ("responses", "input")])
def test_turns_are_sent_as_they_are(name: str, where: str) -> None:
    said = encoded(ALL[name](), TALK)["body"][where]
    assert [(one["role"], one["content"]) for one in said] == [("system", BRACES), ("user", BRACES), ("assistant", "yes"), ("user", "and?")]


def test_anthropic_has_the_system_prompt_apart() -> None:
    params = encoded(anthropic(), TALK)["params"]
    assert params["system"] == BRACES
    assert [(one["role"], one["content"]) for one in params["messages"]] == [("user", BRACES), ("assistant", "yes"), ("user", "and?")]


def test_pictures() -> None:
    urls = [{"type": "image_url", "image_url": {"url": url}} for url in (WEB, PNG)]
    for provider in (fireworks(), chat()):
        assert encoded(provider, SEEN)["body"]["messages"][1]["content"] == [{"type": "text", "text": "See"}, *urls]
    inputs = [{"type": "input_image", "image_url": url} for url in (WEB, PNG)]
    assert encoded(responses(), SEEN)["body"]["input"][1]["content"] == [{"type": "input_text", "text": "See"}, *inputs]
    assert encoded(anthropic(), SEEN)["params"]["messages"][0]["content"] == [
        {"type": "image", "source": {"type": "url", "url": WEB}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
        {"type": "text", "text": "See"},
    ]


def test_parts_whose_order_is_said_stay_in_it_on_every_wire() -> None:
    turn = Turn(role="user", text="A:\nB:", images=(PNG,), parts=(("text", "A:"), ("image", PNG), ("text", "B:")))
    for provider in (fireworks(), chat()):
        assert [one["type"] for one in encoded(provider, asked(turn))["body"]["messages"][1]["content"]] == ["text", "image_url", "text"]
    assert [one["type"] for one in encoded(responses(), asked(turn))["body"]["input"][1]["content"]] == ["input_text", "input_image", "input_text"]
    assert [one.get("text") for one in encoded(anthropic(), asked(turn))["params"]["messages"][0]["content"]] == ["A:", None, "B:"]


@pytest.mark.parametrize("url", ["http://a.example/x.png", "data:image/tiff;base64,AAAA"])
def test_pictures_that_anthropic_does_not_take_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="Anthropic does not take"):
        anthropic().encode(asked(Turn(role="user", text="See", images=(url,))))


def test_schemas_and_tools() -> None:
    for provider in (fireworks(), chat()):
        body = encoded(provider, FORMED)["body"]
        assert body["response_format"] == {"type": "json_schema", "json_schema": FORM}
        assert body["tools"] == [{"type": "function", "function": TOOL}]
        assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    body = encoded(responses(), FORMED)["body"]
    assert body["text"] == {"format": {"type": "json_schema", **FORM}}
    assert body["tools"] == [{"type": "function", **TOOL}]
    assert body["tool_choice"] == {"type": "function", "name": "look"}
    params = encoded(anthropic(), FORMED)["params"]
    assert params["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert params["tools"] == [{"name": "look", "description": "Finds.", "input_schema": {"type": "object"}}]
    assert params["tool_choice"] == {"type": "tool", "name": "look"}
    assert encoded(anthropic(), replace(FORMED, tool_choice="required"))["params"]["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_further_field_does_not_overwrite_what_the_task_asks_for(name: str) -> None:
    with pytest.raises(ConfigError, match="is set by batchtrial itself"):
        ALL[name]().encode(replace(FORMED, extra={"tools": []}))
