"""`python -m batchtrial.selftest.bench viewer`: how soon a page of answers can be used, beside a bare page that parses the same data; and the viewer.

The page is opened in a Chromium that is on this machine, three times, and the median counts; times are from the start of the navigation. The viewer
runs in a process of its own; its times are from the start of the command, then from question to answer. How much a viewer and a run slow each other
is measured in turns: the phase that scores alone, the viewer alone, both at once.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from batchtrial.app.tables import tables_of
from batchtrial.errors import PhaseFailed
from batchtrial.reading.in_one_file import blocks_of
from batchtrial.selftest.bench.rig import RUN_ID
from batchtrial.state.layout import PREFIX, RunLayout
from batchtrial.viewer.one_file import answers_page

STEPS: Final = ("questions", "prepare", "build", "answers", "parse", "score", "stats", "costs", "report")
PAIRS: Final = (1_000, 10_000)
ANSWERS: Final = 1_000_000
LIMITS: Final = {1_000: (300, 1.0), 10_000: (1_500, 10.0)}
"""Pairs -> milliseconds until the page can be used, and megabytes."""
SERVER_LIMITS: Final = {"first page": 1_000, "page": 50, "filter and counts": 50, "lost, sorted": 50, "search": 1_000}
MOST_MB: Final = 400
MOST_SLOWER: Final = 1.05
TOGETHER: Final = 100_000
"""Answers of the run that is scored while somebody looks at it."""
ROUNDS: Final = 3
FLAGS: Final = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update")
BARE: Final = """
const read = async (id) => JSON.parse(await new Response(new Blob([Uint8Array.from(atob(document.getElementById(id).textContent),
  (one) => one.charCodeAt(0))]).stream().pipeThrough(new DecompressionStream("gzip"))).text());
Promise.all([...document.querySelectorAll("script[id]")].map((one) => read(one.id))).then(() => {
  document.documentElement.dataset.usable = String(Math.round(performance.now()));
});
"""


def made(folder: Path, n_rows: int, workers: int) -> RunLayout:
    """A finished run of so many answers. Raises PhaseFailed."""
    from batchtrial.selftest.bench.taken import take

    for step in STEPS:
        take(folder, step, n_rows if step == "questions" else workers)
    root = next(path for path in folder.rglob(f"*{RUN_ID}*") if (path / "prepared").is_dir())
    return RunLayout(root if root.name.startswith(PREFIX) else root.rename(root.with_name(f"{PREFIX}{root.name}")))


def usable(browser: Any, path: Path) -> float:
    """Milliseconds until the page can be used, the median of some rounds."""
    found = []
    for _ in range(ROUNDS):
        page = browser.new_page()
        page.goto(path.as_uri())
        page.wait_for_selector("[data-usable]", timeout=120_000)
        found.append(float(page.get_attribute("html", "data-usable")))
        page.close()
    return statistics.median(found)


def files(folder: Path, pairs: Sequence[int], workers: int) -> Iterator[str]:
    """A line for each size."""
    from playwright.sync_api import sync_playwright

    chromium = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if chromium is None:
        yield "files: there is no Chromium on this machine"
        return
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for n in pairs:
            layout = made(folder / str(n), 2 * n, workers)
            with tables_of(layout) as tables:
                begin = time.perf_counter()
                page = answers_page(tables)
                took = time.perf_counter() - begin
            whole, bare = folder / f"{n}.html", folder / f"{n}-bare.html"
            whole.write_text(page, encoding="utf-8")
            blocks = "".join(f'<script type="text/plain" id="{name}">{content}</script>' for name, content in blocks_of(page))
            bare.write_text(f"<!doctype html><html><body>{blocks}<script>{BARE}</script></body></html>", encoding="utf-8")
            most_ms, most_mb = LIMITS.get(n, (0, 0.0))
            ours, theirs = usable(browser, whole), usable(browser, bare)
            yield (
                f"file of {n:,} pairs: usable after {ours:.0f} ms (at most {most_ms}), a bare page after {theirs:.0f} ms, "
                f"{len(page) / 1e6:.2f} MB (at most {most_mb:g}), written in {took:.2f} s"
            )
        browser.close()


@contextmanager
def viewer(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[str], Any]]]:
    """The command at work, and what asks it."""
    command = [sys.executable, "-m", "batchtrial", "view", "--experiments_dir", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        line = process.stdout.readline() if process.stdout is not None else ""
        found = re.search(r"127\.0\.0\.1:(\d+)/\?token=(\S+)", line)
        if found is None:
            raise PhaseFailed("the viewer did not start", hint=line)
        port, token = int(found[1]), found[2]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def ask(path: str) -> Any:
            connection.request("GET", path, headers={"Cookie": f"batchtrial_{port}={token}"})
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                raise PhaseFailed(f"the viewer answered {answer.status}", hint=body[:300].decode())
            return json.loads(body)

        try:
            yield process, ask
        finally:
            connection.close()
            process.terminate()
            process.wait(30)


def server(layout: RunLayout) -> Iterator[str]:
    """A line for each question to the viewer of a large run."""
    run = f"/api/runs/{layout.root.name.removeprefix(PREFIX)}"
    begin = time.perf_counter()
    with viewer(layout.root.parent) as (process, ask):
        about = ask(f"{run}/about")
        trial = {"trial": about["trials"][0]["slug"], "temp": about["trials"][0]["temp"], "metric": "em"}

        def question(**how: Any) -> str:
            return quote(json.dumps(trial | how))

        ask(f"{run}/pairs?ask={question()}")
        ask(f"{run}/rows?first=0&n=50&ask={question()}")
        times = {"first page": [time.perf_counter() - begin]}
        closed = {"values": {"kind": ["closed"]}}
        asked = {
            "page": [f"rows?first={first}&n=50&ask={question()}" for first in (5_000, 120_050, 333_300)],
            "filter and counts": [f"pairs?ask={question(**how)}" for how in (closed, {"chips": ["lost"]}, {"values": {"kind": ["open"]}})],
            "lost, sorted": [f"rows?first={first}&n=50&ask={question(chips=['lost'], sort='effect')}" for first in (0, 50, 5_000)],
            "search": [f"pairs?ask={question(search={'text': text, 'where': 'any'})}" for text in ("harvest", "copper tin", "zzz")],
        }
        for name, paths in asked.items():
            for path in paths:
                start = time.perf_counter()
                ask(f"{run}/{path}")
                times.setdefault(name, []).append(time.perf_counter() - start)
        for name, found in times.items():
            told = ", ".join(f"{1000 * one:.0f}" for one in found)
            yield f"viewer: {name}: {told} ms (at most {SERVER_LIMITS[name]})"
        status = Path(f"/proc/{process.pid}/status")
        if status.exists():
            peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
            yield f"viewer: {int(peak[1]) / 1024 if peak else 0:.0f} MB at most (at most {MOST_MB})"


@dataclass(slots=True)
class Looking:
    """Somebody who looks at a run: the list of runs and a page of pairs, twice a second. times: of each page, in seconds."""

    ask: Callable[[str], Any]
    paths: tuple[str, ...]
    times: list[float] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def look(self) -> None:
        """Until `ended` is set. A table that is being replaced is asked for again."""
        while not self.ended.wait(0.5):
            for path in self.paths:
                begin = time.perf_counter()
                try:
                    self.ask(path)
                except PhaseFailed:
                    continue
                if path == self.paths[-1]:
                    self.times.append(time.perf_counter() - begin)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Look in a thread of its own."""
        self.ended.clear()
        thread = threading.Thread(target=self.look)
        thread.start()
        try:
            yield
        finally:
            self.ended.set()
            thread.join()


