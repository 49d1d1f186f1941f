"""Streams that nobody asked for become the bodies that they amount to."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from batchtrial.direct.asking import reply_of
from batchtrial.direct.stream import body_of_stream


def events(*ones: Any, done: bool = False) -> bytes:
    return "".join(f"event: x\ndata: {json.dumps(one)}\n\n" for one in ones).encode() + (b"data: [DONE]\n\n" if done else b"")


def body(raw: bytes) -> Any:
    found = body_of_stream(raw)
    return None if found is None else json.loads(found)


CHAT = (
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Par"}}]},
    {"id": "c", "choices": [{"index": 0, "delta": {"content": "is"}}], "service_tier": "flex"},
    {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
)


def test_pieces_of_chat() -> None:
    found = body(events(*CHAT, done=True))
    assert found["choices"] == [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}]
    assert (found["usage"]["prompt_tokens"], found["service_tier"], found["model"]) == (3, "flex", "m")


def test_tool_calls_of_chat() -> None:
    call = {"index": 0, "id": "t", "function": {"name": "f", "arguments": '{"a"'}}
    more = {"index": 0, "function": {"arguments": ":1}"}}
    found = body(
        events(
            {"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]},
            {"choices": [{"index": 0, "delta": {"tool_calls": [more]}, "finish_reason": "tool_calls"}]},
        )
    )
    assert found["choices"][0]["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


def test_a_response() -> None:
    response = {"id": "r", "status": "completed", "output": []}
    assert body(events({"type": "response.created", "response": {}}, {"type": "response.completed", "response": response})) == response


MESSAGE = (
    {"type": "message_start", "message": {"id": "m", "type": "message", "content": [], "usage": {"input_tokens": 5, "service_tier": "standard"}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Pa"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ris"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)


def test_a_message() -> None:
    found = body(events(*MESSAGE))
    assert found["content"] == [{"type": "text", "text": "Paris"}]
    assert (found["stop_reason"], found["usage"]) == ("end_turn", {"input_tokens": 5, "service_tier": "standard", "output_tokens": 2})


def test_generated_content() -> None:
    one = {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Pa"}]}}]}
    two = {"candidates": [{"index": 0, "content": {"parts": [{"text": "ris"}]}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 4}}
    found = body(events(one, two))
    assert [part["text"] for part in found["candidates"][0]["content"]["parts"]] == ["Pa", "ris"]
    assert found["usageMetadata"] == {"promptTokenCount": 4}


@pytest.mark.parametrize("raw", [events(*CHAT[:2]), events(*MESSAGE[:-1]), events(*CHAT)[:-40][:200], b"", b"data: {half"])
def test_a_stream_that_breaks_off_is_no_answer(raw: bytes) -> None:
    assert body_of_stream(raw) is None
    assert reply_of(200, {"content-type": "text/event-stream"}, raw).kind == "lost"


def test_an_error_in_a_stream_is_the_body() -> None:
    assert body(events(*CHAT[:1], {"error": {"message": "engine died"}}))["error"]["message"] == "engine died"


def test_a_pair_of_surrogates_that_was_sent_in_halves_is_one_character_and_a_half_alone_is_replaced() -> None:
    halves = [{"choices": [{"index": 0, "delta": {"content": half}, "finish_reason": "stop"}]} for half in ("a\ud83d", "\ude00", "b\ud83d")]
    assert body(events(*halves, done=True))["choices"][0]["message"]["content"] == "a\U0001f600b\ufffd"


def test_a_call_that_the_token_limit_cut_has_no_arguments() -> None:
    cut = {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"town": "Vie'}}
    found = body(
        events(
            {"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 3}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
            cut,
            {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 5}},
            {"type": "message_stop"},
        )
    )
    assert (found["content"][0]["input"], found["stop_reason"], found["usage"]) == ({}, "max_tokens", {"input_tokens": 3, "output_tokens": 5})


ODD: tuple[Any, ...] = (None, 1, "x", [], {}, [None], ["x"], [{}])


def changed(value: Any, random: Random) -> Any:
    """The value with some of its parts in the place of others."""
    if random.random() < 0.1:
        return random.choice(ODD)
    if isinstance(value, dict):
        return {name: changed(one, random) for name, one in value.items()}
    return [changed(one, random) for one in value] if isinstance(value, list) else value


def test_a_stream_of_nonsense_is_kept_as_it_came_and_ends_nobodys_asking() -> None:
    call = {"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}
    chat = [{"choices": [{"index": 0, "delta": {"content": "y", "tool_calls": [call]}, "finish_reason": "stop"}], "usage": {"a": 1}}]
    message = [
        {"type": "message_start", "message": {"usage": {"a": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "y"}},
        {"type": "message_delta", "delta": {"stop_reason": "x"}, "usage": {"b": 1}},
        {"type": "message_stop"},
    ]
    content = [{"candidates": [{"index": 0, "content": {"parts": [{"text": "y"}]}, "finishReason": "STOP"}]}]
    random, n_kept = Random(7), 0
    for base in (chat, message, content) * 150:
        raw = events(*(changed(one, random) for one in base), done=True)
        reply = reply_of(200, {"content-type": "text/event-stream"}, raw)
        json.loads(reply.answer.body)
        assert reply.kind in ("answer", "lost")
        n_kept += reply.answer.body.startswith(b'"')
    assert n_kept > 20
    deep = reply_of(200, {"content-type": "text/event-stream"}, b"data: " + b"[" * 100_000 + b"\n\n")
    assert deep.kind == "lost"
