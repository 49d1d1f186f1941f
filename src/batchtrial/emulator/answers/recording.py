"""Answers from a recording of a real model: a request gets what the model said to it, and any other request is refused.

A recording is a folder or ZIP as `--record_dir` leaves it, of OpenAI's chat wire: `requests/*.jsonl` as sent, `results/*.jsonl` as received. Which
batch API asks does not matter: what counts is the chat request that a row amounts to, with every field that it sets.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from batchtrial.emulator.answers.chat import request_of
from batchtrial.emulator.answers.rows import UpstreamAnswer
from batchtrial.emulator.world.jsontext import BadJson, decode_object, encode
from batchtrial.emulator.world.records import Batch

MAX_BYTES: Final = 1 << 30
NOT_RECORDED: Final = UpstreamAnswer(404, "the recording has no answer to this request")


class RecordingError(ValueError):
    """A recording that answers cannot be taken from."""


class Recording:
    """What a model said, by what it was asked."""

    def __init__(self, path: Path) -> None:
        """Raises RecordingError for what is no recording, has no answers, or answers one request in two ways."""
        self._answers: dict[bytes, UpstreamAnswer] = {}
        try:
            asked = {row["custom_id"]: key_of(row["body"]) for row in _rows(path, "requests/")}
            for row in _rows(path, "results/"):
                if row["custom_id"] in asked:
                    self._take(asked[row["custom_id"]], row)
        except (OSError, zipfile.BadZipFile, BadJson, KeyError, TypeError, AttributeError) as err:
            raise RecordingError(f"{path} is no recording of chat requests: {err!r}") from None
        if not self._answers:
            raise RecordingError(f"{path} has no recorded answers")

    def __len__(self) -> int:
        return len(self._answers)

    def answer(self, batch: Batch, line: bytes) -> UpstreamAnswer:
        """What the model said to a row of a batch."""
        return self._answers.get(key_of(request_of(batch, line)[1]), NOT_RECORDED)

    def _take(self, key: bytes, row: dict[str, Any]) -> None:
        response = row["response"]
        if response is None or response["status_code"] != 200:
            status = 500 if response is None else int(response["status_code"])
            self._answers.setdefault(key, UpstreamAnswer(status, encode(row.get("error") or (response or {}).get("body"))))
            return
        answer = UpstreamAnswer(200, encode(response["body"]))
        known = self._answers.get(key)
        if known is not None and known.status == 200 and known.body != answer.body:
            raise RecordingError(f"the recording answers one request in two ways ({row['custom_id']}), as one of several samples an item does")
        self._answers[key] = answer


SPELLINGS: Final = {"max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens", "input": "messages"}


def key_of(body: dict[str, Any]) -> bytes:
    """What a chat request is known by: all that it says, in any order of its fields and in either endpoint's spelling."""
    plain = {SPELLINGS.get(name, name): value for name, value in body.items()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")).digest()


def _rows(path: Path, folder: str) -> Iterator[dict[str, Any]]:
    """Rows of every file of a folder of the recording, in the order of their names."""
    for name, raw in sorted(_files(path, folder)):
        for line in raw.splitlines():
            row = decode_object(line)
            if not isinstance(row["custom_id"], str):
                raise BadJson(f"{name}: a row without custom_id")
            yield row


def _files(path: Path, folder: str) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        for file in (path / folder).glob("*.jsonl"):
            yield file.name, file.read_bytes()
        return
    with zipfile.ZipFile(path) as archive:
        members = [info for info in archive.infolist() if info.filename.endswith(".jsonl")]
        if sum(info.file_size for info in members) > MAX_BYTES:
            raise RecordingError(f"{path} unpacks to more than {MAX_BYTES} bytes")
        for info in members:
            if info.filename.startswith(folder) or f"/{folder}" in info.filename:
                yield info.filename, archive.read(info)
