"""Answers that nobody can read, on every wire, from the provider to the predictions: kept, and asked again when somebody says so."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.crash.children import finish, spawn
from tests.crash.inprocess import InProcess
from tests.crash.lab import Lab, Rule, World, killed_at

from batchtrial.run.options import Options

TOLD = Options(retry_not_understood=True)
N_REQUESTS, N_UNREAD = 6, 1


def unreadable(lab: Lab) -> Sequence[Rule]:
    """A row of the first part, when it is first asked."""
    return [{"match": {"op": "create", "part": lab.mark(0)}, "on": "every", "do": {"rows": {"answers": {"count": N_UNREAD, "form": "unreadable"}}}}]


def states(world: World) -> Counter[str]:
    (path,) = world.layout.root.glob("*/results/predictions.csv")
    with path.open(newline="") as file:
        return Counter(row["answer_state"] for row in csv.DictReader(file))


def n_asked_again(world: World) -> int:
    return sum(entry.event == "asked_again" for entry in world.ledger().entries)


@pytest.mark.parametrize(
    ("provider", "endpoint"), [("fireworks", None), ("openai", "/v1/responses"), ("openai", "/v1/chat/completions"), ("anthropic", None)]
)
def test_it_is_bought_again_when_told_once_and_the_answer_takes_its_place(tmp_path: Path, provider: str, endpoint: str | None) -> None:
    settings = {"provider": {"endpoint": endpoint}} if endpoint else {}
    lab = Lab(tmp_path, provider=provider, n_items=3, settings=settings, faults=unreadable, has_twin=False)
    world = lab.world("told")
    assert world.start() == 0
    unread = states(world)
    assert unread == {"complete": N_REQUESTS - N_UNREAD, "not_understood": N_UNREAD}
    bought = world.bill()["answered_requests"]
    for _ in range(2):
        assert world.resume() == 0
    assert (world.bill()["answered_requests"], states(world)) == (bought, unread)

    assert finish(spawn([*world.argv(is_resume=True), "--retry_not_understood", "--plan_only"], world.log)) == 0
    said = world.log.read_text()
    assert "again    1 answer that cannot be understood is asked again, in 1 part, for up to $" in said, said
    assert (world.bill()["answered_requests"], n_asked_again(world)) == (bought, 0)

    for _ in range(2):
        assert world.resume(options=TOLD) == 0
    assert world.bill()["answered_requests"] == bought + N_UNREAD
    assert world.bill()["in_flight_requests"] == 0
    assert states(world) == {"complete": N_REQUESTS}
    assert n_asked_again(world) == 1
    world.close()


def test_killed_at_any_point_it_is_bought_once(tmp_path: Path) -> None:
    lab = Lab(tmp_path, provider="fireworks", n_items=2, faults=unreadable, has_twin=False, provider_of=InProcess)
    for n in itertools.count(1, 17):
        world = lab.world(f"killed{n}")
        assert world.start() == 0
        bought = world.bill()["answered_requests"]
        point = killed_at(world, n, first=False, options=TOLD)
        assert world.resume(options=TOLD) == 0
        assert world.bill()["answered_requests"] == bought + N_UNREAD, point
        assert states(world) == {"complete": 4}, point
        world.close()
        if not point:
            break
