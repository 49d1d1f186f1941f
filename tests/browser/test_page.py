"""The page by keys and mouse: table, chips, filters, items, diffs, pictures, labels, paper and phone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.browser.conftest import Run, Tab, told_what_is_odd
from tests.unit.phases.world import closed_items, world
from tests.unit.reading.trials import PHASES, answers, text

from batchtrial.app.tables import tables_of
from batchtrial.reading import pages
from batchtrial.reading.ask import read_ask
from batchtrial.reading.slices import Slicer, slice_json
from batchtrial.state.layout import RunLayout
from batchtrial.viewer.one_file import answers_page

PLACES = """async (ask) => {
  const { source } = window.batchtrial;
  const told = await source.query(ask);
  return { n: told.n, chips: told.chips, counts: told.slice.counts, places: (await source.rows(ask, 0, 500)).map((row) => row.place) };
}"""
ASKS: tuple[dict[str, Any], ...] = (
    {},
    {"is_down": True},
    {"metric": "false_answer"},
    {"chips": ["lost", "won"]},
    {"chips": ["incomplete", "reason:errored"]},
    {"chips": ["abstained_treatment", "abstained_control"]},
    {"metric": "f1", "sort": "effect"},
    {"metric": "f1", "sort": "size"},
    {"sort": "length_change", "is_down": True},
    {"sort": "usd_change"},
    {"values": {"kind": ["open"]}},
    {"values": {"dataset": ["recall", "reading"]}, "chips": ["both_wrong"]},
    {"ranges": {"length_change": [1, None]}},
    {"ranges": {"length_control": [None, 10], "tokens_treatment": [1, 100]}},
    {"ranges": {"d.f1": [None, -0.01]}},
    {"search": {"text": "SOMETHING", "where": "any", "is_pattern": False}},
    {"search": {"text": "number 1", "where": "question", "is_pattern": False}},
    {"search": {"text": "more words", "where": "treatment_only", "is_pattern": False}},
    {"search": {"text": "^thing \\d$", "where": "control", "is_pattern": True}},
    {"labelled": "no"},
)
BY_JUDGES: tuple[dict[str, Any], ...] = (
    *({"judged": {"good": said}} for said in ("treatment", "control", "neither", "nothing", "metric", "label")),
    {"metric": "good", "sort": "effect"},
    {"metric": "good", "chips": ["incomplete", "reason:unscored"]},
    {"metric": "good", "judged": {"good": "metric"}},
    {"sort": "informative"},
    {"metric": "words", "sort": "informative", "is_down": True},
    {"ranges": {"d.good": [0.5, None]}},
    {"sort": "d.good"},
)
BY_PAIRS: tuple[dict[str, Any], ...] = (
    {"judged": {"tone": "orders"}},
    {"judged": {"tone": "treatment", "good": "control"}},
    {"metric": "tone", "sort": "size"},
    {"metric": "tone", "chips": ["lost"]},
)


@pytest.mark.parametrize(
    ("name", "slug", "asks"),
    [
        ("single", None, ASKS),
        ("samples", None, ASKS),
        ("several", "warm-vs-control", (*ASKS[:4], *BY_JUDGES, *BY_PAIRS)),
        ("several", "warm-vs-turn", (*ASKS[:4], *BY_JUDGES)),
    ],
)
def test_the_file_finds_the_pairs_that_the_server_finds(
    runs: dict[str, Run], tab: Tab, name: str, slug: str | None, asks: tuple[dict[str, Any], ...]
) -> None:
    run = runs[name]
    slug = slug or run.slug
    tab.open(run.page)
    nothing: dict[str, Any] = {"trial": slug, "temp": 0, "metric": "em", "chips": [], "values": {}, "ranges": {}, "labelled": "", "judged": {}}
    nothing |= {"search": {"text": "", "where": "any", "is_pattern": False}, "sort": "place", "is_down": False}
    with tables_of(RunLayout(run.root)) as tables:
        slicer = Slicer(tables, tables.pairs(slug, 0.0), lambda _: np.zeros(tables.items.n, dtype=np.bool_))
        for changes in asks:
            ask = read_ask(nothing | changes)
            base = slicer.without_chips(ask)
            mask = slicer.mask(ask, base)
            got = tab.page.evaluate(PLACES, nothing | changes)
            assert got["places"] == [int(place) for place in slicer.order(ask, mask)], changes
            assert got["chips"] == slicer.outcomes(slicer.pairs.metric(ask.metric)).counts(base), changes
            assert got["counts"] == slice_json(slicer, ask, mask)["counts"], changes


def test_keys_lead_from_pair_to_pair_and_into_an_item(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(runs["single"].page)
    page = tab.page
    page.keyboard.press("j")
    page.wait_for_selector(".panel h2")
    first = tab.text(".panel h2")
    page.keyboard.press("j")
    tab.until("text => document.querySelector('.panel h2').textContent !== text", first)
    page.keyboard.press("k")
    tab.until("text => document.querySelector('.panel h2').textContent === text", first)
    page.keyboard.press("n")
    page.wait_for_selector(".panel .outcome.lost")
    assert page.locator("[aria-selected=true] .outcome.lost").count() == 1
    assert "item=" in page.url
    page.reload()
    page.wait_for_selector(".panel .outcome.lost")
    assert page.locator(".grid [aria-selected=true] .outcome.lost").count() == 1
    tab.settle(lambda: page.select_option("#metric", "false_answer"))
    page.wait_for_selector(".panel .outcome:not(.lost)")
    tab.settle(lambda: page.select_option("#metric", "em"))
    page.wait_for_selector(".panel .outcome.lost")
    page.locator("#metric").blur()
    page.click("text=prompts as sent")
    page.keyboard.press("d")
    page.wait_for_selector(".panel del")
    assert page.locator(".sent").get_attribute("open") is not None  # another view of the item closes nothing
    page.click("text=copy as Markdown")
    tab.until("() => document.querySelector('.message').textContent === 'copied' || document.querySelector('.message textarea')")
    page.keyboard.press("?")
    assert "previous lost" in tab.text("dialog")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    tab.until("() => !document.querySelector('.panel h2')")
    address = page.url
    page.reload()
    page.wait_for_selector("[data-usable]")
    assert page.url == address


def test_a_filter_is_in_the_address_and_can_be_sent(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(runs["single"].page)
    page = tab.page
    heights = page.evaluate("[...document.querySelectorAll('.grid .rows .row')].map((one) => one.offsetHeight)")
    assert 8 < len(heights) < 60  # of 120 pairs only those in sight exist
    assert len(set(heights)) == 1
    tab.settle(lambda: page.click("button.chip.lost"))
    lost = int(tab.text("button.chip.lost b"))
    assert tab.text(".slice").startswith(f"{lost} pairs")
    assert page.locator("[role=grid]").get_attribute("aria-rowcount") == str(lost + 1)
    tab.settle(lambda: (page.fill("#find", "something"), page.keyboard.press("Enter")))
    told, address = tab.text(".slice"), page.url
    page.goto("about:blank")
    tab.open(address)
    assert tab.text(".slice") == told
    assert page.get_attribute("button.chip.lost", "aria-pressed") == "true"
    tab.settle(lambda: page.click("button.clear"))
    assert tab.text(".slice").startswith("120 pairs")
    told_what_is_odd(tab, page.url.partition("#")[0], "")


def test_judges_margins_order_the_pairs(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(f"{runs['several'].page}#trial=turn-vs-control")
    tab.settle(lambda: tab.page.select_option("#sort", label="judge tone: worst margin first"))
    assert "sort=d.tone" in tab.page.url
    tab.settle(lambda: tab.page.select_option("#trial", label="warm-vs-turn"))  # which that judge has not seen
    assert "sort" not in tab.page.url
    assert tab.page.input_value("#sort") == "place"


def test_the_worst_regressions_are_one_click_away(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(f"{runs['single'].page}#metric=f1")
    tab.settle(lambda: tab.page.click("text=worst regressions"))
    assert "sort=effect" in tab.page.url
    assert tab.page.locator(".grid .outcome.lost").count() >= 3
    tab.page.keyboard.press("j")
    tab.page.wait_for_selector(".panel .outcome.lost")
    tab.settle(lambda: tab.page.select_option("#metric", "false_answer"))
    tab.settle(lambda: tab.page.select_option("[data-column=kind]", "closed"))  # of which none is unanswerable
    tab.settle(lambda: tab.page.click("text=worst regressions"))
    lost = int(tab.text(".message button:has-text('exact match')").rpartition(" ")[2])
    tab.settle(lambda: tab.page.click(".message button:has-text('exact match')"))
    assert tab.text(".slice").startswith(f"{lost} pairs")
    assert "all of these got worse alike" in tab.text(".message")
    tab.settle(lambda: tab.page.click(".message button:has-text('token F1')"))  # which tells them apart
    assert "metric=f1" in tab.page.url
    tab.page.keyboard.press("Escape")


def test_pictures_filter_by_brushing(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(f"{runs['single'].page}#metric=f1")
    page = tab.page
    page.click("text=pictures: length")
    page.wait_for_selector(".histogram svg")
    box = page.locator(".histogram svg").first.bounding_box()
    assert box is not None

    def brush() -> None:
        page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
        page.mouse.up()

    tab.settle(brush)
    assert re.search(r"in\.length_change=[\d.]+\.\.($|&)", page.url)  # open at the edge, whose bar counts what lies beyond it
    assert page.locator(".histogram .bin.out").count() > 0
    assert page.locator(".scatter circle").count() > 0


def test_prompts_forest_columns_and_samples_are_shown(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(runs["samples"].page)
    page = tab.page
    page.click("text=what the treatment changed")
    assert "care" in tab.text(".more ins")
    page.click("text=results of the whole trial")
    assert page.locator(".forest .bar").count() >= 3
    assert page.locator(".forest .margin").count() == 1
    assert "of 3" in tab.text(".grid .row .numbers >> nth=0")
    page.click("summary:text-is('columns')")
    page.uncheck("label:has-text('question') input")
    assert page.locator("[role=columnheader].question").count() == 0
    assert "hide=question" in page.url
    page.keyboard.press("j")
    page.wait_for_selector(".panel h4")
    assert "sample 3" in tab.text(".panel")
    page.click("text=prompts as sent")
    assert "Answer with care." in tab.text(".sent")


def test_any_two_arms_are_compared_and_judges_are_asked_by_name(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(f"{runs['several'].page}#trial=turn-vs-control")
    page = tab.page
    page.click("text=what the treatment changed")
    assert "care:" in tab.text(".more ins")
    assert "turn (treatment)" in tab.text(".grid .head")
    tab.settle(lambda: page.select_option("[data-judge=tone]", "orders"))
    assert "says.tone=orders" in page.url
    assert "chosen by the outcome" in tab.text(".slice")
    page.keyboard.press("j")
    page.wait_for_selector(".judgements")
    shown = [row.inner_text().split("\t") for row in page.locator(".judgements tbody tr").all()]
    orders = {who: verdict for judge, who, verdict, _ in shown if judge == "tone"}
    assert len(orders) == 4
    assert any(verdict == orders[f"turn (treatment), then control, sample {who[-1]}"] != "tie" for who, verdict in orders.items() if who[0] == "c")
    assert {judge for judge, *_ in shown} == {"good", "tone", "depth"}
    page.click("text=prompts as sent")
    assert "Answer.\n\nBe kind." in tab.text(".sent")  # the task's own system turn behind the arm's prompt
    assert "<b>0</b>" in shown[0][3] + shown[1][3]
    tab.settle(lambda: page.select_option("#trial", label="warm-vs-turn"))
    assert "No declared contrast" in tab.text(".top")
    assert "turn (control)" in tab.text(".grid .head")
    assert page.locator("[data-judge]").count() == 2  # nobody judged these two beside each other
    told = tab.text(".slice")
    assert "exploratory" in told
    assert "interval" in told
    tab.settle(lambda: page.select_option("#metric", "good"))
    assert "judge good" in tab.text(".slice")
    tab.settle(lambda: page.select_option("#metric", "words"))
    assert "words (less is better):" in tab.text(".slice")


def test_every_arm_has_a_column_in_the_table_and_in_an_item(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(f"{runs['several'].page}#trial=turn-vs-control")
    page = tab.page
    with tables_of(RunLayout(runs["several"].root)) as tables:
        slicer = Slicer(tables, tables.pairs("turn-vs-control", 0.0), lambda _: np.zeros(tables.items.n, dtype=np.bool_))
        for metric in ("em", "words", "good", "tone"):
            ask = {"trial": "turn-vs-control", "temp": 0, "metric": metric, "values": {}, "ranges": {}, "judged": {}, "chips": [], "sort": "place"}
            ask |= {"search": {"text": ""}, "labelled": "", "is_down": False}
            rows = page.evaluate("async (ask) => window.batchtrial.source.rows(ask, 0, 30, true)", ask)
            wanted = pages.rows(slicer, metric, [row["place"] for row in rows], {}, with_others=True)
            assert [row["others"] for row in rows] == [row["others"] for row in wanted], metric
            assert any(one["score"] is not None for row in rows for one in row["others"]) == (metric != "tone")
            detail = page.evaluate("async ([ask, place]) => (await window.batchtrial.source.detail(ask, place)).scores", [ask, 3])
            assert detail == pages.detail(tables, slicer.pairs, 3)["scores"]
    page.select_option("#arms", label="all 4 arms")
    assert "arms=all" in page.url
    page.wait_for_selector(".grid .row .other .numbers")
    heads = [one.split(",")[0] for one in page.locator(".grid [role=columnheader]").all_inner_texts()]
    assert heads == ["item", "question", "control", "turn (treatment)", "brief", "warm", "exact match", "label"]
    page.keyboard.press("j")
    page.wait_for_selector(".panel h2")
    assert [one.split(" ")[0] for one in page.locator(".panel > .two h3").all_inner_texts()] == ["control", "turn", "brief", "warm"]
    assert "other arms" not in tab.text(".panel")
    assert page.locator(".panel .scores >> nth=0 >> th[scope=col]").all_inner_texts() == ["metric", "control", "turn (treatment)", "brief", "warm"]
    page.keyboard.press("d")
    tab.until("() => document.querySelectorAll('.panel > .arm h3').length === 3")
    page.keyboard.press("Escape")
    tab.shot("arms-1500")
    cut = "[...document.querySelectorAll('.grid .rows .row')].filter((one) => one.scrollHeight > one.clientHeight + 1).length"
    assert page.evaluate(cut) == 0
    page.set_viewport_size({"width": 390, "height": 900})
    page.wait_for_selector(".armname:visible")
    page.locator(".grid").scroll_into_view_if_needed()
    tab.shot("arms-390")
    assert page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('.grid'))")
    assert page.evaluate(cut) == 0
    page.wait_for_timeout(900)
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("table.paper th").count() == 7


def test_a_pattern_that_takes_for_ever_does_not_stop_the_page(runs: dict[str, Run], tab: Tab) -> None:
    tab.page.clock.install()
    tab.open(runs["single"].page)
    tab.page.check("label:has-text('regular expression') input")
    tab.settle(lambda: (tab.page.fill("#find", "^thing \\d$"), tab.page.keyboard.press("Enter")))
    assert tab.text(".slice").split(" ")[0] != "120"
    tab.page.fill("#find", "(((\\w|[a-z])+)+ ?)+!")
    tab.page.keyboard.press("Enter")
    tab.until("() => document.querySelector('.message').textContent.startsWith('searching')")
    tab.page.clock.fast_forward(5_000)
    tab.until("() => document.querySelector('.message').textContent === 'the pattern cannot be tried: it took more than 5 seconds'")
    tab.settle(lambda: tab.page.click("button.clear"))
    assert tab.text(".slice").startswith("120 pairs")


def test_pairs_of_arms_that_are_too_many_to_list_are_counted(tab: Tab, tmp_path: Path) -> None:
    arms = {name: {"system": text(f"Answer as {name}.")} for name in ("control", *(f"arm{n}" for n in range(11)))}
    with world(tmp_path, closed=closed_items(2), arms=arms, prompt_sets={}) as made:
        made.answer_all(answers())
        for phase in PHASES[:2]:
            made.run(phase)
        with tables_of(made.layout) as tables:
            (tmp_path / "page.html").write_text(answers_page(tables), encoding="utf-8")
    tab.open((tmp_path / "page.html").as_uri())
    assert tab.page.locator("#trial option").count() == 11
    assert "55 further pairs of arms, which no contrast declares, are too many to be listed here" in tab.text(".top")


def test_a_label_is_of_its_trial(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(runs["several"].page)
    page = tab.page
    page.keyboard.press("l")
    page.fill("#who", "ana")
    page.keyboard.press("Escape")
    page.keyboard.press("4")
    tab.until("() => document.querySelector('.labelling [role=status]').textContent.startsWith('1 of')")
    page.click(".labelling .close")
    labelled = "select:has(option[value=both_bad])"
    tab.settle(lambda: page.select_option(labelled, "yes"))
    assert tab.text(".slice").startswith("1 pair ")
    tab.settle(lambda: page.select_option("#trial", label="warm-vs-control"))
    assert page.input_value(labelled) == "yes"
    assert tab.text(".slice").startswith("0 pairs")
    tab.settle(lambda: page.select_option(labelled, ""))
    page.keyboard.press("l")
    tab.until("() => document.querySelector('.labelling') !== null")
    tab.settle(lambda: page.select_option("#trial", label="brief-vs-control"))
    assert page.locator(".labelling").count() == 0, "what is labelled is never of another trial than the heading says"


WARNS = "() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true }))"
"""Whether whoever closes the page is asked first."""


def test_labels_in_a_file_are_blind_and_downloaded(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(runs["single"].page)
    page = tab.page
    page.click("text=label blind")
    page.wait_for_selector(".labelling h3")
    told = tab.text(".labelling")
    assert "control" not in told.replace("cannot", "")
    assert "treatment" not in told
    assert not page.locator("[role=grid]").is_visible()
    page.keyboard.press("1")
    tab.until("() => document.querySelector('.labelling').textContent.includes('Say who you are')")
    page.fill("#who", "ana")
    page.fill("[placeholder^=tags]", "short, odd ")
    page.fill("[placeholder=note]", "see 3")
    page.keyboard.press("Enter")  # ends writing: what is typed next are labels
    for key in "1234x":
        page.wait_for_timeout(30)
        page.keyboard.press(key)
    tab.until("() => document.querySelector('.labelling [role=status]').textContent.startsWith('5 of')")
    page.keyboard.press("u")
    tab.until("() => document.querySelector('.labelling [role=status]').textContent.startsWith('4 of')")
    assert page.evaluate(WARNS)
    with page.expect_download() as download:
        page.click("text=download labels")
    assert not page.evaluate(WARNS)
    labels = [json.loads(line) for line in download.value.path().read_text().splitlines()]
    assert len({one["id"] for one in labels}) == len(labels) == 4
    assert {one["who"] for one in labels} == {"ana"}
    assert all(one["is_blind"] for one in labels)
    assert all(len(one["about"]) == 16 for one in labels), "which two answers were shown"
    first = labels[0]
    assert [(one["tags"], one["note"]) for one in labels] == [(["short", "odd"], "see 3"), *[([], "")] * 3]
    assert first["verdict"] == ("better" if first["order"] == "treatment_first" else "worse")
    page.click(".labelling .close")
    tab.settle(lambda: page.select_option("select:has(option[value=both_bad])", "same"))
    assert tab.text(".slice").startswith("1 pair ")


CUT = """[...document.querySelectorAll('.scroll, .choices, figure')].filter((one) => one.scrollWidth > one.clientWidth + 1)
  .map((one) => `${one.scrollWidth} of ${one.clientWidth}: ${one.textContent.slice(0, 40)}`).concat([...document.querySelectorAll('svg text')]
  .map((one) => [one, one.getBoundingClientRect(), one.ownerSVGElement.getBoundingClientRect()]).filter(([, text, all]) => text.left < all.left - 1
  || text.right > all.right + 1).map(([one, text, all]) => `${one.textContent}: ${text.left} to ${text.right} in ${all.left} to ${all.right}`))"""


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1500, 768, 390])
def test_nothing_is_cut_at_any_width(runs: dict[str, Run], browser: Any, width: int, dark: bool) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    tab = Tab(context.new_page())
    tab.open(f"{runs['single'].page}#sort=effect&metric=f1")
    tab.shot(f"page-{width}-{'dark' if dark else 'light'}")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.page.evaluate("(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth)(document.querySelector('.grid'))")
    for box in tab.page.locator(".extras details > summary").all():
        box.click()
    tab.shot(f"boxes-{width}-{'dark' if dark else 'light'}")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    tab.page.keyboard.press("j")
    tab.page.wait_for_selector(".panel h2")
    tab.shot(f"item-{width}-{'dark' if dark else 'light'}")
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    for name in (f"{runs['single'].slug}/reports/report.html", "index.html"):
        tab.page.goto((runs["single"].root / name).as_uri())
        tab.shot(f"{Path(name).stem}-{width}-{'dark' if dark else 'light'}")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
        assert tab.page.evaluate(CUT) == []
    tab.page.set_viewport_size({"width": width + 100, "height": 900})  # just above the width at which tables become cards
    assert tab.page.evaluate(CUT) == []
    tab.page.set_viewport_size({"width": width, "height": 900})
    tab.page.go_back()
    if width == 390:
        box = tab.page.locator("tr.declared").first.bounding_box()
        assert box is not None
        for name in ("difference (pp)", "interval (pp)", "p"):
            cell = tab.page.locator(f"tr.declared td[data-of='{name}']").first.bounding_box()
            assert cell is not None
            assert 0 <= cell["x"] < cell["x"] + cell["width"] <= width
    context.close()
    assert tab.faults == []


def test_paper_has_the_pairs_and_no_scroll_bars(runs: dict[str, Run], tab: Tab) -> None:
    tab.open(runs["single"].page)
    tab.page.wait_for_timeout(1000)
    tab.page.emulate_media(media="print")
    tab.page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert tab.page.locator("table.paper tbody tr").count() == 120
    assert not tab.page.locator("[role=grid]").is_visible()
    assert "default (treatment)" in tab.text("table.paper thead")
    overflow = """[...document.querySelectorAll('*')].filter((one) => ['auto', 'scroll'].includes(getComputedStyle(one).overflowY)
        && one.clientHeight && one.scrollHeight > one.clientHeight + 1).length"""
    assert tab.page.evaluate(overflow) == 0
    tab.page.set_viewport_size({"width": 703, "height": 1000})  # A4 between its margins
    tab.page.goto((runs["single"].root / runs["single"].slug / "reports" / "report.html").as_uri())
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 703
    heights = [box["height"] for cell in tab.page.locator("table >> nth=0 >> th").all() if (box := cell.bounding_box()) is not None]
    p = tab.page.locator("tr.declared td[data-of='p']").first.bounding_box()
    assert p is not None
    assert max(heights) < 60
    assert p["width"] > 30  # wide enough for 0.047: no number is broken
