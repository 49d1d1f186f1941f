"""The viewer in a browser: runs as they stand, labels by several people, the stop button, and a run that appears while one looks."""

from __future__ import annotations

import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

from tests.browser.conftest import ODD, Run, Tab, told_what_is_odd
from tests.unit.reading.trials import finished
from tests.unit.viewer.served import served

from batchtrial.app.tables import tables_of
from batchtrial.clock import real_now
from batchtrial.reading.drawn import drawn
from batchtrial.reading.labels import Labels
from batchtrial.state.labels import Label, append_label
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import LockInfo

MARKED = """async () => {
  const { mark } = await import(`${location.origin}/page/detail.js`);
  const marked = (text, accepted) => { const made = document.createElement("p"); mark(made, text, accepted); return made; };
  const texts = [["the art of war", "art"], ["a party", "art"], ["of 12.", "12"], ["in 1912", "12"], ["ZÜRICH? Zürich!", "zürich"]];
  return texts.map(([text, accepted]) => [...marked(text, [accepted]).querySelectorAll("mark")].map((one) => one.textContent));
}"""
"""What is marked as an accepted answer: whole words and numbers, in whichever case, once."""


def copy(run: Run, folder: Path, name: str = "r1") -> Path:
    shutil.copytree(run.root, folder / f"run_{name}")
    return folder / f"run_{name}"


def labels_in(root: Path) -> Labels:
    return Labels.of(root / "labels.jsonl")


def test_a_run_is_opened_filtered_and_left_again(runs: dict[str, Run], tab: Tab) -> None:
    with served(runs["single"].folder) as at:
        page = tab.page
        page.goto(at.address)
        assert "token" not in page.url
        page.click("button.link")
        page.wait_for_selector("[data-usable]")
        tab.settle(lambda: page.click("button.chip.lost"))
        n = int(tab.text("button.chip.lost b"))
        assert tab.text(".slice").startswith(f"{n} pairs")
        page.keyboard.press("n")
        page.wait_for_selector(".panel .outcome.lost")
        page.reload()  # an item that a link opens is known and marked as one that was chosen
        page.wait_for_selector(".panel .outcome.lost")
        page.wait_for_selector(".grid [aria-selected=true] .outcome.lost")
        assert page.evaluate(MARKED) == [["art"], [], ["12"], [], ["ZÜRICH"]]
        page.click("text=pictures: length")
        page.wait_for_selector(".histogram svg")
        told_what_is_odd(tab, page.url.partition("#")[0], "run=single&", ODD[::6])
        refused = [one for one in tab.faults if "status of 400" in one]
        assert tab.faults == refused != []  # the browser's own word for the pattern that cannot be read
        tab.faults.clear()
        page.click("text=all runs")
        page.wait_for_selector("table.runs")
        own = f"http://127.0.0.1:{at.port}/"
        assert [url for url in tab.requests if not url.startswith((own, "data:", "about:"))] == []
    page.wait_for_selector("text=The viewer does not answer: the list is as it was")
    page.goto("about:blank")
    tab.faults.clear()


def test_two_people_label_blind_at_once(runs: dict[str, Run], browser: Any, tmp_path: Path) -> None:
    root = copy(runs["single"], tmp_path)
    with served(tmp_path) as at:
        tabs = []
        for who in ("ana", "ben"):
            tab = Tab(browser.new_context(viewport={"width": 1200, "height": 900}).new_page())
            tab.page.goto(at.address)
            tab.page.click("button.link")
            tab.page.wait_for_selector("[data-usable]")
            tab.page.keyboard.press("l")
            tab.page.fill("#who", who)
            tab.page.keyboard.press("Escape")
            tab.page.wait_for_selector(".labelling [role=status]", state="attached")
            tabs.append(tab)
        for n in range(1, 6):
            for tab, key in zip(tabs, ("1", "3"), strict=True):
                tab.page.keyboard.press(key)
                tab.until("n => document.querySelector('.labelling [role=status]')?.textContent.startsWith(`${n} of`)", n)
        tabs[0].page.keyboard.press("u")
        tabs[0].until("() => document.querySelector('.labelling [role=status]')?.textContent.startsWith('4 of')")
        found = labels_in(root)
        assert {who: sum(one.who == who for one in found.held) for who in found.people()} == {"ben": 5, "ana": 4}
        assert all(one.is_blind for one in found.held)
        (agreement,) = found.agreement(runs["single"].slug, 1).values()
        assert agreement.n == 4
        for tab in tabs:
            tab.page.goto("about:blank")
            tab.page.context.close()
            assert tab.faults == []


SHOWN = ".labelling .choices button"
STATUS = "document.querySelector('.labelling [role=status]').textContent"


