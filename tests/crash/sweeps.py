"""Sweeps: kill runs in every way there is, resume them, and count what went wrong. `python -m tests.crash.sweeps --help` prints the table.

The tests run bounded sweeps; the script runs the full ones.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from tests.crash.children import CALLS, Kill, finish, spawn
from tests.crash.lab import FINISHED, Lab, World, killed_at, rough

from batchtrial.cli.frame import say
from batchtrial.errors import ProviderError
from batchtrial.providers.registry import ROWS

MOST_RESUMES = 30
NAMES: Mapping[str, str] = {"rename": "rename or replace", "send": "sendto", "recv": "recvfrom", "point": "a write or call"}
N_CALLS = 760
"""System calls of the five kinds in a run of the lab, about."""


@dataclass(slots=True)
class Tally:
    """What became of the kills of one kind. bad: what was wrong with each survivor that is not as good as the twin."""

    provider: str
    kind: str
    kills: int = 0
    duplicates: int = 0
    lost: int = 0
    unequal: int = 0
    bad: list[str] = field(default_factory=list)

    def add(self, world: World, where: str) -> None:
        """Judge a survivor, and remove it when there is nothing to say against it."""
        problems = world.problems()
        self.kills += 1
        bill, want = world.bill(), world.lab.want_bill
        self.duplicates += int(bill["n_paid_more_than_once"]) + max(0, bill["answered_requests"] - want["answered_requests"])
        self.lost += max(0, world.lab.want_rows - world.n_rows())
        self.unequal += world.outputs() != world.lab.want
        if problems:
            self.bad.append(f"{where}: {'; '.join(problems)}")
        world.close()


def resume_until_done(world: World) -> None:
    """Resume until the run has finished; a provider that was away is a reason to try again, nothing else is."""
    for _ in range(MOST_RESUMES):
        try:
            assert world.resume() in FINISHED
        except ProviderError as error:
            if not error.retryable:
                raise
        else:
            return
    raise AssertionError("the run never finished")


def at_every_point(lab: Lab, points: Iterable[int], *, is_power_cut: bool = False) -> Tally:
    """In process: kill at these of the run's durable writes and provider calls, once each."""
    tally = Tally(lab.provider, "power cut" if is_power_cut else "at a write or call")
    for n in points:
        world = lab.world(f"point{n}{is_power_cut}")
        where = killed_at(world, n, first=True, is_power_cut=is_power_cut)
        if not where:
            assert not world.problems(), "a run that nothing was left to kill in"
            world.close()
            break
        resume_until_done(world)
        tally.add(world, f"kill #{n} at {where}")
    return tally


def several_times(lab: Lab, plans: Iterable[Sequence[int]]) -> Tally:
    """In process: kill one run as often as a plan has numbers, each counted from the resume before it."""
    tally = Tally(lab.provider, "two and three times")
    for plan in plans:
        world = lab.world("-".join(map(str, plan)))
        where = [killed_at(world, n, first=turn == 0) for turn, n in enumerate(plan)]
        resume_until_done(world)
        tally.add(world, f"kills {plan} at {where}")
    return tally


def plans(lab: Lab, n: int, seed: int) -> Iterator[tuple[int, ...]]:
    """Seeded pairs and triples of points."""
    chance = random.Random(seed)
    for number in range(n):
        yield tuple(chance.randint(1, len(lab.points)) for _ in range(2 + number % 2))


def with_the_provider(lab: Lab, points: Iterable[int]) -> Tally:
    """In process: the provider is killed, or the provider and the run together, and comes back in its old world."""
    tally = Tally(lab.provider, "the provider too")
    for number, n in enumerate(points):
        world = lab.world(f"provider{n}")
        if number % 2:
            where = killed_at(world, n, first=True)
            world.emulator.kill()
            world.emulator.start()
        else:
            where = "the provider alone"
            try:
                world.start(_once(n, world))
            except ProviderError as error:
                if not error.retryable:
                    raise
        resume_until_done(world)
        tally.add(world, f"point {n}: {where}")
    return tally


def _once(n: int, world: World) -> Callable[[str], None]:
    seen = 0

    def hook(point: str) -> None:
        nonlocal seen
        seen += 1
        if seen == n:
            world.emulator.kill()
            world.emulator.start()

    return hook


