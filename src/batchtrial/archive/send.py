"""Sending an archive to a store: the object is there whole or not at all, and a second try sends only what is missing.

An S3 upload is made of pieces that the store keeps until the upload is completed. The archive of a run has the same bytes each time it is made, so
the next try finds the pieces that fit by their checksums. Other stores get the file in one stream that becomes an object at its end.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from batchtrial.archive.store import Stored, told
from batchtrial.archive.zip import COMMENT, DIGITS
from batchtrial.errors import StoreFailed

PIECE_BYTES: Final = 16 * 2**20
MOST_PIECES: Final = 9_000
"""A store takes 10,000."""
STREAM_BYTES: Final = 2**20
END_BYTES: Final = len(COMMENT) + DIGITS


def send(file: Path, to: Stored, tell: Callable[[str], None], *, piece_bytes: int = PIECE_BYTES) -> None:
    """Have the store hold the file. tell: takes a line for the person. Raises StoreFailed, RunStateMissing."""
    with told(to.address):
        to.fs.invalidate_cache()
        if _is_there(file, to):
            tell("note: the store has this archive already")
            return
        if _is_s3(to):
            _in_pieces(file, to, tell, max(piece_bytes, -(-file.stat().st_size // MOST_PIECES)))
        else:
            _in_one_stream(file, to)
        to.fs.invalidate_cache()
    _check(file, to)


def check_reachable(to: Stored) -> None:
    """Ask the store for the place, before an archive is made for it. Raises StoreFailed, RunStateMissing where there is no such bucket."""
    with told(to.address):
        if _is_s3(to):
            to.fs.call_s3("head_bucket", Bucket=to.fs.split_path(to.path)[0])


def _is_s3(to: Stored) -> bool:
    protocol = to.fs.protocol
    return "s3" in (protocol if isinstance(protocol, tuple | list) else (protocol,))


def _check(file: Path, to: Stored) -> None:
    """The object ends as the file does: with the checksum of everything before. Raises StoreFailed."""
    with told(to.address):
        is_there = _is_there(file, to)
    if not is_there:
        raise StoreFailed("the store does not hold what was sent", where=to.address, hint="somebody else may have written there: send it again")


def _is_there(file: Path, to: Stored) -> bool:
    size = file.stat().st_size
    with file.open("rb") as own:
        own.seek(-min(size, END_BYTES), 2)
        end = own.read()
    try:
        return int(to.fs.info(to.path)["size"]) == size and to.fs.cat_file(to.path, start=size - len(end), end=size) == end
    except FileNotFoundError:
        return False


def _in_one_stream(file: Path, to: Stored) -> None:
    with suppress(NotImplementedError, FileExistsError):
        to.fs.makedirs(to.path.rpartition("/")[0], exist_ok=True)
    with file.open("rb") as own:
        out = to.fs.open(to.path, "wb", autocommit=False)
        try:
            while block := own.read(STREAM_BYTES):
                out.write(block)
            out.close()
            out.commit()
        except BaseException:
            out.discard()
            raise


def _in_pieces(file: Path, to: Stored, tell: Callable[[str], None], piece_bytes: int) -> None:
    bucket, key, _ = to.fs.split_path(to.path)
    there: dict[str, Any] = {"Bucket": bucket, "Key": key}
    upload, known = _begun(to.fs, there)
    if upload is None:
        upload = to.fs.call_s3("create_multipart_upload", **there)["UploadId"]
    kept = 0
    pieces = []
    for number, data in enumerate(_blocks(file, piece_bytes), 1):
        digest = hashlib.md5(data, usedforsecurity=False)
        tag = known.get(number, "")
        if tag == digest.hexdigest():
            kept += len(data)
        else:
            md5 = base64.b64encode(digest.digest()).decode()
            answer = to.fs.call_s3("upload_part", **there, UploadId=upload, PartNumber=number, Body=data, ContentMD5=md5)
            tag = answer["ETag"].strip('"')
        pieces.append({"PartNumber": number, "ETag": tag})
    if kept:
        tell(f"note: {kept:,} of {file.stat().st_size:,} bytes were there from an earlier try")
    to.fs.call_s3("complete_multipart_upload", **there, UploadId=upload, MultipartUpload={"Parts": pieces})


def _blocks(file: Path, size: int) -> Iterator[bytes]:
    with file.open("rb") as own:
        while block := own.read(size):
            yield block


def _begun(fs: Any, there: dict[str, Any]) -> tuple[str | None, dict[int, str]]:
    """(an upload to this place that was begun, the tags of its pieces by number). Stores that list none are sent everything."""
    with suppress(PermissionError, NotImplementedError):  # one may be allowed to write and not to list
        found = fs.call_s3("list_multipart_uploads", Bucket=there["Bucket"], Prefix=there["Key"]).get("Uploads", [])
        own = sorted((one["Initiated"], one["UploadId"]) for one in found if one["Key"] == there["Key"])
        if own:
            return own[-1][1], _tags(fs, there, own[-1][1])
    return None, {}


def _tags(fs: Any, there: dict[str, Any], upload: str) -> dict[int, str]:
    found: dict[int, str] = {}
    marker = 0
    while True:
        page = fs.call_s3("list_parts", **there, UploadId=upload, PartNumberMarker=marker)
        found |= {one["PartNumber"]: one["ETag"].strip('"') for one in page.get("Parts", [])}
        if not page.get("IsTruncated"):
            return found
        marker = page["NextPartNumberMarker"]
