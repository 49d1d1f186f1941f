"""The worked examples in the documentation are short and do what they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.docs.pages import Block, blocks

EXAMPLES = [block for block in blocks() if block.info == "python example"]


@pytest.mark.parametrize("block", EXAMPLES, ids=[f"{b.page.stem}-{n}" for n, b in enumerate(EXAMPLES)])
def test_the_example_runs(block: Block, tmp_path: Path) -> None:
    assert len(block.body.splitlines()) < 30
    done = subprocess.run([sys.executable, "-c", block.body], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-1500:]


def test_there_is_an_example_of_each_kind() -> None:
    assert len(EXAMPLES) >= 4
