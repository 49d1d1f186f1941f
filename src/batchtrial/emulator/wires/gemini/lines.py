"""Requests and answers of the Gemini Developer API, from and to those of chat completions."""

from __future__ import annotations

from typing import Any, Final

from batchtrial.emulator.answers import bodies
from batchtrial.emulator.answers.request import from_chat
from batchtrial.emulator.answers.rows import Fate, Problem, Read, Reader, read_or_problem
from batchtrial.emulator.serve.results import Format, Renderer
from batchtrial.emulator.world.jsontext import decode, decode_object, encode_line
from batchtrial.emulator.world.records import Batch

OUTPUT: Final = "output"
FINISHES: Final = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"}
CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14, 504: 4}


def as_chat(row: dict[str, Any], model: str) -> dict[str, Any]:
    """A row as the chat request that it amounts to."""
    asked = row.get("request")
    body: dict[str, Any] = asked if isinstance(asked, dict) else {}
    settings = body.get("generationConfig") or body.get("generation_config") or {}
    system = body.get("systemInstruction") or body.get("system_instruction")
    messages = [{"role": "system", "content": _text(system)}] if system else []
    messages += [{"role": "assistant" if one.get("role") == "model" else "user", "content": _text(one)} for one in body.get("contents") or []]
    names = {"temperature": "temperature", "topP": "top_p", "topK": "top_k", "maxOutputTokens": "max_tokens", "stopSequences": "stop", "seed": "seed"}
    chat = {"model": model, "messages": messages} | {name: settings[told] for told, name in names.items() if told in settings}
    schema = settings.get("responseJsonSchema")
    return chat | ({"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}} if schema else {})


def _text(content: Any) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    return "\n".join(str(part.get("text") or "") for part in parts or [] if isinstance(part, dict))


def format_of(seed: int) -> Format:
    """How batches read and write."""

    def reader_of(batch: Batch) -> Reader:
        def read(line: bytes) -> Read:
            row = decode_object(line)
            return read_or_problem(row["key"], lambda: from_chat(row["key"], as_chat(row, batch.wire["model"])))

        return read

    def renderer_of(batch: Batch) -> Renderer:
        def render(fate: Fate) -> tuple[str, bytes] | None:
            if fate.kind in ("missing", "expired", "cancelled"):
                return None
            if fate.kind == "succeeded":
                assert fate.chat is not None
                own = fate.id_key or fate.custom_id
                body = decode(fate.upstream) if fate.upstream is not None else bodies.chat_completion(seed, own, fate.chat, fate.answers)
                return OUTPUT, encode_line({"key": fate.custom_id, "response": answer_of(body)})
            problem = fate.problem or Problem(status=500, message="unknown error")
            return OUTPUT, encode_line({"key": fate.custom_id, "error": {"code": CODES.get(problem.status, 13), "message": problem.message}})

        return render

    return Format(reader_of=reader_of, renderer_of=renderer_of)


def answer_of(chat: dict[str, Any]) -> dict[str, Any]:
    """A GenerateContentResponse with what a chat completion says."""
    usage = chat.get("usage") or {}
    n_in, n_out = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
    thoughts = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    found: dict[str, Any] = {
        "usageMetadata": {
            "promptTokenCount": n_in,
            "candidatesTokenCount": n_out - thoughts,
            "totalTokenCount": n_in + n_out,
            **({"thoughtsTokenCount": thoughts} if thoughts else {}),
        },
        "modelVersion": chat.get("model"),
        "responseId": chat.get("id"),
    }
    choices = chat.get("choices") or []
    if not choices:
        return found
    message, finish = choices[0].get("message") or {}, str(choices[0].get("finish_reason"))
    if message.get("refusal") or finish == "content_filter":
        return found | {"promptFeedback": {"blockReason": "SAFETY"}}
    parts: list[dict[str, Any]] = [{"thought": True, "text": message["reasoning_content"]}] if message.get("reasoning_content") else []
    parts += [{"functionCall": {"name": call["function"]["name"], "args": {}}} for call in message.get("tool_calls") or []]
    parts += [{"text": message["content"]}] if message.get("content") else []
    content = {"role": "model", **({"parts": parts} if parts else {})}
    return found | {"candidates": [{"content": content, "finishReason": FINISHES.get(finish, "OTHER"), "index": 0}]}
