"""Second batches for one attempt: what the ledger says of them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Protocol

import msgspec

from batchtrial.state.entries import Entry

DUPLICATE = "duplicate"
"""A second batch for one attempt; no step in the part's life, but it may have cost something."""


class Bought(Protocol):
    """What an attempt says of itself."""

    @property
    def number(self) -> int: ...

    @property
    def n_requests(self) -> int: ...

    @property
    def reserved_usd(self) -> Decimal: ...


class Duplicate(msgspec.Struct, frozen=True, kw_only=True):
    """A second batch for one attempt, made by a copy of the run. reserved_usd: the most that it can have cost."""

    batch_id: str
    attempt: int
    n_requests: int
    reserved_usd: Decimal
    is_cancelled: bool
    reason: str


def duplicate_of(entry: Entry, attempts: Sequence[Bought]) -> Duplicate:
    """The duplicate of a line. Lines of earlier versions name no attempt: theirs is the one under way."""
    of = next((one for one in attempts if one.number == entry.attempt), attempts[-1] if attempts else None)
    return Duplicate(
        batch_id=entry.batch_id or "",
        attempt=entry.attempt or (of.number if of is not None else 1),
        n_requests=entry.n_requests or (of.n_requests if of is not None else 0),
        reserved_usd=entry.reserved_usd or (of.reserved_usd if of is not None else Decimal(0)),
        is_cancelled=entry.retryable is not False,
        reason=entry.reason or "",
    )
