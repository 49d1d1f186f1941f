"""From YAML, environment and flags to one Config, and back to canonical bytes.

A file that starts a run is checked more strictly than the record of a run that exists, which has to stay readable.

Precedence: flag > environment > file > default; `Loaded.origin` says for each key where its value came from. Prompt files are read here, once, so
that everything later works from the texts.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from batchtrial.config.check import check, number
from batchtrial.config.files import read_text
from batchtrial.config.hosts import address_fault
from batchtrial.config.model import Config
from batchtrial.config.texts import read_texts, without_variables
from batchtrial.config.tree import check_whole, compose, decode_tree
from batchtrial.errors import ConfigError, wanted
from batchtrial.names import RECORDED, is_url

BUDGET_VARIABLE: Final = "BATCHTRIAL_BUDGET_USD"
ENVIRONMENT: Mapping[str, str] = {
    "BATCHTRIAL_BACKEND": "backend",
    "BATCHTRIAL_MODEL_ID": "model_id",
    "BATCHTRIAL_BASE_URL": "provider.base_url",
    "BATCHTRIAL_ACCOUNT_ID": "provider.account_id",
    BUDGET_VARIABLE: "submission.budget_usd",
    "BATCHTRIAL_MAX_CONCURRENT_JOBS": "submission.max_concurrent_jobs",
    "BATCHTRIAL_POLL_SECONDS": "submission.poll_seconds",
    "BATCHTRIAL_SEED": "seed",
}
"""Environment variable -> config key. Keys of providers are read by their adapters and never become config."""
TEXTS = frozenset({"backend", "model_id", "provider.base_url", "provider.account_id"})
"""Settings that are texts whatever the variable holds."""
MAX_CONFIG_BYTES = 4 * 2**20

OPERATIONAL = re.compile(r"submission\.|metric_seconds|exports|report|(provider|lanes\.[^.]+)\.queue(\.|$)")
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


class _Dumper(yaml.SafeDumper):
    """Safe dumper that writes texts of several lines as blocks, so that people can read prompts in effective_config.yaml."""


def _block(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _block)


def load(path: Path, *, flags: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None, is_begun: bool = False) -> Loaded:
    """Read the config file and lay environment and flags over it. flags: dotted key -> value. is_begun: it is compared with a run that exists.

    Raises ConfigError naming file, line, key path, offending value and the nearest valid key.
    """
    where = str(path)
    if is_url(where):
        raise ConfigError(f"{where} is an address, not a file", where="--config", hint="fetch it first, and name the file")
    try:
        text = read_text(path, what="the config file", where=where, max_bytes=MAX_CONFIG_BYTES)
    except FileNotFoundError:
        raise ConfigError(f"there is no config file {path}", hint="`batchtrial init` writes one to start from") from None
    source = _Source(text=text, where=where, folder=path.parent, is_json=where.endswith(".json"))
    return _loaded(source, flags or {}, env or {}, is_begun=is_begun)


def load_tree(tree: Mapping[str, Any], *, flags: Mapping[str, Any], env: Mapping[str, str], is_begun: bool = False) -> Loaded:
    """The same of a config that is given as a mapping; files that it names are looked up from the working directory. Raises ConfigError."""
    where = "the config that was given"
    try:
        text = json.dumps(tree)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"a config holds texts, numbers, lists and mappings: {error}", where=where) from None
    return _loaded(_Source(text=text, where=where, folder=Path(), is_json=True), flags, env, is_begun=is_begun)


def _loaded(source: _Source, flags: Mapping[str, Any], env: Mapping[str, str], *, is_begun: bool) -> Loaded:
    tree = _tree(source)
    _read_variables(tree, source, flags)
    given = _laid_over(tree, flags, env)
    read_texts(tree, source.folder, source.where)
    _place_data(tree, source.folder, source.where)
    config = _validated(tree, source, given, is_new=not is_begun)
    if not is_begun:
        try:
            check(config)
        except ConfigError as error:
            raise ConfigError(error.what, where=source.place(error.where, given), hint=error.hint) from None
    return Loaded(config=config, origin=given)


def decode(text: str, *, where: str, folder: Path, flags: Mapping[str, Any], env: Mapping[str, str]) -> Loaded:
    """The config in `text`, which a run was started with; what it does not carry itself is looked up from `folder`. Raises ConfigError."""
    source = _Source(text=text, where=where, folder=folder, is_json=where.endswith(".json"))
    tree = _tree(source)
    given = _laid_over(tree, flags, env)
    read_texts(tree, folder, where)
    _place_data(tree, folder, where)
    return Loaded(config=_validated(tree, source, given, is_new=False), origin=given)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A text that a config is read from. where: its file. folder: where the files that it names are looked up first."""

    text: str
    where: str
    folder: Path
    is_json: bool = False

    def place(self, key: str, origin: Mapping[str, str]) -> str:
        """Where the key was given: file, line and key, or the flag or variable that gave it."""
        given = next((f"{by}" for name, by in origin.items() if by != "file" and (key == name or key.startswith(f"{name}."))), None)
        if given is not None:
            return f"{key} ({'given by flag' if given == 'flag' else given})"
        line = self._line(key.split("."))
        return f"{self.where}, line {line}: {key}" if line is not None else f"{self.where}: {key}" if key else self.where

    def _line(self, steps: Sequence[str]) -> int | None:
        node, line = compose(self.text), None
        for step in steps:
            inside = node.value if isinstance(node, yaml.CollectionNode) else []
            if isinstance(node, yaml.MappingNode):
                found = next(((key, value) for key, value in inside if key.value == step), None)
            else:
                found = (inside[int(step)],) * 2 if step.isdigit() and int(step) < len(inside) else None
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        return line


