"""The state files of a run as models: what has a file here is frozen, refuses unknown keys, and documents itself.

`run_state.json` and the manifests are snapshots: each can be rebuilt from the ledger and the artifacts. Each carries a checksum of what it says, so
that a flipped bit cannot pass for another part or count; a file edited by hand has to leave `check` out. Nothing here decides anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from batchtrial.errors import ManifestCorrupt, StateError
from batchtrial.modes import Mode
from batchtrial.state.ledger import Counts
from batchtrial.state.store import Fingerprint, Hook, Stamps, decode_json, encode_json, no_hook, write_bytes

Status = Literal["not_started", "in_progress", "completed", "failed"]


class File(BaseModel):
    """Base of every file: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)


class Snapshot(File):
    """Base of the files themselves, as against the records inside them."""

    check: str | None = Field(None, description="First 16 hex digits of the sha256 of everything else in the file, as canonical JSON.")


class PhaseRecord(File):
    """One phase of the run."""

    status: Status = Field("not_started", description="Where the phase stands.")
    started_at: datetime | None = Field(None, description="When it was last begun.")
    updated_at: datetime | None = Field(None, description="When this record last changed.")
    last_error: str | None = Field(None, description="What stopped it last time.")


class Checkpoint(File):
    """The last thing that was durably finished."""

    phase: str = Field(description="Phase name.")
    trial_slug: str | None = Field(None, description="Trial, when the phase works trial by trial.")
    resume_key: str | None = Field(None, description="Part or arm, when there is one.")
    timestamp: datetime = Field(description="When.")


class Drift(File):
    """A change of config that was accepted with --accept_drift."""

    at: datetime = Field(description="When it was accepted.")
    keys: dict[str, str] = Field(description="Changed keys, each as `old -> new`.")
    config_hash: str = Field(description="Hash of the config from then on.")


class PlanMark(File):
    """The declared plan once more, by which a rebuilt ledger can prove that a config has it."""

    hash: str = Field(description="sha256 of the plan that was frozen before the first result.")
    written: tuple[str, ...] = Field((), description="Settings of `stats` that somebody wrote; the others are its defaults.")


class RunState(Snapshot):
    """run_state.json, schema_version 1."""

    schema_version: Literal[1] = Field(1, description="Version of this file's form.")
    run_id: str = Field(description="The run's name.")
    config_hash: str = Field(description="sha256 of effective_config.yaml.")
    run_nonce: str | None = Field(None, description="The ledger's random digits once more: without them no batch could be recognised as ours.")
    ledger_lines: int = Field(0, ge=0, description="Lines that the ledger had when this was written; fewer means that some are lost.")
    plan: PlanMark | None = Field(None, description="What the ledger says was declared; absent when it has no plan from before the first result.")
    mode: Mode = Field("live", description="Where the answers come from.")
    overrides: dict[str, Any] = Field(default_factory=dict, description="Settings given by flag when the run was started.")
    submission: dict[str, Any] = Field(default_factory=dict, description="Settings of `submission` that a config given later has otherwise.")
    phases: dict[str, PhaseRecord] = Field(default_factory=dict, description="Every phase by name.")
    last_checkpoint: Checkpoint | None = Field(None, description="The last thing durably finished.")
    stop_requested: bool = Field(False, description="The last process left because it was asked to.")
    migrated: bool = Field(False, description="Synthesised or upgraded from an older form.")
    notes: tuple[str, ...] = Field((), description="What could not be known when the state was synthesised.")
    drift: tuple[Drift, ...] = Field((), description="Changes of config accepted with --accept_drift.")


class Artifact(Fingerprint):
    """A published file."""

    path: str = Field(description="Relative to the run.")


class StageRecord(File):
    """One stage of a trial."""

    status: Status = Field("not_started", description="Where the stage stands.")
    updated_at: datetime | None = Field(None, description="When this record last changed.")
    inputs: str | None = Field(None, description="Digest of everything the artifacts were made from.")
    artifacts: dict[str, Artifact] = Field(default_factory=dict, description="Published files by name.")


class PromptRecord(File):
    """What a condition was asked with."""

    path: str = Field(description="As written in the config.")
    sha256: str = Field(description="Of the text.")
    instructions_sha256: str = Field(description="Of the two task instructions together.")


class BatchRecord(File):
    """The provider's side of one attempt."""

    part: str = Field(description="Part name.")
    attempt: int = Field(description="Which try at the part.")
    batch_id: str | None = Field(None, description="The provider's id.")
    wire_state: str | None = Field(None, description="The provider's word for the final state.")
    ids: dict[str, str] = Field(default_factory=dict, description="output_file_id, results_uri and the like.")


