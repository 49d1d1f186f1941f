"""Result lines of OpenAI's family: judged by content, tolerant of shapes, never losing a row without saying so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.providers.anthropic import results as messages
from batchtrial.providers.decode import lines as results
from batchtrial.providers.decode.plain import Careful, Pick, one, pick_chat, pick_flat, pick_responses
from batchtrial.records import BadLine, Outcome, RawResult, Usage

CHAT = {
    "id": "cmpl-1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 3,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}
RESPONSES = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "error": None,
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Paris", "annotations": []}]},
    ],
    "usage": {
        "input_tokens": 9,
        "output_tokens": 3,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 12,
    },
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "text", "text": "Paris"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 3,
        "output_tokens": 3,
        "cache_creation_input_tokens": 2,
        "cache_read_input_tokens": 4,
        "output_tokens_details": {"thinking_tokens": 1},
    },
}
USED = Usage(input_tokens=9, output_tokens=3, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=1)
OURS = "c-t07-01234567-0123456789abcdef-s0"


def wrapped(body: Any, status: int = 200, error: Any = None) -> dict[str, Any]:
    return {"id": "batch_req_1", "custom_id": "a", "response": {"status_code": status, "request_id": "r1", "body": body}, "error": error}


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


FLAT = {"custom_id": "a", "response": CHAT}
ANSWER = {"custom_id": "a", "result": {"type": "succeeded", "message": MESSAGE}}

READERS: dict[str, tuple[Pick, Careful, dict[str, Any], str]] = {
    "flat": (pick_flat, results.decode_line, FLAT, "cmpl-1"),
    "chat": (pick_chat, results.decode_line, wrapped(CHAT), "r1"),
    "responses": (pick_responses, results.decode_line, wrapped(RESPONSES), "r1"),
    "messages": (messages.pick, messages.decode_line, ANSWER, "msg_1"),
}


@pytest.mark.parametrize("name", READERS)
def test_a_plain_success_line(name: str) -> None:
    pick, careful, value, request_id = READERS[name]
    want = RawResult(custom_id="a", outcome=Outcome.SUCCEEDED, text="Paris", finish_reason="stop", request_id=request_id, usage=USED)
    assert careful(line(value)) == want
    assert pick(line(value)) is not None
    assert one(line(value), pick, careful) == want


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with one place changed or, for KeyError, taken out."""
    copy = json.loads(json.dumps(value))
    at = copy
    for key in path[:-1]:
        at = at[key]
    if new is KeyError:
        del at[path[-1]]
    else:
        at[path[-1]] = new
    return copy


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        found += places(child, (*path, key))
    return found


ODD = [None, True, 0, -1, 2, 2.0, 2.5, "", "x", "a\x00b", "\ud800", "ü\u2028é", [], {}, [None], {"code": "x"}, 10**30, KeyError]


def both(raw: bytes, pick: Pick, careful: Careful) -> None:
    """The fast readers say of the line what the careful one says, or leave it to that."""
    plain = pick(raw)
    if plain is not None:
        want = careful(raw)
        assert want.usage is not None
        assert (want.outcome, want.error, want.retryable) == (Outcome.SUCCEEDED, None, True)
        assert plain == one(raw, pick, careful) == want


@pytest.mark.parametrize("name", READERS)
def test_both_readers_agree_whatever_stands_at_any_place_of_a_line(name: str) -> None:
    pick, careful, value, _ = READERS[name]
    tried = 0
    for path in places(value):
        for new in ODD:
            both(json.dumps(changed(value, path, new)).encode(), pick, careful)
            tried += 1
    assert tried > 200


@pytest.mark.parametrize("name", READERS)
@given(text=st.text(), finish=st.one_of(st.none(), st.text(max_size=5)), n=st.integers(-5, 10**20))
def test_both_readers_agree_on_any_text(name: str, text: str, finish: str | None, n: int) -> None:
    pick, careful, value, _ = READERS[name]
    replaced = json.dumps(value).replace('"Paris"', json.dumps(text)).replace('"stop"', json.dumps(finish)).replace("9", str(n))
    both(replaced.encode(), pick, careful)


