"""The index by line, for names of any form, and the ids that follow from it."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.phases.build.index import HASH_CHARS, Ids, IndexLines, fields, load_index

NAMES = st.text('ab",\n\r é🐸', min_size=1, max_size=6)
ROWS = st.lists(st.tuples(st.text("0123456789abcdef", min_size=HASH_CHARS, max_size=HASH_CHARS), NAMES, NAMES, st.just("open"), NAMES), max_size=8)


def written(rows: list[tuple[str, ...]]) -> bytes:
    file = io.StringIO(newline="")
    out = csv.writer(file, lineterminator="\n")
    out.writerow(("item_hash", "dataset", "item_id", "kind", "cluster"))
    out.writerows(rows)
    return file.getvalue().encode()


@given(ROWS, st.data())
def test_lines_are_found_whatever_stands_in_the_names(rows: list[tuple[str, ...]], data: st.DataObject) -> None:
    lines = IndexLines(written(rows))
    assert len(lines) == len(rows)
    first = data.draw(st.integers(0, len(rows)))
    n = data.draw(st.integers(0, len(rows) - first))
    found = [fields(line.encode("latin-1").decode()) for line in lines.of(first, n)]
    assert found == [list(row) for row in rows[first : first + n]]
    assert lines.text(first, n) == "".join(f"{line}\n" for line in lines.of(first, n))


@pytest.mark.parametrize("n_samples", [1, 3, 12])
def test_ids_are_in_request_order(n_samples: int) -> None:
    ids = Ids("c-t0-0011aabb-", tuple(f"-s{sample}" for sample in range(n_samples)))
    one_by_one = ids.of_items(pl.Series(["0123456789abcdef", "fedcba9876543210"])).to_list()
    assert one_by_one[0] == "c-t0-0011aabb-0123456789abcdef-s0"
    assert len(one_by_one) == 2 * n_samples
    assert one_by_one[-1] == f"c-t0-0011aabb-fedcba9876543210-s{n_samples - 1}"


@given(ROWS.filter(bool))
def test_the_table_says_what_the_lines_say(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("index") / "index.csv"
    path.write_bytes(written(rows))
    assert load_index(path).rows() == rows
