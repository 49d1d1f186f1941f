"""What MkDocs is told of the pages: those beside docs/ belong to the site, sections are those of docs/README.md, links fit where pages lie."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
BESIDE = {
    "README.md": "index.md",
    "EXPERIMENT_WORKFLOW.md": "workflow.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.txt",
    "config/eval_config.yaml": "examples/eval_config.yaml",
}
"""Files outside docs/ that the site has, by their path in the project, and where they lie in the site."""

SECTION = re.compile(r"^## (?P<title>.+)\n+(?P<body>(?:(?!^## ).*\n?)*)", re.M)
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"^(```\w+)[^\n`]*$", re.M)
DIAGRAM = re.compile(r"^```mermaid\n.*?^```\n", re.M | re.S)
"""Drawn by a script that would be fetched from elsewhere; the table below it says the same."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation: a tab for each section of docs/README.md, a page for each of its rows."""
    nav: list[dict[str, Any]] = []
    for section in SECTION.finditer((ROOT / "docs" / "README.md").read_text(encoding="utf-8")):
        targets = [place(posixpath.normpath(f"docs/{match['target']}")) for match in LINK.finditer(section["body"])]
        nav.append({section["title"]: [one for one in targets if one is not None and one.endswith(".md")]})
    config.nav = nav
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """With the pages beside docs/, without the index that the navigation was made of."""
    kept = Files([file for file in files if file.src_uri != "README.md"])
    for name, uri in BESIDE.items():
        kept.append(File.generated(config, uri, content=(ROOT / name).read_text(encoding="utf-8")))
    return kept


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with links as the site has its pages; links to what is only in the project become plain text."""
    source = next((name for name, uri in BESIDE.items() if uri == page.file.src_uri), f"docs/{page.file.src_uri}")
    pieces = re.split(r"(^```.*?^```$)", DIAGRAM.sub("", markdown), flags=re.M | re.S)
    return "".join(FENCE.sub(r"\1", piece) if piece.startswith("```") else with_links(piece, source, page.file.src_uri, files) for piece in pieces)


def with_links(text: str, source: str, uri: str, files: Files) -> str:
    """source: path of the page in the project. uri: in the site."""

    def rewritten(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        there = place(posixpath.normpath(posixpath.join(PurePosixPath(source).parent.as_posix(), target)))
        if there is None or files.get_file_from_path(there) is None:
            return f"`{match['text']}`" if (ROOT / PurePosixPath(source).parent / target).exists() and "`" not in match["text"] else match["text"]
        led = posixpath.relpath(there, PurePosixPath(uri).parent.as_posix())
        return f"{match['image']}[{match['text']}]({led}{'#' if anchor else ''}{anchor})"

    return LINK.sub(rewritten, text)


def place(name: str) -> str | None:
    """Where a file of the project lies in the site; None when it is not there."""
    if name == "docs/README.md":
        return BESIDE["README.md"]
    return BESIDE.get(name) or (name.removeprefix("docs/") if name.startswith("docs/") else None)
