"""The error table, pure: which answer becomes which error, and that no key gets through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from batchtrial.errors import Ambiguous, AuthFailed, NotFound, ProviderError, RateLimited, TooLarge
from batchtrial.providers.sdk.edge import Edge, oldest_possible, provider_message, retry_after_seconds

KEY = "sk-test-abcdefghijklmnop"
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def edge() -> Edge:
    return Edge(pytest.importorskip("openai"), title="OpenAI", variable="OPENAI_API_KEY", api_key=KEY)


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, {"error": {"message": "m", "code": "invalid_value"}}, ProviderError, False),
        (401, {"error": {"message": "m"}}, AuthFailed, False),
        (402, {"type": "error", "error": {"type": "billing_error", "message": "m"}}, RateLimited, False),
        (403, {"error": {"message": "m", "code": "UNAUTHORIZED"}}, AuthFailed, False),
        (404, {"code": 5, "message": "m", "details": []}, NotFound, False),
        (408, {}, ProviderError, True),
        (409, {"code": 6, "message": "m", "details": []}, ProviderError, True),
        (412, {"code": 9, "message": "Account is suspended: spending limit reached", "details": []}, RateLimited, False),
        (412, {"code": 9, "message": "not now", "details": []}, ProviderError, False),
        (413, "<html>too large</html>", TooLarge, False),
        (422, None, ProviderError, False),
        (429, {"error": {"message": "m", "code": "rate_limit_exceeded"}}, RateLimited, True),
        (429, {"error": {"message": "m", "code": "insufficient_quota"}}, RateLimited, False),
        (429, {"error": {"type": "rate_limit_error", "message": "m", "details": {"error_code": "enforced_spend_limit_reached"}}}, RateLimited, False),
        (500, {"error": "text"}, ProviderError, True),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}, ProviderError, True),
    ],
)
def test_the_table(edge: Edge, status: int, body: Any, kind: type[ProviderError], retryable: bool) -> None:
    error = edge.from_status_code(status, body, {}, "here")
    assert (type(error), error.retryable) == (kind, retryable)
    assert str(status) in error.what
    creating = edge.from_status_code(status, body, {}, "here", creating=True)
    assert isinstance(creating, Ambiguous) is (status in (408, 409) or status >= 500)


@pytest.mark.parametrize(
    "text",
    [
        f"Incorrect API key provided: {KEY}.",
        "Incorrect API key provided: sk-te************mnop. You can find it ...",
        f"Authorization: Bearer {KEY}",
        f"header {KEY!r} \n and {KEY}",
        "other keys too: fw_3ZabcdefgH1 gsk_abcdefgh sk-ant-api03-abcdef",
    ],
)
def test_keys_are_taken_out_of_messages(edge: Edge, text: str) -> None:
    shown = str(edge.from_status_code(401, {"error": {"message": text}}, {}, "here"))
    for secret in (KEY, "mnop.", "3Zabc", "gsk_abc", "api03"):
        assert secret not in shown
    assert "[key]" in shown


def test_a_message_is_one_short_line(edge: Edge) -> None:
    shown = edge.from_status_code(400, {"error": {"message": "a\nb\r\n" * 10_000}}, {}, "here").what
    assert "\n" not in shown
    assert len(shown) < 600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90), usegmt=True), "date": format_datetime(NOW, usegmt=True)}, 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90), usegmt=True), "date": format_datetime(NOW, usegmt=True)}, 0.0),
        ({"retry-after": format_datetime(NOW, usegmt=True)}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers) == seconds


def test_our_cap_holds(edge: Edge) -> None:
    error = edge.from_status_code(429, {}, {"retry-after": "999999999"}, "here")
    assert error.retry_after == 120.0


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (None, ("", "")),
        ("plain", ("", "plain")),
        ({"error": "text"}, ("", "text")),
        ({"code": 5, "message": "m"}, ("5", "m")),
        ({"error": {"code": None, "type": "t", "message": None}}, ("t", "")),
        ({"error": {"code": "c", "type": "t", "message": "m"}}, ("c", "m")),
        ([1], ("", "[1]")),
    ],
)
def test_error_envelopes(body: object, found: tuple[str, str]) -> None:
    assert provider_message(body) == found


@pytest.mark.parametrize("offset", [timedelta(0), timedelta(hours=5), timedelta(days=-400)])
def test_the_time_bound_does_not_depend_on_our_clock_being_right(offset: timedelta) -> None:
    date = {"date": format_datetime(NOW, usegmt=True)}
    made, now = NOW - timedelta(hours=3) + offset, NOW + offset
    assert oldest_possible(made, date, now) == NOW - timedelta(hours=3) - timedelta(days=1)


def test_the_time_bound_errs_towards_the_past_when_our_clock_was_put_right() -> None:
    date = {"date": format_datetime(NOW, usegmt=True)}
    accepted = NOW - timedelta(minutes=1)
    for wrong in (timedelta(hours=20), timedelta(hours=-20), timedelta(days=-500)):
        bound = oldest_possible(accepted + wrong, date, NOW)
        assert bound is not None
        assert bound < accepted


@pytest.mark.parametrize("date", ["x", "", None])
def test_without_a_date_there_is_no_bound(date: str | None) -> None:
    assert oldest_possible(NOW, {} if date is None else {"date": date}, NOW) is None
