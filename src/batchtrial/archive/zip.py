"""An archive: one ZIP file that holds a run, the list of its files with their sha256, and a checksum of itself.

The same run gives the same bytes: members in name order, fixed times and modes, one compression level. The last member lists the sha256 of each
other member as it lies in the archive, header and compression included, and the file ends with the sha256 of everything before it: a changed byte is
noticed wherever it stands, and the member that it stands in can be named. `restore.py` reads archives; nothing here knows what the files mean.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Literal

from pydantic import Field

from batchtrial.errors import StateError
from batchtrial.state.entries import Counts
from batchtrial.state.files import File, Snapshot, seal
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import BLOCK, TEMP_SUFFIX, Fingerprint, blocks, encode_json, fingerprint_of, replacing

MANIFEST = "archive_manifest.json"
SEAL = "archive_seal.json"
EPOCH = (1980, 1, 1, 0, 0, 0)
MODE = (stat.S_IFREG | 0o644) << 16
COMMENT = b"batchtrial archive sha256:"
DIGITS = 64
VERSION = 20

NEVER = frozenset({"run.lock", ".guard", ".stamps.json", ".ledger_lines", "run.log", "STOP_REQUESTED", "STOP_NOW", MANIFEST})
"""Who was writing, caches, the log for people, requests of the moment: they belong to a machine, not to the run."""
WORLD = ("world.sqlite", "world.sqlite-wal", "items.jsonl", "model.json", "blobs")
"""What the emulator needs to go on; the rest of its folder is about a process."""


class ArchiveFile(File):
    """Where the run's archive went."""

    name: str = Field(description="File name.")
    size: int = Field(ge=0, description="Bytes.")
    sha256: str = Field(description="Of the whole file.")
    address: str | None = Field(None, description="In which store it lies, when it went to one.")


class ArchiveManifest(Snapshot):
    """archive_manifest.json, schema_version 1: first member of an archive, and left in the run that was archived."""

    schema_version: Literal[1] = Field(1, description="Version of this file's form.")
    status: Literal["archived"] = Field("archived", description="Always the same; older tools look for it.")
    run_id: str = Field(description="The run's name.")
    description: str = Field("", description="Words of whoever archived it.")
    is_complete: bool = Field(description="Every phase was completed.")
    mode: str = Field(description="live, dry_run or replay.")
    config_hash: str = Field(description="sha256 of effective_config.yaml.")
    migrated: bool = Field(False, description="The run was taken over from an older form.")
    phases: dict[str, str] = Field(default_factory=dict, description="Status by phase.")
    finished_at: datetime | None = Field(None, description="When the run's last phase changed.")
    requests: Counts = Field(Counts(), description="Final outcomes of settled requests.")
    spent_usd: str = Field("0", description="Known to be billed so far, USD.")
    unknown_usd: str = Field("0", description="The most that may have been billed besides, USD; `cost` says why.")
    cost: str = Field("", description="The same in words, as the terminal and the report have it.")
    files: dict[str, Fingerprint] = Field(description="Size and sha256 of every file, by path in the run.")
    trials: dict[str, dict[str, str]] = Field(default_factory=dict, description="Per trial: what is worth opening first, by path in the run.")
    rewritten: tuple[str, ...] = Field((), description="In the run only: files that read otherwise there, since they name paths of the machine.")
    archive: ArchiveFile | None = Field(None, description="In the run only: the file that holds it.")


def chosen_files(layout: RunLayout, *, with_world: bool) -> tuple[dict[str, str], dict[str, int]]:
    """(where the files to archive lie, by path in the run and in its order; number left out by reason). Raises StateError for a link or a device.

    with_world: take the dry run's emulator along, which an unfinished dry run needs to go on.
    """
    chosen: dict[str, os.DirEntry[str]] = {}
    left: dict[str, int] = {}
    for name, entry in _below(layout.root):
        reason = left_out(name, with_world=with_world)
        if reason is None:
            chosen[name] = entry
        else:
            left[reason] = left.get(reason, 0) + 1
    names = sorted(chosen)
    for name in names:
        if not chosen[name].is_file(follow_symlinks=False):
            raise StateError(f"{name} is a link or no plain file", where=str(layout.root), hint="put the file itself there, or take the link away")
    return {name: chosen[name].path for name in names}, left


def _below(root: Path) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Everything below that is no folder, by path in the run; what kind it is costs no further look at the disk."""
    folders = [("", str(root))]
    while folders:
        prefix, folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append((f"{prefix}{entry.name}/", entry.path))
                else:
                    yield prefix + entry.name, entry


def left_out(name: str, *, with_world: bool) -> str | None:
    """Why a file of a run's folder stays out of its archive; None when it goes in."""
    top, _, rest = name.partition("/")
    base = name.rsplit("/", 1)[-1]
    if name in NEVER:
        return "machine"
    if any(step.startswith(".") for step in name.split("/")) or base.endswith(TEMP_SUFFIX):
        return "temporary"
    if ".corrupt." in base:
        return "damaged originals"
    if top == "emulator":
        return None if with_world and rest.split("/")[0] in WORLD else "simulated provider"
    return None


