"""Every Markdown file is well formed, by the rules in pyproject.toml."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from pymarkdown.api import PyMarkdownApi
from tests.docs.pages import ROOT

LISTED = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
PAGES = [page for page in subprocess.run(LISTED, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines() if (ROOT / page).exists()]


def faults(page: Path) -> list[str]:
    return [f"{one.scan_file}:{one.line_number}: {one.rule_id} {one.rule_description}" for one in PyMarkdownApi().scan_path(str(page)).scan_failures]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_well_formed(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where the rules are
    assert faults(ROOT / page) == []


def test_a_fault_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n* item\n# Next\n\n{'long ' * 40}\n", encoding="utf-8")
    assert {fault.split(": ")[1].split(" ")[0] for fault in faults(page)} >= {"MD013", "MD022", "MD032"}
