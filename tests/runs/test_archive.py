"""An archive proves that nothing was lost, and nothing hostile in one gets out of its folder."""

from __future__ import annotations

import io
import random
import shutil
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import pytest
from tests.runs.rundir import SLUG, make_run, tree

from batchtrial.archive.restore import DIRECTORY, restore, verify
from batchtrial.archive.zip import COMMENT, MANIFEST, SEAL, ArchiveManifest, encode_manifest, member
from batchtrial.cli.commands.archive import main
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.commands.run import main as run
from batchtrial.errors import RunnerError, StateError
from batchtrial.state.entries import read
from batchtrial.state.files import RunState, load, save
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold
from batchtrial.state.store import Fingerprint, fingerprint

LEFT_BEHIND = {"run.lock", ".guard", ".ledger_lines", "archive_manifest.json"}


def archived(experiments: Path, run_id: str = "r1", *flags: str) -> Path:
    assert main(["--run_id", run_id, "--experiments_dir", str(experiments), *flags]) == 0
    return experiments / "archives" / f"run_{run_id}.zip"


def test_the_same_run_gives_the_same_bytes_and_comes_back_whole(tmp_path: Path) -> None:
    made = make_run(tmp_path / "a")
    first = archived(tmp_path / "a").read_bytes()
    (made.layout.root / "run.log").write_text("for people\n")
    (made.layout.root / ".stamps.json").write_text("{}")
    assert archived(tmp_path / "a").read_bytes() == first
    root, manifest = restore(tmp_path / "a/archives/run_r1.zip", tmp_path / "b")
    assert {k: v for k, v in tree(root).items() if k != MANIFEST} == {
        k: v for k, v in tree(made.layout.root).items() if k not in {*LEFT_BEHIND, "run.log", ".stamps.json"}
    }
    assert manifest.trials == {SLUG: {"report": f"{SLUG}/reports/report.md"}}
    assert manifest.is_complete
    assert manifest.spent_usd == "0.75"
    assert main(["--verify", str(root)]) == 0
    assert archived(tmp_path / "b").read_bytes() == first


