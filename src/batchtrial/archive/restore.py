"""Reading an archive: naming what is damaged in it, and putting a run back from it.

An archive may come from anyone: names, types, sizes and counts are checked before a byte is written, and what is written first goes into a folder
of its own that becomes the run only when everything in it is as the archive's manifest says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from pydantic import ValidationError

from batchtrial.archive.store import Source, Stored, as_source
from batchtrial.archive.zip import COMMENT, DIGITS, EPOCH, MANIFEST, MODE, SEAL, ArchiveManifest, left_out, stretches
from batchtrial.errors import ManifestCorrupt, StateError, StoreFailed
from batchtrial.keys import check_run_id
from batchtrial.state.files import seal
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import BLOCK, TEMP_SUFFIX, Fingerprint, decode_json, fingerprint, fingerprint_of, fsync_folder

MANIFEST_BYTES = 512 * 2**20
MOST_RATIO = 300
"""A run's files shrink to a tenth or a twentieth; this far beyond that it is a trap. Small archives may shrink more."""
SMALL_BYTES = 256 * 2**20
UNREADABLE = (zlib.error, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What unzipping raises for damaged members."""
DIRECTORY = "the archive's directory"
LEDGER = "ledger.jsonl"


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with an archive or an archived folder. member: which file, or DIRECTORY."""

    member: str
    problem: str

    def __str__(self) -> str:
        return f"{self.member}: {self.problem}"


def verify(archived: Source | Path) -> tuple[ArchiveManifest | None, tuple[Fault, ...]]:
    """The archive's manifest, when it can be read, and everything that is wrong. Writes nothing; never raises for what the file holds."""
    source = as_source(archived)
    try:
        with source.opened() as opened, _opened(file := _Summed(opened)) as archive:
            faults = [*_name_faults(archive)]
            if faults:
                return None, tuple(faults)
            file.begin()
            manifest = _manifest(archive)
            faults += _list_faults(archive, manifest)
            listed, digests = {fault.member for fault in faults}, {}
            for info, end in stretches(archive):
                if (want := manifest.files.get(info.filename)) is not None and info.filename not in listed:
                    faults += _content_faults(archive, info.filename, want, None)
                digests[info.filename] = file.digest_to(end)
            named = {fault.member for fault in faults}
            faults += [fault for fault in _raw_faults(digests, archive) if fault.member not in named]
            if not faults and not _is_sealed(file):
                faults.append(Fault(DIRECTORY, "bytes outside of the members have changed; every member is as it was written"))
            return manifest, tuple(faults)
    except zipfile.BadZipFile as error:
        return None, (Fault(DIRECTORY, str(error)),)
    except ManifestCorrupt as error:
        return None, (Fault(MANIFEST, error.what),)


def looked_at(source: Source) -> tuple[ArchiveManifest | None, str]:
    """(the archive's manifest, "") by a look at its ends alone, or (None, why it is no archive of a run)."""
    try:
        with source.opened() as file, _opened(file) as archive:
            return _manifest(archive), ""
    except (zipfile.BadZipFile, ManifestCorrupt) as error:
        return None, f"no archive of a run: {error.what if isinstance(error, ManifestCorrupt) else error}"


def nonce_in(source: Source) -> str | None:
    """The random digits by which the ledger in the archive knows its run; None where it has none that can be read. Raises StoreFailed."""
    try:
        with source.opened() as file, _opened(file) as archive, archive.open(LEDGER) as ledger:
            first: Any = decode_json(ledger.readline(MANIFEST_BYTES))
            return str(first["run_nonce"])
    except (*UNREADABLE, ValueError, LookupError, TypeError):
        return None


def _opened(file: IO[bytes] | _Summed) -> zipfile.ZipFile:
    """Raises BadZipFile for whatever keeps the archive from being listed."""
    try:
        archive = zipfile.ZipFile(file)
    except (*UNREADABLE, ValueError, OverflowError, struct.error, OSError) as error:
        raise zipfile.BadZipFile(f"it cannot be read: {error}") from None
    if len(archive.comment) != len(COMMENT) + DIGITS or not archive.comment.startswith(COMMENT):
        raise zipfile.BadZipFile("the file's end is missing, or it was not written by batchtrial")
    return archive


def verify_folder(root: Path) -> tuple[Fault, ...]:
    """What in a run's folder is no longer as it was archived. Raises StateError when the folder was never archived."""
    try:
        manifest = decode_manifest((root / MANIFEST).read_bytes())
    except FileNotFoundError:
        raise StateError(f"{root.name} has no {MANIFEST}", where=str(root), hint="give the archive file itself") from None
    faults = []
    for name, want in manifest.files.items():
        path = root / checked_name(name)
        got = fingerprint(path) if path.is_file() else None
        if name not in manifest.rewritten and (got is None or got.sha256 != want.sha256):
            faults.append(Fault(name, "it is gone" if got is None else "it is not as it was archived"))
    return tuple(faults)


def restore(
    archived: Source | Path,
    experiments: Path,
    *,
    free_bytes: Callable[[Path], int] | None = None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> tuple[Path, ArchiveManifest]:
    """Put the run back under `experiments`; returns its folder. Raises StateError naming the member that is unsafe or damaged.

    The archive is read once more in full: what is written is what was checked. free_bytes: for the folder; default: what the disk says. wanted: which
    files, by path in the run; the others are not read.
    """
    source = as_source(archived)
    try:
        with source.opened() as file, _opened(file) as archive:
            for fault in _name_faults(archive):
                raise _refused(source, fault)
            manifest = _manifest(archive)
            for fault in _list_faults(archive, manifest):
                raise _refused(source, fault)
            target = RunLayout.of(experiments, check_run_id(manifest.run_id)).root
            if target.exists():
                raise StateError(f"there is a run {manifest.run_id} already", where=str(target), hint="restore to another --experiments_dir")
            experiments.mkdir(parents=True, exist_ok=True)
            files = {name: want for name, want in manifest.files.items() if wanted(name)}
            _check_room(source, files, (free_bytes or _free)(experiments))
            return _unpack(source, archive, files, target), manifest
    except zipfile.BadZipFile as error:
        raise _refused(source, Fault(DIRECTORY, str(error))) from None
    except ManifestCorrupt as error:
        raise _refused(source, Fault(MANIFEST, error.what)) from None


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _refused(source: Source, fault: Fault) -> StateError:
    return StateError(
        f"the archive is not as it was written: {fault}", where=str(source), hint="`batchtrial archive --verify FILE` lists what is wrong"
    )


def _check_room(source: Source, files: Mapping[str, Fingerprint], free: int) -> None:
    need, size = sum(one.size for one in files.values()), source.size
    if need > SMALL_BYTES and need > MOST_RATIO * size:
        raise StateError(f"the archive claims to hold {need:,} bytes, {need // size} times its own size", where=str(source))
    if need > free:
        raise StateError(f"the run needs {need:,} bytes and the disk has {free:,}", where=str(source), hint="restore to another --experiments_dir")


def _unpack(source: Source, archive: zipfile.ZipFile, files: Mapping[str, Fingerprint], target: Path) -> Path:
    """The run's folder. What came from a store that broke off is kept, and not fetched again."""
    temp = target.with_name(f".{target.name}.restoring")
    if temp.exists() and not isinstance(source, Stored):
        shutil.rmtree(temp)
    temp.mkdir(exist_ok=True)
    for old in temp.rglob("*"):
        if not old.is_dir() and old.relative_to(temp).as_posix() not in files:  # of another archive
            old.unlink()
    try:
        for name, want in files.items():
            _unpack_one(source, archive, name, want, temp / checked_name(name))
        (temp / MANIFEST).write_bytes(archive.read(MANIFEST))
        for folder in (temp, *(one for one in temp.rglob("*") if one.is_dir())):
            fsync_folder(folder)
        temp.rename(target)
    except StoreFailed:
        raise
    except BaseException:
        shutil.rmtree(temp, ignore_errors=True)
        raise
    fsync_folder(target.parent)
    return target


def _unpack_one(source: Source, archive: zipfile.ZipFile, name: str, want: Fingerprint, into: Path) -> None:
    if into.is_file() and fingerprint(into) == want:
        return
    into.parent.mkdir(parents=True, exist_ok=True)
    into.unlink(missing_ok=True)
    with into.open("xb") as file:
        for fault in _content_faults(archive, name, want, file):
            raise _refused(source, fault)
        os.fsync(file.fileno())


# What can be wrong


def checked_name(name: str) -> PurePosixPath:
    """The name as a path that stays inside the folder it is joined to. Raises StateError."""
    path = PurePosixPath(name)
    is_plain = name == path.as_posix() and not path.is_absolute() and all(step not in ("", ".", "..") for step in path.parts)
    if not is_plain or not name or any(char in name for char in "\\:\x00") or not name.isprintable() or len(name.encode()) > 1024:
        raise StateError(f"{name[:80]!r} is no safe file name", hint="the archive was not written by batchtrial")
    return path


MAX_STEP_BYTES = 255 - len(TEMP_SUFFIX) - 1
"""What a file may be called: it is written beside itself first, under a name that is this much longer."""


def member_fault(name: str) -> str | None:
    """Why no archive of a run holds a member of this name; None when one can. Raises StateError for a name that is no safe path."""
    path = checked_name(name)
    longest = max(path.parts, key=lambda step: len(step.encode()))
    if len(longest.encode()) > MAX_STEP_BYTES:
        return f"{longest[:20]}... is longer than file names are"
    if name not in (MANIFEST, SEAL):
        reason = left_out(name, with_world=True)
        if reason is not None:
            return f"no archive of a run holds such a file ({reason})"
    return None


def _name_faults(archive: zipfile.ZipFile) -> Iterator[Fault]:
    seen: set[str] = set()
    folders = {parent.as_posix() for info in archive.infolist() for parent in PurePosixPath(info.filename).parents}
    for info in archive.infolist():
        shown = info.filename if info.filename.isprintable() else repr(info.filename)
        try:
            fault = member_fault(info.orig_filename)
        except StateError as error:
            yield Fault(shown, error.what)
            continue
        if fault is not None:
            yield Fault(shown, fault)
        if info.filename in folders:
            yield Fault(shown, "it is a file, and other members lie in a folder of that name")
        if info.filename in seen:
            yield Fault(shown, "it is in the archive twice")
        if not 0 <= info.header_offset < archive.start_dir:
            yield Fault(shown, "the archive's directory gives it an impossible place")
        seen.add(info.filename)
        is_ours = info.external_attr == MODE and info.create_system == 3 and info.create_version <= 45 and info.date_time == EPOCH
        if not is_ours or info.flag_bits & ~0x800 or info.compress_type != zipfile.ZIP_DEFLATED or info.comment or info.volume:
            yield Fault(shown, "it is a link, encrypted, or not as batchtrial writes members")


def _manifest(archive: zipfile.ZipFile) -> ArchiveManifest:
    """Raises ManifestCorrupt."""
    try:
        info = archive.getinfo(MANIFEST)
        if info.file_size > MANIFEST_BYTES:
            raise ManifestCorrupt(f"it claims to be of {info.file_size:,} bytes")
        with archive.open(info) as member:
            data = member.read(MANIFEST_BYTES)
    except KeyError:
        raise ManifestCorrupt("the archive has none: it was not written by batchtrial") from None
    except UNREADABLE as error:
        raise ManifestCorrupt(f"it cannot be read: {error}") from None
    return decode_manifest(data)


def decode_manifest(data: bytes) -> ArchiveManifest:
    """Raises ManifestCorrupt."""
    try:
        tree = json.loads(data)
        if not isinstance(tree, dict) or tree.pop("check", None) != seal(tree):
            raise ManifestCorrupt("its checksum does not fit what it says")
        return ArchiveManifest.model_validate(tree)
    except (ValueError, RecursionError) as error:
        what = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise ManifestCorrupt(f"it is no archive manifest: {what}") from None


def _list_faults(archive: zipfile.ZipFile, manifest: ArchiveManifest) -> Iterator[Fault]:
    inside = set(archive.namelist()) - {MANIFEST, SEAL}
    for name in sorted(inside - manifest.files.keys()):
        yield Fault(name, "it is in the archive and not in its manifest")
    for name in sorted(manifest.files.keys() - inside):
        yield Fault(name, "it is in the manifest and not in the archive")
    for name in sorted(inside & manifest.files.keys()):
        if archive.getinfo(name).file_size != manifest.files[name].size:
            yield Fault(name, f"it has {archive.getinfo(name).file_size} bytes, not {manifest.files[name].size}")


def _content_faults(archive: zipfile.ZipFile, name: str, want: Fingerprint, into: IO[bytes] | None) -> Iterator[Fault]:
    """Read a member, at most as far as its size in the manifest, copying it on the way."""
    try:
        with archive.open(name) as member:
            got = fingerprint_of(_at_most(member, want.size + 1), into)
    except UNREADABLE as error:
        yield Fault(name, f"it cannot be unpacked: {error}")
        return
    if got != want:
        yield Fault(name, "its bytes are not those that were archived")


def _at_most(member: IO[bytes], size: int) -> Iterator[bytes]:
    """The member's first bytes, some at a time: what its manifest did not announce is not unpacked."""
    while size > 0 and (block := member.read(min(BLOCK, size))):
        yield block
        size -= len(block)


class _Summed(io.RawIOBase):
    """A file whose bytes are added up when they are read for the first time, in their order: an archive in a store is fetched once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._at = file, -1
        self._whole, self._stretch = hashlib.sha256(), hashlib.sha256()

    def begin(self) -> None:
        """From here on; what is read before is read again."""
        self._at = 0

    def digest_to(self, end: int) -> str:
        """sha256 of the bytes before `end` that no call before this was about."""
        self._read_to(end)
        found, self._stretch = self._stretch.hexdigest(), hashlib.sha256()
        return found

    def whole_to(self, end: int) -> str:
        """sha256 of all bytes before `end`."""
        self._read_to(end)
        return self._whole.hexdigest()

    def _read_to(self, end: int) -> None:
        while self._at < end:
            self.seek(self._at)
            if not self.read(min(BLOCK, end - self._at)):
                return

    def read(self, size: int = -1) -> bytes:
        begin = self._file.tell()
        data = self._file.read(size)
        if begin <= self._at < begin + len(data):
            new = data[self._at - begin :]
            self._whole.update(new)
            self._stretch.update(new)
            self._at += len(new)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True


def _raw_faults(digests: Mapping[str, str], archive: zipfile.ZipFile) -> Iterator[Fault]:
    """Members whose stretch of the file is not as it was written, whether or not that changes what they hold. digests: of all stretches."""
    try:
        want = decode_json(archive.read(SEAL)) if archive.getinfo(SEAL).file_size <= MANIFEST_BYTES else None
    except (KeyError, ValueError, *UNREADABLE):
        want = None
    if not isinstance(want, dict):
        yield Fault(SEAL, "it is gone or cannot be read")
        return
    for name, digest in digests.items():
        if want.get(name) != digest:
            yield Fault(name, "its bytes in the archive are not those that were written")


def _is_sealed(file: _Summed) -> bool:
    end = file.seek(0, 2) - DIGITS
    if end < len(COMMENT):
        return False
    file.seek(end - len(COMMENT))
    if file.read(len(COMMENT)) != COMMENT:
        return False
    digits = file.read(DIGITS)
    return file.whole_to(end).encode() == digits
