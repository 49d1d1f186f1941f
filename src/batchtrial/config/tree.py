"""YAML or JSON text to plain values, within bounds: what a few lines can blow up to is known before it is built.

Values are the ones of JSON. What YAML reads as something that the writer hardly meant (dates, octal and sexagesimal numbers, keys that are no texts)
is refused with its line. Merge keys (`<<: *name`) work; a key after a merge overrides it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import yaml
from yaml.composer import Composer
from yaml.resolver import Resolver

from batchtrial.config.yaml_core import retagged
from batchtrial.errors import ConfigError

MAX_NODES: Final = 50_000
"""Values and keys, each counted as often as an alias repeats it."""
MAX_DEPTH: Final = 50
MAX_CHARS: Final = 64 * 2**20

ONLY_PLAIN: Final = re.compile(r"[\t?!%\ufeff]|[|>][-+0-9]*#")
"""Characters about which the two parsers disagree: libyaml takes tabs, question marks and tags in places where the other refuses them."""
MERGE: Final = "tag:yaml.org,2002:merge"
OCTAL: Final = re.compile(r"[-+]?0[0-7_]+")
NUMBER_KEYS: Final = frozenset({"samples_per_item"})
"""Settings whose keys are numbers: they are read as they are written."""


class _Refused(Exception):
    """Something in the text that is no config. line: from 1; None when it is not known. steps: the keys that lead to it, from the innermost."""

    def __init__(self, what: str, line: int | None, hint: str) -> None:
        super().__init__(what)
        self.what, self.line, self.hint = what, line, hint
        self.steps: list[str] = []


@dataclass(slots=True)
class _Weight:
    """Of a value with every alias in it written out."""

    nodes: int = 0
    chars: int = 0
    height: int = 0

    def take(self, other: _Weight) -> None:
        """Add what stands inside."""
        self.nodes += other.nodes
        self.chars += other.chars
        self.height = max(self.height, other.height)


class _Weighing(Composer):
    """Composer that weighs what it composes, before anything is built of it."""

    def __init__(self, max_chars: int) -> None:
        Composer.__init__(self)
        self._max_chars = max_chars
        self._open = [_Weight()]
        self._done: dict[int, _Weight] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node, weighed. Raises _Refused past the bounds."""
        line = self.peek_event().start_mark.line + 1  # type: ignore[attr-defined]
        if self.check_event(yaml.AliasEvent):  # type: ignore[attr-defined]
            node = super().compose_node(parent, index)
            weight = self._done.get(id(node))
            if weight is None:
                raise _Refused("an alias stands inside what it refers to", line, "a config has no loops: write the value out")
        else:
            self._check_depth(0, line)
            self._open.append(_Weight())
            node = super().compose_node(parent, index)
            weight = self._open.pop()
            weight.take(_Weight(1, len(node.value) if isinstance(node, yaml.ScalarNode) else 0))
            weight.height += 1
            self._done[id(node)] = weight
        self._check_depth(weight.height, line)
        self._open[-1].take(weight)
        self._check_size(line)
        return node

    def _check_depth(self, height: int, line: int) -> None:
        if len(self._open) + height > MAX_DEPTH + 1:
            raise _Refused(f"nested more than {MAX_DEPTH} levels deep", line, "is it the right file?")

    def _check_size(self, line: int) -> None:
        if sum(weight.nodes for weight in self._open) > MAX_NODES:
            what = f"more than {MAX_NODES:,} values, with every alias written out"
            raise _Refused(what, line, "a config is a few hundred settings; do aliases repeat aliases?")
        if sum(weight.chars for weight in self._open) > self._max_chars:
            raise _Refused("too much text, with every alias written out", line, "do aliases repeat a long text?")


class _PlainLoader(_Weighing, yaml.SafeLoader):
    """Reads with the parser that every PyYAML has; its words are the ones of the messages."""

    def __init__(self, text: str, max_chars: int) -> None:
        yaml.SafeLoader.__init__(self, text)
        _Weighing.__init__(self, max_chars)


if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _FastLoader(_Weighing, CParser, Resolver):
        """Reads with libyaml, and composes as the other does."""

        def __init__(self, text: str, max_chars: int) -> None:
            CParser.__init__(self, text)
            _Weighing.__init__(self, max_chars)
            Resolver.__init__(self)

else:
    _FastLoader = _PlainLoader  # type: ignore[misc, assignment]


