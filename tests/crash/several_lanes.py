"""A small run with arms at several providers, to be killed: `python -m tests.crash.several_lanes` runs the full sweeps and prints the table."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.crash.lab import IN_MEMORY, Lab, Rule, rough
from tests.crash.sweeps import at_every_point, at_random_times, plans, several_times, table
from tests.small_run import MODELS

from batchtrial.cli.frame import say

ARMS: Mapping[str, Any] = {
    "control": {},
    "fire": {"backend": "fireworks", "model": MODELS["fireworks"]},
    "home": {"backend": "local", "model": "qwen", "pricing_key": "qwen"},
    "house": {"backend": "anthropic", "model": MODELS["anthropic"]},
}
SETTINGS: Mapping[str, Any] = {
    "prompt_sets": {},
    "system": "control.txt",
    "arms": ARMS,
    "pricing": {"overrides": {"qwen": {"input_per_mtok": 0.1, "output_per_mtok": 0.2}}},
}
LANES = ("openai", "fireworks", "local", "anthropic")
TWO = {"openai": "gpt-4.1", "anthropic": "claude-haiku-4-5"}


class LanesLab(Lab):
    """Four arms, each at another provider."""

    @property
    def n_requests(self) -> int:
        return len(ARMS) * self.n_items


def lab_of_lanes(root: Path, *, faults: Callable[[Lab], Sequence[Rule]] = rough, **how: Any) -> LanesLab:
    """A lab whose run has an arm at each provider."""
    return LanesLab(root, provider="openai", n_items=6, settings=SETTINGS, faults=faults, **how)


def lab_of_two_lanes(root: Path, *, own: str, **how: Any) -> Lab:
    """A lab whose run has an arm at OpenAI and one at Anthropic. own: the run's own backend; where it is neither, no arm is there."""
    first, second = (own, next(name for name in TWO if name != own)) if own in TWO else tuple(TWO)
    control = {} if own in TWO else {"backend": first, "model": TWO[first]}
    settings = {**SETTINGS, "arms": {"control": control, "house": {"backend": second, "model": TWO[second]}}}
    return Lab(root, provider=own, n_items=4, settings=settings, **how)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 when every run survived every kill."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.several_lanes", description=__doc__)
    parser.add_argument("--kills", type=int, default=30, help="real processes killed at random times (default: 30)")
    parser.add_argument("--every", type=int, default=1, help="kill at every so many writes and calls (default: 1)")
    given = parser.parse_args(argv)
    root = Path(tempfile.mkdtemp(prefix="batchtrial-lanes-", dir=IN_MEMORY))
    lab = lab_of_lanes(root, is_crowded=True)
    tallies = [
        at_random_times(lab, given.kills, seed=5),
        at_every_point(lab, range(1, len(lab.points) + 1, given.every)),
        several_times(lab, plans(lab, max(1, given.kills // 3), seed=3)),
    ]
    for line in (*table(tallies), *(line for tally in tallies for line in tally.bad)):
        say(line)
    shutil.rmtree(root, ignore_errors=True)
    return 1 if any(tally.bad for tally in tallies) else 0


if __name__ == "__main__":
    sys.exit(main())
