"""`python -m tests.unattended.budget_rounds`: 20 processes share a folder's budget and are killed at random; the cap holds at every moment.

Each process carries out a run of its own at a provider that keeps its batches on the disk, and kills itself at a durable write or call that its seed
chooses, inside the folder's lock as well as outside. Meanwhile the round adds up every ledger. Then all of them go on without kills: nothing is
reserved any more, everything was paid once, and what is left of the cap covers no part that still waits.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from filelock import FileLock
from tests.unit.memory import Memory
from tests.unit.rig import Rig

from batchtrial.errors import BudgetReached, BudgetTooSmall
from batchtrial.providers.base import Intent
from batchtrial.reading.folder_budget import GUARD
from batchtrial.run.options import Options
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold, money, read
from batchtrial.state.money import Money, together

N_ITEMS = 4
BOUGHT_ALL, OUT_OF_BUDGET, BROKEN = 0, 3, 9


class Kept(Memory):
    """A provider whose batches outlive the client's process: one is there once it is on the disk, whatever the client learns of it."""

    books: Path

    def accept(self, intent: Intent, payload: Path) -> object:  # type: ignore[override]
        batch = super().accept(intent, payload)
        fresh = self.books.with_suffix(".new")
        fresh.write_bytes(pickle.dumps((self.batches, self.clock.time)))
        fresh.replace(self.books)
        return batch


class Shared(Rig):
    """A rig whose questions lie beside the template, as the config of every run names them, and are written once."""

    def __post_init__(self) -> None:
        if not self.questions.exists():
            super().__post_init__()


def rig_of(folder: Path, number: int) -> Rig:
    """Run `number` of the folder, with its provider as it left it."""
    made = Shared(folder.parent / "template", n_items=N_ITEMS, settings={"max_concurrent_jobs": 3})
    made.layout = RunLayout(folder / f"run_r{number}")
    memory = Kept(made.clock)
    memory.books = folder / f"provider_{number}"
    if memory.books.exists():
        memory.batches, made.clock.time = pickle.loads(memory.books.read_bytes())
    made.memory = memory
    return made


def carry_out(folder: Path, number: int, kill_at: int | None) -> int:
    """Carry the run out in this process, and kill the process at that point of it."""
    n_points = 0

    def hook(point: str) -> None:
        nonlocal n_points
        n_points += 1
        if n_points == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        rig_of(folder, number).run(hook=hook, options=Options(to_step="poll", is_partial=True, workers=1))
    except (BudgetReached, BudgetTooSmall):
        return OUT_OF_BUDGET
    return BOUGHT_ALL


