"""The Markdown files of the project, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```", re.M | re.S)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.M)
SKIPPED = {".nox", ".make", ".venv", "node_modules", "experiments", ".git", ".pytest_cache"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the page, the words after the fence, the text."""

    page: Path
    info: str
    body: str


def pages() -> list[Path]:
    """Every Markdown file of the project."""
    return sorted(p for p in ROOT.rglob("*.md") if not SKIPPED & set(p.relative_to(ROOT).parts) and "fixtures" not in p.parts)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks() -> Iterator[Block]:
    """Every fenced block of every page."""
    for page in pages():
        for match in FENCE.finditer(text_of(page)):
            yield Block(page, match["info"].strip(), match["body"])


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", text_of(page))


def anchors(page: Path) -> set[str]:
    """Ids of headings, as the usual renderers make them."""
    found: set[str] = set()
    for match in HEADING.finditer(prose(page)):
        words = re.sub(r"[^\w\- ]", "", match["text"].lower()).strip().replace(" ", "-")
        name, n = words, 0
        while name in found:
            n += 1
            name = f"{words}-{n}"
        found.add(name)
    return found