@pytest.mark.parametrize("name", READERS)
@given(st.data())
def test_both_readers_agree_on_broken_bytes(name: str, data: st.DataObject) -> None:
    pick, careful, value, _ = READERS[name]
    raw = bytearray(line(value))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3) | st.sampled_from([b"\xff", b"\x00", b"\\", b'"', b"{"]))
    both(bytes(raw), pick, careful)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"{",
        b"null",
        b"[]",
        b'"a"',
        b"12",
        b'{"custom_id":"a"',
        b"{}",
        b'{"custom_id":null,"response":{}}',
        b'{"custom_id":"","response":{}}',
        b'{"custom_id":7}',
        b'{"custom_id":"\\u0000a"}',
        b'{"custom_id":"\\ud800"}',
        b'{"custom_id":"a","response":"\x00"}',
        b'{"custom_id":"a","response":"\xff\xfe"}',
        b"\xef\xbb\xbf" + line(FLAT),
        b'{"custom_id":"' + b"x" * 200 + b'"}',
        b"[" * 100_000,
        b'{"custom_id":"a","response":' + b"9" * 5000 + b"}",
    ],
)
@pytest.mark.parametrize("name", READERS)
def test_what_is_no_result_line_is_a_bad_line(name: str, raw: bytes) -> None:
    pick, careful, _, _ = READERS[name]
    with pytest.raises(BadLine) as caught:
        one(raw, pick, careful)
    assert pick(raw) is None
    assert len(str(caught.value)) < 300


def test_nul_and_lone_surrogates_in_an_answer_become_replacement_characters() -> None:
    raw = line(FLAT).replace(b"Paris", b"a\\u0000b\\ud83dc \\ud83d\\ude00")
    result = one(raw, pick_flat, results.decode_line)
    assert result.text == "a�b�c \U0001f600"
    assert (result.text or "").encode("utf-8")


@pytest.mark.parametrize("name", READERS)
def test_line_separators_and_markup_in_an_answer_stay_as_they_are(name: str) -> None:
    pick, careful, value, _ = READERS[name]
    text = "=cmd()|' /C calc'!A0 <script>alert(1)</script> \u2028 ü \\n \"q\""
    raw = json.dumps(value).replace('"Paris"', json.dumps(text)).encode()
    assert one(raw, pick, careful).text == text