Sight = Callable[[str, Iterable[bytes]], Iterable[bytes]]
"""Called with a file's name and blocks, which it passes on; it may raise for what it sees in them."""


def unseen(name: str, blocks: Iterable[bytes]) -> Iterable[bytes]:
    """Passes everything."""
    return blocks


def fingerprints(files: Mapping[str, str], instead: Mapping[str, bytes], *, sight: Sight = unseen) -> dict[str, Fingerprint]:
    """Of every file, read now and once. instead: contents that take the place of a file's own."""
    return {name: fingerprint_of(sight(name, [instead[name]] if name in instead else blocks(files[name]))) for name in sorted(files)}


def write(target: Path, manifest: ArchiveManifest, files: Mapping[str, str], instead: Mapping[str, bytes]) -> ArchiveFile:
    """Durably write the files that the manifest lists, and the manifest; returns what the archive itself is."""
    with replacing(target) as file:
        with zipfile.ZipFile(file, "w") as archive:
            _add(archive, file, MANIFEST, [encode_manifest(manifest)])
            for name, one in manifest.files.items():
                _add(archive, file, name, [instead[name]] if name in instead else blocks(files[name]), size=one.size)
            file.flush()
            with Path(file.name).open("rb") as again:
                _add(archive, file, SEAL, [encode_json(raw_digests(again, archive))])
            archive.comment = COMMENT + b"0" * DIGITS
        whole = _seal(file)
    return ArchiveFile(name=target.name, size=target.stat().st_size, sha256=whole)


def raw_digests(file: IO[bytes], archive: zipfile.ZipFile) -> dict[str, str]:
    """sha256 of each member's stretch of the archive's file, from its header to the next one's."""
    found = {}
    for info, end in stretches(archive):
        file.seek(info.header_offset)
        found[info.filename] = body_digest(file, end - info.header_offset).hexdigest()
    return found


def stretches(archive: zipfile.ZipFile) -> list[tuple[zipfile.ZipInfo, int]]:
    """Every member but the seal, in the order in which they lie in the file, with the place where its stretch ends."""
    infos = sorted((info for info in archive.infolist() if info.filename != SEAL), key=lambda info: info.header_offset)
    seal_starts = [info.header_offset for info in archive.infolist() if info.filename == SEAL]
    return list(zip(infos, [*(info.header_offset for info in infos[1:]), *(seal_starts or [archive.start_dir])], strict=False))


def encode_manifest(manifest: ArchiveManifest) -> bytes:
    """The manifest's bytes, sealed."""
    tree = manifest.model_dump(mode="json", exclude_none=True, exclude={"check"})
    return encode_json({**tree, "check": seal(tree)})


def member(name: str) -> zipfile.ZipInfo:
    """A member's record with every free field fixed."""
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system, info.create_version, info.extract_version = 3, VERSION, VERSION
    info.external_attr = MODE
    return info


def _add(archive: zipfile.ZipFile, file: IO[bytes], name: str, blocks: Iterable[bytes], *, size: int = 0) -> None:
    """Write one member. file: the archive's own. size: of a file, in bytes."""
    info = member(name)
    if size <= BLOCK:
        _add_whole(archive, file, info, b"".join(blocks))
        return
    info.file_size = size  # decides whether the header has room for a size over 4 GB
    with archive.open(info, "w") as into:
        for block in blocks:
            into.write(block)


def _add_whole(archive: zipfile.ZipFile, file: IO[bytes], info: zipfile.ZipInfo, data: bytes) -> None:
    """As `ZipFile.open` would, which writes a header, goes back for the checksum, and takes half as long again over thousands of small members."""
    packed = zlib.compress(data, wbits=-zlib.MAX_WBITS)
    info.CRC, info.file_size, info.compress_size = zlib.crc32(data), len(data), len(packed)
    info.header_offset = file.tell()
    file.write(info.FileHeader(zip64=False))
    file.write(packed)
    archive.start_dir = file.tell()
    archive.filelist.append(info)
    archive.NameToInfo[info.filename] = info


def _seal(file: IO[bytes]) -> str:
    """Put the sha256 of everything before it at the file's end; returns the sha256 of the whole."""
    end = file.seek(0, 2) - DIGITS
    file.flush()
    with Path(file.name).open("rb") as again:
        state = body_digest(again, end)
    digits = state.hexdigest().encode()
    file.seek(end)
    file.write(digits)
    state.update(digits)
    return state.hexdigest()


def body_digest(file: IO[bytes], end: int) -> hashlib._Hash:
    """sha256 of the next `end` bytes."""
    state = hashlib.sha256()
    while end > 0 and (block := file.read(min(BLOCK, end))):
        state.update(block)
        end -= len(block)
    return state
