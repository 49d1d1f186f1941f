"""A run in which everything attacks: nothing runs, nothing is asked for elsewhere, nothing leaves its box."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Tab
from tests.unit.phases.world import closed_items, success_line, world
from tests.unit.reading.trials import PHASES
from tests.unit.viewer.served import Served, served

from batchtrial.app.tables import tables_of
from batchtrial.state.layout import RunLayout
from batchtrial.viewer.one_file import answers_page

ATTACKS = (
    "<script>document.title='owned';alert(1)</script>",
    "<img src=http://127.0.0.1:9/x onerror=alert(2)>",
    "</script><script>alert(3)</script>",
    '"><svg onload=alert(4)><style>*{display:none}</style>',
    "[click](javascript:alert(5)) ![x](http://example.com/x.png)",
    "\u202egnp.exe\u202c \u2066\u200b\ufeff zero\u200dwidth \x1b[31mred",
    "a" * 1_000_000,
    "\u0301" * 4000 + "zalgo",
    "{{7*7}} ${7*7} <!-- --> <![CDATA[ ]]> &lt;b&gt;",
    "x\ud800y",
)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The run's folder."""
    rows: list[dict[str, Any]] = closed_items(20)
    for number, row in enumerate(rows):
        attack = ATTACKS[number % 5]
        row |= {"id": f"c{number} {attack}", "question": f"What is thing {number}? {attack}", "category": ATTACKS[number % 3], attack: attack}
        row |= {f"column {n}": attack for n in range(10_000)}
    prompt = (
        {"system": {"path": "c.txt", "text": ATTACKS[0] + ATTACKS[3]}},
        {"system": {"path": "t.txt", "text": ATTACKS[2] + ATTACKS[5].replace("\x1b", "")}},
    )
    sets = {"default": {"control": prompt[0], "treatment": prompt[1]}}
    folder = tmp_path_factory.mktemp("hostile")
    with world(folder, closed=rows, run_id="run_hostile", prompt_sets=sets, slices=["category"]) as made:
        for arm, shard in made.parts():
            lines = []
            for place, line in enumerate(made.layout.part_input(shard.part).read_bytes().splitlines()):
                text = "thing 1" if place % 7 == 0 else ATTACKS[place % len(ATTACKS)]
                one = json.loads(line)["custom_id"]
                made_line = success_line(one, text.replace("\ud800", "@"))
                lines.append(made_line.replace(b"x@y", b"x\\ud800y") if "\ud800" in text else made_line)
            made.save(arm, shard, [*lines, b"\xff\xfe broken <script>alert(6)</script>\n"])
            made.settle(shard)
        for phase in PHASES:
            made.run(phase)
        label = {"id": "1", "who": ATTACKS[0], "item_key": f"recall|{rows[0]['id']}", "trial": made.trial.slug, "verdict": "same", "note": ATTACKS[1]}
        made.layout.labels.write_text(json.dumps(label) + "\n<script>alert(7)</script>\n", encoding="utf-8")
        yield made.layout.root


@pytest.fixture(scope="module")
def at(hostile: Path) -> Iterator[Served]:
    with served(hostile.parent) as found:
        yield found


SAYS = "[...document.querySelectorAll('.panel .text')].map((one) => one.textContent)"


def walked(tab: Tab) -> str:
    """Look at everything: items, diffs, passages, prompts, pictures, labels. The address of the item with an answer of a million characters."""
    page = tab.page
    for summary in ("what the treatment changed", "results of the whole trial", "pictures: length"):
        page.click(f"text={summary}")
    long_item, workers = "", list[Any]()
    page.on("worker", lambda one: workers.append(one))
    for _ in range(len(ATTACKS) + 1):
        page.keyboard.press("j")
        tab.until("() => document.querySelector('.panel').dataset.item?.endsWith(`,${new URLSearchParams(location.hash.slice(1)).get('item')}]`)")
        long = page.locator(".panel .text:has(button:text('show all 1,000,000'))")
        if long.count():  # an answer of a million characters
            assert long.first.text_content().startswith("a" * 200_000)
            long.first.locator("button:text('show the next')").click()
            tab.until(f"() => ({SAYS}).some((text) => text.startsWith('a'.repeat(400000) + '400,000 of 1,000,000'))")
            long.first.locator("button:text('show all')").click()
            tab.until(f"() => ({SAYS}).some((text) => text === 'a'.repeat(1000000))")
            long_item = page.url.partition("#")[2]
        page.keyboard.press("d")
    assert long_item
    assert workers  # long texts are compared beside the page
    page.click("text=columns of the item")
    assert page.locator(".panel dd").count() == 100  # of ten thousand columns; the others on demand
    page.click("text=show all")
    assert page.locator(".panel dd").count() > 10_000
    page.click("text=prompts as sent")
    page.wait_for_timeout(200)
    tab.shot("hostile")
    odd = "script:not([type]), img, iframe, object, embed, a[href^=javascript], style"
    inside = f"[...document.querySelectorAll('{odd}')].filter((one) => one.closest('#page')).length"
    assert page.evaluate(inside) == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1500
    assert page.evaluate("getComputedStyle(document.querySelector('.panel')).display") == "block"
    assert "owned" not in page.title()
    assert "\u202e" not in page.evaluate("document.body.textContent")
    assert "U+202E" in page.evaluate("document.body.textContent")
    page.keyboard.press("Escape")
    assert page.locator("option").count() < 500
    fields = page.locator("[data-column]").count()
    page.focus("select.further")
    page.select_option("select.further", index=9000)
    assert page.locator("[data-column]").count() == fields + 1
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_selector(".labelling")
    assert page.evaluate(inside) == 0
    return long_item


def test_the_file_is_not_moved_by_what_it_holds(hostile: Path, tab: Tab, tmp_path: Path) -> None:
    path = tmp_path / "answers.html"
    with tables_of(RunLayout(hostile)) as tables:
        path.write_text(answers_page(tables), encoding="utf-8")
    tab.open(path.as_uri())
    long_item = walked(tab)
    tab.page.add_init_script("delete window.Worker")  # as in a browser that begins none for a file
    tab.page.goto("about:blank")
    tab.open(f"{path.as_uri()}#{long_item}&view=diff")
    tab.page.wait_for_selector(".panel .sample button:text('show the next')")
    assert [url for url in tab.requests if not url.startswith(("file:", "blob:", "data:"))] == []


def test_the_viewer_is_not_moved_by_what_it_shows(at: Served, tab: Tab) -> None:
    tab.page.goto(at.address)
    tab.page.click("button.link")
    tab.page.wait_for_selector("[data-usable]")
    walked(tab)
    own = f"http://127.0.0.1:{at.port}/"
    assert [url for url in tab.requests if not url.startswith((own, "data:"))] == []
