"""What every wire says of an answer: whole, cut off, refused, withheld, a call, empty, only thoughts, or nothing that can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from batchtrial.errors import ProviderError
from batchtrial.providers.anthropic import results as messages
from batchtrial.providers.decode import lines as results
from batchtrial.providers.decode.finish import is_known, state_of_text
from batchtrial.providers.decode.plain import Careful, Pick, one, pick_chat, pick_flat, pick_responses
from batchtrial.providers.gemini import results as gemini
from batchtrial.providers.sdk.lines import MAX_DEPTH, split_lines
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult

S = AnswerState
USAGE = {"prompt_tokens": 20, "completion_tokens": 64, "total_tokens": 84}
READERS: dict[str, tuple[Pick, Careful]] = {
    "flat": (pick_flat, results.decode_line),
    "chat": (pick_chat, results.decode_line),
    "responses": (pick_responses, results.decode_line),
    "messages": (messages.pick, messages.decode_line),
}


def chat(message: dict[str, Any], finish: str | None = "stop") -> dict[str, Any]:
    return {"id": "c1", "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}], "usage": USAGE}


def flat(body: Any) -> bytes:
    return json.dumps({"custom_id": "a", "response": body}).encode()


def wrapped(body: Any, status: int = 200) -> bytes:
    return json.dumps({"custom_id": "a", "response": {"status_code": status, "request_id": "r", "body": body}, "error": None}).encode()


def response(output: list[dict[str, Any]], status: str = "completed", reason: str | None = None) -> bytes:
    usage = {"input_tokens": 20, "output_tokens": 64}
    details = None if reason is None else {"reason": reason}
    return wrapped({"id": "resp_1", "status": status, "incomplete_details": details, "error": None, "output": output, "usage": usage})


def message(blocks: list[dict[str, Any]], stop: str | None = "end_turn") -> bytes:
    usage = {"input_tokens": 20, "output_tokens": 64}
    told = {"id": "m1", "type": "message", "content": blocks, "stop_reason": stop, "usage": usage}
    return json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": told}}).encode()


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def says(words: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words}]}


CALL = [{"id": "t1", "type": "function", "function": {"name": "search", "arguments": "{}"}}]
CHAT: list[tuple[dict[str, Any], str | None, AnswerState, str]] = [
    ({"content": "Rome"}, "stop", S.COMPLETE, "Rome"),
    ({"content": "Rome"}, None, S.COMPLETE, "Rome"),
    ({"content": "Rome"}, "eos_token", S.COMPLETE, "Rome"),
    ({"content": "Rome"}, "a word of tomorrow", S.COMPLETE, "Rome"),
    ({"content": "Rome is the ca"}, "length", S.CUT, "Rome is the ca"),
    ({"content": "Rome is the ca"}, "MAX_TOKENS", S.CUT, "Rome is the ca"),
    ({"content": "Rome is the ca"}, "abort", S.CUT, "Rome is the ca"),
    ({"content": None, "reasoning_content": "hmm, the passage"}, "length", S.CUT, ""),
    ({"content": "", "reasoning": "hmm"}, "length", S.CUT, ""),
    ({"content": None, "reasoning_content": "hmm"}, "stop", S.UNFINISHED_THINKING, ""),
    ({"content": ""}, "content_filter", S.FILTERED, ""),
    ({"content": "Half a thou"}, "content_filter", S.FILTERED, "Half a thou"),
    ({"content": ""}, "SAFETY", S.FILTERED, ""),
    ({"content": None, "refusal": "I can't help with that."}, "stop", S.REFUSED, "I can't help with that."),
    ({"content": "No.", "refusal": "I can't help with that."}, "stop", S.REFUSED, "No."),
    ({"content": [{"type": "refusal", "refusal": "No."}]}, "stop", S.REFUSED, "No."),
    ({"content": None, "tool_calls": CALL}, "tool_calls", S.TOOL_CALL, ""),
    ({"content": "I will look.", "tool_calls": CALL}, "tool_calls", S.TOOL_CALL, "I will look."),
    ({"content": "", "tool_calls": CALL}, "stop", S.TOOL_CALL, ""),
    ({"content": None, "function_call": {"name": "f"}}, "function_call", S.TOOL_CALL, ""),
    ({"content": "I will look.", "tool_calls": CALL}, "stop", S.TOOL_CALL, "I will look."),
    ({"content": "I will look.", "function_call": {"name": "f"}}, None, S.TOOL_CALL, "I will look."),
    ({"content": "Rome", "tool_calls": [], "function_call": None}, "stop", S.COMPLETE, "Rome"),
    ({"content": "Rome Rome Rome"}, "repetition", S.CUT, "Rome Rome Rome"),
    ({"content": ""}, "stop", S.EMPTY, ""),
    ({"content": None}, "stop", S.EMPTY, ""),
]


@pytest.mark.parametrize("wrap", [flat, wrapped])
@pytest.mark.parametrize(("told", "finish", "state", "words"), CHAT)
def test_chat_completions(wrap: Callable[[Any], bytes], told: dict[str, Any], finish: str | None, state: AnswerState, words: str) -> None:
    raw = wrap(chat(told, finish))
    pick = pick_flat if wrap is flat else pick_chat
    result = one(raw, pick, results.decode_line)
    assert (result.outcome, result.state, result.text) == (Outcome.SUCCEEDED, state, words)
    assert result == results.decode_line(raw), "both readers say the same"
    assert pick(raw) in (None, result)


@pytest.mark.parametrize(
    ("raw", "state", "words"),
    [
        (response([says("Rome")]), S.COMPLETE, "Rome"),
        (response([{"type": "reasoning", "summary": []}, says("Rome")]), S.COMPLETE, "Rome"),
        (response([says("Rome is the")], "incomplete", "max_output_tokens"), S.CUT, "Rome is the"),
        (response([{"type": "reasoning", "summary": []}], "incomplete", "max_output_tokens"), S.CUT, ""),
        (response([says("Rome is")], "incomplete", "content_filter"), S.FILTERED, "Rome is"),
        (response([{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}]), S.REFUSED, "No."),
        (response([{"type": "function_call", "name": "f", "arguments": "{}"}]), S.TOOL_CALL, ""),
        (response([{"type": "reasoning", "summary": []}]), S.UNFINISHED_THINKING, ""),
        (response([says("")]), S.EMPTY, ""),
        (response([says("Rome")], "in_progress"), S.CUT, "Rome"),
        (response([says("Rome is")], "incomplete", "max_messages"), S.CUT, "Rome is"),
        (response([says("Rome is")], "incomplete", "steered"), S.CUT, "Rome is"),
        (response([says("Rome is")], "incomplete", "a word of tomorrow"), S.CUT, "Rome is"),
        (response([{"type": "web_search_call"}, says("Rome")]), S.COMPLETE, "Rome"),
        (response([{"type": "function_call", "name": "f", "arguments": "{}"}, says("I look")]), S.TOOL_CALL, "I look"),
    ],
)
def test_responses(raw: bytes, state: AnswerState, words: str) -> None:
    result = one(raw, pick_responses, results.decode_line)
    assert (result.outcome, result.state, result.text) == (Outcome.SUCCEEDED, state, words)
    assert result == results.decode_line(raw)


@pytest.mark.parametrize(
    ("raw", "state", "words"),
    [
        (message([text("Rome")]), S.COMPLETE, "Rome"),
        (message([{"type": "thinking", "thinking": "hmm"}, text("Rome")]), S.COMPLETE, "Rome"),
        (message([text("Rome is the")], "max_tokens"), S.CUT, "Rome is the"),
        (message([text("Rome is the")], "model_context_window_exceeded"), S.CUT, "Rome is the"),
        (message([{"type": "thinking", "thinking": "hmm"}], "max_tokens"), S.CUT, ""),
        (message([{"type": "thinking", "thinking": "hmm"}]), S.UNFINISHED_THINKING, ""),
        (message([text("I cannot")], "refusal"), S.REFUSED, "I cannot"),
        (message([], "refusal"), S.REFUSED, ""),
        (message([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], "tool_use"), S.TOOL_CALL, ""),
        (message([text("Let me look")], "pause_turn"), S.TOOL_CALL, "Let me look"),
        (message([text("Rome is")], "compaction"), S.CUT, "Rome is"),
        (message([{"type": "server_tool_use", "id": "t", "name": "web_search", "input": {}}, text("Rome")]), S.COMPLETE, "Rome"),
        (message([]), S.EMPTY, ""),
    ],
)
def test_messages(raw: bytes, state: AnswerState, words: str) -> None:
    result = one(raw, messages.pick, messages.decode_line)
    assert (result.outcome, result.state, result.text) == (Outcome.SUCCEEDED, state, words)
    assert result == messages.decode_line(raw)


OF_GEMINI = {
    S.CUT: "MAX_TOKENS OTHER FINISH_REASON_UNSPECIFIED CONTINUATION TOO_MANY_TOOL_CALLS IMAGE_OTHER NO_IMAGE",
    S.FILTERED: "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT IMAGE_RECITATION ESCALATION "
    "PUP_LIMITED_DISABLED MODEL_ARMOR",
    S.TOOL_CALL: "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL",
    S.NOT_UNDERSTOOD: "MALFORMED_RESPONSE MISSING_THOUGHT_SIGNATURE",
    S.COMPLETE: "STOP",
}
"""Every reason of Gemini's API, as its library of November 2026 lists them."""


