"""Text files that people write, read as UTF-8 within bounds: config files, prompts, instructions."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path
from typing import Final

from batchtrial.errors import ConfigError

MARK: Final = "\ufeff"
"""Byte order mark that some editors put in front of a text; it is no part of what was written."""

FOREIGN: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
PACKED: Final = ((b"\x1f\x8b", "gzip"), (b"PK\x03\x04", "a ZIP archive"), (b"%PDF", "a PDF"), (b"PAR1", "Parquet"))


def read_text(path: Path, *, what: str, where: str, max_bytes: int, keeps_line_ends: bool = False) -> str:
    """The text of the file, without a byte order mark, its line ends made `\\n` unless they are kept. what: the file in a sentence.

    Raises ConfigError for whatever is no readable UTF-8 text of at most `max_bytes`, and FileNotFoundError.
    """
    data = _read_bytes(path, what, where, max_bytes)
    for start, encoding in (*FOREIGN, *PACKED):
        if data.startswith(start):
            hint = "save it as UTF-8" if encoding.startswith("UTF") else "give the plain text file"
            raise ConfigError(f"{what} is {encoding}, not UTF-8 text", where=where, hint=hint)
    try:
        text = data.decode("utf-8").removeprefix(MARK)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = data[error.start]
        raise ConfigError(
            f"{what} is not UTF-8 text: line {line} holds the byte 0x{byte:02x} ({bytes([byte]).decode('latin-1')!r} in Latin-1)",
            where=where,
            hint="save it as UTF-8",
        ) from None
    if "\x00" in text:
        line = text.count("\n", 0, text.index("\x00")) + 1
        raise ConfigError(f"{what} holds a NUL character in line {line}", where=where, hint="save it as UTF-8 text")
    return text if keeps_line_ends else text.replace("\r\n", "\n").replace("\r", "\n")


def _read_bytes(path: Path, what: str, where: str, max_bytes: int) -> bytes:
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise ConfigError(f"{what} is a folder", where=where, hint="name one file in it")
        if not stat.S_ISREG(mode):
            raise ConfigError(f"{what} is no ordinary file", where=where, hint="write what it gives into a file first")
        # Not blocking: what was an ordinary file a moment ago may be a pipe by now.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise
    except PermissionError:
        raise ConfigError(f"{what} may not be read", where=where, hint=f"give read access to {path}") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise ConfigError(f"{what} cannot be read: {getattr(error, 'strerror', None) or error}", where=where) from None
    if len(data) > max_bytes:
        raise ConfigError(f"{what} is larger than {max_bytes >> 20} MiB", where=where, hint="is it the right file?")
    return data