def test_what_is_said_of_a_label_is_what_became_of_it(runs: dict[str, Run], tab: Tab, tmp_path: Path) -> None:
    """Keys faster than the answers, a viewer that goes away between label and next item, and two people at one keyboard."""
    root, page = copy(runs["single"], tmp_path), tab.page
    with served(tmp_path) as at:
        page.goto(at.address)
        page.click("button.link")
        page.wait_for_selector("[data-usable]")
        page.keyboard.press("l")
        page.fill("#who", "ana")
        page.keyboard.press("Enter")
        page.wait_for_selector(SHOWN)
        page.keyboard.press("1")
        tab.until(f"() => {STATUS}.startsWith('1 of')")
        asked: list[Any] = []
        page.route("**/labels?*", lambda route: asked.append(route))
        while not asked:  # a key does nothing before the last one is answered to its end
            page.keyboard.press("1")
            page.wait_for_timeout(20)
        page.keyboard.press("u")  # before the label is answered: it is not the one before that is taken back
        for one in asked:
            one.continue_()
        tab.until(f"() => {STATUS}.startsWith('2 of')")
        assert len(labels_in(root).held) == 2
        page.unroute("**/labels?*")
        page.route("**/items/*", lambda route: route.abort())
        while len(labels_in(root).held) < 3:  # the next key counts as soon as the item is shown
            page.keyboard.press("1")
            page.wait_for_timeout(20)
        tab.until(f"() => {STATUS}.includes('cannot be shown')")
        assert tab.page.evaluate(STATUS).startswith("3 of")
        assert "not kept" not in tab.page.evaluate(STATUS)
        page.unroute("**/items/*")
        page.route("**/labels?*", lambda route: route.abort())
        page.keyboard.press("u")
        tab.until(f"() => {STATUS}.includes('perhaps taken back')")
        page.unroute("**/labels?*")
        page.fill("#who", "ben")
        page.keyboard.press("Enter")
        for left in (2, 1, 0):  # whoever's name stands there by now
            while len(labels_in(root).held) > left:
                page.keyboard.press("u")
                page.wait_for_timeout(20)
        page.goto("about:blank")  # the last key may still be on its way
    assert all("ERR_FAILED" in one for one in tab.faults)
    tab.faults.clear()


def test_labels_do_not_begin_with_what_the_table_shows_and_what_was_opened_stays_seen(runs: dict[str, Run], tab: Tab, tmp_path: Path) -> None:
    root, slug, page = copy(runs["single"], tmp_path), runs["single"].slug, tab.page
    with tables_of(RunLayout(root)) as tables:
        queue = drawn(tables, tables.pairs(slug, 0.0))
    first = min(queue, key=lambda one: one.place)
    with served(tmp_path) as at:
        tab.page.goto(at.address)
        page.click("button.link")
        page.wait_for_selector("[data-usable]")
        page.wait_for_selector(".row .question")
        rows = page.locator(".row:not(.head) .question").all_inner_texts()
        page.goto(f"http://127.0.0.1:{at.port}/#run=r1&item={first.place}")
        page.wait_for_selector(".panel .text")
        opened = tab.text(".panel .text")
        assert opened in rows
        page.keyboard.press("Escape")
        page.keyboard.press("l")
        page.wait_for_selector(".labelling .text")
        assert tab.text(".labelling .text") not in rows
        for one in queue:
            if one.place > first.place or one.is_repeat:
                append_label(
                    RunLayout(root).labels,
                    Label(id=f"{one.key}{one.is_repeat}", who="ana", item_key=one.key, trial=slug, verdict="same", is_repeat=one.is_repeat),
                )
        page.reload()
        page.goto(page.url.partition("&item")[0])
        page.wait_for_selector("[data-usable]")
        page.keyboard.press("Escape")
        page.keyboard.press("l")
        page.fill("#who", "ana")
        page.keyboard.press("Enter")
        tab.until("opened => document.querySelector('.labelling .text')?.textContent === opened", opened)
        assert "You have seen this item with its arms named" in tab.text(".labelling")
        page.keyboard.press("1")
        tab.until("() => document.querySelector('.labelling').textContent.includes('kept')")
        assert not next(one for one in labels_in(root).held if one.item_key == first.key and not one.is_repeat).is_blind
        page.goto("about:blank")  # what it asks for by itself would find the viewer gone


def test_a_run_appears_and_is_asked_to_stop(runs: dict[str, Run], tab: Tab, tmp_path: Path) -> None:
    with served(tmp_path) as at:
        page = tab.page
        page.goto(at.address)
        page.wait_for_selector("text=There are no runs")
        root = copy(runs["single"], tmp_path, "live")
        me = LockInfo(pid=os.getpid(), host=socket.gethostname(), started_at=real_now())
        (root / "run.lock").write_text(me.model_dump_json())
        page.wait_for_selector("button.stop")
        assert "running" in tab.text("table.runs")
        page.click("button.stop")
        assert not (root / "STOP_REQUESTED").exists()
        page.click("text=really stop?")
        page.wait_for_selector("text=asked run live to stop")
        assert (root / "STOP_REQUESTED").read_text().startswith("asked for at")
        page.wait_for_selector("text=stopping")
        for path in root.glob("arms/*/scores.parquet"):
            path.unlink()
        page.clock.install()
        page.click("button.link")
        page.wait_for_selector("text=Nothing to compare")
    page.clock.fast_forward(6_000)
    page.wait_for_selector("main p.warn:has-text('the viewer does not answer')")
    page.goto("about:blank")
    tab.faults.clear()
    assert json.loads((root / "run.lock").read_text())["pid"] == os.getpid()


def test_a_run_of_one_arm_promises_no_pairs(tab: Tab, tmp_path: Path) -> None:
    """The page said that it fills by itself, and never did."""
    with finished(tmp_path, n_open=4, n_closed=0, conditions=["treatment"], run_id="run_alone"), served(tmp_path) as at:
        tab.page.goto(at.address)
        tab.page.click("button.link")
        tab.page.wait_for_selector("text=The run has one arm only: there is nothing to compare.")
        assert tab.faults == []
        tab.page.goto("about:blank")
    tab.page.wait_for_timeout(100)
    tab.faults.clear()  # of a viewer that ended
