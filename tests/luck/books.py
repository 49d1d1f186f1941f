"""The two sets of books that must agree: the provider's bill, and what a run's own ledger says."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.luck.history import Place
from tests.luck.provider import Provider

from batchtrial.keys import OUT
from batchtrial.state.entries import LedgerRead, read
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Attempt, PartRecord, fold

FOREIGN = "parcel-"
WIRE_TOKEN = re.compile(r"^[0-9a-f]{16}-(?=[ct]-)")
"""What stands before our custom_ids on a wire without labels."""
END_SECONDS = 2 * 86_400.0
"""By then every batch is over."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A row on the provider's bill. account: of the key, with what stands before the batch's id: in a path a key may have been two accounts'."""

    account: str
    batch: str
    custom_id: str
    identity: int
    input_tokens: int
    output_tokens: int


def paid_rows(provider: Provider) -> list[Paid]:
    """Everything that all accounts have paid or will have paid when all its batches have run their course, but what somebody else asked for."""
    provider.advance(END_SECONDS)
    provider.bill.settle()
    rows = provider.world.rows("SELECT b.account, b.id, p.* FROM paid p JOIN batches b ON b.seq = p.batch ORDER BY p.batch, p.row")
    found = [
        Paid(account + name.rpartition("/")[0], last_segment(name), our_id(custom_id), identity, n_input, n_output)
        for account, name, _, _, custom_id, identity, n_input, n_output in map(tuple, rows)
    ]
    return [row for row in found if FOREIGN not in row.custom_id]


def last_segment(name: str) -> str:
    """The id at the end of a resource name."""
    return name.rpartition("/")[2]


def our_id(custom_id: str) -> str:
    """The custom_id without what a wire needs before it."""
    return WIRE_TOKEN.sub("", custom_id)


def is_out(attempt: Attempt) -> bool:
    """Whether the attempt left as a file, for an engine that no provider bills."""
    return (attempt.batch_id or "").startswith(OUT)


@dataclass(frozen=True, slots=True)
class Books:
    """One place's own count."""

    place: Place
    ledger: LedgerRead
    parts: Mapping[str, PartRecord]

    @classmethod
    def of(cls, place: Place) -> Books:
        got = read(RunLayout(place.folder).ledger)
        return cls(place, got, fold(got.entries))

    def attempts(self) -> Iterator[tuple[PartRecord, Attempt]]:
        return ((part, attempt) for part in self.parts.values() for attempt in part.attempts)

    def second(self) -> set[str]:
        """Batches that the run says were bought a second time."""
        return {one.batch_id for part in self.parts.values() for one in part.duplicates}

    def gone(self) -> set[str]:
        """Batches that the run says are lost."""
        return {attempt.batch_id for _, attempt in self.attempts() if attempt.is_gone and attempt.batch_id}

    def named(self) -> set[str]:
        """Batches that the run says were paid for without need, or are lost."""
        return self.second() | self.gone()

    def known(self) -> set[str]:
        """Batches that the run has a receipt for."""
        return {attempt.batch_id for _, attempt in self.attempts() if attempt.batch_id}
