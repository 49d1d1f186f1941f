"""Plain words of YAML as version 1.2 reads them, its core schema: `yes` is a text, a date is one, and a number's zeros in front mean nothing."""

from __future__ import annotations

from typing import Final

import yaml

_TAG: Final = "tag:yaml.org,2002:"
_TEXT: Final = f"{_TAG}str"


def retagged(root: yaml.Node | None) -> yaml.Node | None:
    """The nodes, which PyYAML tags as version 1.1 reads them, with the tags of 1.2; changed in place."""
    waiting, seen = [root] if root is not None else [], set[int]()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting += [one for pair in node.value for one in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.ScalarNode) and not node.style:
            _retag(node)
    return root


def _retag(node: yaml.ScalarNode) -> None:
    kind, text = node.tag.removeprefix(_TAG), node.value
    if kind == "timestamp" or (kind in ("int", "float") and ":" in text) or (kind == "bool" and text.lower() not in ("true", "false")):
        node.tag = _TEXT
    elif kind == "int" and text.lstrip("+-").isdecimal():
        node.value = str(int(text)) if len(text) <= 64 else text
