"""A check of the checker: `python -m tests.luck.mutations` takes one guard out at a time and says which seed is the first to fail.

Each mutation is a text that stands once in the sources and what takes its place, in a copy of the project. One that no longer applies is told:
the guard has moved, and the mutation has to follow it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ("src", "tests/luck", "tests/crash", "tests/__init__.py", "tests/small_run.py", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Mutation:
    """A guard taken out: a text in a file below src/batchtrial, and what takes its place."""

    name: str
    provider: str
    file: str
    text: str
    instead: str


LATER = '"duplicate", "looked"} - {Event.INTENT, Event.IMPORTED})'
LOST = '            return Ambiguous(f"the connection'
HELD_BACK = (
    "            rest = memoryview(line)\n",
    "            held = getattr(self, '_held', b'')\n"
    "            self._held, line = (held + line, b'') if event == 'intent' else (b'', held + line)\n"
    "            rest = memoryview(line)\n",
)
MUTATIONS = (
    Mutation("the intent is written after the call", "openai", "state/ledger.py", *HELD_BACK),
    Mutation("the intent is written and not synced", "openai", "state/ledger.py", LATER, '"duplicate", "looked"} - {Event.IMPORTED})'),
    Mutation(
        "nothing is looked for before it is sent again",
        "openai",
        "phases/batches/in_doubt.py",
        "found = self._provider.find(",
        "found: tuple[str, ...] = () and self._provider.find(",
    ),
    Mutation("only the first page is looked at", "openai", "providers/openai/listing.py", "further = self._further(page, new)", "further = None"),
    Mutation("one listing proves an absence", "openai", "phases/batches/in_doubt.py", "if job.doubt.failures + 1 < limits.find_rounds:", "if False:"),
    Mutation(
        "any batch of the right size is taken for ours",
        "anthropic",
        "providers/anthropic/adapter.py",
        'elif first.startswith(f"{intent.token}-"):',
        "else:",
    ),
    Mutation("one 404 means gone", "openai", "phases/batches/watching.py", "GONE_AFTER = 3", "GONE_AFTER = 1"),
    Mutation("the lock is not taken", "fireworks", "state/lock.py", "            lock.acquire()\n", "            pass\n"),
    Mutation("the SDK repeats calls by itself", "openai", "providers/sdk/connection.py", "max_retries=0", "max_retries=2"),
    Mutation("a torn line stays in the ledger", "openai", "state/ledger.py", "self._file.truncate(got.whole_bytes)", "pass"),
    Mutation(
        "a new attempt asks for answered rows too",
        "openai",
        "phases/batches/sending.py",
        "answers.rows(whole, self._parts.rows_again(job))",
        "answers.rows(whole, self._parts.fate(job).outcomes)",
    ),
    Mutation(
        "what is in flight is not held against the budget",
        "openai",
        "state/money.py",
        "return Money(in_flight_usd=reserved_usd or ZERO, in_flight_unpriced=int(reserved_usd is None)) if is_in_flight else Money()",
        "return Money()",
    ),
    Mutation("the account is not proved", "openai", "phases/batches/account.py", "    if standing.is_proved:\n", "    if True:\n"),
    Mutation(
        "nobody asks what was sent from elsewhere",
        "openai",
        "phases/batches/copies.py",
        "if self._work.ledger.is_begun_here and not standing.is_elsewhere:",
        "if True:",
    ),
    Mutation("a refused call counts as never sent", "openai", "providers/sdk/edge.py", "if creating and again:", "if False:"),
    Mutation(
        "a lost answer counts as never sent", "anthropic", "providers/sdk/edge.py", f"        if creating:\n{LOST}", f"        if False:\n{LOST}"
    ),
    Mutation(
        "a run that did not look at its end is done",
        "anthropic",
        "phases/batches/poll.py",
        "    if view.unlooked & view.asked_lanes:\n",
        "    if False:\n",
    ),
    Mutation("an export takes a call in doubt for none", "openai", "providers/by_hand.py", " and not self._was_asked():", ":"),
)


def mutated(mutation: Mutation, root: Path) -> str:
    """Make the copy; what is wrong with the mutation, "" when it applies."""
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, root / name)
    path = root / "src" / "batchtrial" / mutation.file
    found = path.read_text() if path.exists() else ""
    if found.count(mutation.text) != 1:
        return f"{mutation.file} has {mutation.text.strip().splitlines()[0]!r} {found.count(mutation.text)} times"
    path.write_text(found.replace(mutation.text, mutation.instead))
    return ""


def first_failure(mutation: Mutation, seeds: str, rest: Sequence[str]) -> str:
    """The seed and the first finding; or why there is none."""
    root = Path(tempfile.mkdtemp(prefix="batchtrial-mutated-"))
    try:
        wrong = mutated(mutation, root)
        if wrong:
            return f"does not apply: {wrong}"
        command = [sys.executable, "-m", "tests.luck", "--provider", mutation.provider, "--seeds", seeds, "--most", "1", "--shrink", "0", *rest]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(root / "src"), str(root)))}
        ended = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, check=False)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    seed = re.search(r"^FAIL \w+ seed (\d+)", ended.stdout, re.M)
    if seed is None:
        return "SURVIVED" if ended.returncode == 0 else f"the run itself failed: {ended.stderr.strip().splitlines()[-1:]}"
    finding = re.search(r"^  -> (.*)", ended.stdout, re.M)
    return f"seed {seed[1]}: {finding[1][:120] if finding else ''}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a mutation survives or no longer applies."""
    parser = argparse.ArgumentParser(prog="python -m tests.luck.mutations", description=__doc__)
    parser.add_argument("--seeds", default="1000", help="as for tests.luck (default: 1000)")
    parser.add_argument("--only", default="", help="those with this text in their name")
    parser.add_argument("--off", action="append", default=[], help="as for tests.luck")
    given = parser.parse_args(argv)
    n_bad = 0
    for mutation in MUTATIONS:
        if given.only in mutation.name:
            told = first_failure(mutation, given.seeds, [f"--off={one}" for one in given.off])
            n_bad += not told.startswith("seed")
            sys.stdout.write(f"{mutation.name} ({mutation.provider}): {told}\n")
            sys.stdout.flush()
    return 1 if n_bad else 0


if __name__ == "__main__":
    sys.exit(main())
