"""`python -m tests.luck --provider openai --seeds 1..1000`: play histories, hold each against the provider's books, shrink what fails."""

from __future__ import annotations

# The machine has to lie below everything that is imported after it.
from tests.luck import machine

machine.install()

import argparse  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections import Counter  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from itertools import groupby  # noqa: E402
from pathlib import Path  # noqa: E402

from tests.luck import lab as labs  # noqa: E402
from tests.luck import provider as providers  # noqa: E402
from tests.luck import speed  # noqa: E402
from tests.luck.check import problems  # noqa: E402
from tests.luck.history import Play  # noqa: E402
from tests.luck.schedule import SWITCHES, History, draw  # noqa: E402
from tests.luck.shrink import shortest  # noqa: E402

MOST_SHOWN = 4
PIECE = 250
"""Seeds a process: long enough that its start is nothing beside them, short enough that what is printed by an evening counts."""
PROVIDERS = ("fireworks", "openai", "anthropic")


def play(lab: labs.Lab, history: History) -> tuple[list[str], list[str]]:
    """Carry a history out: what is wrong in the end, and what each turn came to."""
    playing = Play(lab, history)
    try:
        played = playing.play()
        return problems(lab, history, played), played.said
    finally:
        playing.provider.close()
        playing.played.close()


def out(*lines: str) -> None:
    """Lines of the result, all at once: other processes write too."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def tell(lab: labs.Lab, history: History, wrong: Sequence[str], *, is_shrunk: bool) -> None:
    """Print a failure, and the shortest history that fails in the same way."""
    out(f"FAIL {history}", *shown(wrong))
    if is_shrunk:
        kind = kind_of(wrong)
        least = shortest(history, lambda candidate: kind_of(play(lab, candidate)[0]) == kind)
        wrong, said = play(lab, least)
        out("shortest", str(least), *(f"  .. {line}" for line, _ in groupby(said)), *shown(wrong))


def shown(wrong: Sequence[str]) -> list[str]:
    """The first findings."""
    more = [f"  -> and {len(wrong) - MOST_SHOWN} more"] if len(wrong) > MOST_SHOWN else []
    return [f"  -> {line}" for line in wrong[:MOST_SHOWN]] + more


def kind_of(wrong: Sequence[str]) -> str:
    """The first finding without its numbers and names: what must stay the same while a history shrinks."""
    if not wrong:
        return ""
    words = (
        "without need",
        "is given up",
        "exits with",
        "a second repair",
        "restored over",
        "in the archive",
        "costs.json",
        "bill",
        "paid",
        "no ledger knows",
        "counts",
        "differs",
        "never ends",
        "traceback",
        "tokens",
        "let in",
        "give batches up",
        "damaged",
        "reserved",
    )
    return next((word for word in words if word in wrong[0]), wrong[0])


def sweep(given: argparse.Namespace, provider: str, seeds: range) -> int:
    """Play these seeds; returns how many fail."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    root = Path(tempfile.mkdtemp(prefix="batchtrial-luck-", dir=place))
    began, failed = time.process_time(), 0
    kinds: Counter[str] = Counter()
    try:
        lab = labs.Lab(root, provider, given.twins)
        for seed in seeds:
            history = draw(provider, seed, frozenset(given.off), whole_every=given.whole_every)
            kinds.update({event.kind for event in history.events})
            try:
                wrong, said = play(lab, history)
            except AssertionError:
                raise
            except Exception as error:
                wrong, said = [f"the rig: {type(error).__name__}: {error}"], []
                if given.verbose:
                    raise
            if given.verbose:
                out(str(history), *(f"  .. {line}" for line in said))
            if wrong:
                failed += 1
                tell(lab, history, wrong, is_shrunk=failed <= given.shrink)
                if failed >= given.most:
                    break
    finally:
        shutil.rmtree(root, ignore_errors=True)
    seconds = time.process_time() - began
    told = ", ".join(f"{kind} {n}" for kind, n in sorted(kinds.items()))
    each = 1000 * seconds / max(1, len(seeds))
    out(f"{provider} seeds {seeds.start}..{seeds.stop - 1}: {failed} failed, {each:.0f} ms of CPU each; {told}")
    return failed


def seeds_of(text: str) -> range:
    """`300` for 1 to 300, `7..7`, `301..600`."""
    first, dots, last = text.partition("..")
    return range(int(first), int(last) + 1) if dots else range(1, int(text) + 1)


def parser() -> argparse.ArgumentParser:
    """The flags."""
    p = argparse.ArgumentParser(prog="python -m tests.luck", description=__doc__)
    p.add_argument("--provider", action="append", choices=PROVIDERS, help="may be repeated (default: all)")
    p.add_argument("--seeds", type=seeds_of, default=range(1, 101), metavar="N or A..B", help="which histories (default: 100, which is 1..100)")
    p.add_argument("--jobs", type=int, default=1, metavar="N", help="processes")
    p.add_argument("--off", action="append", default=[], choices=SWITCHES, help="leave a kind of misfortune out; may be repeated")
    p.add_argument("--whole_every", type=int, default=20, metavar="N", help="every N-th seed goes on to the report (default: 20)")
    p.add_argument("--most", type=int, default=10, metavar="N", help="end after so many failures a process (default: 10)")
    p.add_argument("--shrink", type=int, default=3, metavar="N", help="shrink so many failures (default: 3)")
    p.add_argument("--twins", type=Path, help="a folder in which several processes find each other's undisturbed runs")
    p.add_argument("--verbose", action="store_true", help="print every history")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """0 when no history fails."""
    given = parser().parse_args(argv)
    names = given.provider or list(PROVIDERS)
    if given.jobs > 1:
        return _in_processes(given, names)
    providers.install()
    speed.install()
    logging.getLogger("batchtrial").addHandler(logging.NullHandler())
    logging.getLogger("batchtrial").propagate = False
    return 1 if sum([sweep(given, provider, given.seeds) for provider in names]) else 0


def _in_processes(given: argparse.Namespace, names: Sequence[str]) -> int:
    """As many processes as were asked for work off the pieces of all providers, one after the other."""
    rest = [f"--off={one}" for one in given.off] + [f"--whole_every={given.whole_every}", f"--most={given.most}", f"--shrink={given.shrink}"]
    size = max(1, min(PIECE, -(-len(given.seeds) // given.jobs)))
    pieces = [(name, given.seeds[start : start + size]) for start in range(0, len(given.seeds), size) for name in names]
    with tempfile.TemporaryDirectory(prefix="batchtrial-luck-twins-") as twins, ThreadPoolExecutor(given.jobs) as pool:
        commands = [
            [sys.executable, "-m", "tests.luck", f"--provider={name}", f"--seeds={piece.start}..{piece.stop - 1}", f"--twins={twins}", *rest]
            for name, piece in pieces
        ]
        return max(pool.map(lambda command: subprocess.run(command, check=False).returncode, commands))


def in_a_thread() -> int:
    """`main`, beside the main thread, so that a signal ends the program and is not taken for a stop request to a simulated process."""
    ended: list[int] = []
    thread = threading.Thread(target=lambda: ended.append(main()), daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
    return ended[0] if ended else 1


if __name__ == "__main__":
    sys.exit(in_a_thread())
