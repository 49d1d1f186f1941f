"""Arms and judges from a file of their own, for a run that is there: what they name is read beside that file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

from batchtrial.config.contrasts import CONTROL
from batchtrial.config.files import read_text
from batchtrial.config.model import Config
from batchtrial.config.texts import read_texts
from batchtrial.config.tree import decode_tree
from batchtrial.errors import ConfigError

_MAX_BYTES: Final = 4 * 2**20
FLAGS: Final = {"arms": "--add_arm", "judges": "--add_judge"}


def with_arms(config: Config, path: Path) -> dict[str, Any]:
    """The settings of the run with the file's arms too, each of them compared. Raises ConfigError."""
    if not config.arms:
        raise ConfigError(
            "the run compares prompt sets, and has no arms", where=FLAGS["arms"], hint="use --add_prompt_set, or --config with a further one"
        )
    found = _read(config, path, "arms")
    if not isinstance(found, dict) or not found:
        raise ConfigError("arms are a mapping: a name, and what that arm asks with", where=str(path), hint="write them as under `arms:` of a config")
    known = sorted(config.arms.keys() & found.keys())
    if known:
        raise ConfigError(f"the run has an arm {known[0]!r}", where=str(path), hint="give the further one a name of its own")
    changes: dict[str, Any] = {"arms": config.model_dump(mode="json")["arms"] | found}
    if isinstance(config.contrasts, tuple):
        control = CONTROL if CONTROL in config.arms else config.contrasts[0][0]
        changes["contrasts"] = [*map(list, config.contrasts), *([control, name] for name in found)]
    return changes


def with_judges(config: Config, path: Path) -> dict[str, Any]:
    """The settings of the run with the file's judges too. Raises ConfigError."""
    found = _read(config, path, "judges")
    if not isinstance(found, list) or not found or not all(isinstance(one, dict) and {"name", "rubric"} <= one.keys() for one in found):
        raise ConfigError("judges are a list, each with a `name` and a `rubric`", where=str(path), hint="write them as under `judges:` of a config")
    names = {judge.name for judge in config.judges}
    known = next((one["name"] for one in found if one.get("name") in names), None)
    if known is not None:
        raise ConfigError(f"the run has a judge {known!r}", where=str(path), hint="give the further one a name of its own")
    return {"judges": [*(judge.model_dump(mode="json") for judge in config.judges), *found]}


def _read(config: Config, path: Path, key: Literal["arms", "judges"]) -> Any:
    """What stands in the file, with or without its heading; the texts that it names are read."""
    where = str(path)
    try:
        text = read_text(path, what="the file", where=FLAGS[key], max_bytes=_MAX_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}", where=FLAGS[key]) from None
    tree = decode_tree(text, where=where, is_json=where.endswith(".json"))
    inner = tree[key] if isinstance(tree, dict) and tree.keys() == {key} else tree
    if key == "judges" and isinstance(inner, dict):
        inner = [inner]
    whole = {key: inner} | ({"task": "of the run"} if config.task is not None else {})  # beside a task, texts are taken byte for byte
    read_texts(whole, path.parent, where)
    return whole[key]
