"""Request and result lines of Mistral, Gemini and xAI."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from batchtrial.errors import ConfigError
from batchtrial.providers.base import Setup
from batchtrial.providers.registry import adapter_of
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Request, Turn

REQUEST = Request(custom_id="a-1", model="m", system="Be short.", user="Who?", max_tokens=9, temperature=0.5, top_p=0.9, stop=("x",))


def encoded(wire: str, request: Request = REQUEST) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(adapter_of(wire, Setup()).encode(request))
    return found


def decoded(wire: str, line: dict[str, Any]) -> RawResult:
    return adapter_of(wire, Setup()).decode(json.dumps(line).encode() + b"\n")


def test_a_request_of_each_wire() -> None:
    messages = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Who?"}]
    sampling = {"temperature": 0.5, "top_p": 0.9, "stop": ["x"]}
    assert encoded("mistral") == {"custom_id": "a-1", "body": {"messages": messages, "max_tokens": 9, **sampling}}
    body = {"model": "m", "messages": messages, "max_completion_tokens": 9, **sampling}
    assert encoded("xai") == {"custom_id": "a-1", "method": "POST", "url": "/v1/chat/completions", "body": body}
    assert encoded("gemini") == {
        "custom_id": "a-1",
        "request": {
            "contents": [{"role": "user", "parts": [{"text": "Who?"}]}],
            "systemInstruction": {"parts": [{"text": "Be short."}]},
            "generationConfig": {"maxOutputTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
        },
    }


def test_gemini_takes_turns_pictures_as_data_and_further_settings() -> None:
    turns = (Turn(role="user", text="See", images=("data:image/png;base64,AAAA",)), Turn(role="assistant", text="Yes"), Turn(role="user", text="So?"))
    body = encoded("gemini", replace_(turns=turns, extra={"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}))["request"]
    assert [one["role"] for one in body["contents"]] == ["user", "model", "user"]
    assert body["contents"][0]["parts"] == [{"text": "See"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    talk = Turn(role="user", text="A:\nB:", images=turns[0].images, parts=(("text", "A:"), ("image", turns[0].images[0]), ("text", "B:")))
    assert [list(one) for one in encoded("gemini", replace_(turns=(talk,)))["request"]["contents"][0]["parts"]] == [
        ["text"],
        ["inlineData"],
        ["text"],
    ]
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 0}
    clashing: tuple[dict[str, Any], ...] = ({"generationConfig": {"temperature": 1}}, {"contents": []})
    for extra in clashing:
        with pytest.raises(ConfigError, match="set by batchtrial itself"):
            encoded("gemini", replace_(extra=extra))
    with pytest.raises(ConfigError, match="pictures as data"):
        encoded("gemini", replace_(turns=(Turn(role="user", text="", images=("https://x.example/a.png",)),)))


def replace_(**changed: Any) -> Request:
    return replace(REQUEST, **changed)


USAGE = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 3, "thoughtsTokenCount": 5, "totalTokenCount": 18}


def test_tools_of_gemini_have_json_schemas() -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"], "additionalProperties": False}
    body = encoded("gemini", replace_(tools=({"name": "look_up", "description": "Finds.", "parameters": schema},), tool_choice="look_up"))["request"]
    assert body["tools"] == [{"functionDeclarations": [{"name": "look_up", "description": "Finds.", "parametersJsonSchema": schema}]}]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look_up"]}}


def of_gemini(candidate: dict[str, Any] | None, **further: Any) -> RawResult:
    found = {"usageMetadata": USAGE, "responseId": "r", **further} | ({"candidates": [candidate]} if candidate is not None else {})
    return decoded("gemini", {"key": "a-1", "response": found})


def test_an_answer_of_gemini_and_its_thoughts() -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "Ada"}]
    got = of_gemini({"content": {"parts": parts}, "finishReason": "STOP"})
    assert (got.custom_id, got.text, got.state) == ("a-1", "Ada", AnswerState.COMPLETE)
    assert got.usage is not None
    assert (got.usage.input_tokens, got.usage.cached_tokens, got.usage.output_tokens, got.usage.reasoning_tokens) == (10, 4, 8, 5)


@pytest.mark.parametrize(
    ("candidate", "further", "state"),
    [
        ({"finishReason": "MAX_TOKENS"}, {}, AnswerState.CUT),
        ({"finishReason": "SAFETY"}, {}, AnswerState.FILTERED),
        ({"finishReason": "RECITATION", "content": {"parts": []}}, {}, AnswerState.FILTERED),
        (None, {"promptFeedback": {"blockReason": "SAFETY"}}, AnswerState.FILTERED),
        (None, {}, AnswerState.NOT_UNDERSTOOD),
        ({"content": {"parts": [{"functionCall": {"name": "f", "args": {}}}]}, "finishReason": "STOP"}, {}, AnswerState.TOOL_CALL),
        ({"content": {"parts": [{"text": "hm", "thought": True}]}, "finishReason": "STOP"}, {}, AnswerState.UNFINISHED_THINKING),
        ({"content": {"parts": "Ada"}, "finishReason": "STOP"}, {}, AnswerState.NOT_UNDERSTOOD),
    ],
)
def test_what_is_no_answer_of_gemini(candidate: dict[str, Any] | None, further: dict[str, Any], state: AnswerState) -> None:
    got = of_gemini(candidate, **further)
    assert (got.outcome, got.state) == (Outcome.SUCCEEDED, state)
    assert got.usage is not None


def test_errors_of_gemini_and_xai_say_whether_another_try_helps() -> None:
    again = decoded("gemini", {"key": "a-1", "error": {"code": 8, "message": "busy"}})
    never = decoded("gemini", {"key": "a-1", "status": {"code": 3, "message": "bad"}})
    assert (again.outcome, again.retryable, never.outcome, never.retryable) == (Outcome.ERRORED, True, Outcome.ERRORED, False)
    error = decoded("xai", {"batch_request_id": "a-1", "batch_result": {"error": {"code": "invalid_argument", "message": "bad"}}})
    assert (error.outcome, error.retryable) == (Outcome.ERRORED, False)
    for line in ({"key": "a-1"}, {"batch_request_id": "a-1", "batch_result": {}}):
        with pytest.raises(BadLine):
            decoded("xai", line)


def test_an_answer_of_xai_and_of_mistral() -> None:
    body = {
        "id": "c",
        "choices": [{"message": {"content": "Ada"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4},
    }
    xai = decoded("xai", {"batch_request_id": "a-1", "batch_result": {"response": {"chat_get_completion": body}}})
    mistral = decoded("mistral", {"id": "l", "custom_id": "a-1", "response": {"status_code": 200, "body": body}, "error": None})
    for got in (xai, mistral):
        assert (got.custom_id, got.text, got.state) == ("a-1", "Ada", AnswerState.COMPLETE)
        assert got.usage is not None
        assert got.usage.input_tokens == 3


REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mistral", {"temps": (1.6,)}),
    ("mistral", {"temps": (0.0,), "top_k": 3}),
    ("xai", {"temps": (0.0,), "top_k": 3}),
    ("gemini", {"temps": (0.0,), "stop": tuple("abcdef")}),
)


@pytest.mark.parametrize(("wire", "asked"), REFUSED)
def test_what_a_wire_cannot_honour_is_refused(wire: str, asked: dict[str, Any]) -> None:
    assert adapter_of(wire, Setup()).refuses(**asked)
