"""Columns of a source are found in prepared lines wherever they stand among the pieces that are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchtrial.phases.build import questions


@pytest.mark.parametrize("n_before", range(40))
def test_a_mark_is_found_across_the_ends_of_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_before: int) -> None:
    monkeypatch.setattr(questions, "_BYTES_AT_ONCE", 16)
    path = tmp_path / "lines"
    for text, is_there in (
        (b"x" * n_before + b'"columns":' + b"y" * 7, True),
        (b"x" * n_before + b'"columns":', True),
        (b"x" * n_before + b'"columns"', False),
        (b"x" * n_before, False),
    ):
        path.write_bytes(text)
        with path.open("rb") as file:
            assert questions._holds(file, b'"columns":') is is_there, text
