"""The simulator itself: a seed is one history, a failing one shrinks to what it takes. `nox -s luck` plays the histories."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.luck.mutations import MUTATIONS
from tests.luck.schedule import SWITCHES, Event, History, draw
from tests.luck.shrink import shortest

ROOT = Path(__file__).parents[2]


def test_a_seed_is_one_history_and_switches_leave_kinds_out() -> None:
    assert draw("openai", 7) == draw("openai", 7)
    assert len({draw("openai", seed) for seed in range(50)}) == 50
    assert all(draw("openai", seed, frozenset(SWITCHES)).events == () for seed in range(20))
    kinds = {event.kind for seed in range(300) for event in draw("anthropic", seed, frozenset({"copies", "keys"})).events}
    assert kinds >= {"kill", "provider", "backup", "restore", "disk full", "clock jumps", "stop", "config", "tool", "gone", "cancelled"}
    assert not kinds & {"copy", "together", "in the copy", "key"}


def test_a_failing_history_shrinks_to_the_events_that_it_takes() -> None:
    culprits = {Event(1, 30, "kill"), Event(3, 0, "restore")}
    events = {*culprits, *(Event(turn, n, "stop", "now") for turn in range(4) for n in range(1, 9))}
    history = History(
        provider="openai",
        seed=1,
        climate=4,
        settings=(("submission.max_attempts", 2),),
        is_fresh=True,
        is_whole=True,
        is_crowded=False,
        events=tuple(sorted(events)),
    )
    least = shortest(history, lambda candidate: {event.kind for event in candidate.events} >= {"kill", "restore"})
    assert least.events == (Event(0, 30, "kill"), Event(1, 0, "restore")), "turns in which nothing happens are gone too"
    assert (least.climate, least.settings, least.is_fresh, least.is_whole) == (0, (), False, False)


def test_the_same_seeds_end_in_the_same_way_in_every_process() -> None:
    def played() -> str:
        command = [sys.executable, "-m", "tests.luck", "--provider", "openai", "--seeds", "1..2", "--verbose"]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout.rpartition("openai seeds")[0]

    assert played() == played() != ""


def test_every_guard_that_the_mutations_take_out_is_there_once() -> None:
    source = ROOT / "src" / "batchtrial"
    assert [one.name for one in MUTATIONS if (source / one.file).read_text().count(one.text) != 1] == []
    assert len(MUTATIONS) >= 10


BY_HAND = {
    "openai": 1068,  # put back from before a part and an attempt were sent, then parts left as files, then results were brought
    "anthropic": 8532,  # results of a first attempt brought, as they lie at the provider, while the second is under way
}


@pytest.mark.parametrize("provider", BY_HAND)
def test_results_that_somebody_brings_pay_nothing_twice(provider: str) -> None:
    command = [sys.executable, "-m", "tests.luck", "--provider", provider, "--seeds", f"{BY_HAND[provider]}..{BY_HAND[provider]}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
