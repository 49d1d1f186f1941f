"""What a history ended with, held against the provider's own books."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.luck.books import Books, Paid, is_out, our_id, paid_rows
from tests.luck.dollars import delivered, money_problems
from tests.luck.history import Played
from tests.luck.lab import Lab, outputs
from tests.luck.schedule import History

from batchtrial.state.ledger import money
from batchtrial.state.machine import PartState


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
    found += needless(everyone, played)
    brought = delivered(played.provider)
    for books in done:
        unknown = unknown_attempts(books) & books.second() if played.is_brought and played.is_elsewhere else set[str]()
        found += lost(paid, brought, books, unknown)
        found += money_problems(lab.provider, paid, books, unknown)
        # The other one of two copies at work may have cancelled a batch before this one saw that there were two.
        is_cancelled = bool(books.known() & set().union(*(other.second() for other in everyone)))
        found += [] if is_cancelled else bytes_problems(lab, history, played, books)
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
    before anything was sent may be begun twice, once with each account, and put back so it does not know of the first.
    """
    known = set().union(*(books.known() for books in everyone))
    unseen = played.deleted if played.is_elsewhere else played.deleted - known
    named = set().union(*(books.named() for books in everyone)) | unseen
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
    ours = {row.account for row in paid if row.batch in known}
    strangers = sorted({row.batch for row in paid if row.account in ours or not played.is_blank} - named - known)
    found += [f"batch {batch} is paid for, and no ledger knows it" for batch in strangers]
    return found


def needless(everyone: Sequence[Books], played: Played) -> list[str]:
    """Batches that a run owns up to having bought a second time, although no two copies raced; that it gives up, although they are all there.

    A folder put back from before an attempt was sent does not know of it; brought answers of it make it a batch that nobody needs, and so does
    the provider that has deleted the batch of the attempt before: rows of a lost batch are not asked again.
    """
    found: list[str] = []
    if not played.is_raced and not played.is_unbegun:
        for books in everyone:
            excused = unknown_attempts(books, None if played.is_brought else played.deleted) if played.is_elsewhere else set[str]()
            found += [f"{batch} is bought without need, and owned up to" for batch in sorted(books.second() - excused)]
    if not played.is_elsewhere:
        found += [f"{batch} is given up, and the provider has it" for books in everyone for batch in sorted(books.gone() - played.deleted)]
    return found


def unknown_attempts(books: Books, deleted: set[str] | None = None) -> set[str]:
    """Batches that a place owns up to, of attempts that its ledger does not have, or has as files that were handed out.

    deleted: only of parts whose last attempt here was one of these batches.
    """
    found = set()
    for part in books.parts.values():
        if deleted is not None and (part.current is None or part.current.batch_id not in deleted):
            continue
        sent_from_here = {one.number for one in part.attempts if not is_out(one)}
        found |= {twin.batch_id for twin in part.duplicates if twin.attempt not in sent_from_here}
    return found


def lost(paid: Sequence[Paid], brought: Mapping[str, set[str]], books: Books, of_elsewhere: set[str]) -> list[str]:
    """Answers that were paid for, delivered, and are not among the successes. of_elsewhere: batches whose answers may have been brought."""
    by_batch: dict[str, set[str]] = defaultdict(set)
    for row in paid:
        by_batch[row.batch].add(row.custom_id)
    found = []
    for name, part in books.parts.items():
        batches = [attempt.batch_id or "" for attempt in part.attempts if attempt.is_saved]
        here = set().union(*(by_batch[batch] & {our_id(one) for one in brought[batch]} for batch in batches))
        n_brought = len(here) + sum(attempt.counts.succeeded for attempt in part.attempts if is_out(attempt) and attempt.counts is not None)
        counted = part.counts.succeeded if part.counts is not None else 0
        unknown = of_elsewhere & {twin.batch_id for twin in part.duplicates}
        most = n_brought + len(set().union(*(by_batch[batch] & {our_id(one) for one in brought[batch]} for batch in unknown)) - here)
        if not n_brought <= counted <= most:
            found.append(f"{name} counts {counted} successes, and {n_brought} were delivered")
    return found


VOLATILE = ("report.md", "report.html", "index.html", "aggregate_report.md", "costs.json", "significance.json", "forest.svg", "forest.png")
"""What legitimately tells of more than the answers: settings that were changed, batches that were paid for without need."""


EFFECTIVE = "effective_config.yaml"
BROUGHT = re.compile(r"results(_a[0-9]+)?[.]jsonl")
"""Result lines of a part as they came."""


def bytes_problems(lab: Lab, history: History, played: Played, books: Books) -> list[str]:
    """Artifacts that differ from the undisturbed twin's, where the world allows for them to be equal."""
    if played.is_shifted or any(part.attempts and any(a.is_gone for a in part.attempts) for part in books.parts.values()):
        return []
    want, got = lab.twin(history.climate, history.settings, is_whole=history.is_whole), outputs(books.place.folder)
    if history.settings:
        got = got | {EFFECTIVE: want.get(EFFECTIVE, "")}
    is_told = played.is_told or bool(books.named()) or bool(history.settings)
    names = sorted(want.keys() | got.keys())
    if played.is_brought:  # lines lie there as they were brought; what follows from them is the same
        # Answers of an attempt that is unknown here are not asked for by the next one.
        asked = "batch_inputs/retries/" if played.is_elsewhere else "arrivals/"
        names = [name for name in names if not (name.startswith(("arrivals/", asked)) or BROUGHT.fullmatch(Path(name).name))]
    return [f"{name} differs" for name in names if want.get(name) != got.get(name) and not (is_told and Path(name).name in VOLATILE)]