@pytest.mark.parametrize(("state", "word"), [(state, word) for state, words in OF_GEMINI.items() for word in words.split()])
def test_a_half_answer_of_gemini_is_whole_only_where_it_ended_by_itself(state: AnswerState, word: str) -> None:
    candidate = {"content": {"role": "model", "parts": [{"text": "Rome is the"}]}, "finishReason": word}
    raw = json.dumps({"key": "a", "response": {"candidates": [candidate], "usageMetadata": {"promptTokenCount": 3}}}).encode()
    assert gemini.decode_line(raw).state is state
    assert is_known(word)


def of_gemini(response: Any) -> RawResult:
    return gemini.decode_line(json.dumps({"key": "a", "response": response}).encode())


def test_a_success_of_gemini_that_nobody_can_read_is_kept_and_not_asked_for_again() -> None:
    unread: tuple[Any, ...] = ("<html>busy</html>", [{"candidates": []}], 5, {"candidates": "Rome"})
    for response in unread:
        result = of_gemini(response)
        assert (result.outcome, result.state, result.retryable) == (Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, False), response
    body = {"candidates": [{"content": {"parts": [{"text": "Rome"}]}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}}
    assert of_gemini(json.dumps(body)) == of_gemini(body), "a body that is JSON in a text"
    absent: tuple[Any, ...] = (None, "", {})
    for nothing in absent:
        assert (of_gemini(nothing).outcome, of_gemini(nothing).retryable) == (Outcome.ERRORED, True), "there was no answer at all"


@pytest.mark.parametrize(
    ("fault", "told", "retryable"),
    [
        ({"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}, "503: overloaded", True),
        ({"code": 400, "message": "no such field", "status": "INVALID_ARGUMENT"}, "400: no such field", False),
        ({"message": "something"}, "no_code: something", False),
    ],
)
def test_an_error_that_came_as_a_success_of_gemini_keeps_its_words(fault: dict[str, Any], told: str, *, retryable: bool) -> None:
    result = of_gemini({"error": fault, "usageMetadata": {"promptTokenCount": 3}})
    assert (result.outcome, result.error, result.retryable) == (Outcome.ERRORED, told, retryable)
    assert result.usage is not None, "its tokens may have been billed"


def test_a_picture_beside_a_text_of_gemini_takes_nothing_from_it() -> None:
    parts = [{"text": "Rome"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}]
    body = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3}}
    result = gemini.decode_line(json.dumps({"key": "a", "response": body}).encode())
    assert (result.state, result.text) == (S.COMPLETE, "Rome")


@pytest.mark.parametrize(
    ("state", "word"),
    [
        *(
            (S.CUT, word)
            for word in ("max-tokens", "MaxTokens", "maximum_tokens", "not_finished", "output_token_limit_reached", "truncated", "time-out")
        ),
        *((S.FILTERED, word) for word in ("content-filter", "ContentFilter", "response_filtered", "safety_violation", "policy_blocked")),
        *((S.TOOL_CALL, word) for word in ("toolUse", "tool-calls", "requires_tool", "functionCall")),
        *((S.REFUSED, word) for word in ("model_refusal", "Refused")),
        *((S.COMPLETE, word) for word in ("endTurn", "END-TURN", "end_of_text", "banana")),
        (S.NOT_UNDERSTOOD, "Server-Error"),
    ],
)
def test_a_word_is_known_by_its_letters_else_by_what_it_speaks_of(state: AnswerState, word: str) -> None:
    assert state_of_text(word) is state
    assert is_known(word) == (word not in ("banana", "end_of_text"))


def test_a_word_that_nobody_knows_is_known_to_be_unknown() -> None:
    assert is_known("STOP")
    assert not is_known("a word of tomorrow")


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        ({"id": "c", "choices": [], "usage": USAGE}, 64),
        ({"id": "c", "object": "chat.completion"}, None),
        ({"choices": [{"index": 0, "finish_reason": "stop"}]}, None),
        ({"choices": "Rome"}, None),
        ("no JSON at all", None),
        ([1, 2], None),
        (None, None),
    ],
)
def test_a_success_that_nobody_can_read_is_kept_and_not_asked_for_again(body: Any, usage: int | None) -> None:
    result = results.decode_line(wrapped(body))
    assert (result.outcome, result.state, result.retryable, result.text) == (Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, False, None)
    assert (result.error or "").startswith("not_understood: ")
    assert (result.usage and result.usage.output_tokens) == usage


