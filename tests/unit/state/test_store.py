"""Durable files: the old bytes or the new ones, never a mixture; one writer, whoever dies and whenever."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.app.run_log import logged
from batchtrial.earlier import files as upgrade
from batchtrial.errors import ManifestCorrupt, RunLocked, StateError
from batchtrial.reading import compare as contrast
from batchtrial.run import snapshots
from batchtrial.state import form
from batchtrial.state.entries import Entry, encode
from batchtrial.state.files import RunState, load
from batchtrial.state.lock import LockInfo, RunLock, is_alive, read_lock
from batchtrial.state.store import TEMP_SUFFIX, Stamps, decode_json, encode_json, fingerprint, replacing, write_bytes

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def clock() -> datetime:
    return NOW


class Died(BaseException):
    """As good as a SIGKILL: no `except Exception` sees it."""


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_bytes(path, b"one")
    write_bytes(path, b"two")
    assert path.read_bytes() == b"two"
    assert [one.name for one in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("point", ["before", "written", "after"])
@pytest.mark.parametrize("death", [Died, OSError])
def test_at_any_moment_of_a_write_the_file_is_old_or_new(tmp_path: Path, point: str, death: type[BaseException]) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def hook(where: str) -> None:
        if where == f"write:a.json:{point}":
            raise death(28, "No space left on device")

    with pytest.raises(death):
        write_bytes(path, b"new", hook=hook)
    assert path.read_bytes() == (b"new" if point == "after" else b"old")
    left = [one.name for one in tmp_path.iterdir() if one.name.endswith(TEMP_SUFFIX)]
    assert left == ([".a.json.part~"] if death is Died and point == "written" else [])


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_error_while_writing_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half of the n")
            raise error

    with pytest.raises(error):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [5, 28, 122])
def test_a_disk_that_does_not_confirm_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"old")

    def failing(fd: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match=os.strerror(number)):
            write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_has_no_numbers_that_are_none() -> None:
    assert encode_json({"é": [1, None]}) == '{\n  "é": [\n    1,\n    null\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_json({"risk": float("inf")})


def test_what_no_file_can_hold_is_written_as_a_question_mark_and_read_back() -> None:
    """The message of an error may quote it from somebody's file."""
    text = "row 3: the kind 'op\ud800n'"
    assert json.loads(encode_json({"last_error": text})) == {"last_error": "row 3: the kind 'op?n'"}
    line = encode(Entry.of(seq=1, at=NOW, event="lost", reason=text))
    assert json.loads(line)["reason"] == "row 3: the kind 'op?n'"


TEXTS = st.text(st.characters(codec="utf-8"))
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)


@given(st.recursive(LEAVES, lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)), max_leaves=20))
def test_json_is_indented_as_by_the_standard_library(value: object) -> None:
    assert encode_json(value) == json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "a.txt").write_text("one")
    return tmp_path / "run"


def test_stamps_remember_and_notice(run: Path) -> None:
    stamps = Stamps(run, run / ".stamps.json")
    first = stamps.of(run / "a.txt")
    assert first == fingerprint(run / "a.txt")
    stamps.save()
    again = Stamps(run, run / ".stamps.json")
    assert again.of(run / "a.txt") == first
    (run / "a.txt").write_text("two")
    os.utime(run / "a.txt", ns=(1, 1))
    changed = again.of(run / "a.txt")
    assert changed is not None
    assert changed != first
    assert again.of(run / "gone.txt") is None
    assert again.of(run / "a.txt" / "below") is None


def test_a_file_that_keeps_size_and_time_is_not_read_again(run: Path) -> None:
    stamps = Stamps(run, run / ".stamps.json")
    before, stat = stamps.of(run / "a.txt"), (run / "a.txt").stat()
    (run / "a.txt").write_text("two")
    os.utime(run / "a.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert stamps.of(run / "a.txt") == before, "the price of recognising a finished run without reading it"


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"a.txt": [1]}', b"\xff\xfe"])
def test_a_damaged_cache_is_an_empty_one(run: Path, damage: bytes) -> None:
    (run / ".stamps.json").write_bytes(damage)
    assert Stamps(run, run / ".stamps.json").of(run / "a.txt") == fingerprint(run / "a.txt")


def test_files_outside_the_run_are_known_too(run: Path, tmp_path: Path) -> None:
    (tmp_path / "questions.jsonl").write_text("{}\n")
    stamps = Stamps(run, run / ".stamps.json")
    assert stamps.of(tmp_path / "questions.jsonl") == fingerprint(tmp_path / "questions.jsonl")


def test_stamps_are_written_only_when_something_is_new(run: Path) -> None:
    stamps = Stamps(run, run / ".stamps.json")
    stamps.learn(run / "a.txt", fingerprint(run / "a.txt"))
    stamps.save()
    (run / ".stamps.json").unlink()
    stamps.save()
    assert not (run / ".stamps.json").exists()


# The lock


HOLDER = """
import sys, time
from datetime import datetime, timezone
from pathlib import Path
from batchtrial.state.lock import RunLock
root = Path(sys.argv[1])
lock = RunLock(root / ".guard", root / "run.lock")
lock.acquire(lambda: datetime.now(timezone.utc))
print("held", flush=True)
if sys.stdin.readline().strip() == "release":
    lock.release(lambda: datetime.now(timezone.utc))
"""


