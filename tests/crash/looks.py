"""Runs under a sequential plan at a provider in memory, killed anywhere: a look is taken once, decides the same, and nothing after a stop is sent.

`python -m tests.crash.looks` kills at every point of a run, `1/8` at a share of them, and `sigkill 100` kills so many processes around the looks with
SIGKILL; the tests do a sample.
"""

from __future__ import annotations

import os
import pickle
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.crash.lab import Killed
from tests.crash.providers import forks
from tests.unit.rig import Rig

from batchtrial.keys import item_hash
from batchtrial.state.looks import LOOK
from batchtrial.state.store import Hook, fingerprint

N_ITEMS = 12
PLAN: dict[str, Any] = {
    "primary": {"metric": "em", "kind": "all", "goal": "superiority"},
    "sequential": {"looks": 3, "min_changed": 2},
    "permutation_samples": 999,
}


@dataclass(slots=True)
class Looked:
    """A run that stops at its second look of three: the treatment is right about every item, the control about none."""

    folder: Path
    plan: dict[str, Any] = field(default_factory=lambda: PLAN)
    right: Any = lambda item, is_treatment: is_treatment
    rig: Rig = field(init=False)

    def __post_init__(self) -> None:
        self.rig = Rig(self.folder, n_items=N_ITEMS, changes={"stats": self.plan})
        heads = self.rig.arms("treatment")
        by_mark = {item_hash("reading", f"o{n}"): n for n in range(N_ITEMS)}

        def answer(custom_id: str, batch: int) -> str:
            item = next(n for mark, n in by_mark.items() if mark in custom_id)
            return f"succeeded=answer {item}" if self.right(item, custom_id.startswith(heads)) else "succeeded=no idea at all"

        self.rig.memory.answer = answer

    def looks(self) -> list[tuple[int, str]]:
        """Items and decision of each look in the ledger."""
        return [
            (e.detail["n_items"], one["decision"]) for e in self.rig.entries() if e.event == LOOK and e.detail for one in e.detail["trials"].values()
        ]

    def outputs(self) -> dict[str, str]:
        """sha256 of every artifact by its path inside the run."""
        layout = self.rig.layout
        return {path.relative_to(layout.root).as_posix(): fingerprint(path).sha256 for path in layout.artifacts()}

    def is_in_order(self) -> bool:
        """Whether no part was meant to be sent before every part of the stretch before it was settled and looked at."""
        ends, seen, settled = dict[str, int](), 0, set[str]()
        for shard in self._shards():
            ends[shard.part] = shard.first_item + shard.n_items
        for entry in self.rig.entries():
            if entry.event == LOOK and entry.detail:
                seen = entry.detail["n_items"]
                if not all(part in settled for part, end in ends.items() if end <= seen):
                    return False
            elif entry.part is not None and entry.event == "settled":
                settled.add(entry.part)
            elif entry.part is not None and entry.event == "intent" and ends[entry.part] > seen + N_ITEMS // 3:
                return False
        return True

    def _shards(self) -> Any:
        from batchtrial.state.files import BuildManifest, load

        build = load(BuildManifest, self.rig.layout.build_manifest)
        return build.shards.values() if build is not None else ()


def dying(n: int, points: list[str] | None = None) -> Hook:
    """Kills at the n-th point (0: never) and writes down the points that it met."""
    seen = 0

    def hook(point: str) -> None:
        nonlocal seen
        seen += 1
        if points is not None:
            points.append(point)
        if seen == n:
            raise Killed(point)

    return hook


@dataclass(frozen=True, slots=True)
class Whole:
    """What an undisturbed run ends with. points: those that it met."""

    looks: list[tuple[int, str]]
    paid: frozenset[str]
    outputs: dict[str, str]
    points: list[str]


def undisturbed(folder: Path) -> Whole:
    """Of a run that nothing disturbs; its folder is gone afterwards, so that others can have its name."""
    run, points = Looked(folder), list[str]()
    run.rig.run("report", hook=dying(0, points))
    assert run.is_in_order()
    whole = Whole(run.looks(), frozenset(run.rig.memory.paid()), run.outputs(), points)
    shutil.rmtree(folder)
    return whole


def around_looks(points: list[str], reach: int = 40) -> list[int]:
    """Numbers of the points (from 1) within reach of a look."""
    looks = [number for number, point in enumerate(points, 1) if point.startswith(f"ledger:{LOOK}:")]
    return [number for number in range(1, len(points) + 1) if any(abs(number - look) <= reach for look in looks)]


def _kill_itself(folder: Path, n: int, world: Path) -> None:
    """Run in a process of its own up to the n-th point, where the provider's world is put aside and the process gets SIGKILL."""
    run, seen = Looked(folder), 0

    def hook(point: str) -> None:
        nonlocal seen
        seen += 1
        if seen == n:
            world.write_bytes(pickle.dumps((run.rig.memory.batches, run.rig.clock.time)))
            os.kill(os.getpid(), signal.SIGKILL)

    run.rig.run("report", hook=hook)


def _sigkilled(folder: Path, n: int) -> Looked:
    """A run whose process was killed at its n-th point, and its provider as it was then."""
    world = folder.with_suffix(".world")
    child = forks.Process(target=_kill_itself, args=(folder, n, world))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL, child.exitcode
    run = Looked(folder)
    run.rig.memory.batches, run.rig.clock.time = pickle.loads(world.read_bytes())
    return run


def fault(folder: Path, n: int, twin: Whole, *, is_real: bool = False) -> str:
    """What is wrong with a run that is killed at its n-th point and goes on; "" when nothing is. folder: as the twin had it. is_real: by SIGKILL."""
    if is_real:
        run = _sigkilled(folder, n)
        run.rig.run("report")
        return _wrong(run, twin)
    run = Looked(folder)
    try:
        run.rig.run("report", hook=dying(n))
    except Killed:
        run.rig.run("report")
    return _wrong(run, twin)


def _wrong(run: Looked, twin: Whole) -> str:
    """What of the run is not as its twin's; its folder is gone afterwards."""
    found, paid = run.outputs(), run.rig.memory.paid()
    differing = [name for name, sha in twin.outputs.items() if found.get(name) != sha]
    faults = {
        f"looks {run.looks()}": run.looks() != twin.looks,
        "another bill": set(paid) != twin.paid or set(paid.values()) != {1},
        "sent before the look": not run.is_in_order(),
        f"other bytes: {differing}": bool(differing),
    }
    shutil.rmtree(run.folder)
    return ", ".join(told for told, is_so in faults.items() if is_so)


def main(argv: Sequence[str]) -> int:
    """Kill at every point, at a share of them, or by SIGKILL around the looks; 1 when a run is not as its undisturbed twin."""
    is_real = argv[1:2] == ["sigkill"]
    share = [int(part) for part in argv[1].split("/")] if len(argv) > 1 and not is_real else [1, 1]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "run"
        twin = undisturbed(folder)
        chosen: Sequence[int] = range(share[0], len(twin.points) + 1, share[1])
        if is_real:
            near = around_looks(twin.points)
            chosen = [near[k * len(near) // int(argv[2])] for k in range(int(argv[2]))]
        found = {n: told for n in chosen if (told := fault(folder, n, twin, is_real=is_real))}
    sys.stdout.write(f"{len(chosen)} points, {len(found)} faults\n" + "".join(f"  {twin.points[n - 1]} #{n}: {told}\n" for n, told in found.items()))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
