"""One account, one place: runs gone on with by another key, from a copy, from a backup; `python -m tests.crash.places --help` prints the table.

Everything happens in this process, against one emulator. The first process is killed at its n-th durable write or call; what is done then is the
case. Judged by the provider's bill: what was paid twice, and whether the ledgers name it; and by the bytes of the uninterrupted twin, every tenth
point to the end of the report, the others to the end of what is fetched and parsed: what follows is made from that alone.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.crash.children import NONCE, spawn
from tests.crash.inprocess import InProcess
from tests.crash.lab import FINISHED, IN_MEMORY, RUN_ID, Hook, KillAt, Killed, Lab, Rule, World, no_hook
from tests.crash.sweeps import aligned

from batchtrial.app import emulator as dryrun
from batchtrial.cli.commands import execute as session
from batchtrial.cli.frame import say
from batchtrial.errors import ProviderError, RunStateMissing, StateError
from batchtrial.run.options import Options
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import PartRecord, fold
from batchtrial.state.store import fingerprint

PROVIDERS = ("fireworks", "openai", "anthropic")
MOST_TRIES = 12
OURS = dryrun.KEY
OTHER = "somebody@else-where"
ROTATED = f"new@{dryrun.KEY}"

RAW_LINES = re.compile(r"\bp[0-9]+/results[^/]*\.jsonl$")


@dataclass(slots=True)
class Tally:
    """What became of one case at all its points. named: second batches that a ledger names. bad: what was wrong, and where."""

    provider: str
    case: str
    points: int = 0
    refused: int = 0
    duplicates: int = 0
    named: int = 0
    lost: int = 0
    unequal: int = 0
    bad: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Place:
    """One folder of the run, and the key that is used there."""

    world: World
    experiments: Path
    key: str = OURS
    to_step: str | None = None  # the last step

    @property
    def layout(self) -> RunLayout:
        return RunLayout(self.experiments / f"run_{RUN_ID}")

    def go(self, hook: Hook = no_hook) -> int:
        """Start, or go on with, the run here."""
        lab, url = self.world.lab, self.world.emulator.url

        def once(*, is_resume: bool) -> int:
            ask = lab.asked(self.experiments, url, is_resume=is_resume, options=Options(to_step=self.to_step))
            ask = replace(ask, emulator_key=self.key)
            return session.run(ask, RUN_ID, nonce=NONCE, env={}, hook=hook)

        try:
            return once(is_resume=True)
        except RunStateMissing:
            return once(is_resume=False)

    def finish(self) -> None:
        """Go on until the run is done. A provider that was away is a reason to try again, nothing else is."""
        for _ in range(MOST_TRIES):
            try:
                assert self.go() in FINISHED
            except ProviderError as error:
                if not error.retryable:
                    raise
            else:
                return
        raise AssertionError("the run never finished")

    def spawn(self, log: Path, *, is_resume: bool = True) -> BaseProcess:
        """The same in a process of its own."""
        asked = [
            "--run_id",
            RUN_ID,
            "--experiments_dir",
            str(self.experiments),
            "--emulator_url",
            self.world.emulator.url,
            "--emulator_key",
            self.key,
        ]
        return spawn([*asked, *(["--resume"] if is_resume else ["--config", str(self.world.lab.root / "config.yaml"), "--dry_run"])], log)

    def kill_at(self, n: int) -> str:
        """Go on, and die at the n-th point; "" when the run ended before."""
        hook = KillAt(n, self.layout.root)
        try:
            self.go(hook)
        except Killed:
            hook.bury()
            return hook.point
        return ""

    def copy(self, name: str) -> Place:
        """The same run in another folder."""
        other = replace(self, experiments=self.world.root / name)
        shutil.copytree(self.experiments, other.experiments)
        return other

    def outputs(self) -> dict[str, str]:
        """sha256 of every artifact."""
        return {path.relative_to(self.layout.root).as_posix(): fingerprint(path).sha256 for path in self.layout.artifacts()}

    def duplicates(self) -> set[str]:
        """Second batches that the ledger names."""
        return {one.batch_id for part in self.parts().values() for one in part.duplicates}

    def parts(self) -> dict[str, PartRecord]:
        """Every part, as the ledger has it."""
        return fold(read(self.layout.ledger).entries)


Case = Callable[[Place, int, Tally], Sequence[Place]]
"""Does the case with a run that was killed at a point; returns the places whose artifacts must be the twin's."""