@pytest.mark.parametrize("told", [None, 5, {"id": "m"}])
def test_a_message_that_nobody_can_read_is_kept_and_not_asked_for_again(told: Any) -> None:
    raw = json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": told}}).encode()
    result = one(raw, messages.pick, messages.decode_line)
    assert (result.outcome, result.state, result.retryable) == (Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, False)


@pytest.mark.parametrize("told", [CHAT[0], CHAT[4], CHAT[7]])
def test_a_body_that_is_json_in_a_text_is_read(told: tuple[dict[str, Any], str | None, AnswerState, str]) -> None:
    answer, finish, state, words = told
    raw = wrapped(json.dumps(chat(answer, finish)))
    result = one(raw, pick_chat, results.decode_line)
    assert (result.outcome, result.state, result.text) == (Outcome.SUCCEEDED, state, words)
    failed = results.decode_line(wrapped(json.dumps({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}), 429))
    assert (failed.outcome, failed.error, failed.retryable) == (Outcome.ERRORED, "rate_limit_exceeded: slow down", True)


@pytest.mark.parametrize(
    ("body", "error", "retryable"),
    [
        ({"error": {"message": "model is overloaded", "type": "server_error", "code": "overloaded"}}, "overloaded: model is overloaded", True),
        ({"error": {"message": "busy", "type": "server_error"}}, "server_error: busy", True),
        ({"error": {"message": "busy", "code": 503}}, "503: busy", True),
        ({"error": "unexpected EOF"}, "no_code: unexpected EOF", False),
        ({"error": {"message": "something"}}, "no_code: something", False),
        ({"error": {"message": "no such model", "code": "model_not_found", "type": "server_error"}}, "model_not_found: no such model", False),
        ({"object": "error", "message": "System role not supported", "code": 400}, "400: System role not supported", False),
    ],
)
def test_an_error_that_came_as_a_success_keeps_the_servers_words(body: Any, error: str, retryable: bool) -> None:
    result = results.decode_line(wrapped(body))
    assert (result.outcome, result.error, result.retryable) == (Outcome.ERRORED, error, retryable)


