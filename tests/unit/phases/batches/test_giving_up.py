"""Giving up batches that the provider does not know: told in requests and dollars, agreed to, and refused when it would not help."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from pathlib import Path
from typing import Literal

import pytest
from tests.unit.phases.world import Quiet
from tests.unit.rig import Rig

from batchtrial.errors import PhaseFailed, ProviderError, StateError
from batchtrial.phases.batches.account import PROBES
from batchtrial.phases.batches.giving_up import Lost, give_up_unknown
from batchtrial.providers.base import KEY_CHECK
from batchtrial.run.loop import Services, carry
from batchtrial.run.options import Options

KEY = {KEY_CHECK: "a1a"}
PROOFS = [KEY, {"account": "ours"}, {"account": "ours"} | KEY, {"organization": "ours"} | KEY]
DENIED: Literal["not found"] = "not found"
UNSEEN = (DENIED,) * PROBES
"""The account shows none of its batches when it is proved, so that the looks that follow are those of the giving up."""


def sent(folder: Path, told: dict[str, str]) -> Rig:
    """A run whose four batches are under way. told: what the wire tells of the account."""
    rig = Rig(folder, settings={"max_concurrent_jobs": 10})
    rig.memory.told = told
    rig.run(to_step="submit")
    return rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return sent(tmp_path, KEY)


def given_up(rig: Rig, *, is_agreed: bool = True) -> list[Lost]:
    """What was told before anything was given up."""
    told: list[Lost] = []

    def agree(lost: Lost) -> None:
        told.append(lost)
        if not is_agreed:
            raise StateError("nothing was given up")

    session = rig.open()
    services = Services(codec=rig.memory, provider=lambda: rig.memory, now=rig.clock.now, stop=rig.stop_token(), progress=Quiet(rig.notes))
    try:
        carry(session, Options(), services, lambda work: give_up_unknown(work, agree))
    finally:
        session.close()
    return told


def test_what_is_lost_is_told_and_the_rest_of_the_run_goes_on(rig: Rig) -> None:
    gone = sorted(rig.memory.batches)[:3]
    for batch_id in gone:
        del rig.memory.batches[batch_id]
    reserved = {part.attempts[0].batch_id: part.attempts[0].reserved_usd for part in rig.parts().values()}
    (lost,) = given_up(rig)
    assert sorted(lost.batch_ids) == gone
    assert lost.n_requests == 6
    assert lost.usd == sum(reserved[batch_id] for batch_id in gone) > 0
    assert "3 batches of this run, with 6 requests that may have cost up to $" in lost.sentence
    finished = rig.run()
    assert (finished.counts.missing, finished.counts.succeeded) == (6, 2)
    assert rig.memory.n_calls("submit") == 4  # what was given up is never bought again


@pytest.mark.parametrize("told", PROOFS)
def test_all_may_be_given_up_where_the_wire_or_the_key_proves_the_account(tmp_path: Path, told: dict[str, str]) -> None:
    rig = sent(tmp_path, told)
    rig.memory.batches = {}
    (lost,) = given_up(rig)
    assert (len(lost.parts), lost.n_requests) == (4, rig.n_requests)
    assert rig.run().counts.missing == rig.n_requests
    assert rig.memory.n_calls("submit") == 4


@pytest.mark.parametrize("told", PROOFS)
def test_without_agreement_nothing_is_given_up(tmp_path: Path, told: dict[str, str]) -> None:
    rig = sent(tmp_path, told)
    kept, rig.memory.batches = rig.memory.batches, {}
    with pytest.raises(StateError, match="nothing was given up"):
        given_up(rig, is_agreed=False)
    assert "gone" not in rig.events()
    rig.memory.batches = kept
    assert rig.run().counts.succeeded == rig.n_requests


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({}, {}),
        (KEY, {KEY_CHECK: "b2b"}),
        ({"organization": "ours"} | KEY, {"organization": "ours", KEY_CHECK: "b2b"}),  # perhaps of another workspace
        ({"organization": "ours"} | KEY, {"organization": "theirs"} | KEY),
        ({"account": "ours"} | KEY, {"account": "theirs"} | KEY),
    ],
)
def test_an_account_that_nothing_proves_is_refused_before_anybody_is_asked(tmp_path: Path, before: dict[str, str], now: dict[str, str]) -> None:
    rig = sent(tmp_path, before)
    kept, rig.memory.batches, rig.memory.told = rig.memory.batches, {}, now
    with pytest.raises(StateError, match=r"account|knows no batch of this run") as caught:
        given_up(rig, is_agreed=False)
    assert "use the key that the run was started with" in caught.value.hint
    assert "gone" not in rig.events()
    rig.memory.batches, rig.memory.told = kept, before
    assert rig.run().counts.succeeded == rig.n_requests


def test_a_provider_that_knows_every_batch_leaves_nothing_to_give_up(rig: Rig) -> None:
    with pytest.raises(StateError, match="knows all 4 batches"):
        given_up(rig)
    rig.run()
    with pytest.raises(StateError, match="no batch is under way"):
        given_up(rig)
    assert rig.counts() == {"succeeded": rig.n_requests}


@pytest.mark.parametrize("denials", [1, 2])
def test_one_denial_or_two_are_no_absence(rig: Rig, denials: int) -> None:
    rig.memory.on_check = deque([*UNSEEN, *(DENIED,) * denials])
    with pytest.raises(StateError, match="knows all 4 batches"):
        given_up(rig)
    assert not rig.memory.on_check
    assert "gone" not in rig.events()


@pytest.mark.parametrize("denials", [0, 1, 2])
def test_a_provider_that_does_not_answer_proves_nothing(rig: Rig, denials: int) -> None:
    rig.memory.on_check = deque([*UNSEEN, *(DENIED,) * denials, "down"])
    with pytest.raises(ProviderError, match=r"nothing was given up: the provider does not answer .*cannot be reached") as caught:
        given_up(rig)
    assert caught.value.retryable
    assert "gone" not in rig.events()
    assert rig.run().counts.succeeded == rig.n_requests


def test_a_provider_that_does_not_answer_for_the_account_is_waited_for_and_then_named(rig: Rig) -> None:
    rig.memory.on_check = deque(["down"])
    with pytest.raises(StateError, match="knows all 4 batches"):  # it has answered since
        given_up(rig)
    rig.memory.on_check = deque(["down"] * 1000)
    with pytest.raises(PhaseFailed, match="cannot look at the run's batches: cannot be reached"):
        given_up(rig)
    assert "gone" not in rig.events()


def test_the_words_are_those_of_one_batch_and_of_an_unknown_price() -> None:
    lost = Lost(parts=("p",), batch_ids=("b1",), n_requests=1, usd=None)
    assert lost.sentence == "1 batch of this run, with 1 request that may have cost an unknown sum, is unknown to the provider (b1)"
    assert "up to $1.5000" in Lost(parts=("p",) * 4, batch_ids=tuple("abcd"), n_requests=9, usd=Decimal("1.5")).sentence
