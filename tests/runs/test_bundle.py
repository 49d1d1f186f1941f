"""A bundle says how to cite the run, and whoever has it finds every change with nothing but Python."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.runs.rundir import make_run

from batchtrial.archive.bundle import About, citation, datacite
from batchtrial.archive.check_bundle import main as check
from batchtrial.archive.restore import verify
from batchtrial.cli.commands.archive import main
from batchtrial.phases.batches.frozen_plan import Change
from batchtrial.reading.declared_plan import declared_plan
from batchtrial.state.layout import RunLayout

WORDS = ("--creator", "Curie, Marie", "--creator", "Some Lab", "--license", "CC-BY-4.0", "--title", "A trial: of 'prompts'")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_run(tmp_path)
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path), "--bundle", str(tmp_path / "paper"), *WORDS]) == 0
    return tmp_path / "paper"


def test_it_is_checked_by_a_bare_python_and_the_archive_in_it_is_one_like_any_other(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-I", "-S", folder / "verify.py"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "run r1: every file is as it was archived" in done.stdout
    assert verify(folder / "run_r1.zip")[1] == ()


def test_it_says_who_what_under_which_licence_and_with_which_versions(folder: Path) -> None:
    facts = json.loads((folder / "bundle.json").read_bytes())
    cff = yaml.safe_load((folder / "CITATION.cff").read_text(encoding="utf-8"))
    metadata = json.loads((folder / "datacite.json").read_bytes())
    assert cff["title"] == metadata["titles"][0]["title"] == "A trial: of 'prompts'"
    assert cff["authors"] == [{"family-names": "Curie", "given-names": "Marie"}, {"name": "Some Lab"}]
    assert cff["license"] == metadata["rightsList"][0]["rightsIdentifier"] == facts["license"] == "CC-BY-4.0"
    assert {"batchtrial", "polars", "numpy"} <= facts["environment"]["packages"].keys()
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "python verify.py" in text
    assert str(folder.parent) not in text + (folder / "bundle.json").read_text(encoding="utf-8")


def test_a_citation_says_that_the_plan_was_changed_after_a_result(folder: Path) -> None:
    told, about = "It was changed after the first result had arrived.", About(creators=("Some Lab",), licence="CC-BY-4.0", title="A trial")
    manifest, _ = verify(folder / "run_r1.zip")
    assert manifest is not None
    plan = declared_plan(RunLayout(folder.parent / "run_r1"))
    for is_late in (True, False):
        changed = replace(plan, changes=(Change(key="limit_items", declared=4, done=8, at=None, is_late=is_late),))
        assert (told in citation(manifest, changed, about)["abstract"]) == is_late
        assert (told in json.dumps(datacite(manifest, changed, about, 1))) == is_late


@pytest.mark.parametrize(("is_default", "told"), [(True, "default plan"), (False, "plan was declared before the first result")])
def test_a_citation_says_whether_anybody_wrote_the_plan(folder: Path, is_default: bool, told: str) -> None:
    manifest, _ = verify(folder / "run_r1.zip")
    assert manifest is not None
    plan = replace(declared_plan(RunLayout(folder.parent / "run_r1")), hash="0" * 64, is_default=is_default)
    about = About(creators=("Some Lab",), licence="CC-BY-4.0", title="A trial")
    for text in (citation(manifest, plan, about)["abstract"], json.dumps(datacite(manifest, plan, about, 1))):
        assert told in text
        assert ("declared" in text) != is_default


@pytest.mark.parametrize("name", ["README.md", "CITATION.cff", "datacite.json", "bundle.json", "run_r1.zip", "verify.py"])
def test_a_changed_or_lost_file_is_named(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    assert check([str(folder)]) == 1
    (folder / name).unlink()
    assert check([str(folder)]) == 1
    told = capsys.readouterr().err
    assert name in told


def test_sums_that_leave_a_file_out_are_damage_and_what_lies_beside_is_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "notes.txt").write_text("mine\n")
    assert check([str(folder)]) == 0
    assert "not of the bundle, and not checked: notes.txt" in capsys.readouterr().out
    lines = (folder / "SHA256SUMS").read_text().splitlines(keepends=True)
    for line in lines:
        (folder / "SHA256SUMS").write_text("".join(one for one in lines if one != line))
        assert check([str(folder)]) == 1
        assert f"{line[66:-1]} is not in SHA256SUMS" in capsys.readouterr().err


def test_names_in_a_bundle_give_a_terminal_no_orders(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (folder / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  \x1b[2J\u202egone\n")
    assert check([str(folder)]) == 1
    assert "damaged: <U+001B>[2J<U+202E>gone is gone\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["archive_manifest.json", "ledger.jsonl"])
def test_a_bomb_in_the_archive_is_damage_and_is_not_unpacked(folder: Path, name: str) -> None:
    facts = json.loads((folder / "bundle.json").read_bytes())
    (folder / "bundle.json").write_text(json.dumps({**facts, "plan_hash": "0" * 64, "plan_origin": "frozen"}))  # so that the ledger is read
    path = folder / "run_r1.zip"
    with zipfile.ZipFile(path) as archive:
        members = {one.filename: archive.read(one) for one in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for one, data in members.items():
            with archive.open(one, "w", force_zip64=True) as file:
                for _ in range(256 if one == name else 0):
                    file.write(b" " * 2**20)
                file.write(data)
    room = 256 * 2**20
    done = subprocess.run(
        [sys.executable, "-I", "-S", folder / "verify.py"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room)),
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "damaged: " in done.stderr


def test_another_plan_or_config_than_the_archive_has_is_found(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = json.loads((folder / "bundle.json").read_bytes())
    (folder / "bundle.json").write_text(json.dumps({**facts, "plan_hash": "0" * 64, "plan_origin": "frozen", "config_hash": "1" * 64}))
    assert check([str(folder)]) == 1
    told = capsys.readouterr().err
    assert "has the plan 000" in told
    assert "is not the config" in told


def test_a_flipped_byte_anywhere_in_the_archive_is_damage_and_never_a_traceback(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "run_r1.zip"
    whole = path.read_bytes()
    dice = random.Random(3)
    for place in dice.sample(range(len(whole)), 200):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << dice.randrange(8)]) + whole[place + 1 :])
        assert check([str(folder)]) == 1, place
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--license", "MIT"), "--creator"), (("--creator", "A"), "--license"), (("--creator", "A", "--license", "a licence"), "SPDX")],
)
def test_what_cannot_be_cited_is_refused(tmp_path: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path)
    assert main(["--run_id", "r1", "--experiments_dir", str(tmp_path), "--bundle", str(tmp_path / "paper"), *words]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "paper").exists()


def test_a_folder_with_something_else_is_left_alone_and_a_bundle_is_written_anew(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiments = folder.parent
    before = (folder / "run_r1.zip").read_bytes()
    assert main(["--run_id", "r1", "--experiments_dir", str(experiments), "--bundle", str(folder), *WORDS]) == 0
    assert (folder / "run_r1.zip").read_bytes() == before
    assert main(["--run_id", "r1", "--experiments_dir", str(experiments), "--bundle", str(experiments), *WORDS]) == 3
    assert "something else" in capsys.readouterr().err


def test_what_a_killed_process_left_of_a_bundle_is_gone_on_from_and_a_bundle_of_another_run_is_left_alone(folder: Path) -> None:
    experiments = folder.parent
    words = ("--experiments_dir", str(experiments), "--bundle", str(folder), *WORDS)
    for path in folder.iterdir():
        if path.name != "run_r1.zip":
            path.unlink()
    (folder / ".bundle.json.part~").write_text("{")
    assert main(["--run_id", "r1", *words]) == 0
    assert check([str(folder)]) == 0
    make_run(experiments, run_id="r2")
    assert main(["--run_id", "r2", *words]) == 3
    assert check([str(folder)]) == 0
    assert not (folder / "run_r2.zip").exists()


def test_an_archive_takes_the_place_of_none_but_an_older_one_of_its_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path)
    make_run(tmp_path, run_id="r2")
    target = tmp_path / "it.zip"
    words = ("--experiments_dir", str(tmp_path), "--output", str(target))
    assert [main(["--run_id", name, *words]) for name in ("r1", "r1", "r2")] == [0, 0, 3]
    assert "it.zip is an archive of run r1" in capsys.readouterr().err
    target.write_text("a thesis")
    assert main(["--run_id", "r1", *words]) == 3
    assert target.read_text() == "a thesis"
