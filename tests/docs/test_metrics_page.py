"""Entries of `metrics` that the documentation shows are entries that a config takes."""

from __future__ import annotations

import pytest
import yaml
from tests.docs.pages import Block, blocks

from batchtrial.scoring.metrics.named import metrics_of

SHOWN = [block for block in blocks() if block.info == "yaml config"]


@pytest.mark.parametrize("block", SHOWN, ids=[f"{block.page.stem}-{n}" for n, block in enumerate(SHOWN)])
def test_the_metrics_shown_are_taken(block: Block) -> None:
    assert metrics_of(yaml.safe_load(block.body)["metrics"])
