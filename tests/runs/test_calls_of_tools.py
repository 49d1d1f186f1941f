"""A run that offers tools: a call is an answer, in the tables and wherever a person looks at answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.crash.inprocess import InProcess
from tests.crash.lab import Lab

from batchtrial.app.tables import tables_of
from batchtrial.reading import pages

TOOL = {"name": "look_up", "description": "Finds it.", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}
TASK: dict[str, Any] = {"messages": [{"role": "user", "template": "{{ question }}"}], "tools": [TOOL], "tool_choice": "required"}


@pytest.mark.parametrize("provider", ["openai", "gemini"])
def test_a_call_is_an_answer_that_is_scored_and_shown(tmp_path: Path, provider: str) -> None:
    lab = Lab(tmp_path, provider=provider, n_items=3, settings={"task": TASK}, provider_of=InProcess, has_twin=False)
    world = lab.world("one")
    try:
        assert world.start() == 0
        with tables_of(world.layout) as tables:
            for arm in tables.arms():
                table = pl.read_parquet(world.layout.arm(arm.name).answers)
                assert table["answer_state"].to_list() == ["complete"] * 3
                assert {json.loads(text)["name"] for text in table["text"]} == {"look_up"}
                assert list(tables.texts(arm).of(range(3)).values()) == table["text"].to_list()
                assert [one[0]["text"] for one in pages.samples(tables, arm, [0, 1, 2])] == table["text"].to_list()
    finally:
        world.close()
