"""Runs with judges, killed: everything in the judges' wave, then real processes over both waves. `python -m tests.crash.judged --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.crash.inprocess import InProcess
from tests.crash.lab import IN_MEMORY, Lab
from tests.crash.sweeps import Tally, at_every_point, at_random_times, plans, several_times, table

from batchtrial.cli.frame import say
from batchtrial.config.judges import ready_rubric
from batchtrial.state.ledger import fold

RUBRIC = {"path": "factual", "text": ready_rubric("factual")}
JUDGES: list[dict[str, Any]] = [
    {"name": "better", "kind": "pairwise", "rubric": RUBRIC, "max_tokens": 32},
    {"name": "right", "kind": "yes_no", "rubric": RUBRIC, "max_tokens": 32, "repeats": 2},
]
PROVIDERS = ("fireworks", "openai", "anthropic")


class JudgedLab(Lab):
    """A run with judges: it has more parts than its first wave says."""

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


def full(provider: str, kills: int, every: int) -> Iterator[Tally]:
    """Every `every`-th point of the judges' wave, power cuts, several kills of one run, and so many SIGKILLs at random times."""
    with tempfile.TemporaryDirectory(prefix="batchtrial-judges-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        lab = JudgedLab(Path(root), provider=provider, n_items=3, settings={"judges": JUDGES}, provider_of=InProcess)
        yield at_every_point(lab, lab.second_wave()[::every])
        yield at_every_point(lab, lab.second_wave(kind="ledger:")[::every], is_power_cut=True)
        yield several_times(lab, plans(lab, max(1, 10 // every), seed=1))
    if kills:
        with tempfile.TemporaryDirectory(prefix="batchtrial-judges-", ignore_cleanup_errors=True) as root:
            yield at_random_times(JudgedLab(Path(root), provider=provider, n_items=3, settings={"judges": JUDGES}), kills, seed=2)


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
