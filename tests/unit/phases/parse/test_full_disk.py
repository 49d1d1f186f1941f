"""A disk without room is told in the words of the disk, whoever was writing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from batchtrial.phases.arm_tables import disk_error


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG])
def test_what_the_table_library_wraps_is_unwrapped(number: int) -> None:
    wrapped = RuntimeError(f"failed to write: {os.strerror(number)} (os error {number})")
    found = disk_error(wrapped, "answers.parquet")
    assert isinstance(found, OSError)
    assert (found.errno, found.filename) == (number, "answers.parquet")
    assert disk_error(ValueError("schema"), "x").args == ("schema",)


def test_a_table_that_does_not_fit_ends_with_the_disk_s_own_error() -> None:
    import polars as pl

    device = Path("/dev/full")
    with device.open("wb") as full, pytest.raises(OSError, match="No space left on device") as caught:  # noqa: PT012
        try:
            pl.LazyFrame({"a": range(200_000)}).sink_parquet(full, engine="streaming")
        except pl.exceptions.PolarsError as error:
            raise disk_error(error, str(device)) from None
    assert caught.value.errno == errno.ENOSPC