@pytest.mark.parametrize(
    ("value", "outcome", "retryable", "error"),
    [
        ({"custom_id": "a", "error": {"code": 400, "message": "bad"}}, Outcome.ERRORED, False, "400: bad"),
        ({"custom_id": "a", "error": {"code": "INVALID_ARGUMENT", "message": "bad"}}, Outcome.ERRORED, False, "INVALID_ARGUMENT: bad"),
        ({"custom_id": "a", "error": {"code": 3, "message": "bad"}}, Outcome.ERRORED, False, "3: bad"),
        ({"custom_id": "a", "error": {"code": 13, "message": "oops"}}, Outcome.ERRORED, True, "13: oops"),
        ({"custom_id": "a", "error": {"code": "INTERNAL", "message": "oops"}}, Outcome.ERRORED, True, "INTERNAL: oops"),
        ({"custom_id": "a", "error": {"code": 429, "message": "slow"}}, Outcome.ERRORED, True, "429: slow"),
        ({"custom_id": "a", "error": "text only"}, Outcome.ERRORED, True, "no_code: text only"),
        ({"custom_id": "a", "error": {"message": "no code"}}, Outcome.ERRORED, True, "no_code: no code"),
        (wrapped(None, error={"code": "batch_expired", "message": "late"}), Outcome.EXPIRED, True, "batch_expired: late"),
        (wrapped(None, error={"code": "batch_cancelled", "message": "stop"}), Outcome.CANCELLED, True, "batch_cancelled: stop"),
        ({"custom_id": "a", "response": None, "error": {"code": "batch_expired", "message": "x"}}, Outcome.EXPIRED, True, "batch_expired: x"),
        (
            wrapped({"error": {"message": "m", "type": "invalid_request_error", "code": None}}, 400),
            Outcome.ERRORED,
            False,
            "invalid_request_error: m",
        ),
        (wrapped({"error": {"message": "m", "type": "server_error", "code": None}}, 500), Outcome.ERRORED, True, "server_error: m"),
        (wrapped({"error": {"message": "m", "code": "model_not_found"}}, 404), Outcome.ERRORED, False, "model_not_found: m"),
        (wrapped({}, 503), Outcome.ERRORED, True, "HTTP 503: the line has neither an answer nor a reason"),
        (wrapped(None, 0), Outcome.ERRORED, True, "no_code: the line has neither an answer nor a reason"),
        ({"custom_id": "a"}, Outcome.ERRORED, True, "no_code: the line has neither an answer nor a reason"),
        (wrapped({**RESPONSES, "status": "failed", "error": {"code": "server_error", "message": "m"}}), Outcome.ERRORED, True, "server_error: m"),
        (wrapped({**RESPONSES, "status": "cancelled"}), Outcome.CANCELLED, True, "cancelled: the response is cancelled"),
    ],
)
def test_rows_that_did_not_succeed(value: dict[str, Any], outcome: Outcome, retryable: bool, error: str) -> None:
    result = results.decode_line(line(value))
    assert (result.outcome, result.retryable, result.error, result.text) == (outcome, retryable, error, None)
    body = (value.get("response") or {}).get("body") or {}
    assert (result.usage is not None) == ("usage" in body), "tokens that the server counts are billed, whatever came of them"


def test_an_error_in_the_output_file_and_a_success_in_the_error_file_are_judged_by_content() -> None:
    lines = [line(wrapped({"error": {"message": "m"}}, 422)), line(wrapped(CHAT))]
    found = [one(raw, pick_chat, results.decode_line) for raw in lines]
    assert [result.outcome for result in found] == ["errored", "succeeded"]
    assert [result.retryable for result in found] == [False, True]
    assert [pick_chat(raw) is None for raw in lines] == [True, False]


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (changed(CHAT, ("choices", 0, "message", "content"), None), "", "stop"),
        (changed(CHAT, ("choices", 0, "message"), {"content": None, "refusal": "No."}), "No.", "stop"),
        (changed(CHAT, ("choices", 0, "message", "content"), [{"type": "text", "text": "Pa"}, {"type": "text", "text": "ris"}]), "Paris", "stop"),
        (changed(CHAT, ("choices", 0, "finish_reason"), "length"), "Paris", "length"),
        (changed(RESPONSES, ("status",), "incomplete") | {"incomplete_details": {"reason": "max_output_tokens"}}, "Paris", "length"),
        (changed(RESPONSES, ("status",), "incomplete") | {"incomplete_details": {"reason": "content_filter"}}, "Paris", "content_filter"),
        (changed(RESPONSES, ("output", 1, "content"), [{"type": "refusal", "refusal": "No."}]), "No.", "stop"),
    ],
)
def test_answers_in_unusual_clothes(body: dict[str, Any], text: str, finish: str) -> None:
    result = results.decode_line(line(wrapped(body)))
    assert (result.outcome, result.text, result.finish_reason) == (Outcome.SUCCEEDED, text, finish)


def test_a_line_without_usage_has_no_usage_rather_than_zeros() -> None:
    raw = line({"custom_id": "a", "response": {**CHAT, "usage": None}})
    assert one(raw, pick_flat, results.decode_line).usage is None
    assert pick_flat(raw) is None


