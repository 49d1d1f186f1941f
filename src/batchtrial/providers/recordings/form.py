"""What a recording is: its files and how they are read, from a folder or a ZIP.

    metadata.json                  provider, codec settings, failure mode, counts
    batches/<part>.a<n>.json       one attempt: the provider's id, how it ended, fingerprints of its two files
    requests/<part>.a<n>.jsonl     its request lines as encoded, without a provider's nonce; a request is known by the sha256 of its line
    results/<part>.a<n>.jsonl      its result lines as received
    provenance.json                not written by us: whoever publishes a recording says here which model gave the answers

Nothing in it depends on the time of day or on the order in which batches ended, and no key ever comes near it.
"""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, ValidationError, model_serializer

from batchtrial.errors import DataError, ManifestCorrupt, RunStateMissing
from batchtrial.providers.base import BatchState, BatchStatus
from batchtrial.providers.recordings.zip import checked_members

FailureMode = Literal["none", "expired", "validation", "partial"]
FORCED: Mapping[FailureMode, BatchState] = {
    "none": BatchState.COMPLETED,
    "partial": BatchState.COMPLETED,
    "expired": BatchState.EXPIRED,
    "validation": BatchState.FAILED,
}
"""How a batch ends whose own end is not recorded."""


M = TypeVar("M", bound=BaseModel)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Metadata(_File):
    """`metadata.json`. expected_records: requests of all first attempts; expected_results: result lines of all attempts.

    simulated: the answers came from the emulator's model, not from a real one; a replay of them says so. arm_form: of the config, by which requests
    have their ids; a recording that does not say is of form 1.
    """

    schema_version: Literal[1] = 1
    provider: str
    arm_form: Literal[1, 2] = 1
    simulated: bool = False
    settings: dict[str, Any] = {}
    failure_mode: FailureMode = "none"
    expected_records: int | None = None
    expected_results: int | None = None


class RecordedBatch(_File):
    """`batches/<part>.a<n>.json`. state is None until the batch was seen to end, n_results until its results were fetched."""

    part: str
    attempt: int
    batch_id: str
    n_requests: int
    payload_sha256: str
    state: BatchState | None = None
    wire_state: str = ""
    reason: str | None = None
    retryable: bool = True
    is_queue_full: bool = False
    n_total: int | None = None
    n_done: int | None = None
    n_failed: int | None = None
    ids: dict[str, str] = {}
    n_results: int | None = None
    results_sha256: str | None = None

    @property
    def key(self) -> str:
        """The name of its files."""
        return key_of(self.part, self.attempt)

    def ended(self, status: BatchStatus) -> RecordedBatch:
        """With the end that was seen."""
        return self.model_copy(
            update={
                "state": status.state,
                "wire_state": status.wire_state,
                "reason": status.reason,
                "retryable": status.retryable,
                "is_queue_full": status.is_queue_full,
                "n_total": status.n_total,
                "n_done": status.n_done,
                "n_failed": status.n_failed,
                "ids": dict(status.ids),
            }
        )

    def status(self, mode: FailureMode) -> BatchStatus:
        """How it ended, as the provider would say it."""
        state = self.state or FORCED[mode]
        return BatchStatus(
            state=state,
            wire_state=self.wire_state or state.value,
            n_total=self.n_total,
            n_done=self.n_done,
            n_failed=self.n_failed,
            reason=self.reason or ("the recording says so" if state is BatchState.FAILED else None),
            retryable=self.retryable and not (self.state is None and state is BatchState.FAILED),
            is_queue_full=self.is_queue_full,
            ids=self.ids,
        )

    @model_serializer(mode="wrap")
    def _as_before_queues_were_told(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name != "is_queue_full" or value}


class Provenance(_File):
    """`provenance.json`: what a reader of other people's answers has to know about them."""

    model: str
    weights_file: str
    weights_sha256: str
    quantisation: str
    licence: str
    server: str
    server_build: str
    context_length: int
    parameters: str
    recorded_on: str
    note: str = ""


def key_of(part: str, attempt: int) -> str:
    """File name of an attempt; different for different parts even where a name has to be made fit for a file."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "_", part)
    if plain != part or plain.startswith("."):
        plain = f"x{plain[:80]}-{hashlib.sha256(part.encode()).hexdigest()[:12]}"
    return f"{plain}.a{attempt}"


class Source(Protocol):
    """Where a recording's files lie."""

    def names(self) -> list[str]:
        """Relative names of all files, sorted."""

    def read(self, name: str) -> bytes:
        """A whole small file. Raises RunStateMissing."""

    def lines(self, name: str) -> Iterator[bytes]:
        """A file line by line. Raises RunStateMissing."""