def test_members_lie_in_an_archive_as_zipfile_writes_them(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    (made.layout.root / "notes.txt").write_bytes(b"a line of a file that is written in more than one piece\n" * 40_000)
    (made.layout.root / "empty.txt").touch()
    path, again = archived(tmp_path), io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(again, "w") as copy:
        for info in archive.infolist():
            with copy.open(member(info.filename), "w") as into:
                into.write(archive.read(info))
        copy.comment = archive.comment
    assert path.read_bytes() == again.getvalue()


def test_a_flipped_byte_anywhere_is_noticed_and_the_member_it_stands_in_is_named(tmp_path: Path) -> None:
    make_run(tmp_path)
    path = archived(tmp_path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        start_of_directory = archive.start_dir
    ends = [info.header_offset for info in infos[1:]] + [start_of_directory]
    dice = random.Random(11)
    for place in sorted(dice.sample(range(len(whole)), 500)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        _, faults = verify(path)
        assert faults, f"byte {place} of {len(whole)}"
        if place < start_of_directory:
            owner = next(info.filename for info, end in zip(infos, ends, strict=True) if place < end)
            named = {fault.member for fault in faults}
            assert owner in named or (owner == SEAL and DIRECTORY in named), f"byte {place} of {owner}"


class Counting(io.FileIO):
    """A file that knows how many bytes were read."""

    n_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self.n_read += len(data)
        return data


@dataclass(frozen=True)
class Metered:
    """An archive that is paid for by the byte, as one in a store is."""

    file: Counting
    size: int
    is_there: bool = True

    def opened(self) -> IO[bytes]:
        return cast(IO[bytes], self.file)


def test_verify_reads_an_archive_once(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    (made.layout.root / "large.bin").write_bytes(random.Random(3).randbytes(3_000_000))
    path = archived(tmp_path)
    file = Counting(path)
    assert verify(Metered(file, path.stat().st_size))[1] == ()
    assert file.n_read < 1.1 * path.stat().st_size


def test_verify_prints_the_damaged_member_and_restore_refuses_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "a")
    path = archived(tmp_path / "a")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("ledger.jsonl")
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len("ledger.jsonl") + info.compress_size // 2] ^= 4
    path.write_bytes(data)
    assert main(["--verify", str(path)]) == 1
    assert "ledger.jsonl" in capsys.readouterr().err
    with pytest.raises(StateError, match=r"ledger\.jsonl"):
        restore(path, tmp_path / "b")
    assert list((tmp_path / "b").iterdir()) == []


def test_a_flipped_bit_anywhere_in_the_directory_is_noticed_and_never_crashes(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    path = archived(tmp_path / "a")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    dice = random.Random(5)
    for place in range(start, len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        assert verify(path)[1], f"byte {place}"
    for place in range(len(whole) - 22 - len(COMMENT) - 64, len(whole)):  # where the directory says where it is
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            assert verify(path)[1], f"bit {bit} of byte {place}"


def test_a_cut_archive_is_refused_at_every_length(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    path = archived(tmp_path / "a")
    whole = path.read_bytes()
    for cut in random.Random(2).sample(range(len(whole)), 40):
        path.write_bytes(whole[:cut])
        assert verify(path)[1]
        with pytest.raises(StateError):
            restore(path, tmp_path / "b")


def test_paths_of_the_machine_and_keys_stay_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_run(tmp_path / "a", data=str(tmp_path / "secret place" / "facts.jsonl"))
    state = load(RunState, made.layout.run_state)
    assert state is not None
    failed = state.phases["report"].model_copy(update={"last_error": f"[Errno 28] No space left on device: '{tmp_path}/a/run_r1/x'"})
    save(made.layout.run_state, state.model_copy(update={"phases": {**state.phases, "report": failed}}))
    path = archived(tmp_path / "a")
    with zipfile.ZipFile(path) as archive:
        inside = b"".join(archive.read(name) for name in archive.namelist())
    assert str(tmp_path).encode() not in inside
    assert b"facts.jsonl" in inside
    root, manifest = restore(path, tmp_path / "b")
    assert verify(path)[1] == ()
    assert manifest.config_hash == load(RunState, root / "run_state.json").config_hash  # type: ignore[union-attr]
    for variable, key in {"FIREWORKS_API_KEY": "fw_0123456789abcdefghijklmnop", "UPSTREAM_API_KEY": "the-key-of-our-own-server"}.items():
        monkeypatch.setenv(variable, key)
        (made.layout.root / SLUG / "results" / "note.txt").write_text(f"oh dear: {key}")
        assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path / "a"), "--output", str(tmp_path / "x.zip")]) == 3
        assert not (tmp_path / "x.zip").exists()


def test_an_unfinished_run_is_archived_only_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path, n_settled=1)
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path)]) == 3
    assert "submit is still to do" in capsys.readouterr().err
    assert not (tmp_path / "archives").exists()
    path = archived(tmp_path, "r1", "--allow_incomplete")
    manifest, faults = verify(path)
    assert manifest is not None
    assert not manifest.is_complete
    assert faults == ()


def test_an_unfinished_dry_run_takes_its_provider_along_and_a_finished_one_does_not(tmp_path: Path) -> None:
    for run_id, n_settled in (("half", 1), ("done", None)):
        made = make_run(tmp_path, run_id, n_settled=n_settled, mode="dry_run")
        (made.layout.emulator / "blobs").mkdir(parents=True)
        for name in ("world.sqlite", "blobs/b1", "ready.json", "emulator.log", "lock"):
            (made.layout.emulator / name).write_text("x")
        with zipfile.ZipFile(archived(tmp_path, run_id, "--allow_incomplete")) as archive:
            world = {name for name in archive.namelist() if name.startswith("emulator/")}
        assert world == ({"emulator/world.sqlite", "emulator/blobs/b1"} if run_id == "half" else set())


