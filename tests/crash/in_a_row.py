"""The answer to each create is lost after the provider has carried it out, fifty times in a row: `python -m tests.crash.in_a_row`.

A run of as many parts as that, held against its twin that lost nothing: the same rows, the same bytes, the same bill.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.crash.lab import FINISHED, Lab, World
from tests.crash.sweeps import Tally, table
from tests.small_run import LINES_PER_PART

from batchtrial.cli.frame import say
from batchtrial.providers.registry import ROWS

LOST = {"match": {"op": "create"}, "on": "every", "do": {"close_after_commit": True}}


def lost_in_a_row(lab: Lab) -> Tally:
    """One run, no create of which is ever answered; counted in creates."""
    world = lab.world("lost")
    world.emulator.add_faults(LOST)
    assert world.start() in FINISHED
    lost = n_lost(world)
    tally = Tally(lab.provider, "create answered to nobody")
    tally.add(world, f"{lost} creates")
    tally.kills = lost
    return tally


def n_lost(world: World) -> int:
    """Creates that were carried out and never answered."""
    rules = world.emulator.call("GET", "/_emulator/faults")["faults"]
    return sum(int(rule["fired"]) for rule in rules)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 when nothing was bought twice or lost."""
    names = tuple(name for name in ROWS if name != "local")
    parser = argparse.ArgumentParser(prog="python -m tests.crash.in_a_row", description=__doc__)
    parser.add_argument("--provider", action="append", choices=names, help="may be repeated (default: all)")
    parser.add_argument("--times", type=int, default=50, help="creates of a run (default: 50)")
    given = parser.parse_args(argv)
    tallies: list[Tally] = []
    for provider in given.provider or names:
        root = Path(tempfile.mkdtemp(prefix="batchtrial-row-"))
        tally = lost_in_a_row(Lab(root, provider=provider, n_items=given.times * LINES_PER_PART // 2))
        shutil.rmtree(root, ignore_errors=True)
        tallies.append(tally)
        for line in (table([tally])[1], *tally.bad, *(f"{tally.kills} creates, not {given.times}",) * (tally.kills < given.times)):
            sys.stderr.write(f"{line}\n")
    for line in table(tallies):
        say(line)
    return 1 if any(tally.bad or tally.kills < given.times for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
