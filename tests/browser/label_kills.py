"""The viewer is killed between a key press and the answer that says the label is kept: `python -m tests.browser.label_kills --kills 200`.

A real browser and a real server: what the page showed as kept is in the file, and nothing is there twice.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from tests.browser.conftest import FLAGS, chromium
from tests.crash.providers import forks
from tests.unit.reading.trials import answers, finished

from batchtrial.cli.frame import say
from batchtrial.reading.labels import Labels
from batchtrial.state.labels import read_labels

STATUS = ".labelling [role=status]"
AWAY = "the viewer does not answer: start it again, and open the address that it prints"
SAID_KEPT = ("kept", f"kept; the item cannot be shown: {AWAY}")
"""The second where the kill came between the answer and the next item."""
SECONDS = 60.0


def _serve(folder: str, port: int, log: str) -> None:
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(sink, 1)
    from batchtrial.cli.commands.view import main

    sys.exit(main(["--experiments_dir", folder, "--port", str(port)]))


@dataclass
class Desk:
    """A person, the page, and the server behind it. shown: labels that the page said are kept, by name."""

    page: Any
    folder: Path
    port: int
    shown: Counter[str] = field(default_factory=Counter)
    server: BaseProcess | None = None
    who: str = ""

    @property
    def labels(self) -> Path:
        (path,) = (root / "labels.jsonl" for root in self.folder.glob("run_*"))
        return path

    def begin(self, who: str) -> None:
        """Start the server, open what it prints, and go to where one labels."""
        log = self.folder / "view.log"
        log.unlink(missing_ok=True)
        self.server = forks.Process(target=_serve, args=(str(self.folder), self.port, str(log)))
        self.server.start()
        ends = time.monotonic() + SECONDS
        while not (log.exists() and (told := re.search(r"http\S+token=\S+", log.read_text()))):
            assert time.monotonic() < ends, "the viewer never began"
            time.sleep(0.01)
        self.page.goto(told.group())
        self.page.click("button.link")
        self.page.wait_for_selector("[data-usable]")
        self.page.keyboard.press("l")
        if self.page.input_value("#who") != who:
            self.page.fill("#who", who)
            self.page.keyboard.press("Enter")
        self.page.locator("#who").blur()
        self.page.wait_for_selector(".labelling .two")
        self.who = who

    def status(self) -> tuple[int, str]:
        """How many are labelled, and what the page says of the last one."""
        told = self.page.text_content(STATUS)
        n, _, message = told.partition(" of ")
        return int(n), message.partition("· ")[2]

    def press(self, key: str, kill_after: float | None) -> tuple[str, float]:
        """Label; the server may be killed so many seconds after the key. What the page says then, and after how long."""
        before, began = self.status(), time.monotonic()
        self.page.evaluate("selector => { document.querySelector(selector).dataset.old = '1'; }", STATUS)
        self.page.keyboard.press(key)
        if kill_after is not None:
            time.sleep(kill_after)
            self.kill()
        ends = began + SECONDS
        while self.page.get_attribute(STATUS, "data-old") or not self.status()[1]:
            assert time.monotonic() < ends, f"the page never said what became of a label: {before}"
            self.page.wait_for_timeout(2)
        message = self.status()[1]
        self.shown[self.who] += message in SAID_KEPT
        return message, time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL."""
        assert self.server is not None
        self.server.kill()
        self.server.join()

    def problems(self) -> list[str]:
        """What is wrong with the file, as far as the page told."""
        lines = list(read_labels(self.labels)) if self.labels.exists() else []
        held = Labels.of(self.labels).held
        found = [f"{len(lines)} lines for {len(held)} labels"] * (len(lines) != len(held))
        n_held = Counter(one.who for one in held)
        return found + [f"{who}: {n} shown as kept, {n_held[who]} in the file" for who, n in self.shown.items() if n_held[who] < n]


def play(desk: Desk, kills: int, seed: int) -> Counter[str]:
    """Label, be killed, and open the page again as the person would. What became of the label that a kill met, by outcome."""
    chance, outcomes, usual = random.Random(seed), Counter[str](), 0.05
    for number in range(kills):
        desk.begin(f"person{number // 50}")
        n, _ = desk.status()
        in_file = sum(one.who == desk.who for one in Labels.of(desk.labels).held)
        assert n == in_file, f"the page says {n} labelled, the file has {in_file}"
        message, seconds = desk.press(chance.choice("12345x"), None)
        assert message == "kept", message
        usual = 0.8 * usual + 0.2 * seconds
        before = sum(1 for _ in read_labels(desk.labels))
        message, _ = desk.press(chance.choice("12345x"), chance.uniform(0, usual))
        is_there = sum(1 for _ in read_labels(desk.labels)) > before
        outcomes[f"the page says {message.partition(':')[0]!r}, {'in' if is_there else 'not in'} the file"] += 1
        assert message in SAID_KEPT or message.startswith("perhaps kept: the viewer does not answer"), message
        assert is_there or message not in SAID_KEPT, message
        if number % 20 == 19:
            sys.stderr.write(f"{number + 1} kills: {dict(outcomes)}\n")
    return outcomes


def main(argv: Sequence[str] | None = None) -> int:
    """Print what became of the labels; 0 when nothing that was shown as kept is lost, and nothing is there twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser.label_kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    from playwright.sync_api import sync_playwright

    folder = Path(tempfile.mkdtemp(prefix="batchtrial-labels-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with finished(folder, answers(11), n_open=60, n_closed=60, run_id="run_labels"), sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = found.new_page()
        page.set_default_timeout(SECONDS * 1000)
        desk = Desk(page, folder, port)
        outcomes = play(desk, given.kills, given.seed)
        problems = desk.problems()
        found.close()
    for outcome, n in sorted(outcomes.items()):
        say(f"{n:>5}  {outcome}")
    say(f"{sum(desk.shown.values()):>5}  labels shown as kept; {'; '.join(problems) or 'each is in the file, none twice'}")
    shutil.rmtree(folder, ignore_errors=True)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