def together(layout: RunLayout) -> Iterator[str]:
    """A line: how much longer a phase takes while somebody looks, and a page while the phase works."""
    from batchtrial.selftest.bench.taken import take

    folder, run = layout.root.parent, f"/api/runs/{layout.root.name.removeprefix(PREFIX)}"
    if not (folder / RUN_ID).exists():
        (folder / RUN_ID).symlink_to(layout.root.name)  # where the bench's steps look for their run
    alone, both, quiet, busy = (list[float]() for _ in range(4))
    for _ in range(ROUNDS):
        alone.append(take(folder, "score", 1).wall)
        with viewer(folder) as (_, ask):
            trial = ask(f"{run}/about")["trials"][0]
            question = quote(json.dumps({"trial": trial["slug"], "temp": trial["temp"], "metric": "em"}))
            person = Looking(ask, ("/api/runs", f"{run}/rows?first=500&n=50&ask={question}"))
            with person.going_on():
                time.sleep(alone[-1])
            quiet += person.times
            person.times.clear()
            with person.going_on():
                both.append(take(folder, "score", 1).wall)
            busy += person.times
    for what, few, many in (("a phase", alone, both), ("a page", quiet, busy)):
        slower = statistics.median(many) / statistics.median(few)
        yield f"viewer and run at once: {what} takes {slower:.2f} times as long as by itself (at most {MOST_SLOWER:g})"


def main(argv: Sequence[str]) -> int:
    """Run it, print it; 0 unless a step failed."""
    parser = argparse.ArgumentParser(prog="python -m batchtrial.selftest.bench viewer", description=__doc__)
    parser.add_argument("--pairs", type=int, nargs="*", default=list(PAIRS), metavar="N", help="pairs in a file (default: %(default)s)")
    parser.add_argument("--answers", type=int, default=ANSWERS, metavar="N", help="answers of the run that the viewer shows (default: %(default)s)")
    parser.add_argument("--together", type=int, default=TOGETHER, metavar="N", help="answers scored while it is looked at (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes that make the run (default: %(default)s)")
    given = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="batchtrial-bench-"))
    try:
        for line in files(folder, given.pairs, given.workers):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        if given.together:
            for line in together(made(folder / "together", given.together, given.workers)):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
        if given.answers:
            for line in server(made(folder / "large", given.answers, given.workers)):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    except PhaseFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        shutil.rmtree(folder)
    return 0
