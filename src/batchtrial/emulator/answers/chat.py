"""Rows of all three wires as the chat requests that they amount to: what a server is asked, and what a recording is looked up by."""

from __future__ import annotations

from typing import Any, Final

from batchtrial.emulator.wires.fireworks.wire import job_defaults
from batchtrial.emulator.wires.gemini.lines import as_chat
from batchtrial.emulator.world.jsontext import decode_object
from batchtrial.emulator.world.records import Batch

_MESSAGES_ONLY: Final = frozenset({"system", "stop_sequences", "thinking", "metadata", "service_tier", "cache_control", "container", "output_config"})


def request_of(batch: Batch, line: bytes) -> tuple[str, dict[str, Any]]:
    """Path under the prefix, and body, of a row; fields that we do not know pass through."""
    row = decode_object(line)
    if batch.provider == "gemini":
        return "/chat/completions", as_chat(row, batch.wire["model"])
    if "endpoint" in batch.wire:  # OpenAI's, and that of hosts that speak it
        return batch.wire["endpoint"].removeprefix("/v1"), {"model": batch.wire.get("model"), **row["body"]}
    if batch.provider == "fireworks":
        system = batch.wire.get("systemPrompt")
        body = {**job_defaults(batch), **row["body"], "model": batch.wire.get("model") or ""}
        if system:
            body["messages"] = [{"role": "system", "content": system}, *body["messages"]]
        return "/chat/completions", body
    return "/chat/completions", _chat_of(row["params"])


def _chat_of(params: dict[str, Any]) -> dict[str, Any]:
    """An Anthropic request as a chat request."""
    body = {key: value for key, value in params.items() if key not in _MESSAGES_ONLY}
    if params.get("system"):
        body["messages"] = [{"role": "system", "content": params["system"]}, *(params.get("messages") or [])]
    if params.get("stop_sequences"):
        body["stop"] = params["stop_sequences"]
    return body
