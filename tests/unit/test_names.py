"""One pattern for every name that becomes a folder, a file or a label; nothing that a config says lies outside the run's folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml
from tests.unit.config.configs import write

from batchtrial.cli.commands.run import main
from batchtrial.config.expand import arms_of, expand
from batchtrial.config.load import decode, load
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.keys import check_run_id
from batchtrial.names import MAX_NAME, MAX_SLUG, RECORDED, RESERVED, is_one_step, name_fault, same_but_for_case
from batchtrial.state.layout import STATE_FILES, RunLayout

HOSTILE = (
    "x/../../../../pwn",
    "../../../evil",
    "v1/short",
    "a\\b",
    "/tmp/pwn",
    "C:\\pwn",
    "",
    ".",
    "..",
    "a..b",
    "a.",
    "a ",
    " a",
    "-a",
    ".a",
    "~",
    "a\x00b",
    "a\nb",
    "a" * 240,
    "con",
    "NUL",
    "com1.txt",
    "lpt9",
    "a\u2044b",  # a slash to the eye
    "\u0430",  # a Cyrillic letter
    "caf\u00e9",
    "a\u202eb",
    "a:b",
    "a*b",
    "$(x)",
)
PLAIN = ("a", "A", "v1.2", "operational_only", "x-1", "0", "a" * MAX_NAME, "console", "coma1", "nullable")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_none(name: str) -> None:
    assert name_fault(name) is not None
    with pytest.raises(ConfigError):
        check_run_id(name)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_name_is_one(name: str) -> None:
    assert name_fault(name) is None
    assert check_run_id(name) == name


def test_names_that_differ_by_case_alone_are_found() -> None:
    assert same_but_for_case(["a", "b", "A"]) == ("a", "A")
    assert same_but_for_case(["stra\u00dfe", "STRASSE"]) is not None
    assert same_but_for_case(["a", "a", "b"]) is None


@pytest.mark.parametrize("name", ["a b", "caf\u00e9", "v1.", "_x", "-x", "a..b"])
def test_a_name_of_an_earlier_run_is_still_read_when_it_is_one_step(name: str) -> None:
    assert is_one_step(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\x00", "a\n", "x" * 240])
def test_what_is_no_single_step_never_is(name: str) -> None:
    assert not is_one_step(name)


def test_what_lies_in_a_run_s_folder_is_no_name_of_a_trial() -> None:
    layout = RunLayout(Path("root"))
    own = [value for name in dir(layout) if isinstance(value := getattr(layout, name), Path) and name != "root"]
    first_steps = {path.relative_to(layout.root).parts[0].lower() for path in own} | {name.lower() for name in STATE_FILES - {"trial_manifest.json"}}
    assert {step for step in first_steps if not step.startswith(".")} <= RESERVED


# Every name of the config, walked


def whole() -> dict[str, Any]:
    """A config in which every setting that holds names or free text is set."""
    return {
        "backend": "openai",
        "model_id": "org/model",
        "model_aliases": {"org/model": "short"},
        "temps": [0.0, 0.7],
        "samples_per_item": {"0.7": 2},
        "stop": [],
        "datasets": [{"name": "bundled_open", "source": "bundled", "max_items": 3}],
        "task_instructions": {"open_book": "open.txt", "closed_book": "closed.txt"},
        "prompt_sets": {"mine": {"control": "control.txt", "treatment": {"system": "treatment.txt"}}},
        "default_prompt_set": "mine",
        "trials": [{"id": "one", "model_id": "org/model", "prompt_set": "mine"}, {"id": "two", "model_id": "other"}],
        "control_from": None,
        "trial_filter": None,
        "metrics": [],
        "provider": {"account_id": "acme", "pricing_key": "m", "request_overrides": {"user": "me"}},
        "simulation": {"by_prompt_set": {"mine": {"right": 0.5}}},
    }


ADDED = (("control_from",), ("trial_filter",), ("metrics", 0), ("stop", 0), ("datasets", 0, "metric"))


def places(tree: Any, steps: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Steps to every text in the tree, keys included (a key is marked by a last step of None)."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            if steps[-1:] in (("prompt_sets",), ("model_aliases",), ("samples_per_item",), ("by_prompt_set",)):
                yield (*steps, key, None)
            yield from places(value, (*steps, key))
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from places(value, (*steps, number))
    elif isinstance(tree, str):
        yield steps


def changed(steps: tuple[Any, ...], value: str) -> dict[str, Any]:
    tree = whole()
    inside: Any = tree
    *way, last = steps if steps[-1] is not None else steps[:-1]
    for step in way:
        inside = inside[step]
    if steps[-1] is None:
        inside[value] = inside.pop(last)
    elif isinstance(inside, list) and last >= len(inside):
        inside.append(value)
    else:
        inside[last] = value
    return tree


ALL_PLACES = (*places(whole()), *ADDED)


def test_the_walk_reaches_every_name() -> None:
    shown = {".".join(str(step) for step in steps) for steps in ALL_PLACES}
    assert {"prompt_sets.mine.None", "model_aliases.org/model", "trials.0.id", "datasets.0.name", "control_from", "model_id"} <= shown
    assert len(ALL_PLACES) > 25


@pytest.mark.parametrize("steps", ALL_PLACES, ids=lambda steps: ".".join("key" if step is None else str(step) for step in steps))
def test_no_value_of_any_setting_names_a_place_outside_the_run(tmp_path: Path, steps: tuple[Any, ...]) -> None:
    for value in HOSTILE:
        path = write(tmp_path, yaml.safe_dump(changed(steps, value)))
        try:
            config = load(path).config
        except ConfigError:
            continue
        check_names(config)


def check_names(config: Config) -> None:
    trials = expand(config, "0" * 64)
    for trial in trials:
        assert name_fault(trial.slug, MAX_SLUG) is None
    for arm in arms_of(trials):
        for made in (PurePosixPath(arm.part(10_000)), arm.part_folder(10_000)):
            assert not made.is_absolute()
            assert all(name_fault(step, 230) is None for step in made.parts)
            assert all(len(step) < 220 for step in made.parts)


@pytest.mark.parametrize("value", ["x/../../../../pwn", "../../../evil", "v1/short", "a" * 240, "a\x00b", ".", "Shared-x", "prepared"])
@pytest.mark.parametrize("steps", [("prompt_sets", "mine", None), ("model_aliases", "org/model"), ("model_id",), ("trials", 0, "id")])
def test_a_run_writes_nothing_outside_its_folder(tmp_path: Path, steps: tuple[Any, ...], value: str) -> None:
    home = tmp_path / "a" / "b" / "c" / "d"
    home.mkdir(parents=True)
    tree = changed(steps, value)
    if steps[0] == "prompt_sets":
        tree["default_prompt_set"], tree["trials"], tree["simulation"] = value, [], {}
    elif steps[0] != "trials":
        tree["trials"] = []
    write(home, yaml.safe_dump(tree))
    before = everything(tmp_path)
    with chdir(home):
        code = main(["--config", "config.yaml", "--dry_run", "--run_id", "r", "--to_step", "build"])
    made = everything(tmp_path) - before
    inside = Path("a/b/c/d/experiments")
    assert all(path.is_relative_to(inside) for path in made), made
    assert code == 0 or (code == 2 and not made)


def everything(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in root.rglob("*")}


def test_the_record_of_a_run_keeps_its_names_and_never_leaves_the_folder(tmp_path: Path) -> None:
    tree = load(write(tmp_path)).config.model_dump(mode="json")
    tree["prompt_sets"] = {"caf\u00e9 1": tree["prompt_sets"]["default"]}
    text = yaml.safe_dump(tree)
    assert set(decode(text, where="x", folder=tmp_path, flags={}, env={}).config.prompt_sets) == {"caf\u00e9 1"}
    assert Config.model_validate(tree, context=RECORDED)
    for name in ("../x", "a/b", "..", ""):
        tree["prompt_sets"] = {name: next(iter(tree["prompt_sets"].values()))}
        with pytest.raises(ConfigError):
            decode(yaml.safe_dump(tree), where="x", folder=tmp_path, flags={}, env={})