def _tree(source: _Source) -> dict[str, Any]:
    tree = decode_tree(source.text, where=source.where, is_json=source.is_json)
    if not isinstance(tree, dict):
        kind = "is empty" if tree is None else "begins with a list" if isinstance(tree, list) else "is a single value"
        raise ConfigError(
            f"a config is a mapping of settings, and this file {kind}", where=source.where, hint="`batchtrial init` writes one to start from"
        )
    return tree


def _read_variables(tree: dict[str, Any], source: _Source, flags: Mapping[str, Any]) -> None:
    given: Mapping[str, str] = {}
    try:
        for key, value in tree.items():
            tree[key] = without_variables(value, key)
        given = dict.fromkeys(flags, "flag")
        for key, value in flags.items():
            without_variables(value, key)
    except ConfigError as error:
        raise ConfigError(error.what, where=source.place(error.where, given), hint=error.hint) from None


def _laid_over(tree: dict[str, Any], flags: Mapping[str, Any], env: Mapping[str, str]) -> dict[str, str]:
    """Put the values of environment and flags into the tree; returns where each key comes from."""
    origin = {key: "file" for key, _ in flatten(tree)}
    for variable, key in ENVIRONMENT.items():
        if env.get(variable):
            check_whole(env[variable], variable)
            _put(tree, key, env[variable] if key in TEXTS else decode_tree(env[variable], where=variable))
            origin[key] = variable
    asked = _temps_in(tree)
    for key, value in flags.items():
        check_whole(value, f"{key} (given by flag)")
        _put(tree, key, value)
        origin[key] = "flag"
    _check_new_address(tree, origin)
    _drop_unasked_samples(tree, asked)
    return origin


def _check_new_address(tree: Mapping[str, Any], origin: Mapping[str, str]) -> None:
    """An address that comes now is looked at also where the run exists, and what it was started with is not."""
    key = "provider.base_url"
    by, provider = origin.get(key, "file"), tree.get("provider")
    url = provider.get("base_url") if isinstance(provider, dict) else None
    fault = address_fault(url) if by != "file" and isinstance(url, str) else None
    if fault is not None:
        raise ConfigError(fault[0], where=f"{key} ({'given by flag' if by == 'flag' else by})", hint=fault[1])


def _temps_in(tree: Mapping[str, Any]) -> set[float]:
    """Every temperature that the settings name, as far as they are numbers."""
    sweep, trials = tree.get("sweep"), tree.get("trials")
    lists = [tree.get("temps"), sweep.get("temps") if isinstance(sweep, dict) else None]
    lists += [one.get("temps") for one in trials if isinstance(one, dict)] if isinstance(trials, list) else []
    values = [value for one in lists if isinstance(one, list) for value in one]
    return {float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)}


def _drop_unasked_samples(tree: dict[str, Any], in_file: set[float]) -> None:
    """`--temps` picks some of the file's temperatures; the sample counts of the others go with them."""
    counts = tree.get("samples_per_item")
    dropped = in_file - _temps_in(tree)
    if isinstance(counts, dict) and dropped:
        tree["samples_per_item"] = {key: n for key, n in counts.items() if number(key) not in dropped}


