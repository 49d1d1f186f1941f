"""A run at two providers, gone on with by another account's key for one of them: that lane alone is refused, by name, and nothing bought.

Where the judges are asked at a provider of their own, each of the two keys matters as long as its provider is asked for something.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.crash.children import NONCE
from tests.crash.inprocess import InProcess
from tests.crash.judged import RUBRIC, JudgedLab
from tests.crash.lab import IN_MEMORY, RUN_ID, Lab, World, killed_at
from tests.crash.several_lanes import TWO, lab_of_two_lanes
from tests.crash.sweeps import resume_until_done

from batchtrial.cli.commands import execute as session
from batchtrial.errors import OtherAccount
from batchtrial.state.lanes import failed_lanes
from batchtrial.state.ledger import fold
from batchtrial.state.machine import PartState

OTHER = "somebody@else-where"
JUDGE = {"name": "right", "kind": "yes_no", "rubric": RUBRIC, "max_tokens": 32, "backend": "anthropic", "model": TWO["anthropic"]}
SHARES = 3


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="batchtrial-keys-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        yield lab_of_two_lanes(Path(root), own="openai", provider_of=InProcess)


def with_key(world: World, lane: str) -> int:
    """Go on with another account's key at one lane."""
    asked = world.lab.asked(world.experiments, world.emulator.url, is_resume=True)
    return session.run(replace(asked, emulator_key=f"{lane}={OTHER}"), RUN_ID, nonce=NONCE, env={})


def bought(world: World, lane: str) -> int:
    """Requests that the provider of this lane has accepted."""
    return sum(batch["n_requests"] for batch in world.bill()["batches"] if batch["provider"] == lane)


def was_called(world: World, lane: str) -> bool:
    """Whether the lane has a part that may have been sent."""
    parts = fold(world.ledger().entries)
    return any(attempt for name, part in parts.items() if _lane_of(name) == lane for attempt in part.attempts if not attempt.is_lost)


def _lane_of(part: str) -> str:
    return "anthropic" if part.startswith("claude") else "openai"


@pytest.mark.parametrize("lane", ["openai", "anthropic"])
@pytest.mark.parametrize("share", range(SHARES))
def test_another_accounts_key_at_one_lane_stops_that_lane_alone(lab: Lab, lane: str, share: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed at a point of each third of the sending and waiting, gone on with another key at the lane, and then with the right one."""
    both = [number for number, point in enumerate(lab.points, 1) if point == "ledger:intent:after"][len(lab.parts) // 2]
    waiting = [number for number, point in enumerate(lab.points, 1) if number >= both and point.startswith(("ledger:", "call:"))]
    n = waiting[(len(waiting) * (2 * share + 1)) // (2 * SHARES + 1)]
    world = lab.world(f"{lane}{n}")
    point = killed_at(world, n, first=True)
    before = bought(world, lane)
    where = f"killed at {n} ({point}), {before} requests were with {lane}"
    assert was_called(world, lane), where
    capsys.readouterr()
    assert with_key(world, lane) == 4, where
    assert bought(world, lane) == before, where
    assert f"WARNING: {lane} fails, its arms wait and the others go on:" in capsys.readouterr().err
    parts = fold(world.ledger().entries)
    others = [part.state for name, part in parts.items() if _lane_of(name) != lane]
    assert len(others) == len(lab.parts) // 2, where
    assert set(others) == {PartState.SETTLED}, where
    reasons = failed_lanes(world.ledger().entries)
    assert reasons.keys() == {lane}, where
    assert any(word in reasons[lane] for word in ("key", "knows no batch", "account")), where
    resume_until_done(world)
    assert world.problems() == [], where
    world.close()


@pytest.fixture(scope="module")
def judged() -> Iterator[JudgedLab]:
    """Answers at OpenAI, judged at Anthropic."""
    with tempfile.TemporaryDirectory(prefix="batchtrial-judge-keys-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        yield JudgedLab(Path(root), provider="openai", n_items=2, settings={"judges": [JUDGE]}, provider_of=InProcess)


def killed_in_judging(lab: JudgedLab, name: str, point: str) -> World:
    """A run that was killed at the first such point of the second wave."""
    world = lab.world(name)
    killed_at(world, lab.second_wave(kind=point)[0], first=True)
    return world


def refused(world: World, lane: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The words with which another account's key at the lane is refused, and nothing bought there."""
    before = bought(world, lane)
    capsys.readouterr()
    with pytest.raises(OtherAccount) as error:
        with_key(world, lane)
    assert bought(world, lane) == before
    assert error.value.exit_code == 3
    assert "the others go on" not in capsys.readouterr().err.rpartition("taken over")[2]
    return error.value.what


def test_another_accounts_key_where_judges_are_asked_is_refused_in_its_own_words(judged: JudgedLab, capsys: pytest.CaptureFixture[str]) -> None:
    """There is nobody else to go on with: it is no warning about arms that wait, nor a step that was never asked for."""
    world = killed_in_judging(judged, "judge", "ledger:receipt:after")
    assert "belongs to another account" in refused(world, "anthropic", capsys)
    resume_until_done(world)
    assert world.problems() == []
    world.close()


def test_while_judges_are_asked_nobody_needs_the_key_of_the_answers(judged: JudgedLab) -> None:
    world = killed_in_judging(judged, "answered", "ledger:intent:after")
    assert with_key(world, "openai") == 0
    assert not failed_lanes(world.ledger().entries)
    assert world.problems() == []
    world.close()


def test_answers_that_have_not_all_come_are_refused_in_their_own_words(judged: JudgedLab, capsys: pytest.CaptureFixture[str]) -> None:
    """The judges' provider, which has the right key, has nothing to do without them."""
    world = judged.world("unanswered")
    killed_at(world, next(n for n, point in enumerate(judged.points, 1) if point == "ledger:receipt:after"), first=True)
    assert "belongs to another account" in refused(world, "openai", capsys)
    resume_until_done(world)
    assert world.problems() == []
    world.close()
