"""A provider whose address every account has another of is asked for it before anything else."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tests.small_run import config_tree, write_inputs

from batchtrial.config.load import load
from batchtrial.errors import ConfigError


def test_azure_without_an_address_is_refused_and_a_dry_run_is_not(tmp_path: Path) -> None:
    write_inputs(tmp_path, 2)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config_tree("azure", poll_seconds=1.0)))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "c.yaml", env={})
    assert (caught.value.where or "").endswith("provider.base_url")
    assert load(tmp_path / "c.yaml", flags={"mode": "dry_run"}, env={}).config.backend == "azure"


def test_a_backend_that_is_none_is_told_with_the_nearest(tmp_path: Path) -> None:
    write_inputs(tmp_path, 2)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config_tree("grok", poll_seconds=1.0)))
    with pytest.raises(ConfigError, match="did you mean groq"):
        load(tmp_path / "c.yaml", env={})