@pytest.mark.parametrize("name", [f"{SLUG}/reports/report.md", f"{SLUG}/results/t0_treatment_p01/results.jsonl"])
def test_a_damaged_run_is_not_put_away_as_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    made = make_run(tmp_path)
    path = made.layout.root / name
    path.write_bytes(path.read_bytes() + b"x")
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path)]) == 3
    path.unlink()
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path)]) == 3
    assert f"nothing is archived: {name}" in capsys.readouterr().err
    assert not (tmp_path / "archives").exists()


def test_a_link_in_the_run_is_not_followed(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    (made.layout.root / "link.txt").symlink_to("/etc/hostname")
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path)]) == 3


def test_a_run_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    made = make_run(tmp_path)
    path = archived(tmp_path)
    before = tree(made.layout.root)
    assert main(["--restore", str(path), "--experiments_dir", str(tmp_path)]) == 3
    assert tree(made.layout.root) == before


def test_an_archive_of_another_run_of_the_same_name_is_not_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It may be all that is left of that run, whoever called it so."""
    first = make_run(tmp_path)
    path = archived(tmp_path)
    kept = path.read_bytes()
    shutil.rmtree(first.layout.root)
    make_run(tmp_path, nonce="11aa11aa11aa11aa")
    for flags in ((), ("--output", str(path))):
        assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path), *flags]) == 3
        assert "an archive of another run that is called r1 too" in capsys.readouterr().err
    assert path.read_bytes() == kept
    make_run(tmp_path, run_id="r2")
    (tmp_path / "notes.txt").write_text("my notes")
    for target, told in ((path, "is an archive of run r1"), (tmp_path / "notes.txt", "is something else than an archive")):
        before = target.read_bytes()
        assert main(["--run_id", "r2", "--experiments_dir", str(tmp_path), "--output", str(target)]) == 3
        assert told in capsys.readouterr().err
        assert target.read_bytes() == before
    other = tmp_path / "one more.zip"
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path), "--output", str(other)]) == 0
    assert f"--verify '{other}'" in capsys.readouterr().out
    other.write_bytes(other.read_bytes()[:-1])
    assert main(["--verify", str(other)]) == 1
    assert "1 fault; nothing else could be looked at" in capsys.readouterr().out


# Archives made to do harm


def hostile(
    path: Path, names: dict[str, bytes], *, listed: dict[str, Fingerprint] | None = None, edit: Callable[[zipfile.ZipInfo], None] | None = None
) -> Path:
    """An archive with a manifest of its own making; `edit` may change each member's record."""
    import hashlib

    prints = {name: Fingerprint(size=len(data), sha256=hashlib.sha256(data).hexdigest()) for name, data in names.items()}
    manifest = ArchiveManifest(run_id="evil", is_complete=True, mode="live", config_hash="x", files=listed if listed is not None else prints)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member(MANIFEST), encode_manifest(manifest))
        for name, data in names.items():
            info = member(name)
            if edit is not None:
                edit(info)
            archive.writestr(info, data)
        archive.comment = COMMENT + b"0" * 64
    return path


@pytest.mark.parametrize(
    "name", ["../out.txt", "a/../../out.txt", "/tmp/out.txt", "C:out.txt", "a\\..\\..\\out.txt", "a//b", "./a", "a/.", "a\nb", "x" * 2000, ""]
)
def test_names_that_lead_elsewhere_are_refused(tmp_path: Path, name: str) -> None:
    path = hostile(tmp_path / "x.zip", {name: b"x", "good.txt": b"y"})
    with pytest.raises(RunnerError):
        restore(path, tmp_path / "b" / "c")
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == ["x.zip"]


