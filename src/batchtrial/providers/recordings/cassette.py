"""Record a run's traffic through any adapter, and play it back as if it were the provider."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import asdict
from datetime import datetime
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Literal

from batchtrial.errors import ConfigDrift, ConfigError, ManifestCorrupt, StateError
from batchtrial.keys import split_custom_id
from batchtrial.providers.base import BatchState, BatchStatus, Intent, Provider, Sightings, SpeaksFor, asked_of
from batchtrial.providers.recordings.form import (
    LANES,
    FailureMode,
    Folder,
    LaneOf,
    Metadata,
    RecordedBatch,
    load_batches,
    load_metadata,
    source_of,
)
from batchtrial.providers.registry import of_recording

CODEC_SETTINGS = ("endpoint", "quirks", "sampling", "api_version", "cache")
"""Settings that decide how a request is encoded; the others (addresses, time-outs) are not part of a recording."""


class Recorder(SpeaksFor):
    """An adapter that writes down what goes through it. A run that is resumed goes on with the same recording."""

    def __init__(self, provider: Provider, folder: Path, *, simulated: bool = False, arm_form: Literal[1, 2] = 2) -> None:
        """simulated: no real model answers. arm_form: of the run's config. Raises ConfigError when the folder holds another provider's recording."""
        super().__init__(provider)
        self._inner, self._folder, self._simulated, self._arm_form = provider, folder, simulated, arm_form
        self._lock = threading.Lock()
        self._batches: dict[str, RecordedBatch] = {}
        for name in ("batches", "requests", "results"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        if (folder / "metadata.json").exists():
            found = load_metadata(Folder(folder))
            if found.provider != provider.name:
                raise ConfigError(
                    f"the folder holds a recording of {found.provider}", where=f"--record_dir {folder}", hint="record into a new folder"
                )
            if found.arm_form != arm_form:
                raise ConfigError(
                    f"the folder holds a recording of arms of form {found.arm_form}, and the run's are of form {arm_form}",
                    where=f"--record_dir {folder}",
                    hint="record into a new folder",
                )
            self._batches = {batch.batch_id: batch for batch in load_batches(Folder(folder))}
        else:
            self._write_metadata()

    # What is not recorded

    @property
    def asked(self) -> Provider:
        return asked_of(self._inner)

    def cancel(self, batch_id: str) -> None:
        self._inner.cancel(batch_id)

    # What is

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """The requests are written down first: after a crash only `find` knows the batch, and it is not given the payload."""
        batch = RecordedBatch(
            part=intent.part, attempt=intent.attempt, batch_id="", n_requests=intent.n_requests, payload_sha256=file_sha256(payload)
        )
        replace_file(self._folder / "requests" / f"{batch.key}.jsonl", _chunks(payload))
        batch_id = self._inner.submit(intent, payload, uploaded)
        self._note(batch.model_copy(update={"batch_id": batch_id}))
        return batch_id

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """As the provider answers; the batch that is found first is noted as this attempt's."""
        found = self._inner.find(intent, owned)
        if found:
            self._note(
                RecordedBatch(
                    part=intent.part,
                    attempt=intent.attempt,
                    batch_id=found[0],
                    n_requests=intent.n_requests,
                    payload_sha256=intent.payload_sha256,
                )
            )
        return found

    def check(self, batch_id: str) -> BatchStatus:
        """As the provider answers; how a batch ended is written down."""
        status = self._inner.check(batch_id)
        batch = self._batches.get(batch_id)
        if status.state.is_terminal and batch is not None:
            self._note(batch.ended(status))
        return status

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """As received; the recording gets the lines once all of them have come."""
        batch = self._batches.get(batch_id)
        if batch is None:
            yield from self._inner.fetch(batch_id)
            return
        path = self._folder / "results" / f"{batch.key}.jsonl"
        draft = path.with_suffix(".tmp")
        n_lines = 0
        with draft.open("wb") as file:
            for line in self._inner.fetch(batch_id):
                file.write(line)
                n_lines += 1
                yield line
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self._note(self._batches[batch_id].model_copy(update={"n_results": n_lines, "results_sha256": file_sha256(path)}))

    def account(self, salt: str) -> Mapping[str, str] | None:
        return self._inner.account(salt)

    def holds(self, file_id: str) -> bool:
        return self._inner.holds(file_id)

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        return self._inner.sightings(wanted, owned, since)

    def close(self) -> None:
        """Sum the recording up and close the adapter."""
        self._write_metadata()
        self._inner.close()

    def _note(self, batch: RecordedBatch) -> None:
        with self._lock:
            known = self._batches.get(batch.batch_id)
            if known is not None and batch.state is None and batch.n_results is None:
                return
            self._batches[batch.batch_id] = batch
            replace_file(self._folder / "batches" / f"{batch.key}.json", [dumped(batch.model_dump(mode="json"))])

    def _write_metadata(self) -> None:
        batches = self._batches.values()
        metadata = Metadata(
            provider=self._inner.name,
            arm_form=self._arm_form,
            simulated=self._simulated,
            settings=codec_settings(self._inner),
            failure_mode=failure_mode(batches),
            expected_records=sum(batch.n_requests for batch in batches if batch.attempt == 1),
            expected_results=sum(batch.n_results or 0 for batch in batches),
        )
        replace_file(self._folder / "metadata.json", [dumped(metadata.model_dump(mode="json"))])