def another_key(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """Another account's key: refused once anything was sent, and the right key goes on."""
    place.key = OTHER
    before = place.world.emulator.bill()["accepted_requests"]
    try:
        place.finish()
    except StateError as error:
        if "key" not in error.hint:
            raise
        tally.refused += 1
        assert place.world.emulator.bill()["accepted_requests"] == before, "something was sent to another account"
        assert not any(part.attempts and part.attempts[-1].is_gone for part in fold(read(place.layout.ledger).entries).values())
        place.key = OURS
        place.finish()
    return [place]


def a_new_key(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """Another key of the same account: goes on as if nothing had happened, once a batch or a file proves the account."""
    place.key = ROTATED
    try:
        place.finish()
    except StateError:  # a first call is in doubt, and was not carried out: nothing can prove the account
        tally.refused += 1
        place.key = OURS
        place.finish()
    return [place]


def copied_in_turn(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """A copy is finished elsewhere, then the original goes on."""
    copy = place.copy("copied")
    copy.finish()
    place.finish()
    return [place, copy]


def copied_and_killed(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """A copy goes on elsewhere and is killed with batches under way; the original is finished, then the copy."""
    copy = place.copy("copied")
    copy.kill_at(max(2, len(place.world.lab.points) // 3))
    place.finish()
    copy.finish()
    return [place, copy]


def restored(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """The run goes on and is killed; its folder is then put back from a backup made at the point, as new files."""
    backup = place.copy("backup")
    place.kill_at(max(2, len(place.world.lab.points) // 3))
    shutil.rmtree(place.experiments)
    shutil.copytree(backup.experiments, place.experiments)
    place.finish()
    return [place]


def rolled_back(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """The run is finished; then its state is written back over the same files."""
    backup = place.copy("backup")
    place.finish()
    kept = {path.relative_to(backup.experiments): path.read_bytes() for path in backup.experiments.rglob("*") if path.is_file()}
    for path in sorted(place.experiments.rglob("*")):
        if path.is_file() and path.relative_to(place.experiments) not in kept:
            path.unlink()
    for name, data in kept.items():
        target = place.experiments / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    place.finish()
    return [place]


def moved(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """The folder moves, and the run goes on there."""
    there = place.world.root / "moved"
    place.experiments.rename(there)
    place.experiments = there
    place.finish()
    return [place]


def at_once(place: Place, n: int, tally: Tally) -> Sequence[Place]:
    """While the original is at work a copy of its folder is made, and finished elsewhere before the original makes its next step."""
    made: list[Place] = []
    seen = 0

    def hook(point: str) -> None:
        nonlocal seen
        seen += 1
        if seen == n and not made:
            made.append(place.copy("copied"))
            made[0].finish()

    place.go(hook)
    place.finish()
    return [place, *made]


CASES: Mapping[str, Case] = {
    "another key": another_key,
    "a new key of the account": a_new_key,
    "copied, in turn": copied_in_turn,
    "copied, both killed": copied_and_killed,
    "backup put back": restored,
    "rolled back": rolled_back,
    "moved": moved,
    "copied, at once": at_once,
}
WHOLE = 10
"""Of so many points one is gone on from to the end of the report."""
LIVE = frozenset({"copied, at once"})
"""Cases that need no kill before: the original lives on."""


def at(lab: Lab, case: str, n: int, tally: Tally, *, only: Mapping[str, str] | None = None) -> None:
    """One case at one point of the run, judged. only: the artifacts of `parsed` when it is not gone on with to the report."""
    to_step, wanted = (None, lab.want) if only is None else ("parse", only)
    world = lab.world(f"{case.replace(' ', '-').replace(',', '')}-{n}")
    place = Place(world, world.experiments, to_step=to_step)
    point = "while it lives" if case in LIVE else place.kill_at(n)
    where = f"{lab.provider}, {case}, point {n} ({point})"
    tally.points += 1
    try:
        places = CASES[case](place, n, tally)
    except Exception as error:  # noqa: BLE001  whatever ended it is the finding; the next point has a world of its own
        tally.bad.append(f"{where}: {type(error).__name__}: {error}")
        world.close()
        return
    judge(places, wanted, where, tally)
    world.close()


def judge(places: Sequence[Place], wanted: Mapping[str, str], where: str, tally: Tally) -> None:
    """What is wrong with the places that a run has come to, by the provider's bill, the ledgers and the twin's artifacts."""
    lab, emulator = places[0].world.lab, places[0].world.emulator
    emulator.call("POST", "/_emulator/clock", {"advance_seconds": 86_400})  # what was cancelled a moment ago is not counted yet
    bill = emulator.bill()
    extra = int(bill["answered_requests"]) - int(lab.want_bill["answered_requests"])
    named = set().union(*(one.duplicates() for one in places))
    paid = sum(batch["n_answered"] or 0 for batch in bill["batches"] if batch["id"].rpartition("/")[2] in named)
    tally.duplicates += max(0, extra)
    tally.named += len(named)
    if extra > paid:
        tally.bad.append(f"{where}: {extra} rows were paid twice, {paid} of them named")
    for one in places:
        ours, twice = one.outputs(), bool(one.duplicates())
        if twice and one.to_step is None:  # the reports say so, which the twin's do not
            texts = [path.read_text() for path in one.layout.root.glob("*/reports/report.md")]
            if not all("Sent twice, by two copies of this run" in text and "$" in text for text in texts):
                tally.bad.append(f"{where}: {one.experiments.name} has a report that does not name what was sent twice")
            n_twice = sum(two.n_requests for record in one.parts().values() for two in record.duplicates)
            costs = [json.loads(path.read_bytes()) for path in one.layout.root.rglob("costs.json")]
            if sum(each.get("requests_sent_twice", 0) for each in costs) != n_twice or any(each["usd"] is not None for each in costs):
                tally.bad.append(f"{where}: {one.experiments.name} has costs that do not count {n_twice} requests sent twice")
            told = [name for name in ours if "report" in name or name.endswith("costs.json") or name == "index.html"]
            ours |= {name: lab.want[name] for name in told if name in lab.want}
        lost = [name for name in wanted if name not in ours]
        # Of two batches for one part either may have brought its lines as they came; what follows from them is the same.
        as_they_came = {name for name in wanted if len(places) > 1 and RAW_LINES.search(name)}
        differs = [name for name in wanted if name in ours and ours[name] != wanted[name] and name not in as_they_came]
        tally.lost += bool(lost)
        tally.unequal += bool(differs)
        if lost or differs:
            tally.bad.append(f"{where}: {one.experiments.name} lacks {lost[:3]}, differs in {differs[:3]}")


def parsed(lab: Lab) -> Mapping[str, str]:
    """The twin's artifacts as far as parse makes them."""
    world = lab.world("parsed")
    place = Place(world, world.experiments, to_step="parse")
    place.finish()
    found = place.outputs()
    world.close()
    return found


def spread(lab: Lab, n: int) -> list[int]:
    """n of the run's points, evenly spread over sending and waiting, those around the create calls among them."""
    first = next(number for number, point in enumerate(lab.points, 1) if point.startswith("ledger:intent"))
    last = max(number for number, point in enumerate(lab.points, 1) if point.startswith("ledger:"))
    n = min(n, last - first + 1)
    return sorted({first + (last - first) * place // max(1, n - 1) for place in range(n)})


def calm(lab: Lab) -> Sequence[Rule]:
    """A provider on a good day: what happens here is the client's doing."""
    return [{"match": {"op": "create", "part": lab.mark(3)}, "on": "every", "do": {"rows": {"errored": {"count": 1, "status": 500}}}}]


def sweep(lab: Lab, points: Sequence[int], case: str) -> Tally:
    """One case at these points."""
    tally, only = Tally(lab.provider, case), parsed(lab)
    for number, n in enumerate(points):
        at(lab, case, n, tally, only=None if number % WHOLE == 0 else only)
    return tally


@contextmanager
def unheard() -> Iterator[None]:
    """What the runs print goes nowhere."""
    with Path(os.devnull).open("w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        yield


def table(tallies: Sequence[Tally]) -> list[str]:
    """One line for each case."""
    rows: list[tuple[str, ...]] = [
        ("provider", "case", "points", "refused", "rows paid twice", "second batches named", "lost", "bytes differ", "bad")
    ]
    rows += [(t.provider, t.case, *map(str, (t.points, t.refused, t.duplicates, t.named, t.lost, t.unequal, len(t.bad)))) for t in tallies]
    return aligned(rows)


def share(text: str) -> tuple[int, int]:
    """J and K of J/K."""
    j, k = (int(number) for number in text.split("/"))
    if not 1 <= j <= k:
        raise ValueError(text)
    return j, k


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 when nothing was bad."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.places", description=__doc__)
    parser.add_argument("--provider", action="append", choices=PROVIDERS, help="may be repeated (default: all)")
    parser.add_argument("--case", action="append", choices=tuple(CASES), help="may be repeated (default: all)")
    parser.add_argument("--points", type=int, default=0, help="so many points, evenly spread (default: every one)")
    parser.add_argument("--share", type=share, default=(1, 1), metavar="J/K", help="the j-th of k equal shares of the points (default: all)")
    given = parser.parse_args(argv)
    tallies: list[Tally] = []
    for provider in given.provider or PROVIDERS:
        root = Path(tempfile.mkdtemp(prefix="batchtrial-places-", dir=IN_MEMORY))
        with unheard():
            lab = Lab(root, provider=provider, n_items=6, faults=calm, provider_of=InProcess)
        points = spread(lab, given.points or len(lab.points))[given.share[0] - 1 :: given.share[1]]
        for case in given.case or tuple(CASES):
            began = time.monotonic()
            with unheard():
                tally = sweep(lab, points, case)
            tallies.append(tally)
            sys.stderr.write(f"{table([tally])[1]}  {time.monotonic() - began:.0f} s\n")
            for line in tally.bad:
                sys.stderr.write(f"  {line}\n")
        shutil.rmtree(root, ignore_errors=True)
    for line in table(tallies):
        say(line)
    return 1 if any(tally.bad for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