def test_links_are_refused(tmp_path: Path) -> None:
    def as_link(info: zipfile.ZipInfo) -> None:
        info.external_attr = (stat.S_IFLNK | 0o777) << 16

    with pytest.raises(StateError, match="link"):
        restore(hostile(tmp_path / "x.zip", {"a": b"/etc/passwd"}, edit=as_link), tmp_path / "b")


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.zip", {"aaaa": b"1", "aaab": b"2"})
    path.write_bytes(path.read_bytes().replace(b"aaab", b"aaaa"))
    with pytest.raises(StateError, match="twice"):
        restore(path, tmp_path / "b")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    big = b"\0" * (300 * 2**20)
    path = hostile(tmp_path / "x.zip", {"zeros": big})
    with pytest.raises(StateError, match="times its own size"):
        restore(path, tmp_path / "b")
    small = hostile(tmp_path / "y.zip", {"zeros": b"\0" * 10_000})
    with pytest.raises(StateError, match="the disk has 99"):
        restore(small, tmp_path / "b", free_bytes=lambda folder: 99)


def test_a_member_that_is_larger_than_it_says_is_cut_off(tmp_path: Path) -> None:
    listed = {"a": Fingerprint(size=1, sha256="0" * 64)}
    path = hostile(tmp_path / "x.zip", {"a": b"xx"}, listed=listed)
    with pytest.raises(StateError, match="a: it has 2 bytes, not 1"):
        restore(path, tmp_path / "b")


def test_members_that_nobody_listed_are_refused(tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.zip", {"a": b"x"}, listed={})
    with pytest.raises(StateError, match="not in its manifest"):
        restore(path, tmp_path / "b")


def test_the_run_id_in_an_archive_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    manifest = ArchiveManifest(run_id="../../x", is_complete=True, mode="live", config_hash="x", files={})
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(member(MANIFEST), encode_manifest(manifest))
        archive.comment = COMMENT + b"0" * 64
    with pytest.raises(RunnerError, match="not usable as a folder name"):
        restore(tmp_path / "x.zip", tmp_path / "b")


@pytest.mark.parametrize("data", [b"", b"PK", b"not a zip", b"[]", b'{"schema_version": 1}', b"[" * 100_000])
def test_what_is_no_archive_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    plain = tmp_path / "x.zip"
    plain.write_bytes(data)
    assert verify(plain)[1]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member(MANIFEST), data)
        archive.comment = COMMENT + b"0" * 64
    plain.write_bytes(buffer.getvalue())
    assert [fault.member for fault in verify(plain)[1]] == [MANIFEST]
    with pytest.raises(StateError, match=f"not as it was written: {MANIFEST}: ") as told:
        restore(plain, tmp_path / "b")
    assert told.value.where == str(plain)


def test_the_description_of_somebody_s_archive_moves_no_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path)
    archived(tmp_path, "r1", "--description", "\x1b[2J\x1b]0;mine\x07 of autumn")
    assert main(["--list", str(tmp_path / "archives")]) == 0
    told = capsys.readouterr().out
    assert "]0;mine" in told
    assert "\x1b" not in told


# A real run


CONFIG = Path(__file__).parents[2] / "config" / "eval_config.yaml"


def started(experiments: Path, *flags: str) -> int:
    sizes = ("--limit_items", "24", "--lines_per_part", "8", "--max_concurrent_jobs", "2")
    return run(["--config", str(CONFIG), "--dry_run", "--run_id", "r1", "--experiments_dir", str(experiments), *sizes, *flags])


def artifacts(experiments: Path) -> dict[str, str]:
    layout = RunLayout(experiments / "run_r1")
    return {path.relative_to(layout.root).as_posix(): fingerprint(path).sha256 for path in layout.artifacts()}


@pytest.mark.slow
def test_a_half_finished_run_is_archived_wiped_restored_and_ends_like_one_that_never_moved(tmp_path: Path) -> None:
    assert started(tmp_path / "whole") == 0
    assert started(tmp_path / "a", "--to_step", "submit") == 0
    path = archived(tmp_path / "a", "r1", "--allow_incomplete")
    shutil.rmtree(tmp_path / "a" / "run_r1")
    assert main(["--verify", str(path)]) == 0
    assert main(["--restore", str(path), "--experiments_dir", str(tmp_path / "b")]) == 0
    assert main(["--verify", str(tmp_path / "b" / "run_r1")]) == 0
    assert resume(["--run_id", "r1", "--experiments_dir", str(tmp_path / "b")]) == 0
    assert artifacts(tmp_path / "b") == artifacts(tmp_path / "whole")
    parts = fold(read(tmp_path / "b" / "run_r1" / "ledger.jsonl").entries)
    assert {len(part.attempts) for part in parts.values()} == {1}
    with sqlite3.connect(tmp_path / "b" / "run_r1" / "emulator" / "world.sqlite") as world:
        paid, distinct = world.execute("SELECT count(*), count(DISTINCT identity) FROM paid").fetchone()
    assert (paid, distinct) == (48, 48)


