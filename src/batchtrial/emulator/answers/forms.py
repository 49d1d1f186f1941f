"""Answers that are none, in the words of each endpoint: cut off, refused, withheld, a call of a tool, empty, thoughts alone, unreadable.

What a model says is decided elsewhere; here it gets the form that a fault asks for.
"""

from __future__ import annotations

import json
from typing import Any, Final, Literal

from batchtrial.emulator.answers.simulation import Answer

Form = Literal["cut", "half", "refused", "filtered", "tool_call", "empty", "thinking", "marks", "unclosed", "unreadable"]
THOUGHT: Final = "The question asks for a name. Let me see what the passage says."
REFUSAL: Final = "I'm sorry, but I can't help with that."


def text_of(answer: Answer) -> str:
    """The text that stands in the answer's place."""
    if answer.form in ("cut", "filtered", "tool_call", "empty", "thinking"):
        return ""
    if answer.form == "half":
        return answer.text[: max(1, len(answer.text) // 2)]
    if answer.form == "refused":
        return REFUSAL
    if answer.form == "marks":
        return f"<think>\n{THOUGHT}\n</think>\n\n{answer.text}"
    return f"<think>\n{THOUGHT}" if answer.form == "unclosed" else answer.text


def is_call(answer: Answer) -> bool:
    """Whether it is the call of a tool that its request did not leave to the model."""
    return bool(answer.tool) and answer.form is None


def is_cut(answer: Answer) -> bool:
    """Whether the token limit ended it."""
    return answer.is_truncated if not answer.form else answer.form in ("cut", "half", "unclosed")


def chat_choice(answer: Answer) -> tuple[dict[str, Any], str]:
    """Fields of a chat message, and its finish reason."""
    finish = {"filtered": "content_filter", "tool_call": "tool_calls"}.get(answer.form or "", "length" if is_cut(answer) else "stop")
    fields: dict[str, Any] = {"content": text_of(answer)}
    if is_call(answer):
        call = {"id": "call_1", "type": "function", "function": {"name": answer.tool, "arguments": answer.text}}
        return {"content": None, "tool_calls": [call]}, "length" if is_cut(answer) else "tool_calls"
    if answer.form in ("cut", "thinking"):
        fields = {"content": None, "reasoning_content": THOUGHT}
    elif answer.form == "refused":
        fields = {"content": None, "refusal": REFUSAL}
    elif answer.form == "tool_call":
        fields = {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]}
    return fields, finish


def response_output(answer: Answer, message_id: str) -> tuple[list[dict[str, Any]], str, str | None]:
    """Output items of a response, its status, and why it is incomplete."""
    why = "content_filter" if answer.form == "filtered" else "max_output_tokens" if is_cut(answer) else None
    status = "completed" if why is None else "incomplete"
    reasoning = {"id": f"rs_{message_id}", "type": "reasoning", "summary": []}
    if answer.form == "unreadable":
        return [], status, why
    if answer.form in ("cut", "thinking"):
        return [reasoning], status, why
    if answer.form == "tool_call" or is_call(answer):
        name, arguments = (answer.tool, answer.text) if is_call(answer) else ("search", "{}")
        call = {"id": f"fc_{message_id}", "type": "function_call", "call_id": "call_1", "name": name, "arguments": arguments, "status": status}
        return [call], status, why
    text = {"type": "output_text", "text": text_of(answer), "annotations": [], "logprobs": []}
    part = {"type": "refusal", "refusal": REFUSAL} if answer.form == "refused" else text
    return [{"id": message_id, "type": "message", "status": status, "role": "assistant", "content": [part]}], status, why


def message_blocks(answer: Answer) -> tuple[list[dict[str, Any]] | None, str | None]:
    """Content blocks of a message, and its stop reason."""
    if answer.form == "unreadable":
        return None, None
    reason = {"refused": "refusal", "filtered": "refusal", "tool_call": "tool_use"}.get(
        answer.form or "", "max_tokens" if is_cut(answer) else "end_turn"
    )
    if answer.form in ("cut", "thinking"):
        return [{"type": "thinking", "thinking": THOUGHT, "signature": ""}], reason
    if answer.form == "tool_call":
        return [{"type": "tool_use", "id": "toolu_1", "name": "search", "input": {}}], reason
    if is_call(answer):
        call = {"type": "tool_use", "id": "toolu_1", "name": answer.tool, "input": _arguments(answer.text)}
        return [call], "tool_use" if reason == "end_turn" else reason
    text = text_of(answer)
    return [{"type": "text", "text": text}] if text else [], reason


def _arguments(text: str) -> dict[str, Any]:
    """Arguments of a call; none where the token limit cut them off."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
