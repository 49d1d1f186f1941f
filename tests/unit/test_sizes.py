"""Files and functions stay small enough to be read at one sitting."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = sorted(path for room in ("src", "scripts", "docs") for path in (ROOT / room).rglob("*.py"))
LONGEST_FILE, LONGEST_FUNCTION, MEDIAN = 400, 50, 160


def length_of(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


def test_no_file_is_longer_than_the_rule() -> None:
    assert [(path.relative_to(ROOT).as_posix(), length_of(path)) for path in PRODUCT if length_of(path) > LONGEST_FILE] == []


def test_half_of_the_files_are_short() -> None:
    assert statistics.median(length_of(path) for path in PRODUCT if path.is_relative_to(ROOT / "src")) < MEDIAN


def test_no_function_is_longer_than_the_rule() -> None:
    found = [
        (path.relative_to(ROOT).as_posix(), node.name, node.end_lineno - node.lineno + 1)
        for path in PRODUCT
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
    ]
    assert [one for one in found if one[2] > LONGEST_FUNCTION] == []
