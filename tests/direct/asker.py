"""The direct room in a process of its own that a drill may kill, and the bare loop that it is compared with.

python -m tests.direct.asker direct|bare --url URL --journal FILE --rows N --concurrency C
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from batchtrial.direct.asking import Host
from batchtrial.direct.executor import Executor
from batchtrial.direct.journal import Journal
from batchtrial.direct.records import Answer, Row


def body_of(number: int) -> bytes:
    """One request, of the size that a short question has."""
    asked = f"Question {number}: " + "which of these passages says so? " * 10
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": asked}], "max_tokens": 64}).encode()


class Job:
    """Rows made as they are needed, in a journal."""

    name = "drill"

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.asked, self.turned_away, self.lost = journal.asked, journal.turned_away, journal.lost

    def rows(self) -> Iterator[Row]:
        return (Row(number, f"row-{number}", "/chat/completions", body_of(number)) for number in self.journal.open_rows())

    def is_wanted(self) -> bool:
        return True

    def answered(self, row: int, answer: Answer) -> None:
        self.journal.answered(row, answer)

    async def commit(self) -> None:
        await self.journal.commit()


def direct(url: str, journal_path: Path, rows: int, concurrency: int) -> None:
    """Ask every row that has no answer yet."""
    journal = Journal(journal_path) if journal_path.exists() else Journal.create(journal_path, rows, {})
    journal.begin()
    executor = Executor(Host(url=url, seconds=30.0, past_proxies=True), concurrency)
    executor.add(Job(journal))
    assert executor.wait(lambda: journal.is_whole, 600.0), executor.failure
    executor.close(5.0)
    journal.close()


async def bare(url: str, rows: int, concurrency: int) -> None:
    """The same rows by a loop around httpx that writes nothing down and asks nothing twice."""
    numbers = iter(range(rows))
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(limits=limits, timeout=30.0, trust_env=False, verify=False) as client:

        async def work() -> None:
            for number in numbers:
                headers = {"content-type": "application/json", "x-client-request-id": f"bare-{number}"}
                answer = await client.post(f"{url}/chat/completions", content=body_of(number), headers=headers)
                assert answer.json()["choices"]

        await asyncio.gather(*(work() for _ in range(concurrency)))


def main() -> None:
    """Work, and say how long it took and how much memory."""
    flags = argparse.ArgumentParser()
    flags.add_argument("way", choices=("direct", "bare"))
    flags.add_argument("--url", required=True)
    flags.add_argument("--journal", type=Path)
    flags.add_argument("--rows", type=int, required=True)
    flags.add_argument("--concurrency", type=int, required=True)
    given = flags.parse_args()
    began = time.perf_counter()
    if given.way == "direct":
        direct(given.url, given.journal, given.rows, given.concurrency)
    else:
        asyncio.run(bare(given.url, given.rows, given.concurrency))
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": time.perf_counter() - began, "mb": mb}) + "\n")


if __name__ == "__main__":
    main()