def decode_tree(text: str, *, where: str, is_json: bool = False, is_core: bool = False, max_chars: int = MAX_CHARS) -> Any:
    """The values in `text`: dicts with text keys, lists, texts, finite numbers, booleans, None; none is shared. Raises ConfigError with the line.

    is_core: words mean what they do to readers of YAML 1.2, as other programs are: `yes` and `12:30` are texts.
    """
    try:
        if is_json:
            return _json_tree(text)
        root = _compose(text, max_chars)
        return _build(retagged(root) if is_core else root, None)
    except _Refused as error:
        place = where if error.line is None else f"{where}, line {error.line}"
        key = ".".join(reversed(error.steps))
        raise ConfigError(f"{key}: {error.what}" if key else error.what, where=place, hint=error.hint) from None
    except yaml.YAMLError as error:
        raise _yaml_error(error, text, where) from None


def check_whole(value: Any, where: str) -> None:
    """Raises ConfigError when a text in it, which may come from bytes that are no UTF-8, holds half of a surrogate pair."""
    try:
        _check_texts(value)
    except _Refused as error:
        raise ConfigError(error.what, where=where, hint=error.hint) from None


def compose(text: str) -> yaml.Node | None:
    """The nodes of a text that was read before, with their lines; None when it is no YAML."""
    try:
        return _compose(text, MAX_CHARS)
    except (_Refused, yaml.YAMLError):
        return None


def _compose(text: str, max_chars: int) -> yaml.Node | None:
    """The nodes of the text. libyaml is ten times as fast where PyYAML has it; what it refuses is read again, for the same words everywhere."""
    if ONLY_PLAIN.search(text) is None:
        try:
            return _single_node(_FastLoader(text, max_chars))
        except (yaml.YAMLError, UnicodeEncodeError):
            pass
    return _single_node(_PlainLoader(text, max_chars))


def _single_node(loader: _FastLoader | _PlainLoader) -> yaml.Node | None:
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def _build(node: yaml.Node | None, key: str | None) -> Any:
    if node is None:
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, key)
    if isinstance(node, yaml.SequenceNode):
        _check_tag(node, "tag:yaml.org,2002:seq")
        return [_build(one, key) for one in node.value]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node)


def _check_tag(node: yaml.Node, plain: str) -> None:
    if node.tag != plain:
        raise _Refused(f"the tag {node.tag.removeprefix('tag:yaml.org,2002:')!r} has no meaning here", _line(node), "write the value without a tag")


def _mapping(node: yaml.MappingNode, name: str | None) -> dict[str, Any]:
    _check_tag(node, "tag:yaml.org,2002:map")
    merged: dict[str, Any] = {}
    own: dict[str, Any] = {}
    is_merged = False
    for key_node, value_node in node.value:
        if key_node.tag == MERGE:
            if is_merged:
                raise _Refused("the key '<<' stands twice", _line(key_node), "merge several with `<<: [*one, *other]`; the first wins")
            is_merged = True
            merged = _merged(value_node)
            continue
        key = _key(key_node, name)
        if key in own:
            raise _Refused(f"the key {key!r} stands twice", _line(key_node), "remove one of the two")
        try:
            own[key] = _build(value_node, key)
        except _Refused as error:
            error.steps.append(key)
            raise
    return merged | own


def _merged(node: yaml.Node) -> dict[str, Any]:
    parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
    merged: dict[str, Any] = {}
    for part in parts:
        if not isinstance(part, yaml.MappingNode):
            raise _Refused("'<<' takes over settings of a mapping, and this is none", _line(part), "write `<<: *name`, or `<<: [*one, *other]`")
        merged = _mapping(part, None) | merged
    return merged


def _key(node: yaml.Node, name: str | None) -> str:
    value = _scalar(node) if isinstance(node, yaml.ScalarNode) else None
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and name in NUMBER_KEYS:
        return str(node.value)
    kind = "a list or mapping" if not isinstance(node, yaml.ScalarNode) else _kind(value)
    shown = f" {node.value}" if isinstance(node, yaml.ScalarNode) else ""
    raise _Refused(f"the key{shown} is {kind}, not a text", _line(node), f"put it in quotes: '{node.value}'" if shown else "a key is one word")


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    return "true or false" if isinstance(value, bool) else "a number"


def _scalar(node: yaml.ScalarNode) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    reader = _SCALARS.get(kind)
    if reader is None:
        _check_tag(node, "")
    assert reader is not None
    try:
        return reader(node)
    except (ValueError, OverflowError, KeyError):
        raise _Refused(f"{node.value[:40]!r} is no usable {kind}", _line(node), "put it in quotes when it is a text") from None


def _text(node: yaml.ScalarNode) -> str:
    _check_whole(node.value, _line(node))
    return str(node.value)


