"""What a history ended with, held against the provider's own books."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.luck.history import Place, Played
from tests.luck.lab import Lab, outputs
from tests.luck.provider import Provider
from tests.luck.schedule import History

from batchtrial.state.entries import LedgerRead, read
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Attempt, PartRecord, fold, money
from batchtrial.state.machine import EVENTS, PartState

FOREIGN = "parcel-"
WIRE_TOKEN = re.compile(r"^[0-9a-f]{16}-(?=[ct]-)")
"""What stands before our custom_ids on a wire without labels."""
END_SECONDS = 2 * 86_400.0
"""By then every batch is over."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A row on the provider's bill."""

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
        Paid(account, last_segment(name), WIRE_TOKEN.sub("", custom_id), identity, n_input, n_output)
        for account, name, _, _, custom_id, identity, n_input, n_output in map(tuple, rows)
    ]
    return [row for row in found if FOREIGN not in row.custom_id]


def last_segment(name: str) -> str:
    """The id at the end of a resource name."""
    return name.rpartition("/")[2]


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

    def named(self) -> set[str]:
        """Batches that the run says were paid for without need, or are lost."""
        gone = {attempt.batch_id for _, attempt in self.attempts() if attempt.is_gone}
        noted = {entry.batch_id for entry in self.ledger.entries if entry.event not in EVENTS}
        return {batch for batch in gone | noted if batch}

    def known(self) -> set[str]:
        """Batches that the run has a receipt for."""
        return {attempt.batch_id for _, attempt in self.attempts() if attempt.batch_id}


def problems(lab: Lab, history: History, played: Played) -> list[str]:
    """What is wrong in the end; empty when nothing is."""
    found = list(played.bad)
    done = [Books.of(place) for place in played.places if place.is_done]
    if not done:
        return [*found, f"the run never ends: {played.places[0].refusal}"]
    if not played.places[0].is_done and len(played.places) == 1:
        found.append(f"the run never ends: {played.places[0].refusal}")
    everyone = [Books.of(place) for place in played.places]
    for books in done:
        found += own(books)
    paid = paid_rows(played.provider)
    found += duplicates(paid, everyone, played)
    found += lost(paid, done)
    found += money_problems(paid, done)
    for books in done:
        found += bytes_problems(lab, history, played, books)
    return found


def own(books: Books) -> list[str]:
    """What a place's own files contradict."""
    found = ["the ledger is damaged"] * (not books.ledger.is_sound or books.ledger.torn > 0)
    found += [f"{name} is {part.state}" for name, part in books.parts.items() if part.state is not PartState.SETTLED]
    found += ["money is still reserved"] * (money(books.parts.values()).in_flight_usd != 0)
    owned = [attempt.batch_id for _, attempt in books.attempts() if attempt.batch_id]
    found += ["two attempts claim one batch"] * (len(owned) != len(set(owned)))
    return found


def duplicates(paid: Sequence[Paid], everyone: Sequence[Books], played: Played) -> list[str]:
    """Rows that were paid for more often than once and that no report owns up to; rows that were paid for and that nobody knows of.

    Of a batch that the provider has deleted, a folder put back from before it was sent can find no trace anywhere; and a folder that was copied
    before anything was sent may be begun twice, once with each account.
    """
    known = set().union(*(books.known() for books in everyone))
    named = set().union(*(books.named() for books in everyone)) | (played.deleted - known)
    times: dict[tuple[int, str], list[Paid]] = defaultdict(list)
    for row in paid:
        times[row.identity, row.account if played.is_blank else ""].append(row)
    found = []
    for rows in times.values():
        unnamed = sorted({row.batch for row in rows if row.batch not in named})
        if len(unnamed) > 1 or (len(rows) > 1 and len({row.batch for row in rows}) < len(rows)):
            found.append(
                f"{rows[0].custom_id} is paid {len(rows)} times, in {', '.join(unnamed)}; the ledger owns up to {sorted(named) or 'nothing'}"
            )
    strangers = sorted({row.batch for row in paid} - named - known)
    found += [f"batch {batch} is paid for, and no ledger knows it" for batch in strangers]
    return found


def lost(paid: Sequence[Paid], done: Sequence[Books]) -> list[str]:
    """Answers that were paid for, delivered, and are not among the successes."""
    by_batch: dict[str, set[str]] = defaultdict(set)
    for row in paid:
        by_batch[row.batch].add(row.custom_id)
    found = []
    for books in done:
        for name, part in books.parts.items():
            brought = set().union(*(by_batch[attempt.batch_id or ""] for attempt in part.attempts if attempt.is_saved))
            counted = part.counts.succeeded if part.counts is not None else 0
            if counted != len(brought):
                found.append(f"{name} counts {counted} successes, and the provider delivered {len(brought)}")
    return found


def money_problems(paid: Sequence[Paid], done: Sequence[Books]) -> list[str]:
    """Tokens of each saved attempt against the bill of its batch; the dollars of costs.json against the ledger's."""
    tokens: dict[str, Counter[str]] = defaultdict(Counter)
    for row in paid:
        tokens[row.batch].update(input=row.input_tokens, output=row.output_tokens)
    found = []
    for books in done:
        for part, attempt in books.attempts():
            if attempt.is_saved:
                ours = (attempt.usage.get("input_tokens", 0), attempt.usage.get("output_tokens", 0))
                bill = tokens[attempt.batch_id or ""]
                if ours != (bill["input"], bill["output"]):
                    found.append(f"{part.part} attempt {attempt.number}: {ours} tokens in the ledger, {dict(bill)} on the bill")
    return found


VOLATILE = ("report.md", "report.html", "aggregate_report.md", "costs.json", "significance.json", "forest.svg", "forest.png")
"""What legitimately tells of more than the answers: settings that were changed, batches that were paid for without need."""


EFFECTIVE = "effective_config.yaml"


def bytes_problems(lab: Lab, history: History, played: Played, books: Books) -> list[str]:
    """Artifacts that differ from the undisturbed twin's, where the world allows for them to be equal."""
    if played.is_shifted or any(part.attempts and any(a.is_gone for a in part.attempts) for part in books.parts.values()):
        return []
    want, got = lab.twin(history.climate, history.settings, is_whole=history.is_whole), outputs(books.place.folder)
    if history.settings:
        got = got | {EFFECTIVE: want.get(EFFECTIVE, "")}
    is_told = played.is_told or bool(books.named()) or bool(history.settings)
    names = sorted(want.keys() | got.keys())
    return [f"{name} differs" for name in names if want.get(name) != got.get(name) and not (is_told and Path(name).name in VOLATILE)]


def costs_of(folder: Path) -> list[float]:
    """The dollars that each trial's costs.json claims."""
    return [json.loads(path.read_bytes())["total_usd"] for path in folder.glob("*/results/costs.json")]
