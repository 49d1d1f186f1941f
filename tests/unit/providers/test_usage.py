"""What an answer says of its tokens, on every wire and in every shape: whole numbers of both kinds, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Provider
from batchtrial.providers.decode.plain import LineReader
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.xai.adapter import decode_line as xai

ABSENT = object()
ID = "a" * 45


def chat(usage: Any) -> dict[str, Any]:
    body = {"id": "r1", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Rome"}, "finish_reason": "stop"}]}
    return body if usage is ABSENT else body | {"usage": usage}


def responses(usage: Any) -> dict[str, Any]:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Rome"}]}
    body = {"id": "r1", "status": "completed", "output": [message]}
    return body if usage is ABSENT else body | {"usage": usage}


def messages(usage: Any) -> dict[str, Any]:
    body = {"id": "r1", "type": "message", "content": [{"type": "text", "text": "Rome"}], "stop_reason": "end_turn"}
    return body if usage is ABSENT else body | {"usage": usage}


def openai_line(body: dict[str, Any]) -> dict[str, Any]:
    return {"custom_id": ID, "response": {"status_code": 200, "request_id": "r", "body": body}, "error": None}


WIRES: dict[str, tuple[Provider, Any, tuple[str, str]]] = {
    "openai chat": (
        OpenAIProvider(OpenAISettings(endpoint="/v1/chat/completions"), None),
        lambda usage: openai_line(chat(usage)),
        ("prompt_tokens", "completion_tokens"),
    ),
    "openai responses": (
        OpenAIProvider(OpenAISettings(endpoint="/v1/responses"), None),
        lambda usage: openai_line(responses(usage)),
        ("input_tokens", "output_tokens"),
    ),
    "fireworks": (
        FireworksProvider(FireworksSettings(account_id="test"), None),
        lambda usage: {"custom_id": ID, "response": chat(usage)},
        ("prompt_tokens", "completion_tokens"),
    ),
    "anthropic": (
        AnthropicProvider(AnthropicSettings(), None),
        lambda usage: {"custom_id": ID, "result": {"type": "succeeded", "message": messages(usage)}},
        ("input_tokens", "output_tokens"),
    ),
}


def decoded(wire: str, usage: Any) -> tuple[Any, Any]:
    """The usage as `decode` has it, and as the reader of plain lines has it, None when the line is not plain."""
    provider, line, _ = WIRES[wire]
    raw = json.dumps(line(usage)).encode() + b"\n"
    result = provider.decode(raw)
    assert result.outcome == "succeeded"
    assert result.text == "Rome"
    assert isinstance(provider.decode, LineReader)
    plain = provider.decode.pick(raw)
    told = plain.usage if plain is not None else None
    return result.usage, None if told is None else (told.input_tokens, told.output_tokens)


@pytest.mark.parametrize("wire", WIRES)
def test_whole_numbers_of_both_kinds_are_the_usage(wire: str) -> None:
    n_in, n_out = WIRES[wire][2]
    usage, plain = decoded(wire, {n_in: 20, n_out: 5})
    assert (usage.input_tokens, usage.output_tokens) == (20, 5)
    assert plain in (None, (20, 5))


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("value", [20.0, "20"])
def test_whole_numbers_in_another_dress_are_read(wire: str, value: Any) -> None:
    n_in, n_out = WIRES[wire][2]
    usage, _ = decoded(wire, {n_in: value, n_out: 5})
    assert (usage.input_tokens, usage.output_tokens) == (20, 5)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("value", [None, -1, 20.5, "many", "", True, [], {}, 10**30, "9" * 40, float("inf")])
@pytest.mark.parametrize("place", [0, 1])
def test_half_a_count_is_no_usage(wire: str, value: Any, place: int) -> None:
    names = WIRES[wire][2]
    usage, plain = decoded(wire, {names[place]: value, names[1 - place]: 5})
    assert usage is None
    assert plain is None


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("usage", [ABSENT, None, {}, [], "none", 7])
def test_no_usage_is_none(wire: str, usage: Any) -> None:
    assert decoded(wire, usage) == (None, None)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_count_is_no_usage(wire: str, place: int) -> None:
    assert decoded(wire, {WIRES[wire][2][place]: 5}) == (None, None)


BESIDE: list[tuple[dict[str, int], int]] = [
    ({"prompt": 10120, "completion": 1499, "total": 14428, "thoughts": 2809}, 4308),
    ({"prompt": 12, "completion": 1, "total": 399, "thoughts": 386}, 387),
    ({"prompt": 20, "completion": 64, "total": 84, "thoughts": 30}, 64),
    ({"prompt": 20, "completion": 64, "thoughts": 30}, 64),
    ({"prompt": 20, "completion": 64, "total": 90, "thoughts": 30}, 64),
    ({"prompt": 20, "completion": 64, "total": 84, "thoughts": 0}, 64),
]
"""Counts as xAI gives them (the first two were seen), where thoughts stand beside the answer's tokens, and as OpenAI does, who counts them in."""


@pytest.mark.parametrize(("told", "written"), BESIDE)
@pytest.mark.parametrize("wire", ["openai chat", "openai responses", "fireworks", "xai"])
def test_thoughts_that_stand_beside_the_answers_tokens_are_paid_for_too(wire: str, told: dict[str, int], written: int) -> None:
    is_responses = wire == "openai responses"
    names = (
        ("input_tokens", "output_tokens", "output_tokens_details")
        if is_responses
        else ("prompt_tokens", "completion_tokens", "completion_tokens_details")
    )
    usage: dict[str, Any] = {names[0]: told["prompt"], names[1]: told["completion"], names[2]: {"reasoning_tokens": told["thoughts"]}}
    usage |= {"total_tokens": told["total"]} if "total" in told else {}
    if wire == "xai":
        line = {"batch_request_id": ID, "batch_result": {"response": {"chat_get_completion": chat(usage)}}}
        results = [xai(json.dumps(line).encode())]
    else:
        provider, shaped, _ = WIRES[wire]
        read, raw = provider.decode, json.dumps(shaped(usage)).encode()
        assert isinstance(read, LineReader)
        results = [read(raw), read.careful(raw)]
    for result in results:
        assert result.usage is not None
        assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.reasoning_tokens) == (told["prompt"], written, told["thoughts"])
