"""The Markdown files of the project, and what stands in them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```", re.M | re.S)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<image>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(?P<text>.+?) *$", re.M)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: the page, the words after the fence, the text."""

    page: Path
    info: str
    body: str


@cache
def pages() -> tuple[Path, ...]:
    """Every Markdown file of the project: what git has or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = (ROOT / name for name in listed.split("\0") if name)
    return tuple(sorted(page for page in found if page.exists() and "fixtures" not in page.parts))


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


def words(page: Path) -> str:
    """The page without code of any kind, without links' targets and without quoted words."""
    return re.sub(r'"[^"\n]*"', "", re.sub(r"\]\([^)]*\)", "]", CODE.sub("", prose(page))))


def anchors(page: Path) -> set[str]:
    """Ids of headings, as the usual renderers make them."""
    found: set[str] = set()
    for match in HEADING.finditer(prose(page)):
        heading = re.sub(r"[^\w\- ]", "", match["text"].lower()).strip().replace(" ", "-")
        name, n = heading, 0
        while name in found:
            n += 1
            name = f"{heading}-{n}"
        found.add(name)
    return found
