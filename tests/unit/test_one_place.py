"""Facts that many rooms need stand in one place each: a new mode or step is one row, and nobody lists them a second time."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path
from typing import Any, get_args

from batchtrial.config.model import Config
from batchtrial.modes import MODES, Mode
from batchtrial.phases.analyse.one_file import OneFile
from batchtrial.reading.inventory import RunSummary, Standing
from batchtrial.records import KEY_SEPARATOR, Item
from batchtrial.run.plan import PHASES
from batchtrial.state.files import RunState
from batchtrial.steps import PAYING, STAGE_OF_STEP, STAGES, STEPS

SRC = Path(__file__).resolve().parents[2] / "src" / "batchtrial"
SOURCES = {path.relative_to(SRC).as_posix(): path.read_text(encoding="utf-8") for path in SRC.rglob("*.py")}
OURS = {name: text for name, text in SOURCES.items() if not name.startswith("emulator/")}


def lists(of: set[str], at_least: int) -> set[str]:
    """Files in which several of these words stand as texts beside each other, in a tuple, list, set or as keys of a mapping."""
    found = set()
    for name, text in OURS.items():
        for node in ast.walk(ast.parse(text)):
            parts = getattr(node, "keys" if isinstance(node, ast.Dict) else "elts", ())
            if len({part.value for part in parts if isinstance(part, ast.Constant)} & of) >= at_least:
                found.add(name)
    return found


def test_every_mode_has_its_row_and_is_known_to_configs_states_and_lists_of_runs() -> None:
    assert tuple(MODES) == get_args(Mode)
    modes: Any = Mode
    assert {Config.model_fields["mode"].annotation, RunState.model_fields["mode"].annotation} == {modes}
    for mode, facts in MODES.items():
        told: Any = {"mode": mode}
        config = Config.model_construct(**told)
        run = RunSummary(run_id="r", root=SRC, standing=Standing.NEW, mode=mode)
        assert (config.is_dry, config.is_called, config.is_replay) == (facts.is_dry, facts.is_called, facts.is_replay)
        assert config.is_simulated == run.is_simulated == facts.is_simulated
        assert sum((facts.is_dry, facts.is_called, facts.is_replay)) == 1
        assert bool(facts.banner) == (mode != "live")
        assert bool(facts.summary) == facts.is_simulated


def test_modes_are_listed_in_one_place() -> None:
    assert lists(set(get_args(Mode)), 2) == {"modes.py"}


def test_the_steps_are_the_phases_of_the_plan_and_the_stages_theirs() -> None:
    assert tuple(phase.name for phase in PHASES) == STEPS
    for phase in PHASES:
        module = importlib.import_module(type(phase).__module__)
        if hasattr(module, "STAGE"):
            assert STAGE_OF_STEP[phase.name] == module.STAGE
        if isinstance(phase, OneFile):
            assert STAGE_OF_STEP[phase.name] == phase.name
    assert set(PAYING) < set(STEPS)
    assert STAGES[-1] == "archived"


def test_steps_are_listed_in_one_place() -> None:
    """Five of them beside each other; the bench and the predecessor's runs have lists of their own meaning."""
    own = {name for name in OURS if name.startswith(("selftest/bench/", "earlier/"))}
    assert lists(set(STEPS), 5) - own == {"steps.py"}


def test_an_item_s_key_is_put_together_with_one_separator() -> None:
    assert Item(dataset="set", item_id="7", kind="closed", question="?", answers=("x",)).key == f"set{KEY_SEPARATOR}7"
    spelt = re.compile(r"""lit\("\|"\)|separator="\|"|dataset[^"{}]*\}\|\{""")
    assert [name for name, text in OURS.items() if spelt.search(text)] == []


def test_a_variable_that_holds_a_key_is_named_in_one_place() -> None:
    named = {name for name, text in OURS.items() if re.search(r"(FIREWORKS|OPENAI|ANTHROPIC)_API_KEY", text)}
    assert named == {"providers/registry.py"}


def test_bytes_are_hashed_while_they_are_written_in_one_place() -> None:
    """A hash that grows beside a size. What is hashed whole, or without being counted, is another matter.

    The check that lies in a bundle runs where nothing but Python is, so it can use nothing of ours.
    """
    grown = re.compile(r"hashlib\.sha256\(\), 0")
    assert {name for name, text in SOURCES.items() if grown.search(text)} == {"state/store.py", "archive/check_bundle.py"}


def test_whether_a_process_is_alive_is_asked_in_one_place_and_by_the_emulator() -> None:
    assert {name for name, text in SOURCES.items() if re.search(r"os\.kill\([^)]*, 0\)", text)} == {"state/lock.py", "emulator/serve/server.py"}