class Holder:
    """Another process that holds the lock."""

    def __init__(self, root: Path) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", HOLDER, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self, word: str = "release") -> None:
        self.process.communicate(word + "\n")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    found = Holder(tmp_path)
    yield found
    if found.process.poll() is None:
        found.kill()


def lock_of(root: Path) -> RunLock:
    return RunLock(root / ".guard", root / "run.lock")


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path, holder: Holder) -> None:
    with pytest.raises(RunLocked) as caught:
        lock_of(tmp_path).acquire(clock)
    assert f"process {holder.process.pid} on " in caught.value.what
    assert caught.value.exit_code == 5
    assert "stop" in caught.value.hint


def test_a_lock_left_in_order_is_free_and_nobody_is_taken_over(tmp_path: Path, holder: Holder) -> None:
    holder.end()
    lock = lock_of(tmp_path)
    lock.acquire(clock)
    assert lock.previous is None
    lock.release(clock)
    info = read_lock(tmp_path / "run.lock")
    assert info is not None
    assert (info.pid, info.released_at) == (os.getpid(), NOW)


def test_the_lock_of_a_dead_process_is_taken_over_and_said(tmp_path: Path, holder: Holder) -> None:
    holder.kill()
    lock = lock_of(tmp_path)
    lock.acquire(clock)
    assert lock.previous is not None
    assert lock.previous.pid == holder.process.pid
    lock.release(clock)


def test_the_refused_process_never_blames_an_owner_that_is_gone(tmp_path: Path, holder: Holder) -> None:
    """Between taking the lock and writing one's name there is a moment in which the file still names the owner before."""
    mine = (tmp_path / "run.lock").read_bytes()
    gone = LockInfo(pid=2**22 + 1, host=os.uname().nodename, started_at=NOW)
    (tmp_path / "run.lock").write_text(gone.model_dump_json())
    looks: list[float] = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            (tmp_path / "run.lock").write_bytes(mine)

    with pytest.raises(RunLocked) as caught:
        lock_of(tmp_path).acquire(clock, wait)
    assert f"process {holder.process.pid} on " in caught.value.what
    assert len(looks) == 3


def test_a_lock_whose_owner_never_says_its_name_is_a_lock_all_the_same(tmp_path: Path, holder: Holder) -> None:
    (tmp_path / "run.lock").write_bytes(b"torn")
    waited: list[float] = []
    with pytest.raises(RunLocked, match="another process"):
        lock_of(tmp_path).acquire(clock, waited.append)
    assert sum(waited) <= 5.0


def test_an_owner_on_another_host_is_believed_to_live() -> None:
    here = LockInfo(pid=os.getpid(), host=os.uname().nodename, started_at=datetime.now(UTC))
    assert is_alive(here) is True
    assert is_alive(here.model_copy(update={"released_at": NOW})) is False
    assert is_alive(here.model_copy(update={"pid": 2**22 + 1})) is False
    assert is_alive(here.model_copy(update={"pid": 2**22 + 1, "host": "elsewhere"})) is None


def test_a_full_disk_keeps_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(fd: int) -> None:
        raise OSError(28, "No space left on device")

    lock = lock_of(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        with pytest.raises(OSError, match="No space"):
            lock.acquire(clock)
    lock.acquire(clock)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", failing)
        lock.release(clock)
    again = lock_of(tmp_path)
    again.acquire(clock)
    assert again.previous is not None, "it could not say that it left in order, so it counts as dead"
    again.release(clock)


def test_a_lock_file_holds_what_a_person_wants_to_know(tmp_path: Path, holder: Holder) -> None:
    told = json.loads((tmp_path / "run.lock").read_text())
    assert set(told) == {"pid", "host", "started_at"}
    assert told["pid"] == holder.process.pid


def test_an_error_that_quotes_half_of_a_character_can_be_shown_and_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What pytest keeps of a log goes from worker to master as UTF-8. It listens at the root, and at loggers that an earlier test cut off from it.
    monkeypatch.setattr(logging.getLogger("batchtrial"), "propagate", False)
    monkeypatch.setattr(logging.getLogger("batchtrial"), "handlers", [])
    error = StateError("the columns are op\ud800n", where="caf\u00e9\udcff.tsv", hint="name them")
    assert str(error) == "the columns are op\\ud800n\n  at   caf\u00e9\\udcff.tsv\n  hint name them"
    with logged(tmp_path / "run.log"):
        logging.getLogger("batchtrial.test").error("met %s", "op\ud800n")
    assert "met op\\ud800n" in (tmp_path / "run.log").read_text(encoding="utf-8")
    assert "Traceback" not in capsys.readouterr().err


DEEP = b"[" * 100_000


def test_nesting_that_no_file_of_ours_has_is_damage_wherever_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run_state.json"
    path.write_bytes(DEEP)
    with pytest.raises(ValueError, match="nested too deeply"):
        decode_json(DEEP)
    with pytest.raises(ManifestCorrupt, match="nested too deeply"):
        load(RunState, path)
    with pytest.raises(StateError, match="nested too deeply"):
        contrast._json(path)
    assert snapshots._server(path) is None
    assert form.read_json(path) is None
    assert list(upgrade.json_lines(path)) == []
