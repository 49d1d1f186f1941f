"""A lane whose rows are asked one by one, through whole runs: a dry run like any other, with faults, kills and a bill that shows what was paid."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.emulator_process import Emulator, running
from tests.small_run import MODELS, config_tree, write_inputs

from batchtrial.cli.main import main
from batchtrial.prices import price_of

ITEMS, N = 8, 16
EVERY_WIRE = [*((backend, {}) for backend in MODELS), ("gemini", {}), ("openai", {"endpoint": "/v1/chat/completions"})]
FAULTS = [
    {"match": {"op": "answer"}, "on": [1, 2], "do": {"status": 429, "retry_after": 3}},
    {"match": {"op": "answer"}, "on": [3], "do": {"status": 503}},
    {"match": {"op": "answer"}, "on": [4], "do": {"close_before_commit": True}},
    {"match": {"op": "answer"}, "on": [5, 6], "do": {"close_after_commit": True}},
    {"match": {"op": "answer"}, "on": [7, 8], "do": {"stream": True}},
    {"match": {"op": "answer"}, "on": [9], "do": {"slow_body": 4000}},
    {"match": {"op": "answer"}, "on": [10], "do": {"truncate_body": 30}},
]
LOST = 4
"""Of these faults those after which nobody knows whether the row was paid for: three of them were."""


def write(root: Path, backend: str, changes: Mapping[str, Any] | None = None, **provider: Any) -> None:
    """A config and what it names. changes: keys of the config."""
    root.mkdir(exist_ok=True)
    write_inputs(root, ITEMS)
    tree = config_tree(backend, poll_seconds=5.0, provider={"lane": "direct", "concurrency": 4, **provider})
    tree["submission"]["lines_per_part"] = 3
    (root / "trial.yaml").write_text(json.dumps({**tree, **(changes or {})}))


def refused_key(n: int) -> dict[str, Any]:
    """The n-th row's key is refused, which ends the run."""
    return {"match": {"op": "answer"}, "on": [n], "do": {"status": 401, "message": "Incorrect API key provided"}}


def run(*flags: str, emulator: Emulator) -> int:
    return main(["run", "--run_id", "d", "--emulator_url", emulator.url, *flags])


def report(root: Path) -> str:
    return next((root / "experiments/run_d").glob("*/reports/report.md")).read_text()


def costs(root: Path) -> str:
    return str(json.loads(next((root / "experiments/run_d").glob("*/**/costs.json")).read_text())["bought_twice"])


@pytest.mark.parametrize(("backend", "more"), EVERY_WIRE)
def test_every_fault_and_each_row_is_answered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], backend: str, more: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, backend, **more)
    with running(tmp_path / "emu", faults=FAULTS) as emu:
        code = run("--config", "trial.yaml", "--dry_run", emulator=emu)
        direct = emu.ledger()["direct"]
        assert not emu.ledger()["batches"]
    output = capsys.readouterr().out
    assert code == 0, output
    assert f"{N} succeeded, 0 errored" in output
    assert (direct["answered"], direct["n_answered_again"]) == (N + LOST - 1, LOST - 1)
    lines = [json.loads(line) for path in tmp_path.glob("experiments/run_d/arms/*/p*.results.jsonl") for line in path.read_bytes().splitlines()]
    lines = lines or [json.loads(line) for path in tmp_path.rglob("results.jsonl") for line in path.read_bytes().splitlines()]
    assert len({line.get("custom_id") or line["key"] for line in lines}) == len(lines) == N
    price = "at an unknown price" if backend == "gemini" else r"up to \$0\.\d+"  # no price table knows Gemini's model by this name
    assert re.search(f"At most {LOST} rows, {price}, may have been paid twice", report(tmp_path))


def test_a_killed_run_goes_on_row_by_row_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept: dict[str, bytes] = {}
    for name in ("quiet", "killed"):
        root = tmp_path / name
        root.mkdir()
        monkeypatch.chdir(root)
        write(root, "fireworks")
        slow = [{"match": {"op": "answer"}, "on": "every", "do": {"delay": 0.05}}]
        with running(root / "emu", faults=slow if name == "killed" else []) as emu:
            for n in (3, 9) if name == "killed" else ():
                begun = (root / "experiments/run_d/effective_config.yaml").exists()
                flags = ["--resume"] if begun else ["--config", "trial.yaml", "--dry_run"]
                command = [sys.executable, "-m", "batchtrial", "run", "--run_id", "d", *flags, "--emulator_url", emu.url]
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while emu.ledger()["direct"]["answered"] < n and process.poll() is None:
                    time.sleep(0.005)
                assert process.poll() is None
                process.send_signal(signal.SIGKILL)
                process.wait()
            emu.call("DELETE", "/_emulator/faults")
            flags = ["--resume"] if name == "killed" else ["--config", "trial.yaml", "--dry_run"]
            assert run(*flags, emulator=emu) == 0
            again = emu.ledger()["direct"]["n_answered_again"]
        for path in sorted((root / "experiments/run_d").glob("*/results/*.csv")):
            kept.setdefault(path.name, path.read_bytes())
            assert kept[path.name] == path.read_bytes(), path.name
        assert again <= (2 * 4 if name == "killed" else 0)
    assert "may have been paid twice" in report(tmp_path / "killed")
    assert set(kept) >= {"predictions.csv", "per_item_scores.csv"}


