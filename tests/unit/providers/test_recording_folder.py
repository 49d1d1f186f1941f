"""A recording in a folder is as little trusted as one in a ZIP: nothing outside of it is read, and nothing in it can hang or climb."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchtrial.errors import DataError, RunStateMissing, StateError
from batchtrial.providers.recordings.form import Folder, key_of, load_batches, load_metadata, source_of

SECRET = "a line of somebody's private file\n"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "private").mkdir()
    path = tmp_path / "private" / "key.jsonl"
    path.write_text(SECRET)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "recording"
    (root / "results").mkdir(parents=True)
    (root / "batches").mkdir()
    (root / "metadata.json").write_text(json.dumps({"provider": "openai"}))
    return root


PLANTS: dict[str, Callable[[Path, Path], None]] = {
    "link to a file": lambda path, outside: path.symlink_to(outside),
    "relative link": lambda path, outside: path.symlink_to(os.path.relpath(outside, path.parent)),
    "link to nowhere": lambda path, outside: path.symlink_to(outside.with_name("not there")),
    "link to a device": lambda path, outside: path.symlink_to("/dev/zero"),
    "pipe": lambda path, outside: os.mkfifo(path),
    "folder": lambda path, outside: path.mkdir(),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_what_is_no_file_of_the_recording_is_refused(folder: Path, outside: Path, plant: str) -> None:
    PLANTS[plant](folder / "results" / "p.a1.jsonl", outside)
    for use in (Folder(folder).read, lambda name: list(Folder(folder).lines(name))):
        with pytest.raises(DataError):
            use("results/p.a1.jsonl")


def test_a_folder_that_is_a_link_out_is_refused(folder: Path, outside: Path) -> None:
    (folder / "results").rmdir()
    (folder / "results").symlink_to(outside.parent)
    with pytest.raises(DataError):
        list(Folder(folder).lines("results/key.jsonl"))


def test_a_recording_that_is_itself_reached_by_a_link_is_read(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(folder)
    assert load_metadata(source_of(tmp_path / "latest")).provider == "openai"


@pytest.mark.parametrize("part", ["../../private/key", "/etc/passwd", "..", ".hidden", "a/b", "c:\\x", "nul\x00"])
def test_a_part_that_is_named_like_a_path_is_a_plain_name(part: str) -> None:
    assert Path(key_of(part, 1)).name == key_of(part, 1)
    assert not key_of(part, 1).startswith(".")


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\x00", b"[]", b"{", b'{"provider": 5}', b'{"provider": "openai", "run": "me"}'])
def test_metadata_that_is_none_is_refused(folder: Path, text: bytes) -> None:
    (folder / "metadata.json").write_bytes(text)
    with pytest.raises(StateError):
        load_metadata(Folder(folder))


def test_a_batch_with_fields_that_nobody_knows_is_refused(folder: Path) -> None:
    (folder / "batches" / "p.a1.json").write_text(json.dumps({"part": "p", "attempt": 1, "run": "me"}))
    with pytest.raises(StateError):
        load_batches(Folder(folder))


def test_a_file_that_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(RunStateMissing, match="requests/p"):
        Folder(folder).read("requests/p.a1.jsonl")
