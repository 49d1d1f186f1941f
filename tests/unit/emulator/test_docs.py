"""docs/emulator.md names every flag, fault and operation there is, and every example in it is accepted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from batchtrial.emulator.answers.modelfile import ModelFile
from batchtrial.emulator.command import parser
from batchtrial.emulator.world.effects import Effects, RowFaults
from batchtrial.emulator.world.faults import OPS, Do, decode_rules

TEXT = (Path(__file__).parents[3] / "docs" / "emulator.md").read_text(encoding="utf-8")
CODE = set(re.findall(r"`([^`\n]+)`", TEXT))
TABLE_EXAMPLES = re.findall(r"\| `(\{.*\})` \|$", TEXT, re.M)
BLOCKS = re.findall(r"```json\n(.*?)```", TEXT, re.S)


def test_every_flag_is_in_the_docs_and_the_other_way_round() -> None:
    flags = {option for action in parser()._actions for option in action.option_strings if option.startswith("--")} - {"--help"}
    named = set(re.findall(r"--[a-z_]+", TEXT))
    assert named == flags


@pytest.mark.parametrize("name", [*Do.model_fields, *Effects.model_fields, *RowFaults.model_fields, *ModelFile.model_fields, *OPS])
def test_every_name_is_in_the_docs(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", code) for code in CODE) or f"`{name}`" in TEXT


@pytest.mark.parametrize("example", TABLE_EXAMPLES)
def test_examples_in_the_tables_are_rules(example: str) -> None:
    (rule,) = decode_rules({"do": json.loads(example)})
    assert rule.do.model_fields_set


def test_there_is_an_example_for_every_action() -> None:
    shown = {key for example in TABLE_EXAMPLES for key in json.loads(example)}
    optional = {"code", "message", "retry_after", "retry_after_ms", "x_should_retry"}  # come with `status`
    assert set(Do.model_fields) - optional <= shown
    rows = {key for example in TABLE_EXAMPLES for key in json.loads(example).get("rows", {})}
    assert rows == set(RowFaults.model_fields)


def test_blocks_are_what_they_say() -> None:
    _ledger, kill, model, fixed, rules = (json.loads(block) for block in BLOCKS)
    assert [rule.do.slow_body is not None for rule in decode_rules(kill)] == [True]
    assert ModelFile.model_validate(fixed).sigma == 0.0
    file = ModelFile.model_validate(model)
    assert [arm.name for arm in file.arms] == ["control", "treatment"]
    assert len(decode_rules(rules)) == 3