@pytest.mark.parametrize("how", ["copied", "put back", "moved"])
def test_rows_that_another_copy_may_have_asked_are_told_with_their_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """No synchronous API lists what was asked, so whoever goes on elsewhere says what may be paid twice: it is bought, and named, or not bought."""
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, "openai", concurrency=1)
    monkeypatch.chdir(here)
    with running(tmp_path / "emu", faults=[refused_key(5)]) as emu:
        assert run("--config", "trial.yaml", "--dry_run", emulator=emu) == 1  # four rows are answered; of the second part one
        shutil.copytree(here, there)
        if how != "moved":
            assert run("--resume", emulator=emu) == 0
            assert "paid twice" not in report(here)
        if how == "put back":
            shutil.rmtree(here)
            shutil.copytree(there, here)
        elif how == "moved":
            shutil.rmtree(here)
        at = here if how == "put back" else there
        monkeypatch.chdir(at)
        assert run("--resume", emulator=emu) == 0
        again = emu.ledger()["direct"]["n_answered_again"]
    assert again == (0 if how == "moved" else N - 4)
    for said in (capsys.readouterr().out, report(at), costs(at)):
        found = re.search(r"At most (\d+) rows, up to \$(0\.\d+), may have been asked and paid there too", " ".join(said.split()))
        assert found is not None, said
        assert (int(found[1]), float(found[2]) > 0) == (N - 4, True)


def test_rows_asked_elsewhere_have_no_price_where_the_model_has_none_and_those_that_failed_for_good_are_not_among_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, "openai", {"model_id": "a-model-of-ours"}, concurrency=1)
    monkeypatch.chdir(here)
    failed = {"match": {"op": "answer"}, "on": [2], "do": {"status": 400, "message": "no such thing"}}
    with running(tmp_path / "emu", faults=[failed, refused_key(5)]) as emu:
        assert run("--config", "trial.yaml", "--dry_run", emulator=emu) == 1  # the first part is settled, with a row that failed
        here.rename(there)
        monkeypatch.chdir(there)
        assert run("--resume", emulator=emu) == 4
    assert f"At most {N - 4} rows, at an unknown price, may have been asked" in costs(there)


def test_a_refused_key_ends_the_run_at_once_and_what_was_answered_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "openai", concurrency=1)
    with running(tmp_path / "emu", faults=[refused_key(5)]) as emu:
        assert run("--config", "trial.yaml", "--dry_run", emulator=emu) == 1
        assert "Incorrect API key provided" in capsys.readouterr().err
        assert emu.ledger()["direct"]["answered"] == 4
        assert run("--resume", emulator=emu) == 0
        assert emu.ledger()["direct"] | {"by_tier": 0} == {"answered": N, "answered_by_body_max": 1, "n_answered_again": 0, "by_tier": 0}
    assert "paid twice" not in report(tmp_path)


def test_a_server_that_is_away_ends_the_run_after_a_while_and_no_row_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "local")
    away = {"message": "no backend", "retry_after": 1}
    faults: list[dict[str, Any]] = [
        {"match": {"op": "answer"}, "on": {"first": 3}, "do": {"status": 500, **away}},
        {"match": {}, "on": "every", "do": {"status": 503, **away}},
    ]
    with running(tmp_path / "emu", faults=faults) as emu:
        assert run("--config", "trial.yaml", "--dry_run", emulator=emu) == 1
        said = " ".join(capsys.readouterr().err.split())
        assert said.count("the server is away: HTTP 503: no backend; it is tried again for three quarters of an hour") == 1
        assert said.count("the server is away: HTTP 503: no backend") == 2
        assert emu.ledger()["direct"]["answered"] == 0
        emu.call("DELETE", "/_emulator/faults")
        assert run("--resume", emulator=emu) == 0
        assert emu.ledger()["direct"] | {"by_tier": 0} == {"answered": N, "answered_by_body_max": 1, "n_answered_again": 0, "by_tier": 0}


