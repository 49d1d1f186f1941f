"""Sampling fields that model families refuse, in the words of the service that serves them; as of 2026-11-28.

A batch is accepted with them: each row is answered by HTTP 400 when its turn comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from batchtrial.emulator.answers.rows import Problem

DATED: Final = r"(?:-20[0-9]{2}-[0-9]{2}-[0-9]{2})?"
ALWAYS_THINKING: Final = re.compile(
    rf"(?:o[1-9](?:-mini|-pro|-preview)?|gpt-5(?:-mini|-nano|-pro|-codex)?|gpt-5\.[1-4]-(?:pro|codex[a-z-]*)|"
    rf"gpt-(?:5\.(?:[5-9]|[1-9][0-9])|[6-9](?:\.[0-9]+)?)(?:-(?!chat)[a-z]+)*){DATED}"
)
THINKING_WHEN_ASKED: Final = re.compile(rf"gpt-5\.[1-4](?:-mini|-nano)?{DATED}")
WITHOUT_STOP: Final = re.compile(rf"(?:o[3-9]|gpt-5)(?:-mini|-nano|-pro|-codex)?{DATED}")
ONE_OF_TWO: Final = re.compile(r"claude-(?:opus-4-[1-6]|(?:sonnet|haiku)-4-[56])(?:-[0-9]{8}|-latest)?")
MOST_STOPS: Final = 4
OF_OPENAI: Final = re.compile(r"(?:ft:)?(?:gpt-(?!oss)|chatgpt-|o[1-9])")
WITHOUT_SAMPLING: Final = re.compile(r"claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku|fable|mythos)-[5-9](?:-[0-9])?)(?:-[0-9]{8}|-latest)?")


def refused_by_openai(body: Mapping[str, Any]) -> Problem | None:
    """What an OpenAI model answers instead of an answer, for a body of either endpoint; None when it takes every field."""
    return next((Problem(status=400, message=text, code=code, param=name) for name, code, text in _of_openai(body)), None)


def _of_openai(body: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    model = str(body.get("model") or "").rsplit("/", 1)[-1]
    is_thinking = ALWAYS_THINKING.fullmatch(model) is not None
    if THINKING_WHEN_ASKED.fullmatch(model):
        reasoning = body.get("reasoning")
        asked = reasoning.get("effort") if isinstance(reasoning, dict) else body.get("reasoning_effort")
        is_thinking = asked not in (None, "none")
    if is_thinking and "max_tokens" in body:
        yield "max_tokens", "unsupported_parameter", f"{_unsupported('max_tokens')} Use 'max_completion_tokens' instead."
    temperature = body.get("temperature")
    if is_thinking and temperature is not None and temperature != 1:
        text = f"Unsupported value: 'temperature' does not support {temperature} with this model. Only the default (1) value is supported."
        yield "temperature", "unsupported_value", text
    if is_thinking and body.get("top_p") not in (None, 1):
        yield "top_p", "unsupported_parameter", _unsupported("top_p")
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > MOST_STOPS and OF_OPENAI.match(model):
        told = f"Expected an array with maximum length {MOST_STOPS}, but got an array with length {len(stop)} instead."
        yield "stop", "array_above_max_length", f"Invalid 'stop': array too long. {told}"
    if WITHOUT_STOP.fullmatch(model) and body.get("stop"):
        yield "stop", "unsupported_parameter", _unsupported("stop")


def _unsupported(name: str) -> str:
    return f"Unsupported parameter: '{name}' is not supported with this model."


def refused_by_anthropic(params: Mapping[str, Any]) -> Problem | None:
    """What a Claude model answers instead of an answer; None when it takes every field."""
    return next((Problem(status=400, message=text, param=name) for name, text in _of_anthropic(params)), None)


def _of_anthropic(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    model = str(params.get("model") or "")
    given = [name for name in ("temperature", "top_p", "top_k") if params.get(name) is not None]
    if WITHOUT_SAMPLING.fullmatch(model):
        yield from ((name, f"`{name}` is deprecated for this model.") for name in given)
    if ONE_OF_TWO.fullmatch(model) and {"temperature", "top_p"} <= set(given):
        yield "top_p", "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    stops = params.get("stop_sequences")
    if isinstance(stops, list) and any(isinstance(one, str) and not one.strip() for one in stops):
        yield "stop_sequences", "stop_sequences: each stop sequence must contain non-whitespace"
    thinking = params.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") not in ("enabled", "adaptive"):
        return
    if params.get("temperature") not in (None, 1):
        yield "temperature", "`temperature` may only be set to 1 when thinking is enabled."
    if params.get("top_k") is not None:
        yield "top_k", "`top_k` must be unset when thinking is enabled."
    budget, longest = thinking.get("budget_tokens"), params.get("max_tokens")
    if isinstance(budget, int) and isinstance(longest, int) and budget >= longest:
        yield "max_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`."
