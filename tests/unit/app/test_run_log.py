"""run.log has the decisions of its own run, also where one program carries out several at once."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from batchtrial.app.run_log import logged


def test_two_runs_of_one_program_write_to_a_log_each_and_a_thread_of_neither_to_both(tmp_path: Path) -> None:
    log, both_log, both_have_said = logging.getLogger("batchtrial.test"), threading.Barrier(3), threading.Barrier(3)

    def run(name: str) -> None:
        with logged(tmp_path / name):
            both_log.wait()
            log.error("said in %s", name)
            both_have_said.wait()

    runs = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in runs:
        thread.start()
    both_log.wait()
    log.error("said beside them")
    both_have_said.wait()
    for thread in runs:
        thread.join()
    log.error("said afterwards")
    told = {name: [line.partition("batchtrial.test: ")[2] for line in (tmp_path / name).read_text().splitlines()] for name in ("one", "two")}
    assert {name: sorted(lines) for name, lines in told.items()} == {name: ["said beside them", f"said in {name}"] for name in ("one", "two")}
