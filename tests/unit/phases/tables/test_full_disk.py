"""A disk without room is told in the words of the disk, whoever was writing."""

from __future__ import annotations

import errno
import os
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


class Last(BytesIO):
    """A disk that is full at the very end of the table, where the library names no number of an error."""

    def write(self, data: Any) -> int:
        if len(data) < 200:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("write", [at_once, streamed])
@pytest.mark.parametrize("disk", [lambda: FULL.open("wb", buffering=0), Last])
def test_a_table_that_does_not_fit_ends_with_the_disk_s_own_error(write: Write, disk: Callable[[], Any]) -> None:
    with disk() as file, pytest.raises(OSError, match="No space left on device") as caught, for_tables(file) as out:
        write(out)
    assert caught.value.errno == errno.ENOSPC


def test_another_fault_of_the_table_stays_what_it_is() -> None:
    with pytest.raises(pl.exceptions.PolarsError), for_tables(BytesIO()):
        pl.DataFrame({"a": [1]}).select("b")


def test_a_part_that_does_not_fit_ends_with_the_disk_s_own_error() -> None:
    with pytest.raises(OSError, match="No space left on device"):
        write_rows(pl.DataFrame({"a": range(10)}), FULL)
