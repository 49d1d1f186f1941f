"""Links and anchors lead somewhere, without asking the network."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs.pages import LINK, ROOT, anchors, pages, prose


@pytest.mark.parametrize("page", pages(), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_link_of_the_page_leads_somewhere(page: Path) -> None:
    broken = []
    for match in LINK.finditer(prose(page)):
        target = match["target"] or match["image"]
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        there = page if not name else (page.parent / name).resolve()
        if not there.exists():
            broken.append(target)
        elif anchor and there.suffix == ".md" and anchor not in anchors(there):
            broken.append(f"{target} (no such heading)")
    assert not broken
