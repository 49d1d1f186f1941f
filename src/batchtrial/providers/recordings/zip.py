"""A recording that came as a ZIP from somewhere: every member is looked at, name and content, before anything of it is used or written."""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from batchtrial.errors import DataError

MAX_MEMBERS = 50_000
MAX_BYTES = 8 * 2**30
MAX_RATIO = 200
RATIO_FREE_BYTES = 50 * 2**20
MAX_LINE_BYTES = 8 * 2**20
CHUNK_BYTES = 1 << 20
TEXT_SUFFIXES = (".json", ".jsonl", ".csv", ".md", ".txt")


def refuse(path: Path, member: str, why: str) -> DataError:
    """The refusal of a ZIP for one of its members."""
    shown = member.encode("unicode_escape").decode()[:120]
    return DataError(f"the ZIP is refused: {why}", where=f"{path.name}: {shown}", hint="unpack and look at it yourself, or record again")


def checked_members(
    path: Path, *, max_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO, max_line_bytes: int = MAX_LINE_BYTES
) -> dict[str, zipfile.ZipInfo]:
    """Relative name to member of every file in the ZIP, each decompressed once and found harmless. Raises DataError.

    Refused: names that are absolute, climb out, repeat (in any case) or name a device; links and other special files; encryption; more than
    max_bytes in all, or a compression ratio that no text has; text with a NUL, invalid UTF-8, or a line over max_line_bytes. Sizes are counted while
    decompressing: what the headers claim is not believed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _named(path, archive.infolist())
            total = 0
            for name, info in members.items():
                for size in _sizes(path, archive, name, info, max_line_bytes):
                    total += size
                    if total > max_bytes:
                        raise refuse(path, name, f"its files are over {max_bytes} bytes together")
                if info.file_size > RATIO_FREE_BYTES and info.file_size > max_ratio * max(1, info.compress_size):
                    raise refuse(path, name, f"it unpacks to {info.file_size} bytes from {info.compress_size}")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"not a ZIP that can be read: {error}", where=str(path)) from None
    return members


def _named(path: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """Files by checked relative name, without one folder that may hold them all. Nothing is decompressed yet."""
    if len(infos) > MAX_MEMBERS:
        raise refuse(path, "", f"it has more than {MAX_MEMBERS} members")
    files: dict[str, zipfile.ZipInfo] = {}
    folders: set[str] = set()
    seen: set[str] = set()
    for info in infos:
        raw = info.orig_filename
        _check_name(path, raw)
        mode = info.external_attr >> 16
        if mode and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and stat.S_IFMT(mode):
            raise refuse(path, raw, "it is a link or another special file")
        if info.flag_bits & 0x1:
            raise refuse(path, raw, "it is encrypted")
        plain = raw.rstrip("/").casefold()
        if plain in seen:
            raise refuse(path, raw, "two members have this name")
        seen.add(plain)
        parents = {str(parent).casefold() for parent in PurePosixPath(raw.rstrip("/")).parents} - {"."}
        folders |= parents | ({plain} if raw.endswith("/") else set())
        if not raw.endswith("/"):
            files[raw] = info
    clash = next((name for name in files if name.casefold() in folders), None)
    if clash is not None:
        raise refuse(path, clash, "it is a file and a folder at once")
    return _without_common_folder(files)


def _without_common_folder(files: dict[str, zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if "metadata.json" in files:
        return files
    tops = {name.split("/", 1)[0] for name in files}
    top = next(iter(tops), "")
    is_whole = f"{top}/metadata.json" in files or any(name.startswith(f"{top}/lanes/") for name in files)
    if len(tops) == 1 and is_whole:
        return {name.split("/", 1)[1]: info for name, info in files.items()}
    return files


def _check_name(path: Path, name: str) -> None:
    parts = name.rstrip("/").split("/")
    if not name or name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise refuse(path, name, "its name is absolute or empty")
    if "\\" in name or any(ord(char) < 32 or char == "\x7f" for char in name):
        raise refuse(path, name, "its name has a backslash or a control character")
    if any(part in ("", ".", "..") for part in parts):
        raise refuse(path, name, "its name climbs out of the folder")
    if len(name) > 400 or any(len(part.encode()) > 255 for part in parts):
        raise refuse(path, name[:80], "its name is too long")


def _sizes(path: Path, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo, max_line_bytes: int) -> Iterator[int]:
    """Decompress one member and yield the size of each piece; text is checked on the way. Raises DataError."""
    is_text = name.endswith(TEXT_SUFFIXES)
    pending = b""  # the bytes of a character that the last piece ended in
    line = 0
    with archive.open(info) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield len(chunk)
            if not is_text:
                raise refuse(path, name, f"only {', '.join(TEXT_SUFFIXES)} belong into a recording")
            if b"\x00" in chunk:
                raise refuse(path, name, "it holds a NUL byte")
            pending = _checked_utf8(path, name, pending + chunk)
            *ended, last = chunk.split(b"\n")
            for piece in ended:
                if line + len(piece) > max_line_bytes:
                    raise refuse(path, name, f"it has a line over {max_line_bytes} bytes")
                line = 0
            line += len(last)
            if line > max_line_bytes:
                raise refuse(path, name, f"it has a line over {max_line_bytes} bytes")
    if pending:
        raise refuse(path, name, "it is not valid UTF-8")


def _checked_utf8(path: Path, name: str, chunk: bytes) -> bytes:
    """The unfinished character at the end of the chunk, after the rest was found valid."""
    try:
        chunk.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data" or len(chunk) - error.start > 3:
            raise refuse(path, name, "it is not valid UTF-8") from None
        return chunk[error.start :]
    return b""
