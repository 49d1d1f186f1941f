"""A run at two providers, gone on with by another account's key for one of them: that lane alone is refused, by name, and nothing bought."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.crash.children import NONCE
from tests.crash.inprocess import InProcess
from tests.crash.lab import IN_MEMORY, RUN_ID, Lab, World, killed_at
from tests.crash.several_lanes import lab_of_two_lanes
from tests.crash.sweeps import resume_until_done

from batchtrial.cli.commands import execute as session
from batchtrial.state.lanes import failed_lanes
from batchtrial.state.ledger import fold
from batchtrial.state.machine import PartState

OTHER = "somebody@else-where"
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
