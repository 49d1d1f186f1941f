"""The life of a part: the table is the law, and the law keeps money safe."""

from __future__ import annotations

import itertools

import pytest

from batchtrial.errors import IllegalTransition
from batchtrial.state.machine import IN_FLIGHT, NEXT, Event, PartState, diagram, fewest_before, step

S, E = PartState, Event


@pytest.mark.parametrize(("state", "event"), list(itertools.product(PartState, Event)))
def test_every_pair_is_in_the_table_or_refused_by_name(state: PartState, event: Event) -> None:
    if (state, event) in NEXT:
        assert step(state, event) is NEXT[state, event]
        return
    with pytest.raises(IllegalTransition) as caught:
        step(state, event)
    legal = {e for s, e in NEXT if s is state}
    assert f"a part that is {state} cannot take the event {event}" in caught.value.what
    assert all(e in caught.value.what for e in legal)


def reachable(start: PartState) -> set[PartState]:
    found, ahead = {start}, [start]
    while ahead:
        here = ahead.pop()
        for (state, _), after in NEXT.items():
            if state is here and after not in found:
                found.add(after)
                ahead.append(after)
    return found


def test_every_state_is_reached_and_every_state_can_end() -> None:
    assert reachable(S.PENDING) == set(PartState)
    assert all(S.SETTLED in reachable(state) for state in PartState)


def test_a_settled_part_is_opened_by_what_was_gone_and_is_found_or_by_somebody_who_says_so_and_by_nothing_else() -> None:
    assert [event for state, event in NEXT if state is S.SETTLED] == [E.FOUND, E.ASKED_AGAIN]
    assert {after for (state, event), after in NEXT.items() if event is E.FOUND} == {S.SUBMITTED}


def test_an_intent_is_written_only_when_nothing_is_owed() -> None:
    """Two intents without something in between that ends the first would be two batches for one part."""
    assert [state for state, event in NEXT if event is E.INTENT] == [S.PENDING]
    into_pending = {(state, event) for (state, event), after in NEXT.items() if after is S.PENDING}
    assert into_pending == {(S.SUBMITTING, E.LOST), (S.DOWNLOADED, E.RETRY), (S.FAILED, E.RETRY), (S.SETTLED, E.ASKED_AGAIN)}


def test_what_may_be_billed_is_in_flight() -> None:
    unbilled = {S.PENDING, S.DOWNLOADED, S.FAILED, S.SETTLED}
    assert set(PartState) - unbilled == IN_FLIGHT


def test_the_diagram_is_the_table() -> None:
    drawn = [line.strip() for line in diagram().splitlines()]
    assert drawn[0] == "stateDiagram-v2"
    assert {f"{before} --> {after}: {event}" for (before, event), after in NEXT.items()} <= set(drawn)
    assert len(drawn) == len(NEXT) + 3


@pytest.mark.parametrize(
    ("state", "event", "n_retries", "fewest"),
    [
        (PartState.PENDING, Event.INTENT, 0, 0),
        (PartState.SUBMITTING, Event.INTENT, 0, 1),  # the call was lost
        (PartState.SUBMITTING, Event.INTENT, 1, 2),  # refused, and tried again
        (PartState.SUBMITTING, Event.SETTLED, 0, 1),
        (PartState.PENDING, Event.INTENT, 2, 6),
        (PartState.PENDING, Event.SAVED, 0, 3),
        (PartState.SETTLED, Event.INTENT, 0, 1),  # somebody said so
        (PartState.SETTLED, Event.INTENT, 1, 1),
    ],
)
def test_the_fewest_events_between_are_counted(state: PartState, event: Event, n_retries: int, fewest: int) -> None:
    assert fewest_before(event, state, n_retries) == fewest


def test_an_import_is_a_way_for_imported_parts_alone() -> None:
    assert fewest_before(Event.SETTLED, PartState.PENDING) == 2
    assert fewest_before(Event.SETTLED, PartState.PENDING, is_imported=True) == 1