def test_a_flat_line_in_openais_wrapper_and_the_other_way_round_are_read() -> None:
    assert one(line(wrapped(CHAT)), pick_flat, results.decode_line).text == "Paris"
    assert one(line(FLAT), pick_chat, results.decode_line).text == "Paris"
    assert one(line({"custom_id": "a", **CHAT}), pick_flat, results.decode_line).text == "Paris"


def test_error_texts_are_bounded() -> None:
    result = results.decode_line(line({"custom_id": "a", "error": {"code": "x", "message": "m" * 100_000}}))
    assert len(result.error or "") == results.MAX_ERROR_CHARS


class TestAnthropic:
    """Lines of the Message Batches stream."""

    def test_the_token_is_taken_off_an_id_of_ours_and_of_no_other(self) -> None:
        for wire, want in (
            (f"0123456789abcdef-{OURS}", OURS),
            (OURS, OURS),
            ("0123456789abcdef-somebody", "0123456789abcdef-somebody"),
            (f"0123456789ABCDEF-{OURS}", f"0123456789ABCDEF-{OURS}"),
        ):
            raw = line({**ANSWER, "custom_id": wire})
            assert one(raw, messages.pick, messages.decode_line).custom_id == want
            assert messages.decode_line(raw).custom_id == want

    def test_the_token_is_taken_off_the_line_itself_once(self) -> None:
        raw = line({"custom_id": f"0123456789abcdef-{OURS}", "result": {"type": "expired"}})
        assert messages.without_token(raw) == line({"custom_id": OURS, "result": {"type": "expired"}})
        quoted = line({"custom_id": OURS, "result": {"note": '"custom_id": "0123456789abcdef-x"'}})
        assert messages.without_token(quoted) == quoted

    @pytest.mark.parametrize(
        ("result", "outcome", "retryable", "error"),
        [
            ({"type": "canceled"}, Outcome.CANCELLED, True, "canceled"),
            ({"type": "expired"}, Outcome.EXPIRED, True, "expired"),
            (
                {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "m"}, "request_id": "req_1"}},
                Outcome.ERRORED,
                False,
                "invalid_request_error: m",
            ),
            (
                {"type": "errored", "error": {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}},
                Outcome.ERRORED,
                True,
                "overloaded_error: m",
            ),
            ({"type": "errored", "error": {"type": "api_error", "message": "m"}}, Outcome.ERRORED, True, "api_error: m"),
            ({"type": "errored"}, Outcome.ERRORED, True, "no_code"),
        ],
    )
    def test_rows_that_did_not_succeed(self, result: dict[str, Any], outcome: Outcome, retryable: bool, error: str) -> None:
        found = messages.decode_line(line({"custom_id": "a", "result": result}))
        assert (found.outcome, found.retryable, found.text) == (outcome, retryable, None)
        assert (found.error or "").startswith(error)

    def test_a_line_without_a_result_is_bad(self) -> None:
        with pytest.raises(BadLine):
            messages.decode_line(b'{"custom_id":"a"}')

    def test_thinking_and_tool_blocks_are_no_text(self) -> None:
        content = [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "Pa"},
            {"type": "tool_use", "input": {}},
            {"type": "text", "text": "ris"},
        ]
        found = messages.decode_line(line({"custom_id": "a", "result": {"type": "succeeded", "message": {**MESSAGE, "content": content}}}))
        assert found.text == "Paris"

    @pytest.mark.parametrize(
        ("reason", "want"), [("max_tokens", "length"), ("stop_sequence", "stop"), ("refusal", "refusal"), ("tool_use", "tool_calls")]
    )
    def test_stop_reasons_are_told_in_common_words(self, reason: str, want: str) -> None:
        raw = line({"custom_id": "a", "result": {"type": "succeeded", "message": {**MESSAGE, "stop_reason": reason}}})
        assert one(raw, messages.pick, messages.decode_line).finish_reason == want
        assert messages.decode_line(raw).finish_reason == want
