"""From YAML, environment and flags to one Config, and back to canonical bytes.

Precedence: flag > environment > file > default; `Loaded.origin` says for each key where its value came from. Prompt files are read here, once, so
that everything later works from the texts.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from batchtrial.config.model import Config
from batchtrial.errors import ConfigError

ENVIRONMENT: Mapping[str, str] = {
    "BATCHTRIAL_BACKEND": "backend",
    "BATCHTRIAL_MODEL_ID": "model_id",
    "BATCHTRIAL_BASE_URL": "provider.base_url",
    "BATCHTRIAL_ACCOUNT_ID": "provider.account_id",
    "BATCHTRIAL_BUDGET_USD": "submission.budget_usd",
    "BATCHTRIAL_MAX_CONCURRENT_JOBS": "submission.max_concurrent_jobs",
    "BATCHTRIAL_POLL_SECONDS": "submission.poll_seconds",
    "BATCHTRIAL_SEED": "seed",
}
"""Environment variable -> config key. Keys of providers are read by their adapters and never become config."""

OPERATIONAL = ("submission.",)
"""Keys that shape how a run is carried out, not what it asks; they may change on resume without being drift ..."""
SHAPING = ("submission.lines_per_part", "submission.parts_per_dataset")
"""... except these, which decide how requests are cut into parts."""
PLACES = re.compile(r"datasets\.\d+\.path")
"""Where a question file lies: what it holds is compared by its fingerprint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A config, and for each dotted key that is not a default, where it came from."""

    config: Config
    origin: Mapping[str, str]


class _Loader(yaml.SafeLoader):
    """Safe loader that refuses a mapping with the same key twice: the first of the two would be lost silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise ConfigError(f"the key {key!r} stands twice", where=f"line {key_node.start_mark.line + 1}", hint="remove one of the two")
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """Safe dumper that writes texts of several lines as blocks, so that people can read prompts in effective_config.yaml."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def load(path: Path, *, flags: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Loaded:
    """Read the config file and lay environment and flags over it. flags: dotted key -> value.

    Raises ConfigError naming file, key path, offending value and the nearest valid key.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"there is no config file {path}", hint="`batchtrial init` writes one to start from") from None
    except (UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"cannot read the config file: {error}", where=str(path)) from None
    return decode(text, where=str(path), folder=path.parent, flags=flags or {}, env=env or {})


def decode(text: str, *, where: str, folder: Path, flags: Mapping[str, Any], env: Mapping[str, str]) -> Loaded:
    """The config in `text`; prompt and data paths are looked up from `folder`, then from the working directory. Raises ConfigError."""
    try:
        tree = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {str(error).replace(chr(10), ' ')}", where=where) from None
    except ConfigError as error:
        raise ConfigError(error.what, where=f"{where}, {error.where}", hint=error.hint) from None
    if not isinstance(tree, dict):
        raise ConfigError("a config is a mapping of settings", where=where, hint="`batchtrial init` writes one to start from")
    origin = {key: "file" for key, _ in flatten(tree)}
    for variable, key in ENVIRONMENT.items():
        if env.get(variable):
            _put(tree, key, _scalar(env[variable], variable))
            origin[key] = variable
    for key, value in flags.items():
        _put(tree, key, value)
        origin[key] = "flag"
    _read_texts(tree, folder, where)
    _place_data(tree, folder)
    try:
        config = Config.model_validate(tree)
    except ValidationError as error:
        raise _explain(error, tree, where) from None
    return Loaded(config=config, origin=origin)


def encode(config: Config) -> bytes:
    """Canonical YAML: every key, sorted; the same config gives the same bytes."""
    text = yaml.dump(config.model_dump(mode="json"), Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=4096)
    return text.encode()


def config_hash(config: Config) -> str:
    """Hex sha256 of the canonical YAML."""
    return hashlib.sha256(encode(config)).hexdigest()


def drift(old: Config, new: Config) -> dict[str, str]:
    """Changed keys, each as `old -> new`; operational ones, and the places of question files, are left out."""
    before, after = dict(flatten(old.model_dump(mode="json"))), dict(flatten(new.model_dump(mode="json")))
    changed = {}
    for key in sorted(before.keys() | after.keys()):
        if (key.startswith(OPERATIONAL) and key not in SHAPING) or PLACES.fullmatch(key):
            continue
        if before.get(key) != after.get(key):
            changed[key] = f"{_short(before.get(key))} -> {_short(after.get(key))}"
    return changed


def flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, leaf) pairs; an empty container is a leaf."""
    if isinstance(tree, Mapping) and tree:
        for key, value in tree.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list | tuple) and any(isinstance(one, Mapping) for one in tree):
        for place, value in enumerate(tree):
            yield from flatten(value, f"{prefix}.{place}")
    else:
        yield prefix, list(tree) if isinstance(tree, tuple) else tree


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:28]} ... ({len(text)} characters, sha256 {hashlib.sha256(text.encode()).hexdigest()[:8]})"


def _put(tree: dict[str, Any], key: str, value: Any) -> None:
    *steps, last = key.split(".")
    for step in steps:
        inner = tree.get(step)
        if not isinstance(inner, dict):
            inner = {}
            tree[step] = inner
        tree = inner
    tree[last] = value


def _scalar(text: str, variable: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{text[:60]!r} is not a usable value", where=variable) from None


def _read_texts(tree: dict[str, Any], folder: Path, where: str) -> None:
    instructions = tree.get("task_instructions")
    if isinstance(instructions, dict):
        _read_each(instructions, ("open_book", "closed_book"), "task_instructions", folder, where)
    sets = tree.get("prompt_sets")
    for name, conditions in sets.items() if isinstance(sets, dict) else ():
        for condition in ("control", "treatment"):
            if not isinstance(conditions, dict) or condition not in conditions:
                continue
            key = f"prompt_sets.{name}.{condition}"
            if isinstance(conditions[condition], str):
                conditions[condition] = {"system": conditions[condition]}
            prompt = conditions[condition]
            if isinstance(prompt, dict):
                _read_each(prompt, ("system",), key, folder, where)
                if isinstance(prompt.get("instruction"), dict):
                    _read_each(prompt["instruction"], ("open_book", "closed_book"), f"{key}.instruction", folder, where)


def _read_each(tree: dict[str, Any], keys: tuple[str, ...], prefix: str, folder: Path, where: str) -> None:
    for key in keys:
        given = tree.get(key)
        if isinstance(given, str):
            tree[key] = {"path": _portable(given), "text": _read_text(given, f"{where}: {prefix}.{key}", folder)}


def _read_text(given: str, where: str, folder: Path) -> str:
    for base in (folder, Path()):
        path = base / given
        if path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
            except UnicodeDecodeError as error:
                raise ConfigError(f"{given} is not UTF-8 text: {error.reason} at byte {error.start}", where=where) from None
            if not text.strip():
                raise ConfigError(f"{given} is empty", where=where, hint="a prompt needs at least one word")
            return text.replace("\r\n", "\n").strip("\n") + "\n"
    near = difflib.get_close_matches(Path(given).name, [p.name for p in (folder / given).parent.glob("*")] or [], 1)
    hint = f"did you mean {(Path(given).parent / near[0]).as_posix()}?" if near else f"looked in {folder} and in the working directory"
    raise ConfigError(f"there is no file {given}", where=where, hint=hint)


def _portable(given: str) -> str:
    """An absolute path says more about a machine than a run should carry."""
    path = Path(given)
    return path.name if path.is_absolute() else path.as_posix()


def _place_data(tree: dict[str, Any], folder: Path) -> None:
    """A data path given relative to the config file is kept relative to the working directory, from where a resumed run will look."""
    datasets = tree.get("datasets")
    for one in datasets if isinstance(datasets, list) else ():
        given = one.get("path") if isinstance(one, dict) else None
        if isinstance(given, str) and not Path(given).is_file() and (folder / given).is_file():
            one["path"] = (folder / given).as_posix()


def _explain(error: ValidationError, tree: Mapping[str, Any], where: str) -> ConfigError:
    first = error.errors(include_url=False)[0]
    steps = [step for step in first["loc"] if not ((isinstance(step, str) and step in ("int", "str")) or str(step).startswith("dict["))]
    key = ".".join(str(step) for step in steps)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        valid = _keys_at(Config, steps[:-1])
        near = difflib.get_close_matches(str(steps[-1]), valid, 1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid here: {', '.join(valid)}"
        return ConfigError(f"unknown key {key!r} with value {_short(first['input'])}{more}", where=where, hint=hint)
    if first["type"] == "missing":
        return ConfigError(f"{key} is not set{more}", where=where, hint="`batchtrial init` writes a config with every required key")
    message = first["msg"].removeprefix("Value error, ")
    value = "" if not steps else f"; it is {_short_input(first['input'])}"
    return ConfigError(f"{key or 'the config'}: {message}{value}{more}", where=where, hint="docs/config.md lists every key with its type")


def _short_input(value: Any) -> str:
    try:
        return _short(value)
    except TypeError:
        return repr(value)[:60]


def _keys_at(model: type[BaseModel], steps: list[Any]) -> list[str]:
    """Valid keys of the model that `steps` lead to; those of the top when they lead nowhere."""
    current: Any = model
    for step in steps:
        field = current.model_fields.get(step) if isinstance(current, type) and issubclass(current, BaseModel) else None
        candidates = _models_in(field.annotation) if field is not None else _models_in(current)
        current = candidates[0] if candidates else current
    return sorted(current.model_fields if isinstance(current, type) and issubclass(current, BaseModel) else model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for inner in getattr(annotation, "__args__", ()):
        found += _models_in(inner)
    return found
