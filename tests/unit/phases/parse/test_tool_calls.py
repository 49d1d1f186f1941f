"""An answer that calls a tool is scored where the task offers tools, and is no answer where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.unit.phases.world import closed_items, success_line, text_of, world

from batchtrial.phases.parse import phase as parse
from batchtrial.phases.score import phase as score

TOOL = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
CALL = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
METRIC = [{"json_schema": {"schema": {"required": ["name", "arguments"]}, "name": "calls"}}]
PLAN = {"primary": {"metric": "calls"}, "permutation_samples": 999}


def calling(line: bytes) -> bytes:
    value = json.loads(line)
    value["response"]["choices"][0] |= {"message": {"role": "assistant", "content": None, "tool_calls": [CALL]}, "finish_reason": "tool_calls"}
    return json.dumps(value).encode() + b"\n"


@pytest.mark.parametrize(("task", "state", "right"), [({"tools": [TOOL]}, "complete", 1.0), ({}, "tool_call", None)])
def test_a_call_is_an_answer_where_tools_are_offered(tmp_path: Path, task: dict[str, Any], state: str, right: float | None) -> None:
    asked = {"messages": [{"role": "user", "template": text_of("ask", "{{ question }}")}], **task}
    with world(tmp_path, closed=closed_items(3), task=asked, metrics=METRIC, stats=PLAN) as w:
        for arm, shard in w.parts():
            w.save(arm, shard, [calling(success_line(one, "x")) for one, *_ in w.requests(arm, shard)])
            w.settle(shard)
        w.run(parse.phase)
        w.run(score.phase)
        for arm, _ in w.parts():
            answers = pl.read_parquet(w.layout.arm(arm.name).answers)
            assert answers["answer_state"].to_list() == [state] * 3
            if right is not None:
                assert json.loads(answers["text"][0]) == {"name": "look_up", "arguments": {}}
            assert pl.read_parquet(w.layout.arm(arm.name).scores)["calls"].to_list() == [right] * 3