def test_a_run_that_was_killed_before_its_config_was_written_down_is_archived_from_the_copy_that_its_ledger_carries(tmp_path: Path) -> None:
    assert started(tmp_path / "a", "--to_step", "build") == 0
    (tmp_path / "a" / "run_r1" / "effective_config.yaml").unlink()
    path = archived(tmp_path / "a", "r1", "--allow_incomplete")
    assert main(["--verify", str(path)]) == 0
    assert main(["--restore", str(path), "--experiments_dir", str(tmp_path / "b")]) == 0
    assert artifacts(tmp_path / "b") == artifacts(tmp_path / "a")
    assert resume(["--run_id", "r1", "--experiments_dir", str(tmp_path / "b"), "--to_step", "submit"]) == 0


@pytest.mark.slow
def test_a_finished_run_is_archived_wiped_restored_and_resumed_without_a_provider(tmp_path: Path) -> None:
    assert started(tmp_path / "a") == 0
    want = artifacts(tmp_path / "a")
    path = archived(tmp_path / "a")
    whole = path.read_bytes()
    shutil.rmtree(tmp_path / "a" / "run_r1")
    assert main(["--restore", str(path), "--experiments_dir", str(tmp_path / "a")]) == 0
    assert resume(["--run_id", "r1", "--experiments_dir", str(tmp_path / "a")]) == 0
    assert not (tmp_path / "a" / "run_r1" / "emulator").exists()
    assert artifacts(tmp_path / "a") == want
    assert main(["--verify", str(tmp_path / "a" / "run_r1")]) == 0
    assert archived(tmp_path / "a").read_bytes() == whole


@pytest.mark.slow
def test_a_run_can_be_archived_as_soon_as_it_is_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert started(tmp_path, "--to_step", "build", "--archive") == 3  # not finished, so not archived
    assert "submit is still to do" in capsys.readouterr().err
    assert run(["--resume", "--run_id", "r1", "--experiments_dir", str(tmp_path), "--archive"]) == 0
    assert main(["--verify", str(tmp_path / "archives" / "run_r1.zip")]) == 0


# Members that no archive of a run has


@pytest.mark.parametrize(
    "name",
    [
        "run.lock",
        ".guard",
        "STOP_REQUESTED",
        "STOP_NOW",
        ".stamps.json",
        ".ledger_lines",
        "run.log",
        "trial/.hidden",
        "a.json.part~",
        "run_state.json.corrupt.20260101T000000",
        "emulator/ready.json",
        "emulator/emulator.log",
        "x" * 300,
        "t/" + "x" * 254,
        "\u00e9" * 130,
    ],
)
def test_verify_and_restore_agree_on_members_that_no_archive_can_have(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = hostile(tmp_path / "x.zip", {name: b"x", "good.txt": b"y"})
    _, faults = verify(path)
    assert any(fault.member == name for fault in faults)
    with pytest.raises(StateError, match="not as it was written"):
        restore(path, tmp_path / "b")
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("pair", [("aa", "aa/b"), ("aa/b", "aa/b/c/d")])
def test_a_file_that_is_a_folder_as_well_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    path = hostile(tmp_path / "x.zip", dict.fromkeys(pair, b"x"))
    _, faults = verify(path)
    assert [fault.member for fault in faults] == [pair[0]]
    with pytest.raises(StateError):
        restore(path, tmp_path / "b")
