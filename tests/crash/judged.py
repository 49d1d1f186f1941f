"""Runs with judges, killed: everything in the judges' wave, then real processes over both waves. `python -m tests.crash.judged --help`.

Every wire and host, and rows asked one by one at a server in a process of its own (`--provider local`).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.crash.children import Kill
from tests.crash.inprocess import InProcess
from tests.crash.lab import IN_MEMORY, Lab, World
from tests.crash.providers import Emulator
from tests.crash.sweeps import Tally, at_every_point, at_random_times, in_processes, plans, several_times, table

from batchtrial.cli.frame import say
from batchtrial.config.judges import ready_rubric
from batchtrial.providers.base import MAYBE_PAID_TWICE
from batchtrial.providers.registry import ROWS
from batchtrial.state.ledger import fold

RUBRIC = {"path": "factual", "text": ready_rubric("factual")}
JUDGES: list[dict[str, Any]] = [
    {"name": "better", "kind": "pairwise", "rubric": RUBRIC, "max_tokens": 32},
    {"name": "right", "kind": "yes_no", "rubric": RUBRIC, "max_tokens": 32, "repeats": 2},
]
IN_FLIGHT = 2
PROVIDERS = tuple(ROWS)
"""Every wire and host, batch by batch; `local` row by row."""
TOLD = re.compile(r".*/(report\.md|report\.html|costs\.json)")
"""What names rows that may have been paid twice, which the twin has none of."""


class JudgedLab(Lab):
    """A run with judges: it has more parts than its first wave says."""

    n_told = 0
    """Rows asked again and told of, all survivors together."""

    def world(self, name: str) -> World:
        """Of the direct lane one that may ask rows again, if it says so."""
        return (DirectWorld if self.provider == "local" else World)(self, self.root / "worlds" / name)

    def _run_twin(self) -> None:
        twin = self.world("twin")
        assert twin.start(self.points.append) in (0, 4)
        self.want, self.want_bill, self.want_rows = twin.outputs(), twin.bill(), twin.n_rows()
        self.parts = tuple(fold(twin.ledger().entries))
        assert self.want_bill["n_paid_more_than_once"] == 0
        twin.close()

    def second_wave(self, n: int | None = None, kind: str = "") -> list[int]:
        """n of the second wave's points, evenly spread, the first and the last included; None: all of them."""
        begin, end = self.points.index("phase:judge_build:before"), self.points.index("phase:stats:before")
        found = [number for number, point in enumerate(self.points, 1) if begin < number <= end + 1 and point.startswith(kind)]
        return found if n is None else sorted({found[(len(found) - 1) * place // (n - 1)] for place in range(n)})


class DirectWorld(World):
    """Rows asked one by one: a kill repeats those in flight, which the run tells of; whatever it does not tell of is a duplicate."""

    def told(self) -> int:
        """Rows that may have been paid twice, by the run's own word."""
        attempts = [attempt for part in fold(self.ledger().entries).values() for attempt in part.attempts]
        return sum(int(attempt.ids.get(MAYBE_PAID_TWICE, 0)) for attempt in attempts)

    def bill(self) -> dict[str, Any]:
        """The server's own count, less rows that it carried out again and that were told of."""
        bill = super().bill()
        direct = bill["direct"]
        untold = max(0, direct["n_answered_again"] - self.told())
        return bill | {"answered_requests": direct["answered"] - direct["n_answered_again"] + untold, "n_paid_more_than_once": untold}

    def outputs(self) -> dict[str, str]:
        """Where rows were told of, what tells of them is the twin's: it must speak of them."""
        found, told = super().outputs(), self.told()
        for name in filter(TOLD.fullmatch, found if told else ()):
            if "may have been paid twice" in (self.layout.root / name).read_text():
                found[name] = self.lab.want.get(name, "")
        return found

    def problems(self) -> list[str]:
        """As of any run; one kill is told of no more rows than were in flight."""
        return [*super().problems(), *["more rows are told of than were in flight"] * (self.told() > IN_FLIGHT)]

    def close(self) -> None:
        """Its rows are added up."""
        if isinstance(self.lab, JudgedLab):
            self.lab.n_told += self.told()
        super().close()


def lab_of(root: str, provider: str, provider_of: Callable[..., Any] = Emulator) -> JudgedLab:
    """Three questions, two judges, one of them twice."""
    lane = {"provider": {"lane": "direct", "concurrency": IN_FLIGHT}} if provider == "local" else {}
    return JudgedLab(Path(root), provider=provider, n_items=3, settings={"judges": JUDGES, **lane}, provider_of=provider_of)


def full(provider: str, kills: int, every: int) -> Iterator[Tally]:
    """Every `every`-th point of the judges' wave, power cuts, several kills of one run, and so many SIGKILLs at random times."""
    if provider != "local":
        with tempfile.TemporaryDirectory(prefix="batchtrial-judges-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
            lab = lab_of(root, provider, InProcess)
            yield at_every_point(lab, lab.second_wave()[::every])
            yield at_every_point(lab, lab.second_wave(kind="ledger:")[::every], is_power_cut=True)
            yield several_times(lab, plans(lab, max(1, 10 // every), seed=1))
    with tempfile.TemporaryDirectory(prefix="batchtrial-judges-", ignore_cleanup_errors=True) as root:
        lab = lab_of(root, provider)
        if provider == "local":  # what asks rows is a thread, that only the end of a process stops at once
            yield from in_processes(lab, (Kill("point", n, before=True) for n in lab.second_wave()[::every]))
        yield at_random_times(lab, kills, seed=2)
        if lab.n_told:
            sys.stderr.write(f"{provider}: {lab.n_told} rows were in flight at a kill and asked again; each run says so\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 when every run survived every kill."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.judged", description=__doc__)
    parser.add_argument("--provider", action="append", choices=PROVIDERS, help="may be repeated (default: all)")
    parser.add_argument("--kills", type=int, default=100, help="real processes killed per provider (default: 100)")
    parser.add_argument("--every", type=int, default=1, help="only each so many points of the judges' wave (default: all)")
    given = parser.parse_args(argv)
    tallies = []
    for provider in given.provider or PROVIDERS:
        for tally in full(provider, given.kills, given.every):
            tallies.append(tally)
            sys.stderr.write("\n".join([table([tally])[1], *(f"  {line}" for line in tally.bad), ""]))
    for line in table(tallies):
        say(line)
    return 1 if any(tally.bad for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