class Folder:
    """A recording in a folder. A file that leads out of it, or is none, is refused: what lies elsewhere on this machine is no recording."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        return sorted(path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes:
        try:
            return self._place(name).read_bytes()
        except FileNotFoundError:
            raise missing(self.root, name) from None

    def lines(self, name: str) -> Iterator[bytes]:
        try:
            with self._place(name).open("rb") as file:
                yield from file
        except FileNotFoundError:
            raise missing(self.root, name) from None

    def _place(self, name: str) -> Path:
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise DataError(f"the recording's {name} is a link out of its folder", where=str(self.root))
        if path.exists() and not path.is_file():
            raise DataError(f"the recording's {name} is no plain file", where=str(self.root))
        return path


class Zip:
    """A recording in a ZIP, checked as a whole before a byte of it is used, and never unpacked."""

    def __init__(self, path: Path) -> None:
        """Raises DataError for a file that is no harmless ZIP."""
        self.path = path
        self._members = checked_members(path)

    def names(self) -> list[str]:
        return sorted(self._members)

    def read(self, name: str) -> bytes:
        return b"".join(self.lines(name))

    def lines(self, name: str) -> Iterator[bytes]:
        if name not in self._members:
            raise missing(self.path, name)
        with zipfile.ZipFile(self.path) as archive, closing(archive.open(self._members[name])) as file:
            yield from file


def source_of(path: Path) -> Source:
    """The recording at a path. Raises RunStateMissing or DataError."""
    if path.is_dir():
        # A ZIP of a folder often holds that folder; a folder unpacked from it holds one folder.
        inner = [each for each in path.iterdir() if each.is_dir()]
        if not (path / "metadata.json").exists() and len(inner) == 1 and (inner[0] / "metadata.json").exists():
            return Folder(inner[0])
        return Folder(path)
    if path.is_file():
        return Zip(path)
    raise RunStateMissing("there is no recording", where=str(path), hint="--replay_dir takes a folder or ZIP that --record_dir has made")


LANES: Final = "lanes"
"""Folder of a recording with what went through each further lane."""


class LaneOf:
    """What a recording of several lanes has of one of them."""

    def __init__(self, whole: Source, lane: str) -> None:
        self._whole, self._head = whole, f"{LANES}/{lane}/"

    def names(self) -> list[str]:
        return [name.removeprefix(self._head) for name in self._whole.names() if name.startswith(self._head)]

    def read(self, name: str) -> bytes:
        return self._whole.read(self._head + name)

    def lines(self, name: str) -> Iterator[bytes]:
        return self._whole.lines(self._head + name)


def missing(place: Path, name: str) -> RunStateMissing:
    """A file that a recording must have."""
    return RunStateMissing(f"the recording has no {name}", where=str(place), hint="record it again with --record_dir")


def load_metadata(source: Source) -> Metadata:
    """Of the run's own lane; where none of its arms is there, of the first that is. Raises RunStateMissing or ManifestCorrupt."""
    lanes = [name.split("/")[1] for name in source.names() if name.startswith(f"{LANES}/") and name.endswith("/metadata.json")]
    if lanes and "metadata.json" not in source.names():
        return load_metadata(LaneOf(source, min(lanes)))
    return _load(source, "metadata.json", Metadata)


def load_provenance(source: Source) -> Provenance | None:
    """Where the answers came from, when somebody has said it. Raises ManifestCorrupt."""
    return _load(source, "provenance.json", Provenance) if "provenance.json" in source.names() else None


def load_batches(source: Source) -> list[RecordedBatch]:
    """Every recorded attempt. Raises ManifestCorrupt."""
    return [_load(source, name, RecordedBatch) for name in source.names() if re.fullmatch(r"batches/[^/]+\.json", name)]


def _load(source: Source, name: str, model: type[M]) -> M:
    try:
        return model.model_validate_json(source.read(name))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ManifestCorrupt(
            f"{name} of the recording is not what it should be: {first['msg']}",
            where=".".join(map(str, first["loc"])) or name,
            hint="record it again with --record_dir",
        ) from None
