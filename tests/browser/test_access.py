"""axe-core finds nothing to complain about, in any state of the page, light and dark."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from tests.browser.conftest import Run, Tab
from tests.unit.viewer.served import served

OPTIONS = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}}

COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@pytest.fixture(scope="session")
def axe() -> str:
    """The library's script, out of the package that carries it."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or not found.submodule_search_locations:
        pytest.skip("axe-core is not installed: the nox session `browser` has it")
    return (Path(next(iter(found.submodule_search_locations))) / "axe.min.js").read_text(encoding="utf-8")


def complaints(tab: Tab, axe: str, scheme: str = "light") -> list[str]:
    """In the dark only colours are another matter."""
    tab.page.evaluate(axe)
    found: Any = tab.page.evaluate("options => axe.run(document, options)", OPTIONS if scheme == "light" else COLOURS)
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_usable_by_everybody(runs: dict[str, Run], browser: Any, axe: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 1500, "height": 950}, color_scheme=scheme)
    tab = Tab(context.new_page())
    tab.open(f"{runs['single'].page}#metric=f1")
    page = tab.page
    for summary in ("what the treatment changed", "results of the whole trial", "pictures: length", "summary:text-is('columns')"):
        page.click(summary if summary.startswith("summary") else f"text={summary}")
    page.keyboard.press("n")
    page.wait_for_selector(".panel h2")
    page.keyboard.press("d")
    page.click("text=prompts as sent")
    assert complaints(tab, axe, scheme) == []
    page.keyboard.press("Tab")
    assert page.evaluate("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2
    page.keyboard.press("?")
    assert complaints(tab, axe, scheme) == []
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_selector(".labelling h3")
    assert complaints(tab, axe, scheme) == []
    page.goto((runs["single"].root / runs["single"].slug / "reports" / "report.html").as_uri())
    assert complaints(tab, axe, scheme) == []
    page.goto((runs["single"].root / "index.html").as_uri())
    assert complaints(tab, axe, scheme) == []
    context.close()
    assert tab.faults == []


def test_the_list_of_runs_is_usable_by_everybody(runs: dict[str, Run], tab: Tab, axe: str) -> None:
    with served(runs["single"].folder) as at:
        tab.page.goto(at.address)
        tab.page.wait_for_selector("table.runs")
        assert complaints(tab, axe) == []
        tab.page.goto("about:blank")