def in_processes(lab: Lab, kills: Iterable[Kill]) -> Iterator[Tally]:
    """Real processes: SIGKILL at a system call, then the run is resumed in another process. A tally for each kind of call."""
    for call, of_one in groupby(kills, key=lambda kill: kill.call):
        tally = Tally(lab.provider, f"SIGKILL at {NAMES.get(call, call)}")
        for kill in of_one:
            world = lab.world(f"{kill.call}{kill.n}{kill.before}")
            code = finish(spawn(world.argv(is_resume=False), world.log, kill))
            assert code == -9 or code in FINISHED, world.log.read_text()
            if code != -9:  # a run makes no more calls than this
                world.close()
                break
            world.crowd()
            _resume_in_processes(world)
            tally.add(world, str(kill))
        yield tally


def system_calls(every: int, most: int = 10**6) -> Iterator[Kill]:
    """Kills at every so many calls of each kind, before and after by turns."""
    for place, call in enumerate(CALLS):
        for turn, n in enumerate(range(1 + place, most, every)):
            yield Kill(call, n, before=turn % 2 == 0)


def at_random_times(lab: Lab, n: int, seed: int) -> Tally:
    """Real processes: SIGKILL from outside, at seeded times over the length of a run. One that had ended by then is no kill, and shows the length."""
    tally = Tally(lab.provider, "SIGKILL at random times")
    chance, length = random.Random(seed), float("inf")
    for number in range(4 * n + 1):
        if tally.kills == n:
            break
        world = lab.world(f"random{number}")
        began = time.monotonic()
        child = spawn(world.argv(is_resume=False), world.log)
        child.join(chance.uniform(0.0, length) if number else None)
        was_killed = child.exitcode is None
        length = length if was_killed else min(length, time.monotonic() - began)
        child.kill()
        assert finish(child) in (*FINISHED, -9), world.log.read_text()
        world.crowd()
        if was_killed:
            _resume_in_processes(world)
            tally.add(world, f"random kill {number} of seed {seed}")
        else:
            world.close()
    return tally


def _resume_in_processes(world: World) -> None:
    for _ in range(MOST_RESUMES):
        code = finish(spawn(world.argv(is_resume=world.is_begun()), world.log))
        if code in FINISHED:
            return
        assert code == 1, world.log.read_text()
    raise AssertionError(world.log.read_text())


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows, one line each, every column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def table(tallies: Sequence[Tally]) -> list[str]:
    """One line for each kind of kill."""
    rows = [("provider", "kind of kill", "kills", "duplicates", "lost", "bytes equal")]
    rows += [(t.provider, t.kind, str(t.kills), str(t.duplicates), str(t.lost), f"{t.kills - t.unequal} of {t.kills}") for t in tallies]
    return aligned(rows)


def full(lab: Lab, kills: int, every: int = 1, turn: int = 0) -> Iterator[Tally]:
    """Everything, with about `kills` real processes killed; in process at each `every`-th point, from another one by turns."""
    first = 1 + turn % every
    at_risk = [n for n, point in enumerate(lab.points, 1) if point.startswith(("ledger:", "call:"))]
    yield at_every_point(lab, range(first, 10**6, every))
    yield at_every_point(lab, at_risk[first - 1 :: every], is_power_cut=True)
    yield several_times(lab, plans(lab, -(-30 // every), seed=1 + turn))
    yield with_the_provider(lab, range(2 + first, len(lab.points), max(1, every * len(lab.points) // 20)))
    n_random = kills // 5
    yield from in_processes(lab, system_calls(every=max(1, N_CALLS // max(1, kills - n_random))))
    yield at_random_times(lab, n_random, seed=2)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 when every run survived every kill."""
    names = tuple(name for name in ROWS if name != "local")
    parser = argparse.ArgumentParser(prog="python -m tests.crash.sweeps", description=__doc__)
    parser.add_argument("--provider", action="append", choices=names, help="may be repeated (default: all)")
    parser.add_argument("--kills", type=int, default=220, help="real processes killed per provider (default: 220)")
    parser.add_argument("--every", type=int, default=1, help="in process at each so many-th point only, another for each provider (default: 1)")
    given = parser.parse_args(argv)
    tallies: list[Tally] = []
    for turn, provider in enumerate(given.provider or names):
        root = Path(tempfile.mkdtemp(prefix="batchtrial-crash-"))
        # Whoever shares an Anthropic workspace sees batches that may be anybody's until they have ended.
        lab = Lab(root, provider=provider, n_items=6, faults=rough, is_crowded=provider == "anthropic")
        for tally in full(lab, given.kills, given.every, turn):
            tallies.append(tally)
            sys.stderr.write(f"{table([tally])[1]}\n")
            for line in tally.bad:
                sys.stderr.write(f"  {line}\n")
        shutil.rmtree(root, ignore_errors=True)
    for line in table(tallies):
        say(line)
    return 1 if any(tally.bad for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
