"""Money as one figure in one wording: what is exact, what is known at least, and what is unknown."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from batchtrial.state.money import Money, dollars, of_attempt, of_second_batch, together


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "$0.0000"),
        ("0.0081234", "$0.0081"),
        ("0.0006", "$0.0006"),
        ("0.00064", "$0.00064"),
        ("0.000018", "$0.000018"),
        ("0.0000000123", "$0.000000012"),
        ("12.34567", "$12.3457"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_dollars_show_two_digits_that_count(value: Any, shown: str) -> None:
    assert dollars(Decimal(value)) == shown


def test_what_is_known_is_a_plain_sum() -> None:
    money = of_attempt(n_requests=4, reserved_usd=Decimal(1), cost_usd=Decimal("0.25"), is_saved=True)
    assert money.sentence() == "$0.2500"
    assert money.sentence("spent") == "$0.2500 spent"
    assert money.as_json()["usd"] == 0.25
    assert money.is_exact


def test_answers_without_usage_leave_a_least_and_a_rest() -> None:
    money = of_attempt(
        n_requests=40, reserved_usd=Decimal(1), cost_usd=Decimal("0.002"), unknown_usd=Decimal("0.5"), n_without_usage=20, is_saved=True
    )
    assert money.sentence("spent") == "at least $0.0020 spent; 20 answers came without usage; up to $0.5000 more is unknown"
    assert money.as_json() == {
        "usd": None,
        "usd_at_least": 0.002,
        "unknown_usd": 0.5,
        "answers_without_usage": 20,
        "requests_without_line": 0,
        "requests_gone": 0,
        "unpriced_attempts": 0,
    }
    assert money.committed_usd == Decimal("0.502")


def test_without_a_price_no_sum_is_told_to_programs_and_none_is_nothing() -> None:
    billed = of_attempt(n_requests=4, reserved_usd=None, is_saved=True)
    priced = of_attempt(n_requests=4, reserved_usd=Decimal(1), cost_usd=Decimal("0.25"), is_saved=True)
    flying = of_attempt(n_requests=4, reserved_usd=None, is_in_flight=True)
    assert billed.known() == {"spent": None, "in_flight": Decimal(0), "unknown": None}
    assert (billed + priced).known() == {"spent": Decimal("0.25"), "in_flight": Decimal(0), "unknown": None}
    assert (priced + flying).known() == {"spent": Decimal("0.25"), "in_flight": None, "unknown": Decimal(0)}
    assert (billed.as_json()["usd"], billed.as_json()["usd_at_least"], billed.as_json()["unknown_usd"]) == (None, None, None)


@pytest.mark.parametrize(
    ("reserves", "shown", "at_most"),
    [
        ([], "", ""),
        (["0.0031"], "$0.0031", "up to $0.0031"),
        ([None], "an unknown sum", "an unknown sum"),
        (["0.0031", None, None], "$0.0031 and an unknown sum", "up to $0.0031 and an unknown sum"),
    ],
)
def test_what_is_under_way_without_a_price_is_not_nothing(reserves: list[str | None], shown: str, at_most: str) -> None:
    sums = [of_attempt(n_requests=4, reserved_usd=None if usd is None else Decimal(usd), is_in_flight=True) for usd in reserves]
    money = together(sums)
    assert (money.in_flight(), money.in_flight(before="up to ")) == (shown, at_most)
    assert money.is_exact, "nothing was billed yet"


def test_a_batch_that_is_gone_is_neither_spent_nor_nothing() -> None:
    money = of_attempt(n_requests=30, reserved_usd=Decimal("0.0016"), is_gone=True)
    assert money.sentence() == "at least $0.0000; the results of 30 requests are gone; up to $0.0016 more is unknown"
    assert (
        of_attempt(n_requests=30, reserved_usd=None, is_gone=True).sentence()
        == "unknown; the results of 30 requests are gone; 1 attempt without a known price"
    )


def test_what_never_ran_costs_nothing() -> None:
    assert of_attempt(n_requests=30, reserved_usd=Decimal(5)) == Money()


def test_sums_keep_every_reason_apart_and_differences_undo_them() -> None:
    a = of_attempt(
        n_requests=2, reserved_usd=Decimal(1), cost_usd=Decimal(1), unknown_usd=Decimal(2), n_without_usage=1, n_without_line=1, is_saved=True
    )
    b = of_attempt(n_requests=3, reserved_usd=Decimal(4), is_gone=True)
    c = of_attempt(n_requests=3, reserved_usd=None, is_saved=True)
    d = of_attempt(n_requests=3, reserved_usd=Decimal(7), is_in_flight=True)
    total = together([a, b, c, d])
    assert total.sentence() == (
        "at least $1.0000; 1 answer came without usage; 1 request came back without a line; the results of 3 requests are gone; "
        "up to $6.0000 more is unknown; 1 attempt without a known price"
    )
    assert total.committed_usd == 14
    assert total - d - c - b == a


def test_a_second_batch_may_have_cost_its_reserve_and_is_never_called_exact() -> None:
    kept = of_attempt(n_requests=2, reserved_usd=Decimal(1), cost_usd=Decimal("0.25"), is_saved=True)
    money = kept + of_second_batch(n_requests=2, reserved_usd=Decimal(1))
    assert money.sentence() == "at least $0.2500; 2 requests were sent twice; up to $1.0000 more is unknown"
    assert money.committed_usd == Decimal("1.25")
    assert money.as_json()["requests_sent_twice"] == 2
    assert "requests_sent_twice" not in kept.as_json()
    assert money - of_second_batch(n_requests=2, reserved_usd=Decimal(1)) == kept
    assert of_second_batch(n_requests=1, reserved_usd=Decimal(0)).sentence() == "unknown; 1 request was sent twice; 1 attempt without a known price"
