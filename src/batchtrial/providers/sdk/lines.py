"""Byte chunks into result lines, with bounds on what a server can make us hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from batchtrial.errors import ProviderError

MAX_LINE_BYTES = 64 * 2**20
"""A longer line is cut here: it then fails to decode and is counted, and memory stays bounded."""

SLOW_BYTES_PER_SECOND = 256

MAX_DEPTH: Final = 200
"""Levels of a line's JSON. How deep a parser gets depends on what called it: a bound of our own makes every reader say the same of a line."""

_BRACKETS: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[][{}]', re.DOTALL)


def is_too_deep(line: bytes) -> bool:
    """Whether the line's JSON has more than MAX_DEPTH levels."""
    return line.count(b"[") + line.count(b"{") > MAX_DEPTH and _depths(line)[0] > MAX_DEPTH


def _depths(line: bytes) -> tuple[int, int]:
    """(deepest level, level at the end) of a JSON text; the first ends at MAX_DEPTH + 1 and then the second is not known."""
    level = deepest = 0
    for found in _BRACKETS.finditer(line):
        char = found[0]
        if char in b"[{":
            level += 1
            deepest = max(deepest, level)
            if deepest > MAX_DEPTH:
                break
        elif char in b"]}":
            level -= 1
    return deepest, level


def _is_whole(tail: bytes) -> bool:
    """Whether a last line without an end is a whole JSON value; one too deep to be read is taken as it is, and counted by whoever reads it."""
    if is_too_deep(tail):
        return True
    try:
        msgspec.json.decode(tail, type=msgspec.Raw)
    except ValueError:
        return False
    return True


def split_lines(chunks: Iterable[bytes], *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[bytes]:
    """Non-empty lines, each ended by one newline. A carriage return before it is dropped.

    Raises ProviderError (retryable) when the last line has no end and is no whole JSON value: the body was cut.
    """
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            line = b"".join((*held, piece[: max(0, max_bytes - size)]))
            held, size = [], 0
            if line and not line.isspace():
                yield line.rstrip(b"\r") + b"\n"
        if rest and size < max_bytes:
            held.append(rest[: max_bytes - size])
        size += len(rest)
    tail = b"".join(held)
    if tail and not tail.isspace():
        if not _is_whole(tail):
            raise ProviderError("the download ended in the middle of a line", hint="it is fetched again on the next try", retryable=True)
        yield tail.rstrip(b"\r") + b"\n"


def watched(chunks: Iterable[bytes], *, patience: float, clock: Callable[[], float]) -> Iterator[bytes]:
    """The same chunks; raises ProviderError (retryable) once less than 256 bytes a second came over `patience` seconds of waiting.

    A read time-out alone does not end a transfer that sends one byte a minute. Time that the caller takes over a chunk is not counted.
    """
    source = iter(chunks)
    waited, received = 0.0, 0
    while True:
        asked = clock()
        chunk = next(source, None)
        if chunk is None:
            return
        waited += clock() - asked
        received += len(chunk)
        if waited >= patience:
            if received < SLOW_BYTES_PER_SECOND * waited:
                raise ProviderError(f"the download has slowed to {received} bytes in {waited:.0f} s", retryable=True)
            waited, received = 0.0, 0
        yield chunk
