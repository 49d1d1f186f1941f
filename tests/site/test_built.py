"""The built site asks nothing of anybody else, has every page, and is searched; `nox -s site` builds it and says where it lies."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.browser.conftest import FLAGS, chromium
from tests.docs.pages import ROOT, pages

SITE = Path(os.environ.get("BATCHTRIAL_SITE", ROOT / "site"))
FETCHED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
    "embed": "src",
    "form": "action",
}
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//")


class Fetches(HTMLParser):
    """What a page makes a browser fetch from elsewhere, and what would make the theme's scripts do so."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        address = given.get(FETCHED.get(tag, ""), "")
        if ELSEWHERE.match(address) or ELSEWHERE.search(given.get("srcset", "")):
            self.found.append(f"{tag} {address}")
        if {"mermaid", "js-copy"} & set(given.get("class", "").split()) or given.get("data-md-component") == "source":
            self.found.append(f"{tag} {given}")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of the site on this machine."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_every_page_of_the_project_has_its_place_and_is_searched() -> None:
    listed = {one["location"].split("#")[0] for one in json.loads((SITE / "search" / "search_index.json").read_bytes())["docs"]}
    there = {path.parent.relative_to(SITE).as_posix() for path in SITE.rglob("index.html")}
    assert {f"{name}/" if name != "." else "" for name in there} == listed
    ours = [page.relative_to(ROOT / "docs") for page in pages() if (ROOT / "docs") in page.parents and page != ROOT / "docs" / "README.md"]
    wanted = {page.parent.as_posix() if page.stem == "README" else page.with_suffix("").as_posix() for page in ours}
    assert wanted | {".", "workflow", "contributing", "changelog"} <= there


def test_no_page_fetches_anything_from_elsewhere() -> None:
    for page in SITE.rglob("*.html"):
        reader = Fetches()
        reader.feed(page.read_text(encoding="utf-8"))
        assert reader.found == [], page


def test_no_style_fetches_anything_from_elsewhere() -> None:
    for style in SITE.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import)\s*[\"']?(?:[a-z]+:)?//[^)\s]*", style.read_text(encoding="utf-8")) == [], style


def test_a_browser_that_reads_and_searches_asks_this_server_alone(address: str) -> None:
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium on this machine: install Debian's package `chromium`")
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        tab = browser.new_page()
        tab.on("request", lambda one: asked.append(one.url))
        for page in ("", "state/", "config/", "tours/researcher/"):
            tab.goto(f"{address}/{page}", wait_until="networkidle")
        tab.locator("[data-md-component=search-query]").press_sequentially("ledger")  # the page listens for keys, and for no value that is put there
        tab.wait_for_selector(".md-search-result__item")
        browser.close()
    assert len(asked) > 10
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
