"""Texts of others, such as data and answers, as they may be shown: with nothing in them that moves a cursor, gives a terminal an order, or hides."""

from __future__ import annotations

import json
import logging
import re
from typing import Any, Final

_SIGNS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


def visible(text: str) -> str:
    """Control characters, which could move a terminal's cursor or hide text, as their code points."""
    return _SIGNS.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)


def on_terminal(text: str) -> str:
    """The same where lines may end as in Windows, and halves of surrogate pairs, which JSON can carry and no terminal can, are escapes."""
    return visible(text.replace("\r\n", "\n")).encode("utf-8", "backslashreplace").decode("utf-8")


def in_json(value: Any, **how: Any) -> str:
    """The value as indented JSON in which such characters are escapes, as is half of a surrogate pair. how: further arguments of json.dumps."""
    text = json.dumps(value, **{"indent": 2, "ensure_ascii": False} | how)
    return _SIGNS.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode("utf-8", "backslashreplace").decode("utf-8")


class VisibleFormatter(logging.Formatter):
    """Lines of a log, whose messages may quote what a server said."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return visible(super().format(record))
