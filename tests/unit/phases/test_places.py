"""Lines and ids are found where they are, for any lines and any ids."""

from __future__ import annotations

import io
import mmap
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.phases import places as joining
from batchtrial.phases.places import line_ends, pieces, places

IDS = st.lists(st.binary(min_size=9, max_size=9), unique=True, min_size=1, max_size=30)


def no_check() -> None:
    """Nobody stops."""


@given(IDS, st.randoms())
def test_every_id_finds_its_place(ids: list[bytes], draw: random.Random) -> None:
    shuffled = draw.sample(ids, len(ids))
    found = places(b"".join(ids), b"".join(shuffled), len(ids))
    assert found is not None
    assert [shuffled[place] for place in found] == ids


@given(IDS, st.randoms(), st.sampled_from([b"abc-0abcX", b"abc", b""]))
def test_other_ids_have_no_places(ids: list[bytes], draw: random.Random, other: bytes) -> None:
    def found(among: list[bytes]) -> object:
        return places(b"".join(ids), b"".join(among), len(ids))

    assert found([*ids[1:], other]) is None or other == ids[0]
    assert found([*ids[1:], ids[0], ids[0]]) is None
    assert found(ids[1:]) is None
    if len(ids) > 1:
        assert found([*ids[1:], ids[1]]) is None


def test_ids_of_several_lengths_and_no_ids_have_no_places() -> None:
    assert places(b"", b"", 0) is None
    assert places(b"aabbb", b"aabbb", 2) is None


@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"-")), max_size=40), st.booleans())
def test_every_line_ends_where_the_file_says(lines: list[bytes], is_cut: bool) -> None:
    data = b"".join(line + b"\n" for line in lines)
    data = data[:-1] if is_cut else data
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joining, "_BLOCK", 7)
        ends = line_ends(data, no_check).tolist()
    assert [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)] == list(io.BytesIO(data))
    assert len(ends) == data.count(b"\n") + bool(data and not data.endswith(b"\n"))


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 59), min_size=1, max_size=20), st.integers(1, 9))
def test_pieces_are_what_stands_there(data: bytes, begins: list[int], size: int) -> None:
    want = b"".join(data[begin : begin + size] for begin in begins)
    assert pieces(data, np.array(begins), size) == (want if max(begins) + size <= len(data) else b"")


def test_a_mapped_file_is_as_good_as_bytes(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"one\ntwo\nthree\n")
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    assert line_ends(data, no_check).tolist() == [4, 8, 14]
    assert pieces(data, np.array([8, 0]), 3) == b"throne"
