"""Answers in the three shapes that endpoints give them: chat completion, response, message.

Times inside are the epoch of the manual clock: a body depends on its request alone.
"""

from __future__ import annotations

from typing import Any, Final

from batchtrial.emulator.answers.forms import chat_choice, is_cut, message_blocks, response_output, text_of
from batchtrial.emulator.answers.request import ChatRequest
from batchtrial.emulator.answers.simulation import Answer
from batchtrial.emulator.world.clock import EPOCH
from batchtrial.emulator.world.draws import token

CREATED: Final = int(EPOCH)


def usage_of(answers: tuple[Answer, ...]) -> tuple[int, int]:
    """Input and output tokens of a request with all its choices."""
    return answers[0].input_tokens, sum(answer.output_tokens for answer in answers)


def _choices(answers: tuple[Answer, ...]) -> list[tuple[dict[str, Any], str]]:
    """Message fields and finish reason of each choice; none at all when a fault wants an answer that nobody can read."""
    return [] if answers[0].form == "unreadable" else [chat_choice(answer) for answer in answers]


def chat_completion(seed: int, key: str, chat: ChatRequest, answers: tuple[Answer, ...]) -> dict[str, Any]:
    """Body of `/v1/chat/completions`."""
    details = {
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": None, "refusal": None, "annotations": []} | fields,
            "logprobs": None,
            "finish_reason": finish,
        }
        for index, (fields, finish) in enumerate(_choices(answers))
    ]
    return _completion(token("chatcmpl-", seed, "chat", key, length=29), chat, answers, choices, details) | {
        "service_tier": "default",
        "system_fingerprint": token("fp_", seed, "fingerprint", chat.model, length=10),
    }


def fireworks_completion(seed: int, key: str, chat: ChatRequest, answers: tuple[Answer, ...]) -> dict[str, Any]:
    """The `response` of a Fireworks output line: a chat completion with fewer fields."""
    choices = [
        {"index": index, "message": {"role": "assistant", **fields}, "finish_reason": finish}
        for index, (fields, finish) in enumerate(_choices(answers))
    ]
    return _completion(token("", seed, "fireworks", key, length=32), chat, answers, choices, {"prompt_tokens_details": {"cached_tokens": 0}})


def _completion(
    own_id: str, chat: ChatRequest, answers: tuple[Answer, ...], choices: list[dict[str, Any]], details: dict[str, Any]
) -> dict[str, Any]:
    """What both kinds of chat completions have."""
    n_input, n_output = usage_of(answers)
    return {
        "id": own_id,
        "object": "chat.completion",
        "created": CREATED,
        "model": chat.model,
        "choices": choices,
        "usage": {"prompt_tokens": n_input, "completion_tokens": n_output, "total_tokens": n_input + n_output, **details},
    }


def text_completion(seed: int, key: str, chat: ChatRequest, answers: tuple[Answer, ...]) -> dict[str, Any]:
    """Body of `/v1/completions`."""
    n_input, n_output = usage_of(answers)
    return {
        "id": token("cmpl-", seed, "completion", key, length=29),
        "object": "text_completion",
        "created": CREATED,
        "model": chat.model,
        "choices": [
            {"text": text_of(answer), "index": index, "logprobs": None, "finish_reason": "length" if is_cut(answer) else "stop"}
            for index, answer in enumerate(answers)
        ],
        "usage": {"prompt_tokens": n_input, "completion_tokens": n_output, "total_tokens": n_input + n_output},
    }


def response(seed: int, key: str, chat: ChatRequest, answers: tuple[Answer, ...]) -> dict[str, Any]:
    """Body of `/v1/responses`."""
    answer = answers[0]
    n_input, n_output = answer.input_tokens, answer.output_tokens
    output, status, why = response_output(answer, token("msg_", seed, "response-message", key, length=48))
    return {
        "id": token("resp_", seed, "response", key, length=48),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None if why is None else {"reason": why},
        "instructions": chat.system or None,
        "max_output_tokens": chat.max_tokens,
        "metadata": {},
        "model": chat.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": True,
        "temperature": 1.0 if chat.temperature is None else chat.temperature,
        "text": {"format": {"type": "text"}, "verbosity": "medium"},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0 if chat.top_p is None else chat.top_p,
        "truncation": "disabled",
        "usage": {
            "input_tokens": n_input,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": n_output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": n_input + n_output,
        },
        "user": None,
    }


def message_of(seed: int, key: str, model: str, answer: Answer, tier: str = "batch") -> dict[str, Any]:
    """Body of an Anthropic message with a simulated answer."""
    blocks, reason = message_blocks(answer)
    made = message(seed, key, model, answer.text, reason, answer.input_tokens, answer.output_tokens, tier)
    return made if answer.form is None and not answer.tool else made | {"content": blocks}


def message(seed: int, key: str, model: str, text: str, stop_reason: str | None, n_input: int, n_output: int, tier: str = "batch") -> dict[str, Any]:
    """Body of an Anthropic message."""
    return {
        "id": token("msg_01", seed, "message", key, length=22),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": n_input,
            "output_tokens": n_output,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "service_tier": tier,
        },
    }
