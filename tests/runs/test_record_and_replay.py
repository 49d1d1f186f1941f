"""A recording says by which form its requests have their ids, and a replay asks by that form: those of today, and those of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batchtrial.cli.commands.run import main as run
from batchtrial.errors import ConfigError
from batchtrial.providers.recordings.cassette import Recorder, codec_of
from batchtrial.providers.recordings.form import Folder, load_metadata
from batchtrial.reading.config import config_of_run
from batchtrial.state.layout import RunLayout

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "alt_backends"
EARLIER = FIXTURES / "openai" / "replay_success"


def results(layout: RunLayout) -> dict[str, bytes]:
    """Result lines by path inside the run."""
    return {path.relative_to(layout.root).as_posix(): path.read_bytes() for path in layout.root.rglob("results.jsonl")}


def test_what_was_recorded_now_replays_to_the_same_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES)
    asked = ["--config", "config.yaml", "--model", "gpt-5.4-mini", "--experiments_dir", str(tmp_path), "--to_step", "poll"]
    assert run([*asked, "--run_id", "recorded", "--dry_run", "--record_dir", str(tmp_path / "tape")]) == 0
    assert run([*asked, "--run_id", "replayed", "--replay_dir", str(tmp_path / "tape")]) == 0
    first, second = (RunLayout.of(tmp_path, name) for name in ("recorded", "replayed"))
    assert results(first) == results(second)
    assert len(results(first)) == 3
    assert all(path.startswith("arms/") for path in results(first))
    assert load_metadata(Folder(tmp_path / "tape")).arm_form == config_of_run(second).arm_form == 2


def test_a_recording_of_an_earlier_version_is_asked_by_its_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FIXTURES)
    asked = ["--config", "config.yaml", "--model", "gpt-5.4-mini", "--experiments_dir", str(tmp_path), "--to_step", "poll"]
    assert "arm_form" not in json.loads((EARLIER / "metadata.json").read_bytes())
    assert run([*asked, "--run_id", "r", "--replay_dir", str(EARLIER)]) == 0
    layout = RunLayout.of(tmp_path, "r")
    assert config_of_run(layout).arm_form == 1
    assert len(results(layout)) == 3
    assert not layout.arms.exists()
    assert run(["--resume", "--run_id", "r", *asked, "--replay_dir", str(EARLIER)]) == 0, "its config may be given again"


def test_one_folder_holds_recordings_of_one_form(tmp_path: Path) -> None:
    codec = codec_of(load_metadata(Folder(EARLIER)))
    Recorder(codec, tmp_path, arm_form=1)
    assert load_metadata(Folder(tmp_path)).arm_form == 1
    Recorder(codec, tmp_path, arm_form=1)
    with pytest.raises(ConfigError, match="of form 1, and the run's are of form 2"):
        Recorder(codec, tmp_path)