def test_an_error_without_a_message_shows_what_the_server_sent() -> None:
    fault = {"detail": [{"loc": ["body", "top_k"], "msg": "extra fields not permitted"}]}
    assert "extra fields not permitted" in (results.decode_line(wrapped(fault, 422)).error or "")


GOOD: dict[str, bytes] = {
    "flat": flat(chat({"content": "Rome"})),
    "chat": wrapped(chat({"content": "Rome"})),
    "responses": response([says("Rome")]),
    "messages": message([text("Rome")]),
}


def beside(line: bytes, value: bytes) -> bytes:
    """The line with a field that nobody reads."""
    return b'{"x":' + value + b"," + line[1:]


def nested(levels: int, begin: bytes = b"[", end: bytes = b"]") -> bytes:
    return begin * levels + b"1" + end * levels


def read(name: str, line: bytes) -> RawResult | str:
    """What every way of reading the line says: they agree."""
    pick, careful = READERS[name]
    try:
        told: RawResult | str = one(line, pick, careful)
    except BadLine as error:
        told = str(error)
    plain = pick(line)
    if isinstance(told, str):
        assert plain is None
        with pytest.raises(BadLine):
            careful(line)
    else:
        assert careful(line) == told
        assert plain in (None, told)
    return told


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("levels", [1_000, 100_000])
@pytest.mark.parametrize(("begin", "end"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_a_line_nested_without_end_is_a_bad_line_in_every_codec(name: str, levels: int, begin: bytes, end: bytes) -> None:
    told = read(name, beside(GOOD[name], nested(levels, begin, end)))
    assert isinstance(told, str)
    assert "nested" in told


@pytest.mark.parametrize("name", GOOD)
def test_the_bound_is_one_number_for_every_reader(name: str) -> None:
    assert isinstance(read(name, beside(GOOD[name], nested(MAX_DEPTH - 1))), RawResult)
    assert isinstance(read(name, beside(GOOD[name], nested(MAX_DEPTH))), str)
    quoted = json.dumps("[" * 5_000 + '"\\').encode()
    assert isinstance(read(name, beside(GOOD[name], quoted)), RawResult), "brackets of a text are no levels"
    assert isinstance(read(name, beside(GOOD[name], b"[" + b"[]," * 5_000 + b"1]")), RawResult), "nor are brackets side by side"


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [b"9" * 5_000, b"-" + b"9" * 50_000, b"1e400", b"1.5e-400", b"0." + b"1" * 9_000])
def test_huge_numbers_where_nobody_looks_change_nothing(name: str, value: bytes) -> None:
    told = read(name, beside(GOOD[name], value))
    assert isinstance(told, RawResult)
    assert told.text == "Rome"


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [b"NaN", b"Infinity", b'"\\ud800"', b'"\xff"', b"tru", b"01", b'"a\x01b"'])
def test_what_is_hardly_json_is_read_alike_by_all(name: str, value: bytes) -> None:
    read(name, beside(GOOD[name], value))


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("value", [b"9" * 5_000, b"1e400", b"NaN", b"-1", b'"12"', b"[[1]]"])
def test_odd_token_counts_are_no_counts_and_end_nothing(name: str, value: bytes) -> None:
    line = GOOD[name].replace(b": 64", b": " + value)
    assert line != GOOD[name]
    read(name, line)


def test_the_splitter_of_lines_lets_a_deep_last_line_through_whole_or_not() -> None:
    deep = beside(GOOD["flat"], nested(100_000))
    assert list(split_lines([deep])) == [deep + b"\n"]
    with pytest.raises(ProviderError):
        list(split_lines([GOOD["flat"], b"\n", GOOD["flat"][:-5]]))


@pytest.mark.parametrize("name", GOOD)
def test_whatever_a_reader_raises_is_a_bad_line(name: str) -> None:
    pick, _ = READERS[name]

    def broken(line: bytes) -> RawResult:
        raise ZeroDivisionError(line)

    with pytest.raises(BadLine, match="ZeroDivisionError"):
        one(b"{}", pick, broken)
