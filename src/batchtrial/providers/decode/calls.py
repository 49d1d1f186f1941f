"""Calls of tools as answers: where a task offers tools, a call is what the model says, and its name and arguments are what can be scored."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from batchtrial.providers.decode.contents import first_answer
from batchtrial.providers.decode.lines import clean, unwrapped
from batchtrial.records import AnswerState, RawResult

Decode = Callable[[bytes], RawResult]
_AROUND: Final = ("response", "result", "message", "batch_result", "chat_get_completion", "body")
"""What wires put around an answer."""
_ANSWERS: Final = frozenset({"choices", "output", "candidates", "content"})
"""What an answer has, in any wire."""


def calls_as_answers(decode: Decode) -> Decode:
    """The reader, for requests that offer tools: an answer that calls some is complete, and its text is the JSON of `calls`."""
    return partial(_read, decode=decode)


def _read(line: bytes, decode: Decode) -> RawResult:
    result = decode(line)
    if result.state is not AnswerState.TOOL_CALL:
        return result
    text = calls(line)
    return result if text is None else msgspec.structs.replace(result, text=text, state=AnswerState.COMPLETE)


def calls(line: bytes) -> str | None:
    """`{"name": ..., "arguments": ...}` of the call that a result line holds, a list of them where it holds several; None where none can be read.

    Arguments that are no JSON stay the text that they are.
    """
    found = list(_calls(_body(line.decode())))
    return clean(json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False)) if found else None


def _body(value: Any) -> Any:
    """The answer inside any wire's result line: what stands in the first of these that it has, and so on inside that."""
    value = unwrapped(value)[0]
    if not isinstance(value, dict) or not value.keys().isdisjoint(_ANSWERS):
        return value
    inner = next((value[name] for name in _AROUND if value.get(name)), None)
    return value if inner is None else _body(inner)


def _calls(body: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(body, dict):
        return
    content = _first(body.get("candidates")).get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    for part in parts if isinstance(parts, list) else ():
        yield from _call(part.get("functionCall") if isinstance(part, dict) else None, "args")
    message = _first(body.get("choices")).get("message")
    if isinstance(message, dict):
        listed = message.get("tool_calls")
        functions = [one.get("function") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
        for one in functions or [message.get("function_call")]:
            yield from _call(one, "arguments")
        return
    for key, kind, arguments in (("output", "function_call", "arguments"), ("content", "tool_use", "input")):
        items = body.get(key)
        for one in items if isinstance(items, list) else ():
            if isinstance(one, dict) and one.get("type") == kind:
                yield from _call(one, arguments)


def _first(listed: object) -> Mapping[str, Any]:
    return first_answer(listed) or {}


def _call(call: object, key: str) -> Iterator[dict[str, Any]]:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        return
    arguments = call.get(key, {})  # Gemini leaves it out where there are none
    if isinstance(arguments, str):
        arguments = unwrapped(arguments)[0]
    yield {"name": call["name"], "arguments": arguments}
