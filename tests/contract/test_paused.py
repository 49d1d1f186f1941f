"""Fireworks' Batch API is paused: what a plan says, what a run does instead, and how results that still lie there are fetched."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import running
from tests.small_run import config_tree, write_inputs

from batchtrial.app.hosts import as_recorded, with_host
from batchtrial.cli.main import main
from batchtrial.config.lanes import is_direct
from batchtrial.config.load import Loaded, load
from batchtrial.config.pauses import PAUSED, check_not_paused, pause_notes
from batchtrial.errors import ConfigError, ProviderError
from batchtrial.providers.base import Intent
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.paused import Paused

SPOT = "accounts/fireworks/models/glm-5p3"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("FIREWORKS_BASE_URL", "FIREWORKS_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    write_inputs(tmp_path, 6)
    return tmp_path


def loaded(**changes: Any) -> Loaded:
    """As a run that begins with this config has it."""
    Path("trial.yaml").write_text(json.dumps(config_tree("fireworks", poll_seconds=5.0) | changes))
    return with_host(load(Path("trial.yaml"), flags={}, env={}), {})


def test_a_live_run_goes_direct_with_the_cheapest_tier_that_every_model_has() -> None:
    plain, spot = loaded(), loaded(model_id=SPOT)
    assert is_direct(plain.config)
    assert (plain.config.provider.service_tier, spot.config.provider.service_tier) == (None, "spot")
    assert plain.origin["provider.lane"] == PAUSED
    assert "standard price" in next(pause_notes(plain.config))
    assert "tier spot" in next(pause_notes(spot.config))
    assert loaded(model_id=SPOT, sweep={"models": [SPOT, "accounts/fireworks/models/gpt-oss-20b"]}).config.provider.service_tier is None


def test_what_somebody_wrote_stays_and_other_hosts_take_batches() -> None:
    batch, own = loaded(provider={"lane": "batch"}), loaded(provider={"base_url": "https://mine.example"})
    assert not is_direct(batch.config)
    assert not is_direct(own.config)
    assert list(pause_notes(own.config)) == []
    check_not_paused(own.config)
    with pytest.raises(ConfigError, match="paused its Batch API") as refused:
        check_not_paused(batch.config)
    assert "despite_pause" in refused.value.hint
    check_not_paused(loaded(provider={"lane": "batch", "despite_pause": True}).config)


def test_a_run_of_an_earlier_version_is_not_compared_with_a_default_of_today() -> None:
    now = loaded()
    recorded = now.config.model_copy(update={"provider": now.config.provider.model_copy(update={"lane": None})})
    assert as_recorded(now, recorded).config == recorded


def test_a_plan_says_so_and_a_run_with_batches_is_refused_before_anything_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    loaded()
    assert main(["run", "--config", "trial.yaml", "--plan_only"]) == 0
    assert "Fireworks has paused its Batch API" in capsys.readouterr().out
    loaded(provider={"lane": "batch"})
    assert main(["run", "--config", "trial.yaml", "--run_id", "a"]) == 2
    assert "nothing is uploaded" in capsys.readouterr().err
    assert not Path("experiments/run_a").exists()


def test_nothing_is_uploaded_for_a_run_that_is_resumed(tmp_path: Path) -> None:
    live = FireworksProvider(FireworksSettings(base_url="http://127.0.0.1:9", account_id="a"), "key")
    paused = Paused(live, tmp_path / "arrivals", "paused", "go another way")
    intent = Intent(part="p", attempt=1, token="0" * 16, payload_sha256="", n_requests=1, created_at=datetime.now(UTC), model="m")
    with pytest.raises(ProviderError, match="nothing is uploaded") as refused:
        paused.submit(intent, tmp_path / "none", lambda file_id: None)
    assert not refused.value.retryable


def test_what_has_ended_is_fetched_and_nothing_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded()
    with running(tmp_path / "emu") as emu:
        at = ["--emulator_url", emu.url]
        assert main(["run", "--config", "trial.yaml", "--dry_run", "--run_id", "a", "--to_step", "submit", *at]) == 0
        creates = emu.ledger()["creates"]
        capsys.readouterr()
        emu.advance(100_000)
        assert main(["fetch", "--run_id", "a", *at]) == 0
        assert "fetched" in capsys.readouterr().out
        assert emu.ledger()["creates"] == creates
        assert main(["fetch", "--run_id", "a", *at]) == 0
        assert "fetched   0 parts" in capsys.readouterr().out
        assert main(["resume", "--run_id", "a", *at]) == 0
