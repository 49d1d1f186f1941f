"""Answers of servers that stream although nobody asked them to: the events of a stream, put together into the body that they amount to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from batchtrial.direct.records import strict_json

Event = dict[str, Any]
_ENDED: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class NotAStream(ValueError):
    """Events that make no answer."""


def body_of_stream(raw: bytes) -> bytes | None:
    """The body in the shape that the wire has without streaming; None when the stream broke off before its end.

    Raises NotAStream for events that cannot be put together.
    """
    events, is_done = _events(raw)
    if not events:
        return None
    found = next((each for each in events if each.get("error") or each.get("type") == "error"), None)
    try:
        body = found if found is not None else _put_together(events, is_done=is_done)
        return None if body is None else strict_json(body)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:  # somebody else's events may have any shape
        raise NotAStream(f"{type(error).__name__}: {error}") from error


def _events(raw: bytes) -> tuple[list[Event], bool]:
    """The JSON objects of the stream, and whether it said `[DONE]`."""
    events: list[Event] = []
    is_done = False
    for data in _data(raw.decode("utf-8", "replace")):
        if data.strip() == "[DONE]":
            is_done = True
            continue
        try:
            event = json.loads(data, parse_constant=lambda word: None)
        except (ValueError, RecursionError):
            continue  # the last one, broken off
        if isinstance(event, dict):
            events.append(event)
    return events, is_done


def _data(text: str) -> Iterator[str]:
    """The data of each event; several `data:` lines of one event are one text."""
    lines: list[str] = []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []


def _put_together(events: Sequence[Event], *, is_done: bool) -> Event | None:
    last = next((each["response"] for each in events if each.get("type") in _ENDED and isinstance(each.get("response"), dict)), None)
    if last is not None:
        return dict(last)
    if any(each.get("type") == "message_start" for each in events):
        return _message(events)
    if any("candidates" in each for each in events):
        return _content(events)
    return _chat(events, is_done=is_done) if any("choices" in each for each in events) else None


def _chat(events: Sequence[Event], *, is_done: bool) -> Event | None:
    body: Event = {}
    choices: dict[int, Event] = {}
    for event in events:
        for place, piece in enumerate(event.get("choices") or ()):
            if isinstance(piece.get("message"), Mapping):
                return event  # a whole answer in one event
            choice = choices.setdefault(piece.get("index", place), {"index": piece.get("index", place), "message": {}, "finish_reason": None})
            _add_delta(choice["message"], piece.get("delta") or {})
            choice["finish_reason"] = piece.get("finish_reason") or choice["finish_reason"]
        body |= {name: value for name, value in event.items() if name not in ("choices", "object") and value is not None}
    is_whole = is_done or (bool(choices) and all(choice["finish_reason"] for choice in choices.values()))
    if not is_whole:
        return None
    for choice in choices.values():
        choice["message"] = {"role": "assistant", "content": None} | choice["message"]
    return {**body, "object": "chat.completion", "choices": [choices[place] for place in sorted(choices)]}


def _add_delta(message: Event, delta: Mapping[str, Any]) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            for call in value or ():
                _add_call(message.setdefault("tool_calls", []), call)
        elif isinstance(value, str) and name != "role":
            message[name] = (message.get(name) or "") + value
        elif value is not None:
            message[name] = value


def _add_call(calls: list[Event], call: Mapping[str, Any]) -> None:
    place = call.get("index", len(calls))
    found = next((one for one in calls if one["index"] == place), None)
    if found is None:
        calls.append(found := {"index": place, "function": {}})
    for name, value in call.items():
        if name == "function":
            for part, text in value.items():
                found["function"][part] = (found["function"].get(part) or "") + (text or "")
        elif value is not None:
            found[name] = value


_PIECES: Final[Mapping[str, Callable[[Event, Mapping[str, Any]], None]]] = {
    "text_delta": lambda block, delta: block.update(text=block.get("text", "") + delta.get("text", "")),
    "thinking_delta": lambda block, delta: block.update(thinking=block.get("thinking", "") + delta.get("thinking", "")),
    "signature_delta": lambda block, delta: block.update(signature=delta.get("signature", "")),
    "input_json_delta": lambda block, delta: block.update(partial_json=block.get("partial_json", "") + delta.get("partial_json", "")),
}


def _message(events: Sequence[Event]) -> Event | None:
    """Anthropic's events."""
    message: Event = next(dict(each["message"]) for each in events if each.get("type") == "message_start")
    blocks: dict[int, Event] = {}
    for event in events:
        kind = event.get("type")
        if kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            delta = event.get("delta") or {}
            if (add := _PIECES.get(str(delta.get("type")))) is not None:
                add(blocks.setdefault(event["index"], {"type": "text", "text": ""}), delta)
        elif kind == "message_delta":
            message |= event.get("delta") or {}
            message["usage"] = {**(message.get("usage") or {}), **(event.get("usage") or {})}
    if not any(each.get("type") == "message_stop" for each in events):
        return None
    for block in blocks.values():
        if (text := block.pop("partial_json", None)) is not None:
            block["input"] = _arguments(text)
    return {**message, "content": [blocks[place] for place in sorted(blocks)]}


def _arguments(text: str) -> Any:
    """Of a call; none where the token limit cut them off."""
    try:
        return json.loads(text) if text else {}
    except ValueError:
        return {}


def _content(events: Sequence[Event]) -> Event | None:
    """Gemini's events: each is an answer of its own with a piece of the text."""
    body: Event = {}
    candidates: dict[int, Event] = {}
    for event in events:
        for piece in event.get("candidates") or ():
            place = piece.get("index", 0)
            before = candidates.get(place, {})
            parts = [*((before.get("content") or {}).get("parts") or ()), *((piece.get("content") or {}).get("parts") or ())]
            candidates[place] = {**before, **piece, "content": {**(piece.get("content") or {}), "parts": parts}}
        body |= {name: value for name, value in event.items() if name != "candidates"}
    if not all(one.get("finishReason") for one in candidates.values()):
        return None
    return {**body, "candidates": [candidates[place] for place in sorted(candidates)]}
