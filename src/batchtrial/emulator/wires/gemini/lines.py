"""Requests and answers of the Gemini Developer API, from and to those of chat completions."""

from __future__ import annotations

from typing import Any, Final

from batchtrial.emulator.answers import bodies
from batchtrial.emulator.answers.request import BadRequest, from_chat
from batchtrial.emulator.answers.rows import Fate, Problem, Read, Reader, read_or_problem
from batchtrial.emulator.serve.results import Format, Renderer
from batchtrial.emulator.world.jsontext import BadJson, decode, decode_object, encode_line
from batchtrial.emulator.world.records import Batch

OUTPUT: Final = "output"
FINISHES: Final = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "tool_calls": "STOP"}
SCHEMA_WORDS: Final = frozenset(
    (
        *("type", "format", "title", "description", "nullable", "enum", "default", "example", "anyOf"),
        *("properties", "required", "propertyOrdering", "minProperties", "maxProperties"),
        *("items", "minItems", "maxItems", "minLength", "maxLength", "pattern", "minimum", "maximum"),
    )
)
"""What the API's own form of schemas has, in `parameters` and `responseSchema`; a JSON schema stands under another name."""
CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13, 503: 14, 504: 4}


def as_chat(row: dict[str, Any], model: str) -> dict[str, Any]:
    """A row as the chat request that it amounts to."""
    body = _object(row.get("request"))
    settings = _object(body.get("generationConfig") or body.get("generation_config"))
    system = body.get("systemInstruction") or body.get("system_instruction")
    messages = [{"role": "system", "content": _text(system)}] if system else []
    messages += [{"role": "assistant" if one.get("role") == "model" else "user", "content": _text(one)} for one in _objects(body.get("contents"))]
    names = {"temperature": "temperature", "topP": "top_p", "topK": "top_k", "maxOutputTokens": "max_tokens", "stopSequences": "stop", "seed": "seed"}
    chat = {"model": model, "messages": messages} | {name: settings[told] for told, name in names.items() if told in settings}
    _check_words(settings.get("responseSchema"), "generation_config.response_schema")
    schema = settings.get("responseJsonSchema") or settings.get("responseSchema")
    if schema:
        chat["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    elif settings.get("responseMimeType") == "application/json":
        chat["response_format"] = {"type": "json_object"}
    return chat | _calls(body)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _calls(body: dict[str, Any]) -> dict[str, Any]:
    """Tools, and which of them has to be called, as a chat request has them."""
    offered = [one for tool in _objects(body.get("tools")) for one in _objects(tool.get("functionDeclarations"))]
    for place, one in enumerate(offered):
        _check_words(one.get("parameters"), f"tools[0].function_declarations[{place}].parameters")
    tools = [{"type": "function", "function": {**one, "parameters": one.get("parametersJsonSchema") or one.get("parameters")}} for one in offered]
    told = _object(_object(body.get("toolConfig")).get("functionCallingConfig"))
    names = told.get("allowedFunctionNames")
    must = {"type": "function", "function": {"name": names[0]}} if isinstance(names, list) and names else "required"
    return ({"tools": tools} if tools else {}) | ({"tool_choice": must} if told.get("mode") == "ANY" else {})


def _check_words(schema: Any, where: str) -> None:
    """Raises BadRequest for a word of JSON schemas that the API's own form lacks."""
    if not isinstance(schema, dict):
        return
    for name in schema:
        if name not in SCHEMA_WORDS:
            raise BadRequest(f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': Cannot find field.", where)
    for name, inner in _object(schema.get("properties")).items():
        _check_words(inner, f"{where}.properties[{name}]")
    _check_words(schema.get("items"), f"{where}.items")
    for place, inner in enumerate(_objects(schema.get("anyOf"))):
        _check_words(inner, f"{where}.any_of[{place}]")


def _text(content: Any) -> str:
    return "\n".join(str(part.get("text") or "") for part in _objects(_object(content).get("parts")))


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
    parts += [{"functionCall": {"name": call["function"]["name"], "args": _arguments(call)}} for call in message.get("tool_calls") or []]
    parts += [{"text": message["content"]}] if message.get("content") else []
    content = {"role": "model", **({"parts": parts} if parts else {})}
    return found | {"candidates": [{"content": content, "finishReason": FINISHES.get(finish, "OTHER"), "index": 0}]}


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    try:
        return decode_object(call["function"].get("arguments") or "{}")
    except BadJson:
        return {}