def _validated(tree: dict[str, Any], source: _Source, origin: Mapping[str, str], *, is_new: bool) -> Config:
    try:
        return Config.model_validate(tree, context=None if is_new else RECORDED)
    except ValidationError as error:
        raise _explain(error, source, origin) from None


def encode(config: Config) -> bytes:
    """Canonical YAML: every key, sorted; the same config gives the same bytes."""
    return _canonical(json.dumps(config.model_dump(mode="json")))


@lru_cache(maxsize=16)
def _canonical(tree: str) -> bytes:
    """A command asks for the same config's bytes, and for their hash, several times; libyaml would write other bytes."""
    return yaml.dump(json.loads(tree), Dumper=_Dumper, sort_keys=True, allow_unicode=True, width=4096).encode()


def config_hash(config: Config) -> str:
    """Hex sha256 of the canonical YAML."""
    return hashlib.sha256(encode(config)).hexdigest()


def drift(old: Config, new: Config) -> dict[str, str]:
    """Changed keys, each as `old -> new`; operational ones, and the places of question files, are left out."""
    before, after = dict(flatten(old.model_dump(mode="json"))), dict(flatten(new.model_dump(mode="json")))
    changed = {}
    for key in sorted(before.keys() | after.keys()):
        if (OPERATIONAL.match(key) and key not in SHAPING) or PLACES.fullmatch(key):
            continue
        if before.get(key) != after.get(key):
            changed[key] = f"{_short(before.get(key))} -> {_short(after.get(key))}"
    return changed


def carried_out(old: Config, new: Config) -> dict[str, Any]:
    """Settings of `submission` that the new config has otherwise and that may change on resume, as dotted keys."""
    before, after = (dict(flatten(one.submission.model_dump(mode="json"), "submission")) for one in (old, new))
    return {key: value for key, value in after.items() if key not in SHAPING and before.get(key) != value}


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


def _place_data(tree: dict[str, Any], folder: Path, where: str) -> None:
    """A data path given relative to the config file is kept relative to the working directory, from where a resumed run will look."""
    datasets = tree.get("datasets")
    for place, one in enumerate(datasets if isinstance(datasets, list) else ()):
        given = one.get("path") if isinstance(one, dict) else None
        if not isinstance(given, str) or one.get("source") == "hub":
            continue
        key = f"{where}: datasets.{place}.path"
        if is_url(given):
            raise ConfigError(f"{given} is an address, not a file", where=key, hint="fetch it first, and name the file; or use `source: hub`")
        if "\x00" in given:
            raise ConfigError(f"{given!r} is no file name", where=key)
        if not Path(given).is_file() and (folder / given).is_file():
            one["path"] = (folder / given).as_posix()


HINT = "docs/config.md lists every key with its type"
KIND = re.compile(r"int|str|float|bool|constrained-[a-z]+|(?:dict|list|tuple|literal|function-[a-z-]+)\[.*")
"""What a validator adds to a place to say which of several kinds of value it had tried."""
QUOTES = "put the value in quotes when it is meant as a text"


def _explain(error: ValidationError, source: _Source, origin: Mapping[str, str]) -> ConfigError:
    first, *others = error.errors(include_url=False)
    if first["type"] == "missing":  # as long as it is not written under a name that nobody knows
        first = next((one for one in others if one["type"] == "extra_forbidden" and one["loc"][:-1] == first["loc"][:-1]), first)
    steps = [step for step in first["loc"] if not KIND.fullmatch(str(step))]
    key = ".".join(str(step) for step in steps)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    where = source.place(key, origin)
    if first["type"] == "extra_forbidden":
        valid = _keys_at(Config, steps[:-1])
        near = difflib.get_close_matches(str(steps[-1]), valid, 1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"valid here: {', '.join(valid)}"
        return ConfigError(f"unknown key {key!r} with value {_short_input(first['input'])}{more}", where=where, hint=hint)
    if first["type"] == "missing":
        return ConfigError(f"{key} is not set{more}", where=where, hint="`batchtrial init` writes a config with every required key")
    value = "" if not steps else f"; it is {_short_input(first['input'])}"
    hint = QUOTES if first["type"] == "string_type" and isinstance(first["input"], bool | int | float) else HINT
    return ConfigError(f"{key or 'the config'}: {wanted(first)}{value}{more}", where=where, hint=hint)


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
    found = current if isinstance(current, type) and issubclass(current, BaseModel) else model
    return sorted((*found.model_fields, *getattr(found, "short_forms", ())))


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    found: list[type[BaseModel]] = []
    for inner in getattr(annotation, "__args__", ()):
        found += _models_in(inner)
    return found
