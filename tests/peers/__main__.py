"""Plays every client through every fault and writes docs/peers.md: `nox -s peers`, or `nox -s peers -- --all`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from tests.peers.cells import FAULTS, Attempt, Fault, Seen, cell
from tests.peers.clients import CLIENTS, Client
from tests.peers.environments import prepare
from tests.peers.page import Key, page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "peers.md"


def absolute(text: str) -> Path:
    """From the root on: a client runs in a folder of its own."""
    return Path(text).absolute()


def plays(clients: Sequence[Client], faults: Sequence[Fault]) -> Iterator[tuple[Client, str, Fault]]:
    """Every cell, as often as it is played. Two processes over one state are nothing to clients that have none."""
    for client in clients:
        for wire in client.wires:
            for fault in (one for one in faults if client.has_state or one.name != "two"):
                yield from [(client, wire, fault)] * fault.times


def main(argv: Sequence[str] | None = None) -> int:
    """Write the page. Returns 0; 1 when nothing could be played."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="all clients; without it those that install small, and batchlane")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these clients, printed and not written")
    parser.add_argument("--faults", nargs="*", default=[], metavar="NAME", help="these faults, with --only")
    parser.add_argument("--environments", type=absolute, required=True, metavar="DIR", help="where the clients' environments are kept")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="cells played at once (default 2)")
    parser.add_argument("--kept", type=Path, metavar="FILE", help="cells are written there as they come; those that are there are not played again")
    options = parser.parse_args(argv)
    wanted = [one for one in CLIENTS if (one.name in options.only if options.only else options.all or one.is_small)]
    faults = [one for one in FAULTS if not options.faults or one.name in options.faults]
    missing = {one.name: why for one in wanted if (why := prepare(one, options.environments))}
    kept = options.environments / "cells.jsonl" if options.kept is None else options.kept
    if options.kept is None:
        kept.unlink(missing_ok=True)
    seen = _played([one for one in wanted if one.name not in missing], faults, options.environments, options.jobs, kept)
    text = page(seen, wanted, missing)
    sys.stdout.write(text)
    if not options.only:
        PAGE.write_text(text, encoding="utf-8")
    return 0 if seen else 1


def _played(clients: Sequence[Client], faults: Sequence[Fault], environments: Path, jobs: int, kept: Path) -> dict[Key, list[Seen]]:
    """What came of every cell, with those that an earlier session had played already."""
    seen = read_kept(kept)
    before = {key: len(found) for key, found in seen.items()}
    with ThreadPoolExecutor(jobs) as pool:
        under_way: dict[Future[Seen], Key] = {}
        for client, wire, fault in plays(clients, faults):
            key = (client.name, wire, fault.name)
            before[key] = before.get(key, 0) - 1
            if before[key] < 0:
                under_way[pool.submit(cell, client, wire, fault, environments)] = key
        for done in as_completed(under_way):
            if done.exception() is not None:  # else everything would be played before anybody hears of it
                pool.shutdown(wait=False, cancel_futures=True)
            key, result = under_way[done], done.result()
            seen.setdefault(key, []).append(result)
            with kept.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": key, "seen": asdict(result)}) + "\n")
            sys.stderr.write(f"{' '.join(key)}: {result}\n")
    return seen


def read_kept(kept: Path) -> dict[Key, list[Seen]]:
    """Cells that were played before the session was broken off."""
    seen: dict[Key, list[Seen]] = {}
    for line in kept.read_text("utf-8").splitlines() if kept.exists() else ():
        one = json.loads(line)
        attempts = tuple(Attempt(**each) for each in one["seen"].pop("attempts"))
        client, wire, fault = one["key"]
        seen.setdefault((client, wire, fault), []).append(Seen(**one["seen"], attempts=attempts))
    return seen


if __name__ == "__main__":
    sys.exit(main())
