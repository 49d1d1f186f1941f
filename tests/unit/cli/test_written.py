"""What a command writes never takes the place of a run's own files, and a folder where a file is needed is a wrong flag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from batchtrial.cli.commands import archive, export, export_batch, gate, import_log, label, plan_trial, status
from batchtrial.state.layout import RunLayout

RUN = ("--run_id", "r1", "--experiments_dir", "experiments")
OF_FILES: Sequence[tuple[Callable[[Sequence[str]], int], Sequence[str]]] = (
    *((export.main, (*RUN, f"--{name}")) for name in ("html", "csv", "jsonl", "parquet", "latex", "svg", "pdf")),
    *((gate.main, (*RUN, f"--{name}")) for name in ("junit", "markdown")),
    (status.main, ("--prometheus",)),
    (label.main, (*RUN, "--export")),
    (archive.main, (*RUN, "--output")),
    (import_log.main, ("a.eval", "b.eval", "--parquet")),
    (plan_trial.main, ("--plot",)),
)
OF_FOLDERS: Sequence[tuple[Callable[[Sequence[str]], int], Sequence[str]]] = (
    *((export.main, (*RUN, f"--{name}")) for name in ("inspect", "dataset_card")),
    (archive.main, (*RUN, "--creator", "Curie, Marie", "--license", "CC0-1.0", "--bundle")),
    (export_batch.main, ("--run_id", "r1", "--to")),
)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The ledger of a run r1 in the folder that the process is in."""
    monkeypatch.chdir(tmp_path)
    path = RunLayout.of(Path("experiments"), "r1").ledger
    path.parent.mkdir(parents=True)
    path.write_text("what was paid\n")
    return path


@pytest.mark.parametrize(("command", "words"), [*OF_FILES, *OF_FOLDERS])
def test_nothing_is_written_into_a_run(
    command: Callable[[Sequence[str]], int], words: Sequence[str], ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = ledger.parent.parent / "other"
    other.symlink_to(ledger.parent.name)
    for target in (ledger, ledger.parent / "of_mine", ledger.parent / "deep" / "down", other / "ledger.jsonl"):
        assert command([*words, str(target)]) == 2
        assert "lies in the folder of run r1" in capsys.readouterr().err
    assert [path.name for path in ledger.parent.iterdir()] == ["ledger.jsonl"]
    assert ledger.read_text() == "what was paid\n"


@pytest.mark.parametrize(("command", "words"), OF_FILES)
def test_a_folder_is_no_file_to_write(
    command: Callable[[Sequence[str]], int], words: Sequence[str], ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target in (".", "", "experiments"):
        assert command([*words, target]) == 2
        assert "is a folder: name a file" in capsys.readouterr().err