class TrialManifest(Snapshot):
    """trial_manifest.json, schema_version 2."""

    schema_version: Literal[2] = Field(2, description="Version of this file's form.")
    timestamps: dict[str, datetime] = Field(default_factory=dict, description="created_at and updated_at.")
    run_id: str = Field(description="The run's name.")
    trial: dict[str, Any] = Field(description="slug, model_id, prompt_set and decoding.")
    temps: tuple[float, ...] = Field(description="Temperatures.")
    samples_per_item: dict[str, int] = Field(description="By temperature.")
    prompts: dict[str, PromptRecord] = Field(description="By condition.")
    backend: str = Field("fireworks", description="Which provider ran the batches.")
    mode: Mode = Field("live", description="Where the answers come from.")
    pricing_key: str | None = Field(None, description="Name in the price table.")
    host: str | None = Field(None, description="Who answered: scheme, name and port of the host, or what stood in for one.")
    server: dict[str, Any] | None = Field(None, description="`local` only: what the server said it is.")
    arms: dict[str, str] = Field(default_factory=dict, description="Name of the arm in each role, such as `t0_control`.")
    datasets: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Provider's input ids per role.")
    jobs: dict[str, tuple[str, ...]] = Field(default_factory=dict, description="Provider's batch ids per role.")
    job_status: dict[str, str] = Field(default_factory=dict, description="State per part.")
    job_counts: dict[str, Counts] = Field(default_factory=dict, description="Final outcomes per part.")
    batches: tuple[BatchRecord, ...] = Field((), description="Every attempt that reached the provider.")
    control_registry: dict[str, str] = Field(default_factory=dict, description="Key of the control arm per temperature.")
    stage_status: dict[str, StageRecord] = Field(default_factory=dict, description="Every stage by name.")


class PreparedFile(Artifact):
    """One prepared file."""

    items: int = Field(ge=0, description="Rows.")


class PreparedManifest(Snapshot):
    """prepared_manifest.json, schema_version 1."""

    schema_version: Literal[1] = Field(1, description="Version of this file's form.")
    inputs: str = Field(description="Digest of the settings and source files it was made from.")
    datasets: dict[Literal["open_book", "closed_book"], PreparedFile] = Field(description="The prepared files.")
    sources: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Per dataset: rows read, used, bad.")

    @property
    def sha256(self) -> str:
        """Fingerprint of the items: both files' sha256 together."""
        return "-".join(self.datasets[name].sha256 for name in sorted(self.datasets))


