"""Lines of Gemini's batches: a request as its API takes it, and a result line as it gives it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from batchtrial.errors import ConfigError
from batchtrial.providers.decode.contents import Content, first_answer
from batchtrial.providers.decode.finish import state_by_finish
from batchtrial.providers.decode.lines import clean, count, failure, load_object, not_understood, text_of, unwrapped, why_not_understood
from batchtrial.providers.sdk.turns import DATA_URL, turns_of
from batchtrial.records import AnswerState, Outcome, RawResult, Request, Turn, Usage

OURS: Final = frozenset({"contents", "systemInstruction", "system_instruction", "tools", "toolConfig"})


def body_of(request: Request, *, is_sampled: bool) -> dict[str, Any]:
    """A GenerateContent body. Raises ConfigError for a picture at an address, and for an extra field that clashes."""
    settings: dict[str, Any] = {"maxOutputTokens": request.max_tokens}
    if is_sampled:
        told = {"temperature": request.temperature, "topP": request.top_p, "topK": request.top_k}
        settings |= {name: value for name, value in told.items() if value is not None}
    if request.stop:
        settings["stopSequences"] = list(request.stop)
    if request.response_format is not None:
        settings |= {"responseMimeType": "application/json", "responseJsonSchema": request.response_format["schema"]}
    body: dict[str, Any] = {"contents": [_turn(turn, request) for turn in turns_of(request)]}
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    if request.tools:
        body["tools"] = [{"functionDeclarations": [_declared(tool) for tool in request.tools]}]
    if request.tool_choice:
        modes: dict[str, dict[str, Any]] = {"auto": {"mode": "AUTO"}, "required": {"mode": "ANY"}}
        named = {"mode": "ANY", "allowedFunctionNames": [request.tool_choice]}
        body["toolConfig"] = {"functionCallingConfig": modes.get(request.tool_choice, named)}
    return body | _extra(request, body, settings)


def _declared(tool: Mapping[str, Any]) -> dict[str, Any]:
    """A function with its arguments as a JSON schema: `parameters` is a form of Gemini's own, which refuses words such as `additionalProperties`."""
    return {{"parameters": "parametersJsonSchema"}.get(name, name): value for name, value in tool.items()}


def _extra(request: Request, body: Mapping[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """The generation config, with what the extra fields add to it, and the other extra fields."""
    extra = dict(request.extra)
    added = extra.pop("generationConfig", {})
    clash = sorted((OURS | body.keys()) & extra.keys()) + sorted(f"generationConfig.{name}" for name in settings.keys() & added.keys())
    if clash:
        what = f"the extra request field {clash[0]!r} is set by batchtrial itself"
        raise ConfigError(what, where=f"extra.{clash[0]}", hint="remove it there and use the config key of its own")
    return {"generationConfig": settings | added, **extra}


def _turn(turn: Turn, request: Request) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for kind, one in turn.in_order():
        data = DATA_URL.fullmatch(one) if kind == "image" else None
        if kind == "text":
            parts.append({"text": one})
        elif data is None:
            raise ConfigError("Gemini takes pictures as data", where=f"request {request.custom_id}", hint="give data URLs")
        else:
            parts.append({"inlineData": {"mimeType": data[1].lower(), "data": data[2]}})
    return {"role": "model" if turn.role == "assistant" else "user", "parts": parts}


def decode_line(line: bytes) -> RawResult:
    """A result line: `key` with a response, an error or a status. Raises BadLine."""
    custom_id, value = load_object(line, key="key")
    fault = value.get("error") or (None if value.get("response") else value.get("status"))
    body, why = unwrapped(value.get("response"))
    if fault or not body:
        return failure(custom_id, fault, None, None)
    if not isinstance(body, dict):
        return not_understood(custom_id, why or "an answer that is no JSON object", None, body)
    request_id, usage = text_of(body.get("responseId")), usage_of(body.get("usageMetadata"))
    if body.get("error"):
        return _billed(failure(custom_id, body["error"], 200, request_id), usage)
    candidates = body.get("candidates")
    if not candidates:
        feedback = body.get("promptFeedback")
        why = text_of(feedback.get("blockReason")) if isinstance(feedback, dict) else None
        if why is None:
            return _billed(not_understood(custom_id, "an answer without candidates", request_id, body), usage)
        return _success(custom_id, "", "content_filter", request_id, usage, AnswerState.FILTERED)
    first = first_answer(candidates)
    if first is None:
        return _billed(not_understood(custom_id, "the answer has no candidate", request_id, body), usage)
    finish = text_of(first.get("finishReason"))
    content, has_thinking = _content(first.get("content"))
    state = state_by_finish(finish, content, is_refusal=False, has_tool_call="call" in content.kinds, has_thinking=has_thinking)
    if state is AnswerState.NOT_UNDERSTOOD:
        return _billed(not_understood(custom_id, why_not_understood(finish), request_id, body), usage)
    return _success(custom_id, content.text, (finish or "").lower() or None, request_id, usage, state)


def _billed(result: RawResult, usage: Usage | None) -> RawResult:
    return msgspec.structs.replace(result, usage=usage)


def _success(custom_id: str, text: str, finish: str | None, request_id: str | None, usage: Usage | None, state: AnswerState) -> RawResult:
    return RawResult(
        custom_id=custom_id,
        outcome=Outcome.SUCCEEDED,
        text=clean(text),
        finish_reason=finish,
        request_id=request_id,
        usage=usage,
        state=state,
    )


def _content(content: object) -> tuple[Content, bool]:
    """Text and kinds of the parts, and whether there were thoughts."""
    parts = content.get("parts") if isinstance(content, dict) else None
    parts = [] if parts is None else parts
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return Content("", frozenset(), is_text=False), False
    said = [part for part in parts if not part.get("thought")]
    kinds = frozenset("call" if "functionCall" in part else "text" if isinstance(part.get("text"), str) else "other" for part in said)
    text = "".join(part["text"] for part in said if isinstance(part.get("text"), str))
    return Content(text, kinds, is_text="other" not in kinds or bool(text)), len(said) < len(parts)


def usage_of(told: object) -> Usage | None:
    """Token counts: cached ones are among the prompt's, thoughts stand beside the candidates'; None when they do not say what went in."""
    if not isinstance(told, dict) or count(told.get("promptTokenCount")) is None:
        return None
    thoughts = count(told.get("thoughtsTokenCount")) or 0
    return Usage(
        input_tokens=(count(told.get("promptTokenCount")) or 0) + (count(told.get("toolUsePromptTokenCount")) or 0),
        output_tokens=(count(told.get("candidatesTokenCount")) or 0) + thoughts,
        cached_tokens=count(told.get("cachedContentTokenCount")) or 0,
        reasoning_tokens=thoughts,
    )
