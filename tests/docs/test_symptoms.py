"""What docs/troubleshooting.md and the smoke guide quote as symptoms is what the program says."""

from __future__ import annotations

import ast
import re

import pytest
from tests.docs.pages import ROOT, text_of

PAGES = ("docs/troubleshooting.md", "docs/guides/alt_backend_smoke_workflows.md")
GAPS = re.compile(r"\.\.\.|\bN\b|\$X|\bRUN\b")


def sayings() -> str:
    """Every text in the code that is no docstring."""
    found = []
    for path in sorted((ROOT / "src").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        found += [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs]
    return "\n".join(found)


SAYINGS = sayings()
QUOTED = [
    (page, quoted)
    for page in PAGES
    for row in re.findall(r"^\| (`[^|]*`[^|]*) \|", text_of(ROOT / page), re.M)
    for quoted in re.findall(r"`([^`]+)`", row)
]


@pytest.mark.parametrize(("page", "quoted"), QUOTED)
def test_the_program_says_so(page: str, quoted: str) -> None:
    fragments = [part.strip() for part in GAPS.split(quoted) if len(part.strip()) > 3]
    assert fragments
    assert [part for part in fragments if part not in SAYINGS] == []


def test_symptoms_are_quoted() -> None:
    assert len(QUOTED) > 8
