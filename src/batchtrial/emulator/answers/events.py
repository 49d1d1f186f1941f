"""An answer as the stream of events that a server sends which streams although nobody asked it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final


def stream_of(body: Mapping[str, Any]) -> str | None:
    """The events of an answer, as text; None for one that no endpoint streams like that."""
    kind = next((kind for name, kind in _KINDS.items() if name in body), None)
    if kind is None or body.get("object") == "text_completion":
        return None
    events, done = kind(body), "data: [DONE]\n\n" if "choices" in body else ""
    return "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" if "type" in one else f"data: {json.dumps(one)}\n\n" for one in events) + done


def _of_chat(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    head = {name: value for name, value in body.items() if name not in ("choices", "usage", "object")} | {"object": "chat.completion.chunk"}
    for choice in body["choices"]:
        message = choice["message"]
        content = message.get("content") or ""
        half = len(content) // 2
        yield {**head, "choices": [{"index": choice["index"], "delta": {**message, "content": content[:half]}, "finish_reason": None}]}
        yield {**head, "choices": [{"index": choice["index"], "delta": {"content": content[half:]}, "finish_reason": None}]}
        yield {**head, "choices": [{"index": choice["index"], "delta": {}, "finish_reason": choice["finish_reason"]}]}
    yield {**head, "choices": [], "usage": body["usage"]}


def _of_response(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "response.created", "response": {**body, "status": "in_progress", "output": []}}
    yield {"type": f"response.{body['status']}", "response": dict(body)}


def _of_message(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "message_start", "message": {**body, "content": [], "stop_reason": None}}
    for index, block in enumerate(body["content"]):
        text = block.get("text", "")
        yield {"type": "content_block_start", "index": index, "content_block": {**block, "text": ""}}
        for piece in (text[: len(text) // 2], text[len(text) // 2 :]):
            yield {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": piece}}
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": {"stop_reason": body["stop_reason"]}, "usage": {"output_tokens": body["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def _of_content(body: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    head = {name: value for name, value in body.items() if name != "candidates"}
    for candidate in body["candidates"]:
        parts = candidate["content"].get("parts", [])
        for part in parts:
            yield {**head, "candidates": [{"content": {"role": "model", "parts": [part]}, "index": candidate["index"]}]}
        yield {**head, "candidates": [{**candidate, "content": {"role": "model"}}]}


_KINDS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[dict[str, Any]]]]] = {
    "output": _of_response,
    "content": _of_message,
    "candidates": _of_content,
    "choices": _of_chat,
}
