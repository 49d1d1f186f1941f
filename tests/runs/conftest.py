"""A finished run that several modules damage, repair and resume: made once a worker, copied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.crash.lab import FINISHED, Lab, World
from tests.runs.damage import Template


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Template:
    root = tmp_path_factory.mktemp("finished")
    lab = Lab(root / "lab", n_items=4)
    world = World(lab, root / "finished")
    assert world.start() in FINISHED
    world.emulator.kill()
    return Template("finished", lab, root / "finished")


@pytest.fixture
def world(finished: Template, tmp_path: Path) -> Iterator[World]:
    """A copy of it; what a test does to the question files is undone."""
    source = finished.lab.root / "questions.jsonl"
    data = source.read_bytes()
    copied = finished.copy(tmp_path / "w")
    yield copied
    copied.emulator.kill()
    source.write_bytes(data)
