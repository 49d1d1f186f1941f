"""The synchronous wires: where a request goes, and where the key stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal
from urllib.parse import quote

WireName = Literal["chat", "responses", "messages", "generate_content"]
NAME_HEADER: Final = "x-client-request-id"
"""Header that names a row in a server's logs; servers that do not know it pass over it."""


def path_of(wire: WireName, model: str = "") -> str:
    """Path behind the address of the API, which ends in `/v1` for the first two (`/v1beta` for the last)."""
    if wire == "generate_content":
        return f"/models/{quote(model, safe='')}:generateContent"
    return {"chat": "/chat/completions", "responses": "/responses", "messages": "/v1/messages"}[wire]


KEY_HEADERS: Final = ("x-api-key", "x-goog-api-key", "authorization")


def key_in(headers: Mapping[str, str]) -> str:
    """The key that requests with these headers carry, "" for none."""
    return next((headers[name].removeprefix("Bearer ") for name in KEY_HEADERS if name in headers), "")


def headers_of(wire: WireName, key: str | None, *, version: str = "2023-06-01") -> Mapping[str, str]:
    """What every request carries. version: of Anthropic's API."""
    found = {"content-type": "application/json", "accept": "application/json"}
    if wire == "messages":
        found["anthropic-version"] = version
    if key and wire in ("messages", "generate_content"):
        found["x-api-key" if wire == "messages" else "x-goog-api-key"] = key
    elif key:
        found["authorization"] = f"Bearer {key}"
    return found
