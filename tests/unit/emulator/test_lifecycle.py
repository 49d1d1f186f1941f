"""A batch's state as a function of its record and the time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.emulator.world.effects import Effects
from batchtrial.emulator.world.lifecycle import CYCLES, status
from batchtrial.emulator.world.records import Batch, Provider

PROVIDERS = tuple(CYCLES)
START, USUAL = 1000.0, 30.0


def batch(provider: Provider, n_rows: int = 10, **effects: object) -> Batch:
    return Batch(
        seq=1,
        provider=provider,
        id="b",
        created_at=START,
        n_rows=n_rows,
        blob="",
        wire={},
        effects=Effects.model_validate(effects),
        problems=(),
        is_upstream=False,
        n_answered=0,
        finished_at=None,
        cancelled_at=None,
        deleted_at=None,
        account="",
        usual_seconds=USUAL,
    )


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_undisturbed_life_takes_the_usual_time(provider: Provider) -> None:
    before, after = (status(batch(provider), START + seconds) for seconds in (29.99, 30.0))
    assert before.outcome is None
    assert (after.outcome, after.state, after.n_finished) == ("completed", CYCLES[provider].ends["completed"], 10)
    assert list(after.since) == [*(state for state, _ in CYCLES[provider].steps), CYCLES[provider].ends["completed"]]


@given(
    provider=st.sampled_from(PROVIDERS),
    effects=st.fixed_dictionaries(
        {},
        optional={
            "expire_after": st.floats(0, 1),
            "cancelled_half_way": st.booleans() | st.floats(0, 1),
            "stuck": st.booleans(),
        },
    ),
    cancel_after=st.none() | st.floats(0, 60),
    n_rows=st.integers(1, 50),
)
def test_rows_only_get_finished_and_an_end_is_for_ever(
    provider: Provider, effects: dict[str, object], cancel_after: float | None, n_rows: int
) -> None:
    found = batch(provider, n_rows, **effects)
    if cancel_after is not None:
        found = replace(found, cancelled_at=START + cancel_after)
    history = [status(found, START + step * 0.7) for step in range(130)]
    for earlier, later in pairwise(history):
        is_lost = later.outcome == "expired" and CYCLES[provider].is_lost_when_expired
        assert later.n_finished == 0 if is_lost else earlier.n_finished <= later.n_finished <= n_rows
        assert set(earlier.since) <= set(later.since)
        if earlier.outcome is not None:
            assert (later.outcome, later.n_finished, later.ended_at) == (earlier.outcome, earlier.n_finished, earlier.ended_at)
    final = status(found, START + 1e9)
    if final.outcome is not None and history[-1].outcome is not None:
        assert final.n_finished == history[-1].n_finished


@pytest.mark.parametrize("provider", PROVIDERS)
def test_cancelling_after_the_end_changes_nothing(provider: Provider) -> None:
    late = replace(batch(provider), cancelled_at=START + 31)
    assert status(late, START + 100) == status(batch(provider), START + 100)


@pytest.mark.parametrize("provider", ["fireworks", "openai"])
def test_problems_end_it_at_validation(provider: Provider) -> None:
    found = replace(batch(provider), problems=({"message": "no"},))
    assert status(found, START + CYCLES[provider].validated * USUAL).outcome == "failed"
    assert status(found, START + 500).n_finished == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_window_closes_after_24_hours_for_a_server_that_never_answers(provider: Provider) -> None:
    found = replace(batch(provider), is_upstream=True, n_answered=4)
    assert status(found, START + 86_399).outcome is None
    over = status(found, START + 86_400)
    assert (over.outcome, over.n_finished) == ("expired", 0 if CYCLES[provider].is_lost_when_expired else 4)
