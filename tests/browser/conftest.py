"""A Chromium that is on this machine, with an empty profile, and a record of every request that it makes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import SEVERAL, answers, finished

from batchtrial.app.tables import tables_of
from batchtrial.config.expand import TrialArm
from batchtrial.viewer.one_file import answers_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
SHOTS = Path(os.environ.get("BATCHTRIAL_SCREENSHOTS", "")) if os.environ.get("BATCHTRIAL_SCREENSHOTS") else None


def chromium() -> str | None:
    """The browser's path; None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@dataclass
class Tab:
    """A page, what it asked for, and what went wrong in it. Any dialog fails the test."""

    page: Page
    requests: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda one: self.requests.append(one.url))
        self.page.on("pageerror", lambda one: self.faults.append(str(one)))
        self.page.on("console", lambda one: self.faults.append(one.text) if one.type == "error" else None)
        self.page.on("dialog", self._dialog)

    def _dialog(self, one: Any) -> None:
        self.faults.append(f"dialog {one.message}")
        one.dismiss()

    def open(self, address: str) -> Tab:
        """Open it, and wait until pairs are shown."""
        self.page.goto(address)
        self.page.wait_for_selector("[data-usable]")
        return self

    def until(self, condition: str, arg: Any = None) -> None:
        """Wait until a function of the page says so. Asked again and again from here: the page's own policy forbids it to read code from texts."""
        ends = time.monotonic() + 15
        while not self.page.evaluate(condition, arg):
            assert time.monotonic() < ends, f"never came true: {condition}"
            self.page.wait_for_timeout(20)

    def settle(self, action: Callable[[], Any]) -> None:
        """Do something that asks for other pairs, and wait until they are there."""
        before = self.page.evaluate("document.documentElement.dataset.ready")
        action()
        self.until("before => document.documentElement.dataset.ready !== before", before)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def shot(self, name: str) -> None:
        """Kept where BATCHTRIAL_SCREENSHOTS says, for people to look at."""
        if SHOTS is not None:
            SHOTS.mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=SHOTS / f"{name}.png")


ODD = (
    *("metric=nope", "trial=nope", "temp=9", "temp=x", "sort=oops", "sort=d.nope", "view=x", "hide=id", "item=9999", "item=-1"),
    *("is.nope=1", "is.kind=x", "in.nope=1..2", "in.length_change=a..", "in.constructor=1..2", "says.nope=orders", "labelled=maybe", "where=nowhere"),
    *("chips=toString", "arm=3", "slice=2", "page=4", "<b>=<img src=x>"),
)


def told_what_is_odd(tab: Tab, page: str, run: str, odd: Sequence[str] = ODD) -> None:
    """Whatever is typed behind the # is understood or said to be left out, and every pair is shown. run: what of the address names the run."""
    tab.settle(lambda: tab.page.goto(f"{page}#{run}down=1"))
    everything = tab.text(".slice")
    for address in odd:
        tab.page.goto(f"{page}#{run}{address}")
        tab.until("odd => document.querySelector('.message').textContent.includes(`: ${odd}`)", address)
        assert tab.text(".slice") == everything, address
        assert tab.page.url.partition("#")[2] == run.rstrip("&")
    for address, why in (("text=(&pattern=1", "the pattern cannot be read: unclosed group|unterminated group"), ("chips=reason:none", "")):
        tab.page.goto(f"{page}#{run}{address}")
        tab.until("why => document.querySelector('.message').textContent.match(why) && !document.querySelector('.grid .row:not(.head)')", why or "^$")
        assert tab.page.locator(".fields select").count() > 3
    assert "none" in tab.text("button.chip[aria-pressed=true]")
    tab.settle(lambda: tab.page.click("button.clear"))
    assert tab.text(".slice") == everything


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium on this machine: install Debian's package `chromium`")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed: the nox session `browser` has it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield found
        found.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1500, "height": 950})
    context.set_default_timeout(15_000)
    found = Tab(context.new_page())
    yield found
    context.close()
    assert found.faults == []


@dataclass(frozen=True)
class Run:
    """A finished run, and its page as a file."""

    folder: Path
    root: Path
    slug: str
    page: str


def no_treatment(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
    """An answer that is partly right, and from the treatment none."""
    return None if arm.condition == "treatment" else "answer 1 and more words"


def blur(world: World) -> None:
    """Every third score of a treatment as it is when the same numbers are added up in another order."""
    arm = next(arm for arm in world.trial.arms if arm.condition == "treatment")
    path = world.layout.arm(arm.name).scores
    table = pl.read_parquet(path).with_row_index("at")
    blurred = [
        pl.when((pl.col("at") % 3 == 0) & (pl.col(name) < 1)).then(pl.col(name) * (1 + 3e-16)).otherwise(name).alias(name) for name in ("em", "f1")
    ]
    table.with_columns(blurred).drop("at").write_parquet(path)


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """By name: answers that are right or wrong once, several samples, items in clusters, and a treatment whose answers were all lost."""
    stats = {"primary": {"metric": "em", "kind": "all", "margin": 0.05}, "permutation_samples": 999}
    found = {}
    folder = tmp_path_factory.mktemp("runs")
    for name, how in {
        "single": {"n_open": 60, "n_closed": 60},
        "samples": {"samples_per_item": 3},
        "clusters": {"per_passage": 3},
        "several": SEVERAL,
        "lost": {"n_open": 6, "n_closed": 6},
    }.items():
        chosen = no_treatment if name == "lost" else answers(11)
        with finished(folder / name, chosen, **{"stats": stats, "run_id": f"run_{name}"} | how) as world:
            if name == "samples":
                blur(world)
            path = folder / f"{name}.html"
            with tables_of(world.layout) as tables:
                path.write_text(answers_page(tables), encoding="utf-8")
            found[name] = Run(folder / name, world.layout.root, world.trial.slug, path.as_uri())
    return found
