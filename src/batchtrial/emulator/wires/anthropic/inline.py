"""Inline requests of a batch: a JSON body of up to 256 MB turned into a file of rows without ever being held whole.

The array is cut into its elements by the JSON decoder working on a window of the text; one element at a time is looked at.
"""

from __future__ import annotations

import codecs
import json
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from batchtrial.emulator.world.jsontext import BadJson, encode
from batchtrial.emulator.world.rowfile import save_index

MAX_REQUESTS: Final = 100_000
WINDOW: Final = 1 << 20  # characters
CUSTOM_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OF_NUMBERS: Final = "0123456789.eE+-"
_SPACE: Final = re.compile(r"[ \t\r\n]*")


class BadBatch(ValueError):
    """A body that the API answers with HTTP 400."""


class _Text:
    """A window on the text of a file that can be moved forward and grown, never back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(parse_constant=_refuse)
        self.text, self.at, self.is_end = "", 0, False

    def more(self, n_chars: int = WINDOW) -> bool:
        """Read on; False at the end. Raises BadBatch when the bytes are not UTF-8."""
        if self.is_end:
            return False
        raw = self._file.read(n_chars)
        self.is_end = not raw
        try:
            self.text, self.at = self.text[self.at :] + self._decode.decode(raw, final=self.is_end), 0
        except UnicodeDecodeError:
            raise BadBatch("The request body is not valid UTF-8.") from None
        return True

    def peek(self) -> str:
        """The next character that is not space; empty at the end."""
        while True:
            match = _SPACE.match(self.text, self.at)
            assert match is not None
            self.at = match.end()
            if self.at < len(self.text):
                return self.text[self.at]
            if not self.more():
                return ""

    def expect(self, characters: str) -> str:
        """Take one of these characters. Raises BadBatch."""
        found = self.peek()
        if not found or found not in characters:
            raise BadBatch(f"The request body is not valid JSON: expected one of {characters!r}.")
        self.at += 1
        return found

    def value(self) -> tuple[Any, str]:
        """The next JSON value and its text. Raises BadBatch."""
        self.peek()
        while True:
            try:
                value, end = self._json.raw_decode(self.text, self.at)
            except BadJson as err:
                raise BadBatch(f"The request body is not valid JSON: {err}.") from None
            except RecursionError:
                raise BadBatch("The request body is nested too deeply.") from None
            except ValueError as err:
                # Cut off by the window, or wrong: only more text can tell. Growing with the text keeps the cost linear.
                if not self.more(max(WINDOW, len(self.text))):
                    raise BadBatch(f"The request body is not valid JSON: {err}.") from None
                continue
            if isinstance(value, int | float) and not self.is_end and not self.text[end:].strip(_OF_NUMBERS):
                self.more()  # a number may go on behind the window
                continue
            raw = self.text[self.at : end]
            self.at = end
            return value, raw


def _refuse(name: str) -> None:
    raise BadJson(f"{name} is not JSON")


def elements(file: BinaryIO) -> Iterator[tuple[Any, str]]:
    """The elements of `requests` in a JSON object, with their text, in order. Raises BadBatch."""
    text = _Text(file)
    text.expect("{")
    is_there = False
    if text.peek() == "}":
        text.at += 1
    else:
        while True:
            key, _ = text.value()
            text.expect(":")
            if key != "requests":
                raise BadBatch(f"{key}: Extra inputs are not permitted")
            if is_there:
                raise BadBatch("requests: given twice")
            is_there = True
            yield from _array(text)
            if text.expect(",}") == "}":
                break
    if text.peek():
        raise BadBatch("The request body is not valid JSON: there is text behind its end.")
    if not is_there:
        raise BadBatch("requests: Field required")


def _array(text: _Text) -> Iterator[tuple[Any, str]]:
    if text.peek() != "[":
        raise BadBatch("requests: Input should be a valid list")
    text.at += 1
    if text.peek() == "]":
        text.at += 1
        return
    while True:
        yield text.value()
        if text.expect(",]") == "]":
            return


def take_in(source: Path, target: Path) -> int:
    """Check a body and write its requests to `target`, one a line, with their index; returns how many.

    Only the shape, the custom_ids and the count are checked: parameters are looked at later, per request. Raises BadBatch.
    """
    draft = target.with_name(target.name + ".tmp")
    try:
        with source.open("rb") as file, draft.open("wb") as out:
            offsets = _copy(file, out)
    except BadBatch:
        draft.unlink()
        raise
    save_index(target, offsets)
    return len(offsets)


def _copy(file: BinaryIO, out: BinaryIO) -> array[int]:
    """Write each request as one line; returns their offsets."""
    offsets, seen = array("Q"), set[int]()
    for position, (element, raw) in enumerate(elements(file)):
        if position >= MAX_REQUESTS:
            raise BadBatch(f"requests: List should have at most {MAX_REQUESTS} items")
        _check(position, element, seen)
        offsets.append(out.tell())
        is_plain = "\n" not in raw and "\r" not in raw and "\\u" not in raw
        try:
            out.write((raw if is_plain else encode(element)).encode("utf-8") + b"\n")
        except UnicodeEncodeError:
            raise BadBatch(f"requests.{position}: contains a lone surrogate") from None
    if not offsets:
        raise BadBatch("requests: List should have at least 1 item")
    return offsets


def _check(position: int, element: Any, seen: set[int]) -> None:
    where = f"requests.{position}"
    if not isinstance(element, dict):
        raise BadBatch(f"{where}: Input should be a valid dictionary")
    custom_id, params = element.get("custom_id"), element.get("params")
    if not isinstance(custom_id, str):
        raise BadBatch(f"{where}.custom_id: Field required")
    if not CUSTOM_ID.fullmatch(custom_id):
        raise BadBatch(f"{where}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'")
    if hash(custom_id) in seen:
        raise BadBatch(f"{where}.custom_id: '{custom_id}' is used more than once")
    seen.add(hash(custom_id))
    if not isinstance(params, dict):
        raise BadBatch(f"{where}.params: Field required")
    extra = set(element) - {"custom_id", "params"}
    if extra:
        raise BadBatch(f"{where}.{min(extra)}: Extra inputs are not permitted")