class Replay(SpeaksFor):
    """A recording that answers as the provider did. It keeps nothing between calls, so a run may stop and resume as it likes."""

    def __init__(self, path: Path, codec: Provider | None = None, *, lane: str | None = None) -> None:
        """path: a folder or a ZIP. lane: the further lane of it that answers; None: the run's own. codec: the adapter of the run's own config, so
        that what the config changed shows; without it, the recorded settings are used.

        Raises RunStateMissing, ManifestCorrupt, DataError, or ConfigError when codec is of another provider."""
        self._source = source_of(path) if lane is None else LaneOf(source_of(path), lane)
        self._where = str(path) if lane is None else f"{path}, {LANES}/{lane}"
        self._metadata = load_metadata(self._source)
        super().__init__(codec or codec_of(self._metadata))
        if self._codec.name != self._metadata.provider:
            raise ConfigError(
                f"the recording is of {self._metadata.provider}, the run wants {self._codec.name}",
                where=f"--replay_dir {path}",
                hint=f"use --backend {self._metadata.provider}",
            )
        batches = load_batches(self._source)
        self._names = frozenset(self._source.names())
        self._by_id = {batch.batch_id: batch for batch in batches}
        self._by_payload = {(batch.payload_sha256, batch.attempt): batch for batch in batches}

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """The id of the recorded batch with exactly these requests.

        Raises ConfigDrift naming the first differing field of the first request that is not on the recording, and StateError when all of them are but
        were sent in other parts or not at this attempt.
        """
        batch = self._by_payload.get((file_sha256(payload), intent.attempt))
        if batch is None:
            raise self._mismatch(intent, payload)
        return batch.batch_id

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """Nothing is ever in doubt: submitting again gives the same batch and costs nothing."""
        return ()

    def check(self, batch_id: str) -> BatchStatus:
        """How the recorded batch ended."""
        return self._batch(batch_id).status(self._metadata.failure_mode)

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """Its recorded result lines. Raises ManifestCorrupt when they are not the ones that were recorded."""
        batch = self._batch(batch_id)
        name = f"results/{batch.key}.jsonl"
        if name not in self._names:
            if batch.status(self._metadata.failure_mode).state is BatchState.FAILED:
                return
            raise ManifestCorrupt("the recording has no results of this batch", where=f"{self._where}: {name}", hint="record it again")
        state = hashlib.sha256()
        for line in self._source.lines(name):
            state.update(line)
            yield line if line.endswith(b"\n") else line + b"\n"
        if batch.results_sha256 not in (None, state.hexdigest()):
            raise ManifestCorrupt("recorded results have been changed or cut", where=f"{self._where}: {name}", hint="record them again")

    def cancel(self, batch_id: str) -> None:
        """Nothing runs."""

    def close(self) -> None:
        """Nothing is open."""

    def _batch(self, batch_id: str) -> RecordedBatch:
        if batch_id not in self._by_id:
            raise ManifestCorrupt("the recording has no such batch", where=f"{self._where}: {batch_id}", hint="record it again")
        return self._by_id[batch_id]

    def _recorded(self) -> Iterator[bytes]:
        for name in sorted(self._names):
            if name.startswith("requests/"):
                yield from self._source.lines(name)

    def _mismatch(self, intent: Intent, payload: Path) -> StateError:
        known = {line_sha256(line) for line in self._recorded()}
        hint = "replay with the config and data that were recorded, or record again with --record_dir"
        with payload.open("rb") as file:
            for number, line in enumerate(file):
                if line_sha256(line) not in known:
                    asked = json.loads(line)
                    return ConfigDrift(
                        f"request {number + 1} of {intent.part} is not on the recording",
                        where=f"{asked.get('custom_id')}: {first_difference(self._nearest(asked), asked)}",
                        hint=hint,
                    )
        return StateError(
            f"the recording has these {intent.n_requests} requests, but not as one part at attempt {intent.attempt}", where=intent.part, hint=hint
        )

    def _nearest(self, asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The recorded request that this one was probably meant to be: same custom_id, else same item and sample, of the arm that differs least."""
        alike: list[Mapping[str, Any]] = []
        wanted = identity(asked)
        for line in self._recorded():
            recorded: Mapping[str, Any] = json.loads(line)
            if recorded.get("custom_id") == asked.get("custom_id"):
                return recorded
            if wanted is not None and identity(recorded) == wanted:
                alike.append(recorded)
        match = SequenceMatcher(b=json.dumps(asked), autojunk=False)

        def likeness(recorded: Mapping[str, Any]) -> float:
            match.set_seq1(json.dumps(recorded))
            return match.quick_ratio()

        return max(alike, key=likeness, default=None)


def identity(request: Mapping[str, Any]) -> tuple[str, str, int] | None:
    """Role (where the id tells one), item and sample of a request of ours."""
    found = split_custom_id(str(request.get("custom_id")))
    return None if found is None else (found.arm[0], found.item, found.sample_index)


def first_difference(recorded: Mapping[str, Any] | None, asked: Mapping[str, Any]) -> str:
    """`path: 'recorded' -> 'asked'` for the first place where the two differ; what is asked before the id that it goes by."""
    if recorded is None:
        return "the recording has no request for this item and sample"
    names = [name for name in (*asked, *recorded) if name != "custom_id"]
    for name in (*dict.fromkeys(names), "custom_id"):
        found = _difference(name, recorded.get(name, ABSENT), asked.get(name, ABSENT))
        if found is not None:
            return found
    return "the order of its fields"


class _Absent:
    def __repr__(self) -> str:
        return "(not there)"


ABSENT = _Absent()


def _difference(path: str, old: Any, new: Any) -> str | None:
    if isinstance(old, dict) and isinstance(new, dict):
        pairs = ((f"{path}.{name}", old.get(name, ABSENT), new.get(name, ABSENT)) for name in dict.fromkeys((*new, *old)))
        return next((found for pair in pairs if (found := _difference(*pair))), None)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = ((f"{path}[{index}]", *pair) for index, pair in enumerate(zip(old, new, strict=True)))
        return next((found for pair in pairs if (found := _difference(*pair))), None)
    if type(old) is type(new) and old == new:
        return None
    at = _first_place(old, new) if isinstance(old, str) and isinstance(new, str) else 0
    return f"{path}: {_excerpt(old, at)} -> {_excerpt(new, at)}"


def _first_place(old: str, new: str) -> int:
    return next((index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _excerpt(value: Any, at: int) -> str:
    if not isinstance(value, str):
        return repr(value)[:80]
    start = max(0, at - 20)
    return repr(("..." if start else "") + value[start : start + 60] + ("..." if len(value) > start + 60 else ""))


def failure_mode(batches: Iterable[RecordedBatch]) -> FailureMode:
    """What went wrong in a recording, worst first."""
    found = list(batches)
    states = {batch.state for batch in found}
    if BatchState.FAILED in states:
        return "validation"
    if BatchState.EXPIRED in states:
        return "expired"
    is_partial = BatchState.CANCELLED in states or any(b.n_results is not None and b.n_results < b.n_requests for b in found)
    return "partial" if is_partial else "none"


def codec_settings(provider: Provider) -> dict[str, Any]:
    """The settings of an adapter that decide its request lines."""
    settings = getattr(provider, "settings", None)
    if settings is None:
        return {}
    return {name: value for name, value in asdict(settings).items() if name in CODEC_SETTINGS}


def codec_of(metadata: Metadata) -> Provider:
    """An adapter that encodes as the recorded one did; it has no key and is never called. Raises ManifestCorrupt."""
    try:
        found = of_recording(metadata.provider, metadata.settings)
    except TypeError as error:
        raise ManifestCorrupt(f"the recording's settings cannot be used: {error}", where="metadata.json") from None
    if found is not None:
        return found
    raise ManifestCorrupt(f"the recording is of {metadata.provider!r}, which is no provider", where="metadata.json")


def line_sha256(line: bytes) -> bytes:
    """What a request is known by."""
    return hashlib.sha256(line.rstrip(b"\r\n")).digest()


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def dumped(value: Any) -> bytes:
    """JSON for people, the same bytes for the same value."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def replace_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write the file whole or not at all."""
    draft = path.with_name(path.name + ".tmp")
    with draft.open("wb") as file:
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
