"""What the content of an answer says: its text and the kinds of its parts, or that it is neither text nor parts of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

THINKING: Final = frozenset({"thinking", "reasoning", "redacted_thinking", "thought", "reasoning_text"})
"""Kinds of parts that hold what a model thought: no part of the answer, also where they have a text."""
_TEXT: Final = frozenset({"", "text", "output_text", "refusal"})
_CALLS: Final = ("tool_use", "tool_call", "function_call", "_call")
_OF_CALLS: Final = ("tool_result", "_call_output", "_approval_request")


class Content(NamedTuple):
    """A message's content. kinds: of its parts. is_text: False when what stands there is no text, so that an empty text is no empty answer."""

    text: str
    kinds: frozenset[str] = frozenset()
    is_text: bool = True

    @property
    def has_call(self) -> bool:
        """Whether a part calls a tool."""
        return any(is_call(kind) for kind in self.kinds)

    @property
    def has_thinking(self) -> bool:
        """Whether a part holds thoughts."""
        return not self.kinds.isdisjoint(THINKING)


def first_answer(listed: object) -> Mapping[str, Any] | None:
    """Of several choices or candidates the one with the smallest index, in whatever order they stand; None where the first of them is no object."""
    first = listed[0] if isinstance(listed, list) and listed else None
    if not isinstance(first, dict):
        return None
    numbered = [one for one in listed if isinstance(one, dict) and type(one.get("index")) is int] if isinstance(listed, list) else []
    return min(numbered, key=lambda one: int(one["index"])) if len(numbered) > 1 else first


def is_call(kind: str) -> bool:
    """Whether a part or an item of this kind calls a tool."""
    return kind.endswith(_CALLS)


def read_content(content: object) -> Content:
    """Nothing, a text, or a list of parts whose texts are joined; whatever else stands there is no text."""
    if content is None:
        return Content("")
    if isinstance(content, str):
        return Content(content)
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return Content("", is_text=False)
    texts: list[str] = []
    kinds: set[str] = set()
    is_text = True
    for part in content:
        kind = str(part.get("type") or "")
        kinds.add(kind)
        if kind in THINKING:
            continue
        said = part.get("text", part.get("refusal"))
        if isinstance(said, str):
            texts.append(said)
        elif said is not None or not (kind in _TEXT or is_call(kind) or kind.endswith(_OF_CALLS)):
            is_text = False
    # A picture beside a text is no part of the answer, and takes nothing from it; alone it is an answer that nobody reads here.
    return Content("".join(texts), frozenset(kinds), is_text or bool(texts))
