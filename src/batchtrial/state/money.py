"""What a run has cost, as one figure in one wording: terminal, status, plan, report, costs.json, comparison and archive all take it from here.

Unknown is unknown: an answer without usage, a request whose line never came, a batch whose results are gone, and one that a copy of the run sent
as well may each have been billed. Their reserve stands beside what is known and counts against the budget; it is never shown as spent, and never as
nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Final, Literal

from batchtrial.amounts import counted

ZERO: Final = Decimal(0)
Sum = Literal["spent", "in_flight", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """What is known to be spent, what may come, and what will never be known.

    spent_usd: bills that are known, so the least that it cost when `is_exact` does not hold. in_flight_usd: reserves of what is, or may be, sent.
    unknown_usd: the most that may have been billed besides, by reserves: answers_without_usage of answers, requests_without_line of requests that a
    batch passed over in silence, requests_gone of batches whose results are gone, requests_sent_twice of second batches for one attempt.
    unpriced: batches whose model has no known price; in_flight_unpriced: those of them that are, or may be, sent and not billed yet.
    """

    spent_usd: Decimal = ZERO
    in_flight_usd: Decimal = ZERO
    unpriced: int = 0
    unknown_usd: Decimal = ZERO
    answers_without_usage: int = 0
    requests_without_line: int = 0
    requests_gone: int = 0
    # Digests of earlier versions are made of the rest, and these never change alone.
    requests_sent_twice: int = field(default=0, repr=False)
    in_flight_unpriced: int = field(default=0, repr=False)

    @property
    def committed_usd(self) -> Decimal:
        """What a budget counts."""
        return self.spent_usd + self.unknown_usd + self.in_flight_usd

    @property
    def is_exact(self) -> bool:
        """All that was billed so far is known."""
        return not (self.unpriced or self.answers_without_usage or self.requests_without_line or self.requests_gone or self.requests_sent_twice)

    @property
    def is_blank(self) -> bool:
        """Nothing at all is known: no attempt has a price."""
        return bool(self.unpriced) and not self.spent_usd

    @property
    def is_nothing(self) -> bool:
        """Nothing was billed, may have been, or may still be."""
        return self == Money()

    def __add__(self, other: Money) -> Money:
        return together((self, other))

    def __sub__(self, other: Money) -> Money:
        return Money(**{name: getattr(self, name) - getattr(other, name) for name in NAMES})

    def why_unknown(self) -> tuple[str, ...]:
        """Why the sum is not exact, one reason each; () when it is."""
        found = []
        if self.answers_without_usage:
            found.append(f"{counted(self.answers_without_usage, 'answer')} came without usage")
        if self.requests_without_line:
            found.append(f"{counted(self.requests_without_line, 'request')} came back without a line")
        if self.requests_gone:
            found.append(f"the results of {counted(self.requests_gone, 'request')} are gone")
        if self.requests_sent_twice:
            found.append(f"{counted(self.requests_sent_twice, 'request')} {'was' if self.requests_sent_twice == 1 else 'were'} sent twice")
        if self.unknown_usd:
            found.append(f"up to {dollars(self.unknown_usd)} more is unknown")
        if self.unpriced:
            found.append(f"{counted(self.unpriced, 'attempt')} without a known price")
        return tuple(found)

    def sentence(self, verb: str = "") -> str:
        """The spent sum in words: `$0.0012`, or `at least $0.0006; 20 answers came without usage; ...`. verb: stands after the sum."""
        return "; ".join((self.short() + (f" {verb}" if verb and not self.is_blank else ""), *self.why_unknown()))

    def short(self) -> str:
        """`$0.0012`, `at least $0.0006` or `unknown`, for a cell of a table."""
        if self.is_blank:
            return "unknown"
        return dollars(self.spent_usd) if self.is_exact else f"at least {dollars(self.spent_usd)}"

    def in_flight(self, before: str = "") -> str:
        """What may still be billed for what is under way: `$0.0031`, `an unknown sum`, or both; empty for nothing. before: a sum that is known."""
        known = f"{before}{dollars(self.in_flight_usd)}" if self.in_flight_usd else ""
        return " and ".join(filter(None, (known, "an unknown sum" if self.in_flight_unpriced else "")))

    def known(self) -> dict[Sum, Decimal | None]:
        """The three sums for programs; None for one that nobody knows: without a price nothing is the least, and no reserve the most."""
        return {
            "spent": None if self.is_blank else self.spent_usd,
            "in_flight": None if self.in_flight_unpriced else self.in_flight_usd,
            "unknown": None if self.unpriced else self.unknown_usd,
        }

    def as_json(self) -> dict[str, float | int | str | bool | None]:
        """For programs. usd: null when it is not exact. The others as `known` has them. requests_sent_twice: only where some were."""
        twice = {"requests_sent_twice": self.requests_sent_twice} if self.requests_sent_twice else {}
        return {
            "usd": rounded(self.spent_usd) if self.is_exact else None,
            "usd_at_least": rounded_or_none(self.known()["spent"]),
            "unknown_usd": rounded_or_none(self.known()["unknown"]),
            "answers_without_usage": self.answers_without_usage,
            "requests_without_line": self.requests_without_line,
            "requests_gone": self.requests_gone,
            "unpriced_attempts": self.unpriced,
            **twice,
        }


NAMES: Final = tuple(one.name for one in fields(Money))


def of_attempt(
    *,
    n_requests: int,
    reserved_usd: Decimal | None,
    cost_usd: Decimal | None = None,
    unknown_usd: Decimal | None = None,
    n_without_usage: int = 0,
    n_without_line: int = 0,
    is_saved: bool = False,
    is_gone: bool = False,
    is_in_flight: bool = False,
) -> Money:
    """One attempt's money. reserved_usd, cost_usd: None without a known price; what was rejected or never arrived costs nothing."""
    if is_saved:
        return Money(
            spent_usd=cost_usd or ZERO,
            unpriced=int(cost_usd is None),
            unknown_usd=unknown_usd or ZERO,
            answers_without_usage=n_without_usage,
            requests_without_line=n_without_line,
        )
    if is_gone:
        return Money(unknown_usd=reserved_usd or ZERO, unpriced=int(reserved_usd is None), requests_gone=n_requests)
    return Money(in_flight_usd=reserved_usd or ZERO, in_flight_unpriced=int(reserved_usd is None)) if is_in_flight else Money()


