"""The host that answered: settled before anything is sent, on record everywhere, and simulated when it says that it is an emulator."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.chat_server import MODEL, serving
from tests.emulator_process import Emulator, running

from batchtrial.cli.commands.run import main
from batchtrial.cli.commands.status import main as status
from batchtrial.config.hosts import VARIABLES, bare
from batchtrial.state.entries import read

MODELS = {"openai": "gpt-4.1-mini", "anthropic": "claude-haiku-4-5", "fireworks": "accounts/fireworks/models/gpt-oss-20b"}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for backend, variable in VARIABLES.items():
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.setenv(f"{backend.upper()}_API_KEY", "a-key-of-nobody")
    monkeypatch.setenv("FIREWORKS_ACCOUNT_ID", "nobody")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    rows = [{"id": f"q{k}", "question": f"Which thing is number {k}?", "answers": [f"thing {k}"]} for k in range(4)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("control", "treatment", "plain"):
        (tmp_path / f"{name}.txt").write_text(f"{name}.")
    return tmp_path


def config(backend: str, **provider: Any) -> list[str]:
    tree = {
        "backend": backend,
        "model_id": MODELS.get(backend, MODEL),
        "max_new_tokens": {"open_book": 16, "closed_book": 16},
        "datasets": [{"name": "own", "source": "file", "path": "questions.jsonl"}],
        "task_instructions": {"open_book": "plain.txt", "closed_book": "plain.txt"},
        "prompt_sets": {"system": {"control": "control.txt", "treatment": "treatment.txt"}},
        "submission": {"poll_seconds": 0.05},
        "stats": {"primary": {"metric": "em", "kind": "closed"}, "permutation_samples": 999},
        "provider": provider,
    }
    Path("trial.yaml").write_text(yaml.safe_dump(tree))
    return ["--config", "trial.yaml", "--run_id", "a"]


@pytest.fixture
def emulator(root: Path) -> Iterator[Emulator]:
    with running(root / "emulator", seed=1) as found:
        yield found


def address(emulator: Emulator, backend: str) -> str:
    return str(getattr(emulator, f"{backend}_base_url"))


def manifest(run_id: str = "a") -> dict[str, Any]:
    return dict(json.loads(next(Path(f"experiments/run_{run_id}").glob("*/results/trial_manifest.json")).read_bytes()))


@pytest.mark.parametrize("backend", ["openai", "anthropic", "fireworks"])
def test_a_live_run_at_an_emulator_is_simulated_everywhere(
    emulator: Emulator, backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLES[backend], address(emulator, backend))
    flags = config(backend)
    assert main([*flags, "--plan_only"]) == 0
    planned = capsys.readouterr().out
    assert f"host     {emulator.url}" in planned
    assert f"provider.base_url (environment, {VARIABLES[backend]})" in planned

    assert main([*flags, "--to_step", "submit"]) == 0
    assert "the host is an emulator: simulated answers" in capsys.readouterr().err
    monkeypatch.delenv(VARIABLES[backend])  # the run keeps its host
    emulator.advance(86_400)
    assert main(["--resume", "--run_id", "a"]) in (0, 4)
    assert "SIMULATED ANSWERS: no model was asked (the host that answered is an emulator)" in capsys.readouterr().out
    assert (manifest()["mode"], manifest()["host"]) == ("simulated_host", emulator.url)
    report = next(Path("experiments/run_a").glob("*/reports/report.md")).read_text()
    assert f"| host that answered | {emulator.url} |" in report
    assert "SIMULATED ANSWERS: the host that answered says that it is an emulator" in report
    costs = json.loads(next(Path("experiments/run_a").glob("*/results/costs.json")).read_bytes())
    assert costs["simulated"] is True
    assert status(["--run_id", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["simulated"] is True
    assert main(["--resume", "--run_id", "a", "--config", "trial.yaml", "--plan_only"]) == 0, "the same config is no drift"


def test_an_emulator_says_so_on_every_response(emulator: Emulator) -> None:
    for path in ("/_emulator/clock", "/v1/batches", "/v1/messages/batches", "/nowhere", ""):
        try:
            headers = urllib.request.urlopen(f"{emulator.url}{path}", timeout=10).headers
        except urllib.error.HTTPError as error:
            headers = error.headers
        assert headers["x-batchtrial-emulator"] == "simulated", path


def test_any_other_server_is_live_and_on_record(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("openai")
    with serving(root) as server:
        assert main([*config("local"), "--base_url", f"{server.url}/v1"]) in (0, 4)
    assert "SIMULATED" not in capsys.readouterr().out
    assert (manifest()["mode"], manifest()["host"]) == ("live", server.url)
    assert f"| host that answered | {server.url} |" in next(Path("experiments/run_a").glob("*/reports/report.md")).read_text()


@pytest.mark.parametrize(("backend", "host"), [("openai", "https://api.openai.com"), ("anthropic", "https://api.anthropic.com")])
def test_a_resume_is_not_led_to_another_host_by_the_environment(
    root: Path, backend: str, host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*config(backend), "--to_step", "build"]) == 0
    assert read(Path("experiments/run_a/ledger.jsonl")).entries[0].detail["host"] == host  # type: ignore[index]
    monkeypatch.setenv(VARIABLES[backend], "http://127.0.0.1:9")
    capsys.readouterr()
    for further in ([], ["--plan_only"], ["--accept_drift"]):
        assert main(["--resume", "--run_id", "a", *further]) == 3
        said = capsys.readouterr().err
        assert host in said
        assert VARIABLES[backend] in said
    monkeypatch.setenv(VARIABLES[backend], f"{host}/v1")
    assert main(["--resume", "--run_id", "a", "--plan_only"]) == 0


def test_the_host_changes_only_when_nothing_is_under_way_there(emulator: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*config("openai", base_url=emulator.openai_base_url), "--to_step", "submit"]) == 0
    elsewhere = ["--resume", "--run_id", "a", "--base_url", "http://127.0.0.1:9/v1"]
    assert main(elsewhere) == 3
    assert "has changed" in capsys.readouterr().err
    assert main([*elsewhere, "--accept_drift"]) == 3
    assert "2 parts are under way at the host" in capsys.readouterr().err
    emulator.advance(86_400)
    assert main(["--resume", "--run_id", "a"]) in (0, 4)
    assert main([*elsewhere, "--accept_drift"]) in (0, 4)  # nothing is left to ask anybody


@pytest.mark.parametrize("value", ["ftp://host", "nonsense", "https://me:secret@host/v1"])
def test_an_address_that_is_none_or_holds_a_secret_is_refused(
    root: Path, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", value)
    assert main([*config("openai"), "--plan_only"]) == 2
    said = capsys.readouterr().err
    assert "OPENAI_BASE_URL" in said
    assert "secret" not in said


def test_a_proxy_is_named_without_its_password(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("https_proxy", "http://me:secret@proxy.example:3128")
    assert main([*config("openai"), "--plan_only"]) == 0
    said = capsys.readouterr().out
    assert "host     https://api.openai.com, through the proxy http://proxy.example:3128" in said
    assert "secret" not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:pw@Host.example:8443/v1?key=1", "https://host.example:8443"),
        ("http://[::1", "unknown"),
        ("", "unknown"),
        ("https://h/x", "https://h"),
    ],
)
def test_a_host_is_shown_bare(url: str, shown: str) -> None:
    assert bare(url) == shown
