"""Rows asked at a real server with faults, by a process that is killed: each answered once, asked again only when no answer came, and counted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.direct.asker import Job, body_of
from tests.direct.drill import drill
from tests.direct.server import FAULTS, PAID, counts, fault_of, serving

from batchtrial.direct.asking import Host
from batchtrial.direct.executor import ENOUGH_WITHOUT, Executor
from batchtrial.direct.journal import Journal
from batchtrial.direct.pace import Tempo
from batchtrial.direct.records import Row

ROWS, SHARE, CONCURRENCY = 160, 0.4, 8


def executor_at(url: str, *, may_halt: bool = False) -> Executor:
    return Executor(Host(url=url, seconds=20.0, past_proxies=True), CONCURRENCY, tempo=Tempo(speed=100.0), may_halt=may_halt)


def test_every_fault_and_each_row_is_answered_once(tmp_path: Path) -> None:
    met = {f"row-{number}": fault_of(f"row-{number}", SHARE) for number in range(ROWS)}
    assert set(FAULTS) <= set(met.values())
    journal = Journal.create(tmp_path / "rows.jsonl", ROWS, {})
    journal.begin()
    with serving(tmp_path, share=SHARE) as url:
        executor = executor_at(url)
        executor.add(Job(journal))
        assert executor.wait(lambda: journal.is_whole, 30.0), executor.failure
        executor.close(1.0)
        got = counts(url)
    journal.close()
    answers = dict(Journal(journal.path).answers())
    assert [json.loads(answers[number].body)["id"] for number in range(ROWS)] == [f"row-{number}" for number in range(ROWS)]
    assert got["carried_out"] == {name: 2 if fault in PAID - {"stream", "slow"} else 1 for name, fault in met.items()}
    # A reset may have been paid for as well, for all that the client knows.
    assert journal.n_lost == sum(fault in ("drop", "cut", "reset") for fault in met.values())
    assert got["most_at_once"] <= CONCURRENCY


def test_killed_again_and_again(tmp_path: Path) -> None:
    with serving(tmp_path, share=0.05, seconds=0.005) as url:
        seen = drill(tmp_path, url, rows=160, concurrency=CONCURRENCY, kills=2, share=0.05, seed=3)
    assert (seen.n_answered, seen.n_kills > 0) == (160, True)
    assert seen.most_again_a_kill <= CONCURRENCY


def test_one_row_of_no_job_is_asked_and_a_closed_executor_asks_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as url:
        executor = executor_at(url)
        row = Row(0, "single", "/chat/completions", body_of(0))
        assert executor.ask(row).status == 200
        executor.close(1.0)
        assert b"nothing more is asked" in executor.ask(row).body
        assert counts(url)["carried_out"] == {"single": 1}


def test_a_server_that_is_not_there_is_no_lost_answer(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path / "rows.jsonl", 2, {})
    journal.begin()
    executor = executor_at("http://127.0.0.1:9")
    executor.add(Job(journal))
    assert executor.wait(lambda: journal.is_whole, 10.0)
    executor.close(1.0)
    journal.close()
    assert {one.status for _, one in journal.answers()} == {502}
    assert journal.n_maybe_twice == 0


@pytest.mark.parametrize("may_halt", [False, True])
def test_a_server_that_stays_away_ends_the_asking_of_a_run_before_all_its_rows_are_given_up(tmp_path: Path, may_halt: bool) -> None:
    n_rows = 3 * ENOUGH_WITHOUT
    journal = Journal.create(tmp_path / "rows.jsonl", n_rows, {})
    journal.begin()
    executor = executor_at("http://127.0.0.1:9", may_halt=may_halt)
    executor.add(Job(journal))
    assert executor.wait(lambda: journal.is_whole, 20.0) is not may_halt
    executor.close(20.0)
    journal.close()
    assert executor.is_away is may_halt
    assert journal.n_answered == (ENOUGH_WITHOUT - 1 if may_halt else n_rows)
    again = Journal(journal.path)
    assert again.n_maybe_twice == 0
    assert len(list(again.open_rows())) == n_rows - journal.n_answered


LOADED_FIRST = """
import sys, threading
from batchtrial.direct.asking import Host
from batchtrial.direct.executor import Executor

begin, missing = threading.Thread.start, []

def watched(thread):
    missing.extend(name for name in ("httpx", "anyio", "anyio._backends._asyncio") if name not in sys.modules)
    begin(thread)

threading.Thread.start = watched
executor = Executor(Host(url="http://127.0.0.1:9"), 1)
executor._start()
executor.close(1)
print(missing)
"""


def test_nothing_is_imported_beside_a_thread_that_imports_the_same() -> None:
    """The SDK of another lane imports the same packages: two threads in the midst of it see them half made."""
    done = subprocess.run([sys.executable, "-c", LOADED_FIRST], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
