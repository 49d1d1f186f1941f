"""`label` on a terminal: blind, resumable, undone, and labels in and out as files."""

from __future__ import annotations

import csv
import io
import json
import re
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.phases.world import World
from tests.unit.reading.trials import finished

from batchtrial.cli.commands.label import main
from batchtrial.reading.labels import Labels


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with finished(tmp_path, run_id="run_r1", n_open=4, n_closed=8) as made:
        yield made


def label(world: World, *how: str) -> int:
    return main(["--run_id", "r1", "--experiments_dir", str(world.layout.root.parent), *how])


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_labels_are_blind_resumed_and_taken_back(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    typed(monkeypatch, "1\n2\nwhat\n3\nu\n4\nq\n")
    assert label(world, "--who", "ana", "--n", "5") == 0
    shown = capsys.readouterr().out
    assert "control" not in shown
    assert "treatment" not in shown
    held = Labels.of(world.layout.labels).held
    assert [one.verdict for one in held][2:] == ["both_bad"]
    for one in held[:2]:
        first = one is held[0]
        assert one.verdict == ("better" if (one.order == "treatment_first") == first else "worse")
    typed(monkeypatch, "3\n" * 50)
    assert label(world, "--who", "ana", "--n", "5") == 0
    assert "all 6 are labelled" in capsys.readouterr().out
    assert len(Labels.of(world.layout.labels).held) == 6
    assert sum(one.is_repeat for one in Labels.of(world.layout.labels).held) == 1
    typed(monkeypatch, "")
    assert label(world, "--who", "ben") == 0
    assert label(world) == 2
    assert label(world, "--who", "ana", "--trial", "nothing") == 2


def test_labels_leave_and_come_as_files(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for who, keys in (("ana", "1\n2\n1\n2\n3\n"), ("=ben", "1\n1\n1\n1\n1\n")):
        typed(monkeypatch, keys)
        assert label(world, "--who", who, "--n", "5") == 0
    lines, table, pairs = tmp_path / "l.jsonl", tmp_path / "l.csv", tmp_path / "l.preferences.jsonl"
    for path in (lines, table, pairs):
        assert label(world, "--export", str(path)) == 0
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(rows) == 10
    with table.open(newline="") as file:
        assert {row["who"] for row in csv.DictReader(file)} == {"ana", "'=ben"}
    before, (soft, hard) = lines.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        assert label(world, "--export", str(lines)) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert lines.read_bytes() == before
    preferred = [json.loads(line) for line in pairs.read_text().splitlines()]
    assert len(preferred) == 9
    assert all(set(one) == {"prompt", "chosen", "rejected"} for one in preferred)
    capsys.readouterr()
    assert label(world, "--agreement") == 0
    assert re.search(r"=ben, ana: \d+ % of 5 alike \(\d+ % by chance\), ", capsys.readouterr().out)
    agreement = Labels.of(world.layout.labels).agreement(world.trial.slug, 1)["=ben, ana"]
    if agreement.kappa.value is not None and agreement.observed is not None and agreement.by_chance is not None:
        assert agreement.kappa.value == pytest.approx((agreement.observed - agreement.by_chance) / (1 - agreement.by_chance))
    world.layout.labels.unlink()
    for told in ("10 labels taken in, 0 were there", "0 labels taken in, 10 were there"):
        assert label(world, "--import", str(lines)) == 0
        assert told in capsys.readouterr().out
    size = world.layout.labels.stat().st_size
    undo = {"id": "u", "who": rows[0]["who"], "undo": rows[0]["id"]}
    lines.write_text("".join(json.dumps(one) + "\n" for one in (*rows, undo, undo)))
    for told in ("1 labels taken in, 11 were there", "0 labels taken in, 12 were there"):  # what was taken back is there too
        assert label(world, "--import", str(lines)) == 0
        assert told in capsys.readouterr().out
    assert world.layout.labels.stat().st_size < size + 100
    assert len(Labels.of(world.layout.labels).held) == 9
    lines.write_text('{"id": "x"}\nno\n')
    assert label(world, "--import", str(lines)) in (2, 3)
    assert label(world, "--import", str(tmp_path / "none.jsonl")) == 2
    for name in ("trial", "item_key"):
        lines.write_text("".join(json.dumps(one) + "\n" for one in (rows[1] | {"id": "n"}, rows[0] | {"id": "m", name: "elsewhere"})))
        assert label(world, "--import", str(lines)) == 2
        assert f"the run has no {name.removesuffix('_key')} 'elsewhere'" in capsys.readouterr().err
    assert len(Labels.of(world.layout.labels).held) == 9
    lines.write_text(json.dumps(rows[0] | {"id": "m", "about": "0123456789abcdef"}) + "\n")
    assert label(world, "--import", str(lines)) == 2
    assert "the label is about other answers than the run has" in capsys.readouterr().err
    assert len(Labels.of(world.layout.labels).held) == 9


def test_items_whose_answers_have_changed_are_asked_about_again(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "1\n" * 50)
    assert label(world, "--who", "ana", "--n", "5") == 0
    given = world.layout.labels.read_text()
    assert len(re.findall(r'"about":"[0-9a-f]{16}"', given)) == 6
    world.layout.labels.write_text(re.sub(r'"about":"[0-9a-f]{16}"', '"about":"0123456789abcdef"', given))
    out = world.layout.root.parent / "x.preferences.jsonl"
    assert label(world, "--export", str(out)) == 0
    assert out.read_text() == "", "nobody preferred one of these answers"
    capsys.readouterr()
    typed(monkeypatch, "2\n" * 50)
    assert label(world, "--who", "ana", "--n", "5") == 0
    assert "--- 0 of 6 labelled ---" in capsys.readouterr().out
    assert "0123456789abcdef" not in {one.about for one in Labels.of(world.layout.labels).held}
    world.layout.labels.write_text(re.sub(r',"about":"[0-9a-f]{16}"', "", given))  # of an earlier version
    typed(monkeypatch, "")
    assert label(world, "--who", "ana", "--n", "5") == 0
    assert "all 6 are labelled" in capsys.readouterr().out