class Shard(Artifact):
    """One part's input file."""

    part: str = Field(description="Part name.")
    arm: str = Field(description="Arm name.")
    condition: str | None = Field(None, description="Of runs begun by an earlier version: the role that the arm was bought for.")
    temp: float = Field(description="Temperature.")
    part_index: int = Field(ge=1, description="From 1.")
    first_item: int = Field(ge=0, description="Place of its first item in the index.")
    n_items: int = Field(ge=1, description="Items, in index order, each with its samples.")
    first_sample: int = Field(0, ge=0, description="Its first sample of each; above 0 in parts of a run that grew by samples.")
    lines: int = Field(ge=0, description="Requests: items times samples.")
    input_tokens: int = Field(ge=0, description="Estimated prompt tokens.")
    max_output_tokens: int = Field(ge=0, description="Answer tokens at most.")

    @property
    def samples(self) -> range:
        """Which samples of each item it asks for."""
        return range(self.first_sample, self.first_sample + self.lines // self.n_items)


class BuildManifest(Snapshot):
    """build_manifest.json, schema_version 1."""

    schema_version: Literal[1] = Field(1, description="Version of this file's form.")
    inputs: str = Field(description="Digest of everything the parts were made from.")
    index: Artifact = Field(description="The index file.")
    items: Artifact | None = Field(None, description="The table of items; absent in runs that earlier versions built.")
    shards: dict[str, Shard] = Field(description="By part name, in the order they are sent.")
    temps: tuple[float, ...] = Field(description="Temperatures.")
    prompt_sets: tuple[str, ...] = Field(description="Prompt sets in use.")
    looks: tuple[int, ...] | None = Field(None, description="Items of the prefix that each planned look sees; absent where no looks are planned.")
    lines_per_part: int | None = Field(None, description="What `lines_per_part: auto` came to; absent where the config says a number or none.")


class ControlEntry(File):
    """One arm that some trial has as its control."""

    status: Literal["pending", "in_progress", "completed"] = Field(description="Where it stands.")
    shared_rel: str = Field(description="Folder, relative to the run.")
    producer_trial: str = Field(description="The first trial that uses it.")
    trials: tuple[str, ...] = Field(description="Every trial that uses it, in either role.")
    backend: str = Field(description="Provider.")
    model_id: str = Field(description="Model.")
    prompt_sha: str = Field(description="sha256 of the system prompt.")
    input_sha: str = Field(description="Fingerprint of the prepared items.")
    temp: float = Field(description="Temperature.")
    samples_per_item: int = Field(description="Completions per item.")
    counts: Counts | None = Field(None, description="Final outcomes.")
    imported_from: str | None = Field(None, description="The finished run it was taken from.")


class ControlRegistry(Snapshot):
    """control_registry.json, schema_version 1."""

    schema_version: Literal[1] = Field(1, description="Version of this file's form.")
    controls: dict[str, ControlEntry] = Field(default_factory=dict, description="By arm key.")


class TrialEntry(File):
    """One line in the list of trials."""

    slug: str = Field(description="Folder of the trial.")
    model_id: str = Field(description="Model.")
    prompt_set: str = Field(description="Prompt set.")
    temps: tuple[float, ...] = Field(description="Temperatures.")
    results_dir: str = Field(description="Relative to the run.")
    reports_dir: str = Field(description="Relative to the run.")


class MultiTrialManifest(Snapshot):
    """multi_trial_manifest.json, schema_version 2."""

    schema_version: Literal[2] = Field(2, description="Version of this file's form.")
    created_utc: datetime = Field(description="When it was first written.")
    updated_utc: datetime = Field(description="When the list last changed.")
    run_id: str = Field(description="The run's name.")
    num_trials: int = Field(ge=1, description="Trials.")
    trials: tuple[TrialEntry, ...] = Field(description="Every trial, in order.")


F = TypeVar("F", bound=File)


def load(model: type[F], path: Path) -> F | None:
    """The file's content; None when there is none. Raises ManifestCorrupt when it is not what it claims to be."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        tree = decode_json(data)
        is_sealed = not isinstance(tree, dict) or "check" not in tree or tree.pop("check") == seal(tree)
    except (ValueError, RecursionError) as error:
        raise _corrupt(path, f"not JSON: {error}") from None
    if not is_sealed:
        raise _corrupt(path, "its checksum does not fit what it says")
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(step) for step in first["loc"]) or "the file"
        raise _corrupt(path, f"{key}: {first['msg']}") from None


class Shelf:
    """Snapshots as they were last read: a file is read again only when it was replaced. For one owner of a run, who looks at it between all steps."""

    def __init__(self) -> None:
        self._known: dict[tuple[type[File], Path], tuple[tuple[int, int, int], File]] = {}

    def load(self, model: type[F], path: Path) -> F | None:
        """As `load`."""
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        mark = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        known = self._known.get((model, path))
        if known is not None and known[0] == mark:
            return cast("F", known[1])
        value = load(model, path)
        if value is not None:
            self._known[model, path] = mark, value
        return value

    def intact(self, model: type[F], path: Path) -> F | None:
        """As `load`, but None for a damaged file as well: it is about to be written anew."""
        try:
            return self.load(model, path)
        except ManifestCorrupt:
            return None


def _corrupt(path: Path, why: str) -> ManifestCorrupt:
    return ManifestCorrupt(
        f"{path.name} is damaged: {why}",
        where=str(path),
        hint="run `batchtrial repair --run_id RUN`; the original is kept beside as *.corrupt.<time>",
    )


def seal(tree: Mapping[str, Any]) -> str:
    """The checksum of a snapshot's content, whatever its key order and spacing."""
    text = json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def save(path: Path, value: File, *, hook: Hook = no_hook) -> None:
    """Durably replace the file."""
    tree = value.model_dump(mode="json", exclude_none=True, exclude={"check"})
    if isinstance(value, Snapshot):
        tree["check"] = seal(tree)
    write_bytes(path, encode_json(tree), hook=hook)


def artifact(root: Path, path: Path, got: Fingerprint) -> Artifact:
    """`got` under its path relative to the run."""
    return Artifact(path=path.relative_to(root).as_posix(), size=got.size, sha256=got.sha256)


def same(record: Mapping[str, Artifact], root: Path, stamps: Stamps) -> str | None:
    """Why the artifacts on disk are not the recorded ones; None when all are."""
    for name, want in record.items():
        got = stamps.of(root / want.path)
        if got is None:
            return f"{name} is gone"
        if got.sha256 != want.sha256:
            return f"{name} has {got.size} bytes and another checksum than the {want.size} bytes that were published"
    return None


def refuse_damaged(record: Mapping[str, Artifact], root: Path, stamps: Stamps) -> None:
    """Nothing when every artifact that is there is as it was published. Raises StateError: what is read from a damaged one would mean nothing."""
    there = {name: one for name, one in record.items() if (root / one.path).exists()}
    if problem := same(there, root, stamps):
        raise StateError(problem, where=str(root), hint="`batchtrial resume --run_id RUN` makes it again")


def load_or_none(model: type[F], path: Path) -> F | None:
    """The snapshot, or None when it is absent or damaged."""
    return Shelf().intact(model, path)
