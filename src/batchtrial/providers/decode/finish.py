"""What a finish reason says about an answer, in the words of every server that we know of.

A word is known by its letters, so that `max-tokens` and `MaxTokens` are `max_tokens`; another one by what it speaks of: a limit, a filter, a tool.
What speaks of none of these is taken for a whole answer when there is a text, and is counted by name in account.json, so that it cannot hide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from batchtrial.providers.decode.contents import Content
from batchtrial.records import AnswerState

WHOLE: Final = (
    *("stop", "end_turn", "stop_sequence", "eos", "eos_token", "end", "completed", "complete", "done", "finish", "word"),
    "reason_stop",
)
"""Words for an answer that ended by itself: OpenAI and its relatives, Anthropic, TGI, llama.cpp, Ollama, Cohere."""
_CUT: Final = (
    *("length", "max_tokens", "max_output_tokens", "max_new_tokens", "max_length", "model_length", "model_context_window_exceeded"),
    *("limit", "token_limit", "context_length_exceeded", "abort", "aborted", "cancelled", "canceled", "error_limit"),
    *("in_progress", "incomplete", "queued", "timeout", "time_limit", "user_cancel", "repetition", "compaction", "max_messages", "steered"),
    *("other", "finish_reason_unspecified", "continuation", "too_many_tool_calls", "image_other", "no_image"),
    *("reason_max_len", "reason_max_context", "reason_time_limit"),
)
"""Words for an answer that ended otherwise than by itself, also where the server does not say why (Gemini's OTHER)."""
_BROKEN: Final = (
    *("error", "failed", "failure", "server_error", "internal_error", "model_error", "engine_error", "network_error", "model_stream_error"),
    *("insufficient_system_resource", "unavailable", "malformed_response", "malformed_model_output", "missing_thought_signature", "reason_invalid"),
)
"""Words for a fault of the server while it answered. What stands there is no answer of the model: it is neither a whole nor a cut one."""
_FILTERED: Final = (
    *("content_filter", "content_filtered", "safety", "image_safety", "recitation", "blocklist", "prohibited_content", "spii", "sensitive"),
    *("guardrail_intervened", "error_toxic", "moderation", "blocked", "language"),
    *("image_prohibited_content", "image_recitation", "escalation", "pup_limited_disabled", "model_armor", "jailbreak"),
)
_TOOL_CALL: Final = (
    *("tool_calls", "tool_call", "tool_use", "function_call", "pause_turn", "malformed_function_call", "unexpected_tool_call"),
    "reason_tool_calls",
)
_REFUSED: Final = ("refusal", "refused")
BY_FINISH: Final[Mapping[str, AnswerState]] = {
    **dict.fromkeys(WHOLE, AnswerState.COMPLETE),
    **dict.fromkeys(_CUT, AnswerState.CUT),
    **dict.fromkeys(_FILTERED, AnswerState.FILTERED),
    **dict.fromkeys(_TOOL_CALL, AnswerState.TOOL_CALL),
    **dict.fromkeys(_REFUSED, AnswerState.REFUSED),
    **dict.fromkeys(_BROKEN, AnswerState.NOT_UNDERSTOOD),
}
_SPEAKS_OF: Final = (
    (re.compile(r"filter|safety|moderat|blocked|guardrail|prohibit|policy|violation|sensitive|toxic"), AnswerState.FILTERED),
    (re.compile(r"refus"), AnswerState.REFUSED),
    (re.compile(r"tool|functioncall"), AnswerState.TOOL_CALL),
    (re.compile(r"length|maximum|^max|limit|truncat|incomplete|unfinished|notfinished|timeout|abort|cancel|interrupt|exhausted"), AnswerState.CUT),
)


INCOMPLETE: Final = "incomplete"
"""What a word begins with that a Responses body gives as the reason why it is incomplete."""


def _letters(finish: str) -> str:
    return "".join(char for char in finish.lower() if char.isalnum())


_BY_LETTERS: Final[Mapping[str, AnswerState]] = {_letters(word): state for word, state in BY_FINISH.items()}


def _state_of_word(finish: str) -> AnswerState | None:
    """What a word means; None when nobody knows."""
    letters = _letters(finish)
    return _BY_LETTERS.get(letters) or next((state for speaks, state in _SPEAKS_OF if speaks.search(letters)), None)


def is_known(finish: str) -> bool:
    """Whether somebody decided what the word means, or it says so itself."""
    return _state_of_word(finish) is not None


def is_fault(finish: str | None) -> bool:
    """Whether the word says that the server failed while it answered."""
    return finish is not None and _state_of_word(finish) is AnswerState.NOT_UNDERSTOOD


def state_of_text(finish: str | None) -> AnswerState:
    """The state of an answer that has a text and nothing else odd about it."""
    return _state_of_word(finish or "stop") or AnswerState.COMPLETE


def state_by_finish(finish: str | None, content: Content, *, is_refusal: bool, has_tool_call: bool, has_thinking: bool) -> AnswerState:
    """The state of any answer. A refusal is one whatever the reason says; where the reason says nothing else, what stands there decides.

    has_tool_call: of a tool of ours, which waits for an answer: what is said beside it is no last word.
    """
    by_word = state_of_text(finish)
    if is_refusal:
        return AnswerState.REFUSED
    if not content.is_text:
        return AnswerState.NOT_UNDERSTOOD
    if by_word is AnswerState.COMPLETE and has_tool_call:
        return AnswerState.TOOL_CALL
    if content.text or by_word is not AnswerState.COMPLETE:
        return by_word
    if content.has_call:
        return AnswerState.TOOL_CALL
    return AnswerState.UNFINISHED_THINKING if has_thinking or content.has_thinking else AnswerState.EMPTY
