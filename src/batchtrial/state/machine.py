"""The life of a part as a table; knows no files, clocks or providers. `docs/state.md` draws its diagram from here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from batchtrial.errors import IllegalTransition


class PartState(StrEnum):
    """Where a part stands. The value is what manifests say in `job_status`."""

    PENDING = "pending"  # nothing is owed: the next attempt may be sent
    SUBMITTING = "submitting"  # written before the call: the only state that may owe money without a batch id
    SUBMITTED = "submitted"  # the provider gave a batch id
    COMPLETED = "completed"  # the batch ended with results to fetch
    DOWNLOADED = "downloaded"  # the attempt's results are on disk
    FAILED = "failed"  # the attempt brought no results at all
    SETTLED = "settled"  # every request of the part has its final outcome


class Event(StrEnum):
    """What can happen to a part; the value is the ledger's `event`."""

    INTENT = "intent"
    UPLOADED = "uploaded"
    RECEIPT = "receipt"
    LOST = "lost"  # `find` proved that the call never arrived
    DONE = "done"
    REJECTED = "rejected"  # refused as a whole: nothing was executed
    GONE = "gone"  # the provider no longer has the batch or its files
    SAVED = "saved"
    RETRY = "retry"  # some rows go into a new attempt
    ASKED_AGAIN = "asked_again"  # somebody said that rows whose answers cannot be understood go into a new attempt
    FOUND = "found"  # what was declared gone is there after all, or somebody has brought it
    REPLACED = "replaced"  # a copy of the run had made an older batch for the same attempt: that one counts
    IMPORTED = "imported"  # taken over from a finished run: paid for there
    SETTLED = "settled"


EVENTS: Mapping[str, Event] = {event.value: event for event in Event}
"""By value: a ledger of many parts asks for 20,000 of them, and calling the enumeration is slow."""

NEVER_SENT = "never_sent"
"""What stands for the provider's word where somebody said that what waits shall not be sent."""
S, E = PartState, Event

NEXT: Mapping[tuple[PartState, Event], PartState] = {
    (S.PENDING, E.INTENT): S.SUBMITTING,
    (S.SUBMITTING, E.UPLOADED): S.SUBMITTING,
    (S.SUBMITTING, E.RECEIPT): S.SUBMITTED,
    (S.SUBMITTING, E.LOST): S.PENDING,
    (S.SUBMITTING, E.REJECTED): S.FAILED,
    (S.SUBMITTED, E.DONE): S.COMPLETED,
    (S.SUBMITTED, E.REJECTED): S.FAILED,
    (S.SUBMITTED, E.GONE): S.FAILED,
    (S.COMPLETED, E.SAVED): S.DOWNLOADED,
    (S.COMPLETED, E.GONE): S.FAILED,
    (S.PENDING, E.IMPORTED): S.DOWNLOADED,
    (S.DOWNLOADED, E.IMPORTED): S.DOWNLOADED,
    (S.DOWNLOADED, E.RETRY): S.PENDING,
    (S.FAILED, E.RETRY): S.PENDING,
    (S.FAILED, E.FOUND): S.SUBMITTED,
    (S.SETTLED, E.FOUND): S.SUBMITTED,
    (S.SETTLED, E.ASKED_AGAIN): S.PENDING,
    (S.SUBMITTED, E.REPLACED): S.SUBMITTED,
    (S.DOWNLOADED, E.SETTLED): S.SETTLED,
    (S.FAILED, E.SETTLED): S.SETTLED,
}

IN_FLIGHT = frozenset({S.SUBMITTING, S.SUBMITTED, S.COMPLETED})
"""States in which the provider has, or may have, a batch whose bill is not known yet."""


def step(state: PartState, event: Event) -> PartState:
    """The state after `event`. Raises IllegalTransition naming the events that `state` allows."""
    try:
        return NEXT[state, event]
    except KeyError:
        legal = ", ".join(sorted(e for s, e in NEXT if s is state)) or "none"
        raise IllegalTransition(f"a part that is {state} cannot take the event {event}; it can take: {legal}") from None


def fewest_before(event: Event, state: PartState, n_retries: int = 0, *, is_imported: bool = False) -> int:
    """How many events must come between `state` and `event` at the least, with so many retries or more among them; 0 when no way leads there.

    is_imported: the part is taken over from another run; only then may a way lead through an import.
    """
    ways = {(state, 0)}
    met = set(ways)
    for n_events in range(len(NEXT) * (n_retries + 1)):
        if any((here, event) in NEXT and done >= n_retries for here, done in ways):
            return n_events
        ways = {
            (after, min(done + (one in (E.RETRY, E.ASKED_AGAIN)), n_retries))
            for here, done in ways
            for (before, one), after in NEXT.items()
            if before is here and (is_imported or one is not E.IMPORTED)
        } - met
        met |= ways
    return 0


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", f"    [*] --> {S.PENDING}"]
    lines += [f"    {before} --> {after}: {event}" for (before, event), after in NEXT.items()]
    lines.append(f"    {S.SETTLED} --> [*]")
    return "\n".join(lines) + "\n"
