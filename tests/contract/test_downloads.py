"""A folder that Fireworks' own command line has filled is taken in like a download: same checks, same bytes, and the provider is not called."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.emulator_process import Emulator, running

from batchtrial.cli.main import main
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.state import entries, ledger

pytest.importorskip("fireworks")
FAULTS = [{"match": {"op": "create"}, "on": [1], "do": {"rows": {"errored": {"count": 2, "status": 400, "message": "too long"}}}}]


class Abroad:
    """A run whose batches have ended at the provider, and a folder with their files as firectl leaves them."""

    def __init__(self, root: Path, emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.emulator, self.capsys = root, emulator, capsys
        config = yaml.safe_load((Path(__file__).resolve().parents[2] / "config" / "eval_config.yaml").read_text())
        config["submission"] = {"lines_per_part": 5, "poll_seconds": 0.05, "max_concurrent_jobs": 9}
        config["provider"] = {"base_url": emulator.url, "account_id": "test"}
        (root / "trial.yaml").write_text(yaml.safe_dump(config))
        shutil.copytree(Path(__file__).resolve().parents[2] / "config" / "prompts", root / "prompts")
        shutil.copytree(Path(__file__).resolve().parents[2] / "config" / "task_instructions", root / "task_instructions")
        code, _ = self.call("run", "--config", "trial.yaml", "--limit_items", "10", "--to_step", "submit")
        assert code == 0
        emulator.advance(3600)
        self.fill(root / "downloads")

    def call(self, command: str, *words: str, experiments: str = "here") -> tuple[int, str]:
        code = main([command, "--run_id", "own", "--experiments_dir", str(self.root / experiments), *words])
        return code, self.capsys.readouterr().out

    def folder(self, experiments: str = "here") -> Path:
        return self.root / experiments / "run_own"

    def batches(self) -> list[str]:
        parts = ledger.fold(entries.read(self.folder() / "ledger.jsonl").entries)
        return [attempt.batch_id or "" for record in parts.values() for attempt in record.attempts]

    def fill(self, target: Path) -> None:
        """One folder for each output dataset, results and errors apart."""
        settings = FireworksSettings(account_id="test", base_url=self.emulator.fireworks_base_url)
        provider = FireworksProvider(settings, "any")
        for batch_id in self.batches():
            place = target / "dataset" / f"out-of-{batch_id}"
            place.mkdir(parents=True)
            for line in provider.fetch(batch_id):
                name = "error-data" if "error" in json.loads(line) else "BIJOutputSet.jsonl"
                with (place / name).open("ab") as file:
                    file.write(line)
        provider.close()

    def account(self, experiments: str = "here") -> dict[str, int]:
        total: dict[str, int] = {}
        for record in ledger.fold(entries.read(self.folder(experiments) / "ledger.jsonl").entries).values():
            for name, n in record.counts.model_dump().items() if record.counts is not None else ():
                total[name] = total.get(name, 0) + n
        return {name: n for name, n in total.items() if n}


@pytest.fixture
def abroad(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Abroad]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FIREWORKS_API_KEY", "any")
    with running(tmp_path / "emulator", faults=FAULTS) as emulator:
        yield Abroad(tmp_path, emulator, capsys)


def and_looked(calls: dict[str, Any]) -> dict[str, Any]:
    """The same calls, and one for each of four parts whose answers were brought: whether a next attempt was sent elsewhere, which none was."""
    gets = calls["fireworks"]["get"]
    return {**calls, "fireworks": {**calls["fireworks"], "get": {**gets, "received": gets["received"] + 4}}}


def test_the_folder_gives_what_the_runs_own_download_gives(abroad: Abroad) -> None:
    shutil.copytree(abroad.root / "here", abroad.root / "there")
    assert abroad.call("resume", experiments="there")[0] == 4
    calls = abroad.emulator.calls()
    assert (abroad.root / "downloads" / "dataset").is_dir()
    assert list((abroad.root / "downloads").rglob("error-data"))
    code, out = abroad.call("import_batch", str(abroad.root / "downloads"))
    assert code == 0, out
    assert "taken in  4 parts: 18 succeeded, 2 errored" in out
    assert abroad.emulator.calls() == calls  # nobody was asked
    assert abroad.call("resume")[0] == 4
    assert abroad.emulator.calls() == and_looked(calls)
    assert abroad.account() == abroad.account("there") == {"succeeded": 18, "errored": 2}
    names = ("predictions.csv", "per_item_scores.csv", "significance.json", "costs.json")
    for name in names:
        (ours,), (theirs,) = (list(abroad.folder(where).rglob(name)) for where in ("here", "there"))
        assert ours.read_bytes() == theirs.read_bytes(), name


def test_a_folder_that_is_not_whole_leaves_the_batch_to_the_provider(abroad: Abroad) -> None:
    (abroad.root / "downloads" / "dataset" / f"out-of-{abroad.batches()[2]}" / "BIJOutputSet.jsonl").unlink()
    code, out = abroad.call("import_batch", str(abroad.root / "downloads"))
    assert code == 4
    assert "taken in  3 parts" in out
    assert "no results of it were brought" in out
    assert abroad.call("resume")[0] == 4  # the rest is downloaded
    assert abroad.account() == {"succeeded": 18, "errored": 2}
    assert abroad.emulator.ledger()["paid_by_identity_max"] == 1


def test_rows_that_a_providers_files_lack_may_have_been_paid_for_and_are_not_bought_again(abroad: Abroad) -> None:
    path = abroad.root / "downloads" / "dataset" / f"out-of-{abroad.batches()[2]}" / "BIJOutputSet.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    code, out = abroad.call("import_batch", str(abroad.root / "downloads"))
    assert code == 4
    assert "2 rows have no line" in out
    code, out = abroad.call("import_batch", str(abroad.root / "downloads"), "--allow_incomplete")
    assert code == 0
    assert abroad.account() == {"succeeded": 16, "errored": 2, "missing": 2}
    created = abroad.emulator.calls()
    assert abroad.call("resume")[0] == 4
    assert abroad.emulator.calls() == and_looked(created)
