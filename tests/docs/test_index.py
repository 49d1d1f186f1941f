"""docs/README.md leads to every page, and pages are found from it alone."""

from __future__ import annotations

from tests.docs.pages import LINK, ROOT, pages, text_of

INDEX = ROOT / "docs" / "README.md"
BY_FOLDER = (ROOT / "codex", ROOT / "docs" / "design")
"""Folders of notes: the index names the folder's own list or the folder, not each note."""


def test_the_index_leads_to_every_page() -> None:
    led = {(INDEX.parent / (match["target"] or match["image"]).split("#")[0]).resolve() for match in LINK.finditer(text_of(INDEX))}
    notes = {page for page in pages() if any(folder in page.parents for folder in BY_FOLDER if folder in led)}
    elsewhere = {page for page in pages() if (ROOT / "src") in page.parents}
    assert [page.relative_to(ROOT).as_posix() for page in pages() if page not in led | notes | elsewhere | {INDEX}] == []