def _check_whole(text: str, line: int | None) -> None:
    """No request and no file of ours can hold half of a surrogate pair."""
    if not text.isascii() and (half := HALF.search(text)):
        raise _Refused(f"\\u{ord(half[0]):04x} is half of a character", line, "write the character itself")


def _integer(node: yaml.ScalarNode) -> int:
    text = node.value
    if ":" in text:
        raise _Refused(f"{text} would be read as a number to the base 60", _line(node), f"put it in quotes: '{text}'")
    if OCTAL.fullmatch(text):
        plain = text.replace("_", "")
        raise _Refused(f"{text} would be read as {int(plain, 8)} (octal)", _line(node), f"write {int(plain)}, or '{text}' for a text")
    if len(text) > 64:
        raise _Refused(f"a number of {len(text)} digits", _line(node), "put it in quotes when it is a text")
    return int(_SAFE.construct_yaml_int(node))


def _real(node: yaml.ScalarNode) -> float:
    text = node.value
    if ":" in text:
        raise _Refused(f"{text} would be read as a number to the base 60", _line(node), f"put it in quotes: '{text}'")
    value = float(_SAFE.construct_yaml_float(node))
    if not math.isfinite(value):
        raise _Refused(f"{text} is no finite number", _line(node), f"use a number, or '{text}' for a text")
    return value


def _date(node: yaml.ScalarNode) -> Any:
    raise _Refused(f"{node.value} would be read as a date", _line(node), f"put it in quotes: '{node.value}'")


_SAFE: Final = yaml.constructor.SafeConstructor()
_SCALARS: Final[dict[str, Callable[[yaml.ScalarNode], Any]]] = {
    "str": _text,
    "value": _text,  # a lone `=`
    "null": lambda node: None,
    "bool": lambda node: bool(_SAFE.construct_yaml_bool(node)),
    "int": _integer,
    "float": _real,
    "timestamp": _date,
}


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _yaml_error(error: yaml.YAMLError, text: str, where: str) -> ConfigError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error).replace("\n", " ")
    hint = ""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, int(error.position)) + 1
        return ConfigError(f"not valid YAML: a character that YAML does not take (U+{int(error.character):04X})", where=f"{where}, line {line}")
    if "\\t" in problem:
        hint = "indent with spaces, not with tabs"
    elif isinstance(error, yaml.composer.ComposerError) and "single document" in str(error):
        problem, hint = "a second document begins", "a config is one document: remove the line `---`"
    place = f"{where}, line {mark.line + 1}" if mark is not None else where
    return ConfigError(f"not valid YAML: {problem}", where=place, hint=hint)


HALF: Final = re.compile("[\ud800-\udfff]")
JSON_SCALAR: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{},]', re.DOTALL)


def _json_tree(text: str) -> Any:
    _check_json_bounds(text)
    try:
        tree = json.loads(text, object_pairs_hook=_json_object, parse_constant=_json_constant, parse_float=_json_float)
        _check_texts(tree)
        return tree
    except json.JSONDecodeError as error:
        raise _Refused(f"not valid JSON: {error.msg}", error.lineno, "check the commas, quotes and brackets there") from None
    except ValueError as error:
        raise _Refused(f"not usable as JSON: {str(error)[:80]}", None, "put very long numbers in quotes") from None


def _check_texts(tree: Any) -> None:
    """Every text, keys too; raises _Refused with the keys that lead to it."""
    if isinstance(tree, str):
        _check_whole(tree, None)
    elif isinstance(tree, list | tuple):
        for one in tree:
            _check_texts(one)
    elif isinstance(tree, dict):
        for key, one in tree.items():
            _check_whole(key, None)
            try:
                _check_texts(one)
            except _Refused as error:
                error.steps.append(key)
                raise


def _check_json_bounds(text: str) -> None:
    """The decoder of the standard library goes down by itself for every bracket; it is asked only when there are few."""
    depth = n_nodes = 0
    for match in JSON_SCALAR.finditer(text):
        char = match.group()[0]
        depth += (char in "[{") - (char in "]}")
        n_nodes += char == ","
        if depth > MAX_DEPTH or n_nodes > MAX_NODES:
            what = f"nested more than {MAX_DEPTH} levels deep" if depth > MAX_DEPTH else f"more than {MAX_NODES:,} values"
            raise _Refused(what, text.count("\n", 0, match.start()) + 1, "is it the right file?")


def _json_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Refused(f"the key {key!r} stands twice", None, "remove one of the two")
        found[key] = value
    return found


def _json_constant(text: str) -> Any:
    raise _Refused(f"{text} is no finite number", None, "use a number")


def _json_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused(f"{text[:40]} is no finite number", None, "use a number")
    return value
