"""The fast readers and the careful ones say the same of every line, whatever stands where an answer is expected."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.providers.test_answer_states import READERS, S, chat, flat, message, read, response, says, wrapped

from batchtrial.providers.decode import lines as results
from batchtrial.providers.decode.plain import LineReader, many_at_once
from batchtrial.providers.sdk.lines import MAX_DEPTH
from batchtrial.records import AnswerState, Outcome, RawResult

ABSENT = "(taken out)"
THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "hmm"}]}
CONTENTS: list[tuple[Any, AnswerState, str | None]] = [
    ("Rome", S.COMPLETE, "Rome"),
    ("", S.EMPTY, ""),
    (None, S.EMPTY, ""),
    ([], S.EMPTY, ""),
    ([{"type": "text", "text": "Ro"}, {"type": "text", "text": "me"}], S.COMPLETE, "Rome"),
    ([{"text": "Rome"}], S.COMPLETE, "Rome"),
    ([{"type": "text", "text": None}], S.EMPTY, ""),
    ([THOUGHT], S.UNFINISHED_THINKING, ""),
    ([THOUGHT, {"type": "text", "text": "Rome"}], S.COMPLETE, "Rome"),
    ([{"type": "reasoning", "text": "hmm"}, {"type": "text", "text": "Rome"}], S.COMPLETE, "Rome"),
    ([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], S.TOOL_CALL, ""),
    ([{"type": "image_url", "image_url": {}}, {"type": "text", "text": "Rome"}], S.COMPLETE, "Rome"),
    ([{"type": "refusal", "refusal": "No."}], S.REFUSED, "No."),
    (42, S.NOT_UNDERSTOOD, None),
    (0, S.NOT_UNDERSTOOD, None),
    (1.5, S.NOT_UNDERSTOOD, None),
    (True, S.NOT_UNDERSTOOD, None),
    (False, S.NOT_UNDERSTOOD, None),
    ({}, S.NOT_UNDERSTOOD, None),
    ({"text": "Rome"}, S.NOT_UNDERSTOOD, None),
    ({"type": "text", "text": "Rome"}, S.NOT_UNDERSTOOD, None),
    (["Rome"], S.NOT_UNDERSTOOD, None),
    ([42], S.NOT_UNDERSTOOD, None),
    ([[{"type": "text", "text": "Rome"}]], S.NOT_UNDERSTOOD, None),
    ([{"type": "text", "text": 42}], S.NOT_UNDERSTOOD, None),
    ([{"type": "text", "text": {"value": "Rome"}}], S.NOT_UNDERSTOOD, None),
    ([{"type": "image_url", "image_url": {}}], S.NOT_UNDERSTOOD, None),
    ([{"type": "refusal", "refusal": 42}], S.REFUSED, ""),
]


def told(result: RawResult) -> tuple[Outcome, AnswerState, str | None]:
    return result.outcome, result.state, result.text


def of(wire: str, content: Any, finish: Any = None) -> bytes:
    """A line of the wire with this content. finish: in the words of the wire, its ordinary one when None."""
    if wire == "messages":
        return message(content, finish or "end_turn")
    if wire == "responses":
        return response([{"type": "message", "role": "assistant", "content": content}], finish or "completed")
    body = chat({"content": content}, finish or "stop")
    return flat(body) if wire == "flat" else wrapped(body)


@pytest.mark.parametrize("wire", READERS)
@pytest.mark.parametrize(("content", "state", "text"), CONTENTS)
def test_what_stands_in_the_place_of_an_answer(wire: str, content: Any, state: AnswerState, text: str | None) -> None:
    result = read(wire, of(wire, content))
    assert isinstance(result, RawResult)
    assert told(result) == (Outcome.SUCCEEDED, state, text)
    assert (result.usage and result.usage.output_tokens) == 64, "it was billed all the same"
    if state is S.NOT_UNDERSTOOD:
        assert (result.error or "").startswith("not_understood: the answer is no text: {")
        assert not result.retryable


@pytest.mark.parametrize("wire", ["flat", "chat"])
@pytest.mark.parametrize("finish", ["error", "stop", "length", None])
@pytest.mark.parametrize("content", ["Rome is the", "", None])
@pytest.mark.parametrize(
    ("fault", "error", "retryable"),
    [
        ({"message": "upstream died", "code": 502}, "502: upstream died", True),
        ({"message": "upstream died"}, "no_code: upstream died", False),
        ({"code": "model_error", "metadata": {"raw": "CUDA out of memory"}}, "model_error: ", False),
        ("upstream died", "no_code: upstream died", False),
        ({"message": "no such model", "code": "model_not_found"}, "model_not_found: no such model", False),
    ],
)
def test_an_error_inside_a_choice_keeps_the_servers_words_and_the_bill(
    wire: str, finish: str | None, content: str | None, fault: Any, error: str, retryable: bool
) -> None:
    for place in ("choice", "message"):
        body = chat({"content": content, **({"error": fault} if place == "message" else {})}, finish)
        if place == "choice":
            body["choices"][0]["error"] = fault
        result = read(wire, flat(body) if wire == "flat" else wrapped(body))
        assert isinstance(result, RawResult)
        assert (result.outcome, result.retryable) == (Outcome.ERRORED, retryable)
        assert (result.error or "").startswith(error)
        assert "CUDA" in (result.error or "CUDA") or "CUDA" not in str(fault)
        assert result.usage is not None


@pytest.mark.parametrize("wire", ["flat", "chat", "messages"])
@pytest.mark.parametrize("finish", ["error", "ERROR", "network_error", "failed", "insufficient_system_resource"])
@pytest.mark.parametrize("content", ["Rome is the", "", None])
def test_an_answer_that_ended_in_a_fault_without_words_is_not_understood(wire: str, finish: str, content: str | None) -> None:
    result = read(wire, of(wire, content, finish))
    assert isinstance(result, RawResult)
    assert told(result) == (Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, None)
    assert (result.error or "").startswith(f"not_understood: the answer ended with '{finish}': {{")
    assert not result.retryable


def body_of(**changed: Any) -> bytes:
    whole = {"id": "resp_1", "object": "response", "usage": {"input_tokens": 20, "output_tokens": 64}, "output": [], "status": "completed"}
    return wrapped({**whole, **changed})


CALL = {"type": "function_call", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("raw", "outcome", "state", "error"),
    [
        (body_of(status="failed", error={"code": "server_error", "message": "died"}), Outcome.ERRORED, S.COMPLETE, "server_error: died"),
        (body_of(status="failed"), Outcome.ERRORED, S.COMPLETE, "failed: the response is failed"),
        (body_of(status="failed", output=[says("Rome")]), Outcome.ERRORED, S.COMPLETE, "failed: the response is failed"),
        (body_of(status="cancelled"), Outcome.CANCELLED, S.COMPLETE, "cancelled: the response is cancelled"),
        (
            body_of(status="incomplete", output=[says("Ro")], error={"code": "server_error", "message": "died"}),
            Outcome.ERRORED,
            S.COMPLETE,
            "server_error: died",
        ),
        (body_of(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), Outcome.SUCCEEDED, S.CUT, None),
        (body_of(status="incomplete", incomplete_details={"reason": "content_filter"}), Outcome.SUCCEEDED, S.FILTERED, None),
        (body_of(), Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, "not_understood: an answer without choices"),
        (body_of(output="Rome"), Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, "not_understood: the answer is no text"),
        (body_of(output=["Rome"]), Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, "not_understood: the answer is no text"),
        (body_of(output=[{"type": "of tomorrow", "text": "Rome"}]), Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, "not_understood: the answer is no text"),
        (body_of(output=[says("I will look."), CALL]), Outcome.SUCCEEDED, S.TOOL_CALL, None),
        (body_of(output=[{"type": "web_search_call"}, says("Rome")]), Outcome.SUCCEEDED, S.COMPLETE, None),
        (body_of(output=[says("Rome"), says(" too")]), Outcome.SUCCEEDED, S.COMPLETE, None),
    ],
)
def test_how_a_response_ended(raw: bytes, outcome: Outcome, state: AnswerState, error: str | None) -> None:
    result = read("responses", raw)
    assert isinstance(result, RawResult)
    assert (result.outcome, result.state) == (outcome, state)
    assert (result.error or "").startswith(error or "")
    assert (result.error is None) == (error is None)


@pytest.mark.parametrize(
    ("phases", "text"),
    [
        (("commentary", "final_answer"), "two"),
        (("final_answer", "commentary"), "one"),
        (("final_answer", "final_answer"), "onetwo"),
        (("commentary", None), "onetwo"),
        (("commentary",), "one"),
        ((None, "final_answer"), "two"),
    ],
)
def test_what_a_model_says_on_its_way_is_no_part_of_its_final_answer(phases: tuple[str | None, ...], text: str) -> None:
    output = [{**says(words), **({"phase": phase} if phase else {})} for words, phase in zip(("one", "two"), phases, strict=False)]
    result = read("responses", body_of(output=output))
    assert isinstance(result, RawResult)
    assert (result.text, result.state) == (text, S.COMPLETE)


@pytest.mark.parametrize("fault", [{"type": "overloaded_error", "message": "Overloaded"}, {"type": "api_error", "message": "died"}])
@pytest.mark.parametrize("told", ["message", "type"])
def test_a_message_that_is_an_error_keeps_the_servers_words(fault: dict[str, str], told: str) -> None:
    body = {"type": "error", "error": fault} if told == "type" else {"id": "m", "content": [], "stop_reason": "end_turn", "error": fault}
    raw = json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": body}}).encode()
    result = read("messages", raw)
    assert isinstance(result, RawResult)
    assert (result.outcome, result.error, result.retryable) == (Outcome.ERRORED, f"{fault['type']}: {fault['message']}", True)


def test_what_is_read_of_the_cache_is_billed_also_when_nobody_understands_the_answer() -> None:
    usage = {"input_tokens": 5, "output_tokens": 7, "cache_read_input_tokens": 30}
    told = {"id": "m", "content": 42, "stop_reason": "end_turn", "usage": usage}
    raw = json.dumps({"custom_id": "a", "result": {"type": "succeeded", "message": told}}).encode()
    result = read("messages", raw)
    assert isinstance(result, RawResult)
    assert result.usage is not None
    assert (result.usage.input_tokens, result.usage.cached_tokens) == (35, 30)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("[" * 1_000 + "]" * 1_000, "an answer nested more than 200 levels deep: ["),
        ('{"choices": [' + "[" * 100_000, "an answer nested more than 200 levels deep: {"),
        ("<html>502</html>", "an answer that is no JSON (Expecting value"),
        ('{"choices": [{"message": {"content": "Ro', "an answer that is no JSON (Unterminated string"),
        ("", "an answer that is no JSON"),
    ],
)
def test_why_a_text_in_the_place_of_a_body_is_no_answer(body: str, why: str) -> None:
    for raw in (wrapped(body), *((flat(body),) if body else ())):
        result = results.decode_line(raw)
        assert told(result) == (Outcome.SUCCEEDED, S.NOT_UNDERSTOOD, None)
        assert (result.error or "").startswith(f"not_understood: {why}")


def test_numbers_of_thousands_of_digits_in_such_a_text_take_nothing_from_the_answer() -> None:
    for odd in ("9" * 6_000, "NaN", "-Infinity"):
        body = json.dumps(chat({"content": "Rome"})).replace('"index": 0', f'"index": 0, "logprobs": {odd}')
        assert odd in body
        assert results.decode_line(wrapped(body)).text == "Rome"


ODD: list[Any] = [
    ABSENT,
    None,
    "",
    "x",
    "Rome",
    "\x00",
    0,
    1,
    200,
    429,
    1.5,
    True,
    False,
    [],
    {},
    ["Rome"],
    {"message": "died"},
    "error",
    "stop",
    "Ro\u00eame",
]
PATHS: dict[str, list[tuple[str | int, ...]]] = {
    "body": [
        ("error",),
        ("object",),
        ("id",),
        ("status",),
        ("status_code",),
        ("body",),
        ("request_id",),
        ("usage",),
        ("usage", "prompt_tokens"),
        ("usage", "input_tokens"),
        ("usage", "input_tokens_details"),
        ("usage", "prompt_tokens_details"),
    ],
    "chat": [
        *(("choices",), ("choices", 0), ("choices", 0, "error"), ("choices", 0, "text"), ("choices", 0, "finish_reason"), ("choices", 0, "message")),
        *(("choices", 0, "message", key) for key in ("content", "refusal", "tool_calls", "function_call", "reasoning", "error")),
    ],
    "responses": [
        *(("output",), ("output", 0), ("output", 0, "type"), ("output", 0, "content"), ("output", 0, "content", 0), ("incomplete_details",)),
        *(("output", 0, "content", 0, key) for key in ("type", "text", "refusal")),
    ],
    "messages": [
        *(("content",), ("content", 0), ("content", 0, "type"), ("content", 0, "text"), ("stop_reason",), ("type",), ("role",)),
        *(("usage", key) for key in ("input_tokens", "output_tokens", "cache_read_input_tokens", "output_tokens_details")),
    ],
}


def changed(value: Any, path: tuple[str | int, ...], new: Any) -> None:
    """Put something else at a path of a JSON value, where the path leads anywhere."""
    for key in path[:-1]:
        inside = value.get(key) if isinstance(value, dict) else value[key] if isinstance(value, list) and value and isinstance(key, int) else None
        if inside is None:
            return
        value = inside
    last: Any = path[-1]
    if isinstance(value, dict) and new == ABSENT:
        value.pop(last, None)
    elif isinstance(value, dict) or (isinstance(value, list) and value and isinstance(last, int)):
        value[last] = new


def odd_lines(wire: str, n: int, seed: int) -> Iterator[bytes]:
    """Ordinary lines of a wire in which one to three things are something else."""
    draw = random.Random(f"{wire} {seed}")
    where: tuple[str | int, ...] = {"flat": ("response",), "messages": ("result", "message")}.get(wire, ("response", "body"))
    paths = [*PATHS["body"], *PATHS["chat" if wire == "flat" else wire]]
    outer: list[tuple[str | int, ...]] = [("error",), ("response",), ("response", "status_code"), ("response", "request_id"), ("result", "type")]
    for _ in range(n):
        value = json.loads(
            of(wire, [{"type": "output_text" if wire == "responses" else "text", "text": "Rome"}] if wire in ("responses", "messages") else "Rome")
        )
        for _ in range(draw.choice((1, 1, 2, 3))):
            path = (*where, *draw.choice(paths)) if draw.random() < 0.9 else draw.choice(outer)
            changed(value, path, copy.deepcopy(draw.choice(ODD)))
        yield json.dumps(value, ensure_ascii=draw.random() < 0.5).encode()


@pytest.mark.parametrize("wire", READERS)
def test_both_readers_say_the_same_of_every_odd_line(wire: str) -> None:
    seen: Counter[Any] = Counter()
    pick, _ = READERS[wire]
    for line in odd_lines(wire, 3_000, 1):
        result = read(wire, line)
        if isinstance(result, str):
            seen["bad"] += 1
            continue
        seen[result.outcome if result.outcome is not Outcome.SUCCEEDED else result.state] += 1
        seen["fast"] += pick(line) is not None
    assert seen["fast"] > 300, "lines that the fast reader takes are among them"
    assert seen[S.NOT_UNDERSTOOD] > 20, seen
    assert seen[S.EMPTY] > 20, seen


def over_two_lines(line: bytes) -> bytes:
    """The same value, written over two lines."""
    return line.replace(b", ", b",\n", 1)


MISHAPS: dict[str, tuple[bytes, ...]] = {
    "nothing": (b"%a\n", b"%b\n", b"%c\n"),
    "no newline at the end": (b"%a\n", b"%b\n", b"%c"),
    "Windows": (b"%a\r\n", b"%b\r\n", b"%c\r\n"),
    "two values in a line": (b"%a%b\n", b"%c\n"),
    "two values in a line, and a blank one": (b"%a%b\n", b"\n", b"%c\n"),
    "two values in a line, and one over two lines": (b"%a %b\n", b"%2\n", b"%c\n"),
    "a blank one": (b"%a\n", b"  \n", b"%b\n"),
    "a torn one": (b"%a\n", b'{"custom_id": "b', b'{"\n', b"%c\n"),
    "none at all": (b"\n",),
    "an empty text": (b"%a\n", b"%e\n", b"%c\n"),
    "a NUL": (b"%a\n", b"%n\n", b"%c\n"),
    "one too deep": (b"%a\n", b"%d\n", b"%c\n"),
    "a failure": (b"%a\n", b'{"custom_id": "b", "error": {"code": "x"}}\n', b"%c\n"),
}


@pytest.mark.parametrize("wire", READERS)
@pytest.mark.parametrize("mishap", MISHAPS)
def test_lines_read_together_say_what_each_says_by_itself(wire: str, mishap: str) -> None:
    text = [{"type": "output_text" if wire == "responses" else "text", "text": "Rome"}] if wire in ("responses", "messages") else "Rome"
    one = of(wire, text)
    ids = {b"%a": one, b"%b": one.replace(b'"a"', b'"b"'), b"%c": one.replace(b'"a"', b'"c"'), b"%2": over_two_lines(one)}
    ids |= {b"%e": ids[b"%b"].replace(b'"Rome"', b'""'), b"%n": ids[b"%b"].replace(b"Rome", b"R\\u0000me")}
    ids[b"%d"] = ids[b"%b"].replace(b"{", b'{"x": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b", ", 1)
    stretch = b"".join(MISHAPS[mishap])
    for mark, line in ids.items():
        stretch = stretch.replace(mark, line)
    lines = stretch.splitlines(keepends=True)
    reader = LineReader(*READERS[wire])
    places, fields = many_at_once(reader, lines)
    by_itself = [reader.pick(line) for line in lines]
    alone = [place for place, one in enumerate(by_itself) if one is not None]
    assert list(places) == alone
    for number, result in enumerate(one for one in by_itself if one is not None):
        told = {name: values[number] for name, values in fields.items()}
        assert told == {name: getattr(result if hasattr(result, name) else result.usage, name) for name in fields}
