"""Hostile ZIPs are refused before anything of them is used or written."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtrial.errors import DataError
from batchtrial.providers.recordings.cassette import Replay
from batchtrial.providers.recordings.zip import checked_members

LINE = b'{"custom_id":"a"}\n'


def make(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo tidies some names up; an attacker's tool does not
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return path


def special(mode: int) -> Callable[[Path], Path]:
    def build(path: Path) -> Path:
        with zipfile.ZipFile(path, "w") as archive:
            info = zipfile.ZipInfo("results/a.jsonl")
            info.external_attr = (mode | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
        return path

    return build


def encrypted(path: Path) -> Path:
    make(path, ("a.jsonl", LINE))
    raw = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.index(mark) + offset
        raw[at : at + 2] = struct.pack("<H", struct.unpack("<H", raw[at : at + 2])[0] | 1)
    path.write_bytes(raw)
    return path


def bad_checksum(path: Path) -> Path:
    make(path, ("a.jsonl", LINE * 50))
    raw = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        at = raw.index(mark) + offset
        raw[at] ^= 0xFF
    path.write_bytes(raw)
    return path


def two_of_a_name(path: Path) -> Path:
    with pytest.warns(UserWarning, match="Duplicate name"):
        return make(path, ("a.jsonl", LINE), ("a.jsonl", LINE))


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "traversal": (lambda p: make(p, ("../a.jsonl", LINE)), "climbs"),
    "traversal inside": (lambda p: make(p, ("x/../../a.jsonl", LINE)), "climbs"),
    "dot": (lambda p: make(p, ("./a.jsonl", LINE)), "climbs"),
    "absolute": (lambda p: make(p, ("/etc/a.jsonl", LINE)), "absolute"),
    "drive": (lambda p: make(p, ("C:/a.jsonl", LINE)), "absolute"),
    "backslash": (lambda p: make(p, ("..\\a.jsonl", LINE)), "backslash"),
    "control character": (lambda p: make(p, ("a\n.jsonl", LINE)), "control"),
    "empty part": (lambda p: make(p, ("a//b.jsonl", LINE)), "climbs"),
    "long name": (lambda p: make(p, ("a" * 300 + ".jsonl", LINE)), "too long"),
    "symlink": (special(stat.S_IFLNK), "link"),
    "fifo": (special(stat.S_IFIFO), "special"),
    "device": (special(stat.S_IFCHR), "special"),
    "duplicate": (two_of_a_name, "two members"),
    "duplicate but for case": (lambda p: make(p, ("a.jsonl", LINE), ("A.jsonl", LINE)), "two members"),
    "file and folder": (lambda p: make(p, ("a.jsonl", LINE), ("a.jsonl/b.jsonl", LINE)), "file and a folder"),
    "encrypted": (encrypted, "encrypted"),
    "broken": (bad_checksum, "cannot"),
    "NUL": (lambda p: make(p, ("a.jsonl", b'{"custom_id":"\x00"}\n')), "NUL"),
    "invalid UTF-8": (lambda p: make(p, ("a.jsonl", b'{"custom_id":"\xff"}\n')), "UTF-8"),
    "cut UTF-8": (lambda p: make(p, ("a.jsonl", "ü".encode()[:1])), "UTF-8"),
    "10 MB line": (lambda p: make(p, ("a.jsonl", b'{"a":"' + b"x" * 10_000_000 + b'"}\n')), "line over"),
    "program": (lambda p: make(p, ("run.sh", b"#!/bin/sh\n")), "belong"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    build, reason = HOSTILE[name]
    path = build(tmp_path / "x.zip")
    for use in (checked_members, Replay):
        with pytest.raises(DataError) as caught:
            use(path)
        assert reason in caught.value.what or name == "broken"
    assert [each.name for each in tmp_path.iterdir()] == ["x.zip"]
    assert not (tmp_path.parent / "a.jsonl").exists()


def test_a_bomb_is_refused_by_what_it_unpacks_to_not_by_what_it_claims(tmp_path: Path) -> None:
    bomb = make(tmp_path / "x.zip", *((f"{n}.jsonl", (b"x" * 99 + b"\n") * 100_000) for n in range(4)))
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(DataError) as caught:
        checked_members(bomb, max_bytes=30_000_000)
    assert "over 30000000 bytes" in caught.value.what
    assert len(checked_members(bomb, max_bytes=50_000_000)) == 4


def test_one_member_that_no_text_compresses_like_is_refused(tmp_path: Path) -> None:
    bomb = make(tmp_path / "x.zip", ("a.jsonl", b"\n" * 60_000_000))
    with pytest.raises(DataError) as caught:
        checked_members(bomb)
    assert "unpacks to" in caught.value.what


def test_what_is_no_zip_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(b"PK\x03\x04 but no more")
    with pytest.raises(DataError):
        checked_members(path)


def test_a_character_across_two_pieces_is_fine(tmp_path: Path) -> None:
    text = ("x" * 1021 + "\n").encode() * 1025 + b"xy" + "é\U0001f600\n".encode() * 20
    for shift in range(6):
        path = make(tmp_path / f"{shift}.zip", ("a.jsonl", b"z" * shift + text))
        assert list(checked_members(path)) == ["a.jsonl"]


def test_one_folder_around_everything_is_taken_off(tmp_path: Path) -> None:
    path = make(tmp_path / "x.zip", ("tape/", b""), ("tape/metadata.json", b"{}"), ("tape/results/a.jsonl", LINE))
    assert sorted(checked_members(path)) == ["metadata.json", "results/a.jsonl"]
