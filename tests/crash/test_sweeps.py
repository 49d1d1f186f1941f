"""Killed anywhere, resumed, and as good as never stopped: the same bytes, the same bill. `python -m tests.crash.sweeps` is the unbounded form.

Kill numbers are spread evenly over the run, so that every phase and every kind of write has its turn.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.crash.children import Kill
from tests.crash.conftest import Labs
from tests.crash.lab import Lab, rough
from tests.crash.sweeps import Tally, at_every_point, at_random_times, in_processes, plans, several_times, system_calls, with_the_provider

PROVIDERS = ("fireworks", "openai", "anthropic")
N_POINTS = {"fireworks": 10, "openai": 8, "anthropic": 8}
CALLS_OF = {"fireworks": range(5), "openai": range(5, 10), "anthropic": (0, 6, 2, 8, 4)}
"""Which of the ten kills at system calls: every kind once for each provider, early or late, before or after."""


def spread(lab: Lab, n: int, kind: str = "") -> list[int]:
    """n of the run's points of a kind, evenly spread, the last one included."""
    found = [number for number, point in enumerate(lab.points, 1) if point.startswith(kind)]
    return sorted({found[(len(found) - 1) * place // (n - 1)] for place in range(n)})


def holds(tally: Tally, n: int) -> None:
    """Every one of at least n survivors is as good as its twin."""
    assert tally.bad == []
    assert (tally.duplicates, tally.lost, tally.unequal) == (0, 0, 0)
    assert tally.kills >= n


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_kill_at_any_durable_write_or_call_loses_nothing_and_pays_once(near_labs: Labs, provider: str) -> None:
    lab = near_labs(provider)
    holds(at_every_point(lab, spread(lab, N_POINTS[provider])), N_POINTS[provider] - 2)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_kill_around_the_create_call_pays_once(labs: Labs, provider: str) -> None:
    lab = labs(provider)
    window = ("ledger:intent:after", "call:submit:before", "call:submit:after", "ledger:receipt:before")
    firsts = sorted(lab.points.index(point) + 1 for point in window)
    holds(at_every_point(lab, firsts), len(window))


@pytest.mark.parametrize(("provider", "n"), [("fireworks", 6), ("openai", 4), ("anthropic", 4)])
def test_a_power_cut_takes_back_unsynced_lines_and_nothing_is_paid_twice(near_labs: Labs, provider: str, n: int) -> None:
    """What was not synced is gone, and of the next line a half is there."""
    lab = near_labs(provider)
    holds(at_every_point(lab, spread(lab, n, "ledger:"), is_power_cut=True), n)


@pytest.mark.parametrize("host", ["together", "mistral"])
def test_a_further_host_or_wire_pays_once_around_the_create_call(near_labs: Labs, host: str) -> None:
    """One keeps no label, wraps what it has made, and is searched by the input file alone; the other is plain HTTP. All of them: `nox -s hosts`."""
    lab = near_labs(host)
    window = ("call:submit:before", "call:submit:after", "ledger:receipt:before")
    firsts = sorted(lab.points.index(point) + 1 for point in window)
    holds(at_every_point(lab, firsts), len(window))
    holds(at_every_point(lab, firsts[1:2], is_power_cut=True), 1)


def test_a_power_cut_before_any_receipt_is_synced(near_labs: Labs) -> None:
    lab = near_labs("openai")
    receipts = [number for number, point in enumerate(lab.points, 1) if point == "ledger:receipt:after"]
    holds(at_every_point(lab, receipts[:2], is_power_cut=True), 2)


def test_two_and_three_kills_in_one_run(near_labs: Labs) -> None:
    lab = near_labs("fireworks")
    holds(several_times(lab, plans(lab, 4, seed=1)), 4)


def test_a_provider_that_dies_too_and_comes_back(labs: Labs) -> None:
    lab = labs("fireworks")
    holds(with_the_provider(lab, spread(lab, 4, "call:")), 3)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_sigkill_at_a_system_call(labs: Labs, provider: str) -> None:
    kills = sorted(system_calls(every=60, most=100), key=lambda kill: kill.n >= 60)
    for tally in in_processes(labs(provider), [kills[place] for place in CALLS_OF[provider]]):
        holds(tally, 1)


def test_a_foreign_batch_of_the_same_size_in_the_same_window_is_never_taken_for_ours(tmp_path: Path) -> None:
    """Nothing on an Anthropic batch says whose it is while it runs: the part waits, and what is found in the end is ours."""
    lab = Lab(tmp_path, provider="anthropic", n_items=6, faults=rough, is_crowded=True)
    window = ("call:submit:before", "call:submit:after", "ledger:receipt:before")
    firsts = sorted(lab.points.index(point) + 1 for point in window)
    holds(at_every_point(lab, firsts), len(window))
    for tally in in_processes(lab, [Kill("send", 3, before=False)]):
        holds(tally, 1)


def test_sigkill_at_random_times(labs: Labs) -> None:
    holds(at_random_times(labs("fireworks"), 3, seed=2), 3)
