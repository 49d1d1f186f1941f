"""A disk without room is told in the words of the disk, whoever was writing."""

from __future__ import annotations

import errno
import resource
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchtrial.phases.tables.arm_table import for_tables, write_rows

FULL = Path("/dev/full")
Write = Callable[[Any], None]


def at_once(out: Any) -> None:
    pl.DataFrame({"a": range(200_000)}).write_parquet(out)


def streamed(out: Any) -> None:
    pl.LazyFrame({"a": range(200_000)}).sink_parquet(out, engine="streaming")


@pytest.mark.parametrize("write", [at_once, streamed])
def test_a_table_that_does_not_fit_ends_with_the_disk_s_own_error(write: Write) -> None:
    with FULL.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left on device") as caught, for_tables(file) as out:
        write(out)
    assert caught.value.errno == errno.ENOSPC


def streamed_with_a_long_end(out: Any) -> None:
    pl.LazyFrame({f"column {number}": range(50) for number in range(40)}).sink_parquet(out, engine="streaming")


@pytest.mark.parametrize("write", [at_once, streamed, streamed_with_a_long_end])
@pytest.mark.parametrize("missing", [1, 8, 200, 4000, 20_000])
def test_a_table_whose_last_bytes_do_not_fit_is_never_taken_for_whole(tmp_path: Path, write: Write, missing: int) -> None:
    with (tmp_path / "whole").open("wb") as file, for_tables(file) as out:
        write(out)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "whole").stat().st_size - missing, hard))
    try:
        with (tmp_path / "cut").open("wb") as file, pytest.raises(OSError, match="File too large") as caught, for_tables(file) as out:
            write(out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG


def test_another_fault_of_the_table_stays_what_it_is() -> None:
    with pytest.raises(pl.exceptions.PolarsError), for_tables(BytesIO()):
        pl.DataFrame({"a": [1]}).select("b")


def test_a_part_that_does_not_fit_ends_with_the_disk_s_own_error() -> None:
    with pytest.raises(OSError, match="No space left on device"):
        write_rows(pl.DataFrame({"a": range(10)}), FULL)
