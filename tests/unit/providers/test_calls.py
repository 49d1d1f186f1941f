"""Calls of tools as answers, on all forms in which they come; and everything else is read as without tools."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from batchtrial.providers.anthropic.results import decode_line as anthropic
from batchtrial.providers.decode.calls import calls_as_answers
from batchtrial.providers.decode.lines import decode_line as openai
from batchtrial.providers.decode.plain import one, pick_chat
from batchtrial.providers.gemini.results import decode_line as gemini
from batchtrial.providers.xai.adapter import decode_line as xai
from batchtrial.records import AnswerState

ASKED = {"name": "look_up", "arguments": {"order": 7, "when": "né"}}
USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "input_tokens": 1, "output_tokens": 1}


def chat(message: dict[str, Any], finish: str = "tool_calls") -> dict[str, Any]:
    return {"choices": [{"message": {"content": None, **message}, "finish_reason": finish}], "usage": USAGE, "id": "r"}


def function(arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": arguments}}


def wrapped(body: dict[str, Any]) -> bytes:
    return json.dumps({"custom_id": "a", "response": {"status_code": 200, "request_id": "r", "body": body}}).encode()


def of_gemini(parts: list[dict[str, Any]], finish: str = "STOP") -> bytes:
    body = {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish}], "usageMetadata": {"promptTokenCount": 1}}
    return json.dumps({"key": "a", "response": body}).encode()


def of_xai(response: dict[str, Any]) -> bytes:
    return json.dumps({"batch_request_id": "a", "batch_result": {"response": response}}).encode()


TEXT = json.dumps(ASKED["arguments"])
OUTPUT = {"type": "function_call", "name": "look_up", "arguments": TEXT, "call_id": "c"}
USE = {"type": "tool_use", "id": "t", "name": "look_up", "input": ASKED["arguments"]}
PARTS: list[dict[str, Any]] = [{"text": "I look."}, {"functionCall": {"name": "look_up", "args": ASKED["arguments"]}}]
MESSAGE = {"id": "m", "content": [{"type": "text", "text": "I look."}, USE], "stop_reason": "tool_use", "usage": USAGE}


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        (wrapped(chat({"tool_calls": [function(TEXT)]})), openai),
        (wrapped(chat({"tool_calls": [function(TEXT)]}, "stop")), openai),
        (wrapped(chat({"function_call": {"name": "look_up", "arguments": TEXT}}, "function_call")), openai),
        (json.dumps({"custom_id": "a", "response": chat({"tool_calls": [function(TEXT)]})}).encode(), openai),
        (json.dumps({"custom_id": "a", **chat({"tool_calls": [function(TEXT)]})}).encode(), openai),
        (wrapped({"output": [{"type": "reasoning"}, OUTPUT], "status": "completed", "usage": USAGE}), openai),
        (json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}).encode(), anthropic),
        (wrapped(chat({"content": "I look.", "tool_calls": [function(TEXT)]}, "stop")), openai),
        (of_gemini(PARTS), gemini),
        (of_gemini(PARTS[1:], finish="UNEXPECTED_TOOL_CALL"), gemini),
        (of_xai({"chat_get_completion": chat({"tool_calls": [function(TEXT)]})}), xai),
        (of_xai(chat({"tool_calls": [function(TEXT)]})), xai),
    ],
)
def test_a_call_is_the_answer_where_tools_were_offered(line: bytes, plain: Any) -> None:
    assert plain(line).state is AnswerState.TOOL_CALL
    read = pickle.loads(pickle.dumps(calls_as_answers(plain)))
    assert read(line).state is AnswerState.COMPLETE
    assert json.loads(read(line).text) == ASKED
    assert read(line).usage == plain(line).usage


def test_several_calls_are_a_list_and_arguments_that_are_no_json_stay_text() -> None:
    got = calls_as_answers(openai)(wrapped(chat({"tool_calls": [function(TEXT), function("order 7")]})))
    assert json.loads(got.text or "") == [ASKED, {"name": "look_up", "arguments": "order 7"}]


@pytest.mark.parametrize(
    "body",
    [chat({"content": "Paris"}, "stop"), chat({"tool_calls": [function("{")]}, "length"), chat({"tool_calls": "x"}), chat({"tool_calls": [3]})],
)
def test_what_is_no_call_is_read_as_without_tools(body: dict[str, Any]) -> None:
    assert calls_as_answers(openai)(wrapped(body)) == openai(wrapped(body))


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        (of_gemini([{"functionCall": {"args": {}}}]), gemini),
        (of_gemini([], finish="MALFORMED_FUNCTION_CALL"), gemini),
        (of_gemini([{"text": "Paris"}]), gemini),
        (of_xai(chat({"content": "Paris"}, "stop")), xai),
    ],
)
def test_what_is_no_call_is_read_as_without_tools_on_wires_with_other_names_of_ids(line: bytes, plain: Any) -> None:
    assert calls_as_answers(plain)(line) == plain(line)


def test_a_call_of_gemini_without_arguments_has_none() -> None:
    got = calls_as_answers(gemini)(of_gemini([{"functionCall": {"name": "now"}}]))
    assert json.loads(got.text or "") == {"name": "now", "arguments": {}}


def in_order(*indexes: int | None) -> list[dict[str, Any]]:
    """Choices that call for their own number, in this order."""
    numbered = [({} if index is None else {"index": index}, {"name": f"call_{index}", "arguments": "{}"}) for index in indexes]
    return [{**index, "message": {"content": "", "tool_calls": [{"function": call}]}, "finish_reason": "tool_calls"} for index, call in numbered]


@pytest.mark.parametrize(("order", "called"), [((1, 0), 0), ((0, 1), 0), ((2, 1), 1), ((None, 0), None), ((None, None), None), ((1,), 1)])
def test_of_several_choices_the_first_by_number_is_the_answer(order: tuple[int | None, ...], called: int | None) -> None:
    body = chat({}) | {"choices": in_order(*order)}
    for line in (wrapped(body), json.dumps({"custom_id": "a", "response": body}).encode()):
        assert json.loads(calls_as_answers(openai)(line).text or "")["name"] == f"call_{called}"
    words = [{**each, "message": {"content": f"text {each.get('index')}"}, "finish_reason": "stop"} for each in in_order(*order)]
    for line, reader in (
        (wrapped(chat({}) | {"choices": words}), openai),
        (of_xai(chat({}) | {"choices": words}), xai),
    ):
        assert reader(line).text == f"text {called}"
    assert one(wrapped(chat({}) | {"choices": words}), pick_chat, openai).text == f"text {called}"
    candidates = [{**each, "content": {"parts": [{"text": f"text {each.get('index')}"}]}, "finishReason": "STOP"} for each in in_order(*order)]
    line = json.dumps({"key": "a", "response": {"candidates": candidates, "usageMetadata": {"promptTokenCount": 1}}}).encode()
    assert gemini(line).text == f"text {called}"