def forked(folder: Path, number: int, kill_at: int | None) -> int:
    """The child's pid."""
    pid = os.fork()
    if pid:
        return pid
    code = BROKEN
    try:
        code = carry_out(folder, number, kill_at)
    except Exception:  # noqa: BLE001  (a forked child must not go on as its parent)
        traceback.print_exc()
    finally:
        os._exit(code)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a round saw. most: the most that was ever reserved and spent together."""

    n_kills: int
    n_looks: int
    most: Decimal
    spent: Decimal
    n_refused: int


def committed(folder: Path) -> Money:
    """All ledgers together, while nobody may reserve: what is freed meanwhile only makes it less."""
    with FileLock(folder / GUARD):
        return together(money(fold(read(path).entries).values()) for path in folder.glob("run_*/ledger.jsonl"))


def play(template: Path, folder: Path, seed: int, n: int, cap: Decimal) -> Seen:
    """One round. Raises AssertionError."""
    for number in range(n):
        shutil.copytree(template / "run_r1", folder / f"run_r{number}")
    (folder / "budget").write_text(f"{cap}\n")
    rng = random.Random(seed)
    n_kills = n_looks = 0
    refused: list[int] = []
    most = Decimal(0)
    for attempt in range(3):
        pids = {forked(folder, number, rng.randrange(1, 80) if attempt < 2 else None): number for number in range(n)}
        broken: list[int] = []
        while pids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in pids:
                number = pids.pop(pid)
                n_kills += os.WIFSIGNALED(status)
                code = BOUGHT_ALL if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
                broken += [number] if code == BROKEN else []
                refused += [number] if attempt == 2 and code == OUT_OF_BUDGET else []
            else:
                n_looks, most = n_looks + 1, max(most, committed(folder).committed_usd)
                time.sleep(0.01)  # the children need the processor more than this look does
        assert most <= cap, f"{most} reserved and spent of {cap}"
        assert not broken, f"runs {broken} ended with an error"
    # What the others gave back since is there for those that were refused.
    refused = [number for number in refused if os.WEXITSTATUS(os.waitpid(forked(folder, number, None), 0)[1]) == OUT_OF_BUDGET]
    at_end = committed(folder)
    assert at_end.in_flight_usd == 0, "a reserve is stuck"
    assert at_end.committed_usd <= cap
    rigs = [rig_of(folder, number) for number in range(n)]
    assert all(set(rig.memory.paid().values()) <= {1} for rig in rigs), "a request was paid twice"
    paid = sum(sum(rig.memory.paid().values()) for rig in rigs)
    assert paid == sum(part.counts.succeeded for rig in rigs for part in rig.parts().values() if part.counts is not None)
    _check_used_up(template, at_end.committed_usd, cap, len(refused))
    return Seen(n_kills, n_looks, most, at_end.committed_usd, len(refused))


def _check_used_up(template: Path, spent: Decimal, cap: Decimal, n_refused: int) -> None:
    """When a run was refused in the end, not because a reserve was stuck: the rest covers no two parts about the same items."""
    if n_refused:
        dearest = max(sum(usd) for usd in zip(*[iter(reserves(template))] * 2, strict=True))
        assert cap - spent < dearest, f"{cap - spent} is left, and no part was sent for it"


def reserves(template: Path) -> list[Decimal]:
    """What each part of a run reserves, in the order of sending."""
    alone = rig_of(template, 99)
    if not alone.layout.root.exists():
        alone.run("submit")
    parts = alone.parts()
    return [parts[name].attempts[0].reserved_usd for name in alone.names()]


def build(folder: Path) -> None:
    """A run that is built and has sent nothing, and another that tells what it would reserve."""
    rig = Shared(folder, n_items=N_ITEMS, settings={"max_concurrent_jobs": 3})
    rig.run("build")
    reserves(folder)


def rounds(seeds: Sequence[int], n: int) -> list[Seen]:
    """A round for each seed. Caps are drawn: from less than one run may cost to enough for all."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        template = Path(name) / "template"
        # In a process of its own: this one forks, and what builds starts threads.
        subprocess.run([sys.executable, "-c", f"from tests.unattended.budget_rounds import *; build(Path({str(template)!r}))"], check=True)
        plan = sum(reserves(template), Decimal(0))
        for seed in seeds:
            folder = Path(name) / f"round_{seed}"
            folder.mkdir()
            cap = plan * Decimal(random.Random(seed).choice([1, 2, 3, 5, 8, 13, 25])) * Decimal("0.9")
            found.append(play(template, folder, seed, n, cap))
            shutil.rmtree(folder)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Play the rounds and say what they saw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--first", type=int, default=1, help="the first round's seed")
    parser.add_argument("--processes", type=int, default=20)
    given = parser.parse_args(argv)
    began = time.monotonic()
    found = rounds(range(given.first, given.first + given.rounds), given.processes)
    sys.stdout.write(
        f"{len(found)} rounds of {given.processes} processes: {sum(one.n_kills for one in found)} kills, {sum(one.n_looks for one in found)} looks, "
        f"{sum(one.n_refused for one in found)} runs refused in the end, never over the cap, nothing stuck; {time.monotonic() - began:.0f} s\n"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
