"""A request's conversation, response format and tools in the words of each wire. Pure.

A request without turns of its own is one user turn, in the same bytes whatever else the wires can carry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

from batchtrial.errors import ConfigError
from batchtrial.records import Request, Turn

DATA_URL: Final = re.compile(r"data:(image/[a-z0-9.+-]+);base64,(.+)", re.IGNORECASE | re.DOTALL)
MESSAGES_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
"""What Anthropic takes as data."""


def turns_of(request: Request) -> Sequence[Turn]:
    """All turns after the system prompt."""
    return request.turns or (Turn(role="user", text=request.user),)


def chat_messages(request: Request) -> list[dict[str, Any]]:
    """Chat messages; an empty system prompt is left out, since some hosts refuse empty content."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, *({"role": turn.role, "content": _chat_content(turn)} for turn in turns_of(request))]


def _chat_content(turn: Turn) -> str | list[dict[str, Any]]:
    if not turn.images:
        return turn.text
    return [{"type": "text", "text": one} if kind == "text" else {"type": "image_url", "image_url": {"url": one}} for kind, one in turn.in_order()]


def chat_extras(request: Request) -> dict[str, Any]:
    """`response_format`, `tools` and `tool_choice` of a chat completion, as far as they are asked for."""
    found: dict[str, Any] = {}
    if request.response_format is not None:
        found["response_format"] = {"type": "json_schema", "json_schema": dict(request.response_format)}
    if request.tools:
        found["tools"] = [{"type": "function", "function": dict(tool)} for tool in request.tools]
    if request.tool_choice:
        is_name = request.tool_choice not in ("auto", "required")
        found["tool_choice"] = {"type": "function", "function": {"name": request.tool_choice}} if is_name else request.tool_choice
    return found


def responses_input(request: Request) -> list[dict[str, Any]]:
    """`input` of a response."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, *({"role": turn.role, "content": _responses_content(turn)} for turn in turns_of(request))]


def _responses_content(turn: Turn) -> str | list[dict[str, Any]]:
    if not turn.images:
        return turn.text
    return [{"type": "input_text", "text": one} if kind == "text" else {"type": "input_image", "image_url": one} for kind, one in turn.in_order()]


def responses_extras(request: Request) -> dict[str, Any]:
    """`text.format`, `tools` and `tool_choice` of a response, as far as they are asked for."""
    found: dict[str, Any] = {}
    if request.response_format is not None:
        found["text"] = {"format": {"type": "json_schema", **request.response_format}}
    if request.tools:
        found["tools"] = [{"type": "function", **tool} for tool in request.tools]
    if request.tool_choice:
        is_name = request.tool_choice not in ("auto", "required")
        found["tool_choice"] = {"type": "function", "name": request.tool_choice} if is_name else request.tool_choice
    return found


def anthropic_messages(request: Request) -> list[dict[str, Any]]:
    """`messages` of an Anthropic request. Raises ConfigError for an image that it does not take."""
    return [{"role": turn.role, "content": _anthropic_content(turn, request)} for turn in turns_of(request)]


def _anthropic_content(turn: Turn, request: Request) -> str | list[dict[str, Any]]:
    if not turn.images:
        return turn.text
    return [
        {"type": "text", "text": one} if kind == "text" else {"type": "image", "source": _anthropic_source(one, request)}
        for kind, one in turn.in_order(images_first=True)
    ]


def _anthropic_source(url: str, request: Request) -> dict[str, Any]:
    data = DATA_URL.fullmatch(url)
    if data is not None and data[1].lower() in MESSAGES_IMAGES:
        return {"type": "base64", "media_type": data[1].lower(), "data": data[2]}
    if data is None and url.startswith("https://"):
        return {"type": "url", "url": url}
    kind = f"an image of type {data[1]}" if data is not None else "an image at an address that is not https"
    raise ConfigError(
        f"Anthropic does not take {kind}",
        where=f"request {request.custom_id}",
        hint=f"give https addresses, or data URLs of {', '.join(sorted(MESSAGES_IMAGES))}",
    )


def anthropic_extras(request: Request) -> dict[str, Any]:
    """`output_config`, `tools` and `tool_choice` of an Anthropic request, as far as they are asked for."""
    found: dict[str, Any] = {}
    if request.response_format is not None:
        found["output_config"] = {"format": {"type": "json_schema", "schema": request.response_format["schema"]}}
    if request.tools:
        found["tools"] = [{**{k: v for k, v in tool.items() if k != "parameters"}, "input_schema": tool["parameters"]} for tool in request.tools]
    if request.tool_choice:
        simple = {"auto": {"type": "auto"}, "required": {"type": "any"}}
        found["tool_choice"] = simple.get(request.tool_choice, {"type": "tool", "name": request.tool_choice})
    return found