def test_what_was_really_served_decides_the_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the rows asked at flex are served at the standard price."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "openai", service_tier="flex")
    tree = json.loads((tmp_path / "trial.yaml").read_text()) | {"model_id": "gpt-5-mini"}
    tree["provider"] |= {"sampling": "omit"}
    (tmp_path / "trial.yaml").write_text(json.dumps(tree))
    faults = [{"match": {"op": "answer"}, "on": list(range(1, N + 1, 2)), "do": {"service_tier": "default"}}]
    with running(tmp_path / "emu", faults=faults) as emu:
        assert run("--config", "trial.yaml", "--dry_run", emulator=emu) == 0
        by_tier = emu.ledger()["direct"]["by_tier"]
    assert {tier: one["answered"] for tier, one in by_tier.items()} == {"default": N // 2, "flex": N // 2}
    rates = {tier: price_of("openai", "gpt-5-mini", tier=tier) for tier in by_tier}
    want = sum(
        one["input_tokens"] * rate.input_per_mtok + one["output_tokens"] * rate.output_per_mtok
        for tier, one in by_tier.items()
        if (rate := rates[tier]) is not None
    )
    costs = json.loads(next(tmp_path.rglob("costs.json")).read_text())
    assert costs["usd"] == pytest.approx(float(want) / 1e6, abs=1e-7)
    assert costs["pricing"]["rate_type"] == "flex"
    answers = pl.concat([pl.read_parquet(path) for path in tmp_path.rglob("answers.parquet")])
    assert sorted(answers["service_tier"].to_list()) == ["default"] * (N // 2) + ["flex"] * (N // 2)
    assert answers["usd"].sum() == pytest.approx(float(want) / 1e6)


def test_what_gemini_tells_in_a_header_alone_decides_the_cost_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "gemini", service_tier="flex")
    faults = [{"match": {"op": "answer"}, "on": list(range(1, N + 1, 2)), "do": {"service_tier": "standard"}}]
    with running(tmp_path / "emu", faults=faults) as emu:
        assert run("--config", "trial.yaml", "--dry_run", emulator=emu) == 0
    answers = pl.concat([pl.read_parquet(path) for path in tmp_path.rglob("answers.parquet")])
    assert sorted(answers["service_tier"].to_list()) == ["flex"] * (N // 2) + ["standard"] * (N // 2)


def test_a_recording_of_the_lane_replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "openai", service_tier="flex")
    with running(tmp_path / "emu") as emu:
        assert run("--config", "trial.yaml", "--dry_run", "--record_dir", "kept", emulator=emu) == 0
    assert main(["run", "--run_id", "again", "--config", "trial.yaml", "--replay_dir", "kept"]) == 0
    first, again = (next((tmp_path / f"experiments/run_{name}").glob("*/results/predictions.csv")).read_bytes() for name in ("d", "again"))
    assert first == again


@pytest.mark.parametrize(
    ("n_asked", "backend"), [(4, "openai"), (N + 3, "anthropic")], ids=["before the judge is asked", "while a lane of its own is"]
)
def test_judgements_that_another_copy_may_have_asked_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_asked: int, backend: str
) -> None:
    """A copy goes on to judge, whether or not the judge's questions were made when it was copied."""
    here, there = tmp_path / "here", tmp_path / "there"
    judge = {"name": "right", "kind": "yes_no", "rubric": "complete", "backend": backend, "model": MODELS[backend]}
    lanes = {backend: {"lane": "direct", "concurrency": 1}} if backend != "openai" else {}
    write(here, "openai", {"judges": [judge], "lanes": lanes}, concurrency=1)
    monkeypatch.chdir(here)
    with running(tmp_path / "emu", faults=[refused_key(n_asked + 1)]) as emu:
        assert run("--config", "trial.yaml", "--dry_run", emulator=emu) == 1
        shutil.copytree(here, there)
        assert run("--resume", emulator=emu) == 0
        monkeypatch.chdir(there)
        assert run("--resume", emulator=emu) == 0
        again = emu.ledger()["direct"]["n_answered_again"]
    said = " ".join(costs(there).split())
    told = re.search(r"At most (\d+) rows, up to \$0\.\d+, may have been asked and paid there too", said)
    later = re.search(r"Judgements by right, .* may have been bought there too; here they are (\d+) rows, up to \$0\.\d+", said)
    assert told is not None
    assert (later is not None) == (n_asked < N)
    assert int(told[1]) + (int(later[1]) if later is not None else 0) == again
