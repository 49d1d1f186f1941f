"""What a finish reason says about an answer, in the words of every server that we know of.

A word that nobody knows is taken for a whole answer when there is a text, and is counted by name in account.json, so that it cannot hide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from batchtrial.records import AnswerState

WHOLE: Final = frozenset({"stop", "end_turn", "stop_sequence", "eos", "eos_token", "end", "completed", "complete", "done", "finish", "word"})
"""Words for an answer that ended by itself: OpenAI and its relatives, Anthropic, TGI, llama.cpp, Ollama, Cohere."""
_CUT: Final = (
    *("length", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length", "model_length", "model_context_window_exceeded"),
    *("limit", "token_limit", "context_length_exceeded", "abort", "aborted", "cancelled", "canceled", "error", "error_limit"),
    *("network_error", "in_progress", "incomplete", "queued", "timeout"),
)
_FILTERED: Final = (
    *("content_filter", "content_filtered", "safety", "image_safety", "recitation", "blocklist", "prohibited_content", "spii", "sensitive"),
    *("guardrail_intervened", "error_toxic", "moderation", "blocked", "language"),
)
_TOOL_CALL: Final = ("tool_calls", "tool_call", "tool_use", "function_call", "pause_turn", "malformed_function_call", "unexpected_tool_call")
_REFUSED: Final = ("refusal", "refused")
BY_FINISH: Final[Mapping[str, AnswerState]] = {
    **dict.fromkeys(WHOLE, AnswerState.COMPLETE),
    **dict.fromkeys(_CUT, AnswerState.CUT),
    **dict.fromkeys(_FILTERED, AnswerState.FILTERED),
    **dict.fromkeys(_TOOL_CALL, AnswerState.TOOL_CALL),
    **dict.fromkeys(_REFUSED, AnswerState.REFUSED),
}


def is_known(finish: str) -> bool:
    """Whether somebody decided what the word means."""
    return finish.lower() in BY_FINISH


def state_of_text(finish: str | None) -> AnswerState:
    """The state of an answer that has a text and nothing else odd about it."""
    return BY_FINISH.get((finish or "stop").lower(), AnswerState.COMPLETE)


def state_by_finish(finish: str | None, *, has_text: bool, is_refusal: bool, has_tool_call: bool, has_thinking: bool) -> AnswerState:
    """The state of any answer. A refusal is one whatever the reason says; without a text, what stands there decides where the reason does not."""
    by_word = state_of_text(finish)
    if is_refusal:
        return AnswerState.REFUSED
    if has_text or by_word is not AnswerState.COMPLETE:
        return by_word
    return AnswerState.TOOL_CALL if has_tool_call else AnswerState.UNFINISHED_THINKING if has_thinking else AnswerState.EMPTY