def of_second_batch(*, n_requests: int, reserved_usd: Decimal) -> Money:
    """What a second batch for one attempt may have cost. reserved_usd: the most; 0 without a known price."""
    return Money(unknown_usd=reserved_usd, unpriced=int(not reserved_usd), requests_sent_twice=n_requests)


def together(sums: Iterable[Money]) -> Money:
    """All of them added up; a ledger has thousands, and most of them are exact."""
    spent = in_flight = unknown = ZERO
    unpriced = without_usage = without_line = gone = twice = in_flight_unpriced = 0
    for one in sums:
        spent += one.spent_usd
        in_flight += one.in_flight_usd
        in_flight_unpriced += one.in_flight_unpriced
        if not one.is_exact:
            unknown += one.unknown_usd
            unpriced += one.unpriced
            without_usage += one.answers_without_usage
            without_line += one.requests_without_line
            gone += one.requests_gone
            twice += one.requests_sent_twice
    return Money(
        spent_usd=spent,
        in_flight_usd=in_flight,
        unpriced=unpriced,
        unknown_usd=unknown,
        answers_without_usage=without_usage,
        requests_without_line=without_line,
        requests_gone=gone,
        requests_sent_twice=twice,
        in_flight_unpriced=in_flight_unpriced,
    )


def rounded(value: Decimal | float) -> float:
    """Dollars to a millionth of a cent, as JSON has them."""
    return round(float(value), 8)


def rounded_or_none(value: Decimal | None) -> float | None:
    """See `rounded`; None of a sum that nobody knows."""
    return None if value is None else rounded(value)


def dollars(value: Decimal | float) -> str:
    """Dollars: cents from a hundred on, four digits behind the point below, and two that count where these would show none."""
    size = abs(float(value))
    if size >= 100:
        return f"${float(value):,.2f}"
    if size >= 0.001 or size == 0:
        return f"${float(value):,.4f}"
    digits = next((n for n in range(4, 13) if size >= 10.0 ** (1 - n)), 12)
    whole, _, behind = f"{float(value):.{digits}f}".partition(".")
    return f"${whole}.{behind[:4]}{behind[4:].rstrip('0')}"
