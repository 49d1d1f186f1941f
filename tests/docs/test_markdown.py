"""Every Markdown file is well formed, by the rules in pyproject.toml."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT


def checked(*pages: str | Path) -> subprocess.CompletedProcess[str]:
    """What the linter says of some pages, or of folders of them."""
    return subprocess.run(
        [Path(sys.executable).with_name("rumdl"), "check", "--no-cache", *map(str, pages)], cwd=ROOT, capture_output=True, text=True
    )


def test_every_page_is_well_formed() -> None:
    done = checked(".")
    assert done.returncode == 0, done.stdout


def test_a_fault_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n\n* item\n# Next\n\n{'long ' * 40}\n", encoding="utf-8")
    done = checked(page)
    assert done.returncode == 1
    assert [rule for rule in ("MD013", "MD022", "MD032") if rule not in done.stdout] == []
