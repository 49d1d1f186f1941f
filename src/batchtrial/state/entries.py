"""The ledger's lines: their form, their checksum, and reading them whether or not the file is damaged.

A line is JSON with `seq`, `at`, `event`, the event's own fields and, at its end, a checksum of itself, so that a flipped bit cannot pass for another
batch id. A file cut at the end of a line shows nothing by itself: the mark, a number in a file of its own, says how many lines there were. Nothing
here knows what the events mean.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from pydantic import BaseModel, ConfigDict, Field

MOST_ABSENT = 1000
"""Gaps are listed up to this length: a number that was never counted up to must not fill the memory."""
_HEAD, _TAIL = b',"check":"', b'"}'
_CHECK_BYTES = len(_HEAD) + 8 + len(_TAIL)
_HEAD_BYTES = 120
"""Within these a line names its event."""
_LINES_OF_A_CHANGE = 6
"""More than a change of the config and what is written with it."""


class Counts(BaseModel):
    """How many requests ended in each of the five outcomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    succeeded: int = Field(0, ge=0)
    errored: int = Field(0, ge=0)
    expired: int = Field(0, ge=0)
    cancelled: int = Field(0, ge=0)
    missing: int = Field(0, ge=0)

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in Counts.model_fields})

    @classmethod
    def of_all(cls, counts: Iterable[Counts | None]) -> Counts:
        """All of them together; None counts for nothing."""
        found = [one for one in counts if one is not None]
        return cls(**{name: sum([getattr(one, name) for one in found]) for name in cls.model_fields})

    @property
    def total(self) -> int:
        return self.succeeded + self.errored + self.expired + self.cancelled + self.missing


Number = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """One line. Which fields are set depends on the event; `docs/files.md` has the table."""

    # No model as in `files.py`: a ledger has tens of thousands, and is read by every command.

    seq: Annotated[Number, Meta(description="Line number, from 1.")]
    at: Annotated[datetime, Meta(description="When the line was written, UTC.")]
    event: Annotated[str, Meta(description="An event of the part's life cycle, or a note about the run.")]
    part: Annotated[str | None, Meta(description="The part the event happened to.")] = None
    attempt: Annotated[Number | None, Meta(description="Which try at the part.")] = None
    token: Annotated[str | None, Meta(description="intent: what marks this attempt at the provider.")] = None
    payload: Annotated[str | None, Meta(description="intent: the file that is sent, relative to the run.")] = None
    payload_sha256: Annotated[str | None, Meta(description="intent: sha256 of its bytes.")] = None
    n_requests: Annotated[Count | None, Meta(description="intent: lines of the payload.")] = None
    reserved_usd: Annotated[
        Decimal | None,
        Meta(description="intent: kept free in the budget; duplicate: the most it can have cost."),
    ] = None
    file_id: Annotated[str | None, Meta(description="uploaded: the provider's id of the input; intent: that it leaves as a file.")] = None
    batch_id: Annotated[str | None, Meta(description="receipt, replaced: the provider's id of the batch; duplicate: of a second one.")] = None
    adopted: Annotated[bool | None, Meta(description="receipt: found again after the answer to the call was lost.")] = None
    wire_state: Annotated[str | None, Meta(description="done, rejected, imported: the word for the final state, as a rule the provider's.")] = None
    ids: Annotated[dict[str, str] | None, Meta(description="done: further ids, such as output_file_id.")] = None
    reason: Annotated[str | None, Meta(description="rejected, gone, lost, note: why.")] = None
    retryable: Annotated[
        bool | None,
        Meta(description="rejected: whether sending again can help; duplicate: whether it was cancelled in time."),
    ] = None
    path: Annotated[str | None, Meta(description="saved: the result file, relative to the run.")] = None
    sha256: Annotated[str | None, Meta(description="saved: its sha256.")] = None
    size: Annotated[Count | None, Meta(description="saved: its bytes.")] = None
    counts: Annotated[Counts | None, Meta(description="saved: outcomes in this attempt; settled: final outcomes of the part.")] = None
    reasons: Annotated[dict[str, int] | None, Meta(description="retry, settled: why rows have no answer, with how many.")] = None
    odd: Annotated[
        dict[str, int] | None,
        Meta(description="saved: lines that were malformed, unknown or repeated; billed_again: of these, answers that may have been billed too."),
    ] = None
    usage: Annotated[dict[str, int] | None, Meta(description="saved: tokens billed for this attempt.")] = None
    cost_usd: Annotated[Decimal | None, Meta(description="saved: their price; absent when the model has no known price.")] = None
    n_without_usage: Annotated[Count | None, Meta(description="saved: answers that said nothing about their tokens; absent when all did.")] = None
    unknown_usd: Annotated[
        Decimal | None, Meta(description="saved: the most that answers without usage and requests without a line may have cost; absent without such.")
    ] = None
    n_batches: Annotated[Count | None, Meta(description="looked: batches of ours that there were when the account was listed.")] = None
    run_nonce: Annotated[str | None, Meta(description="opened: random digits that keep this run's tokens apart from any other's.")] = None
    config_hash: Annotated[str | None, Meta(description="opened, drift: sha256 of effective_config.yaml.")] = None
    detail: Annotated[
        dict[str, Any] | None,
        Meta(description="opened, drift: the whole config; plan: the plan with its hash; else what is worth keeping."),
    ] = None
    check: Annotated[str | None, Meta(description="CRC-32 of the line without this field, 8 hex digits.")] = None

    @classmethod
    def of(cls, fields: Any = None, /, **named: Any) -> Entry:
        """The entry with these fields. Raises msgspec.ValidationError or ValueError for what no line may hold."""
        return _finite(msgspec.convert(named if fields is None else fields, cls, strict=False, dec_hook=_validated))

    def but(self, **changes: Any) -> Entry:
        """This entry with some fields changed."""
        return msgspec.structs.replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerRead:
    """What a ledger file holds.

    torn: bytes after the last whole line. foreign: numbers of lines that are not ours or not as they were written. absent: sequence numbers that no
    line has, before the last one or up to the ledger's mark. is_torn_late: the torn line is no crash's, for the mark says that it was whole.
    """

    entries: tuple[Entry, ...]
    whole_bytes: int
    torn: int
    foreign: tuple[int, ...]
    absent: tuple[int, ...] = ()
    is_torn_late: bool = False

    @property
    def is_sound(self) -> bool:
        """Nothing is known to be missing but, perhaps, the last line: what a torn line would have allowed never happened, or can be asked about."""
        return not self.foreign and not self.absent


def read(path: Path) -> LedgerRead:
    """All entries of the file; an absent file is an empty ledger. Never raises for a damaged one."""
    n_marked = marked(path)  # before the lines: a run at work adds both, the line first
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    cut = data.rfind(b"\n") + 1
    entries: list[Entry] = []
    foreign: list[int] = []
    absent: list[int] = []
    last = 0
    for number, line in enumerate(data[:cut].split(b"\n")[:-1], 1):
        entry = decode(line)
        if entry is None or entry.seq <= last:
            foreign.append(number)
            continue
        if entry.seq > last + 1:
            absent += range(last + 1, min(entry.seq, last + MOST_ABSENT))
        entries.append(entry)
        last = entry.seq
    torn = len(data) - cut
    is_torn_late = torn > 0 and last > 0 and n_marked == last + 1
    if not is_torn_late:
        absent += range(last + 1, min(n_marked, last + MOST_ABSENT) + 1)
    lost = tuple(seq for seq in absent if seq not in foreign)
    return LedgerRead(entries=tuple(entries), whole_bytes=cut, torn=torn, foreign=tuple(foreign), absent=lost, is_torn_late=is_torn_late)


def mark_of(path: Path) -> Path:
    """The ledger's mark: a hidden file beside it."""
    return path.with_name(".ledger_lines")


def marked(path: Path) -> int:
    """How many lines the ledger is known to have had on the disk; 0 when nothing says so."""
    try:
        return int(mark_of(path).read_bytes())
    except (OSError, ValueError):
        return 0


def mark(path: Path, n_lines: int) -> None:
    """Let the ledger's mark say that so many lines are on the disk. Overwritten in place: a reader sees the old number or the new one."""
    fd = os.open(mark_of(path), os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.pwrite(fd, b"%019d\n" % n_lines, 0)
    finally:
        os.close(fd)


def _validated(kind: type[BaseModel], value: Any) -> BaseModel:
    """What msgspec leaves to us: the one field that is a model."""
    return kind.model_validate(value)


def _finite(entry: Entry) -> Entry:
    """The entry. Raises ValueError for a sum of money that would compare with no budget."""
    for usd in (entry.reserved_usd, entry.cost_usd, entry.unknown_usd):
        if usd is not None and not usd.is_finite():
            raise ValueError(usd)
    return entry


_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_DECODER = msgspec.json.Decoder(Entry, strict=False, dec_hook=_validated)


def encode(entry: Entry) -> bytes:
    """The entry's line, sealed with its checksum."""
    fields = msgspec.to_builtins(entry, enc_hook=BaseModel.model_dump)
    fields.pop("check", None)
    line = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")  # as `store.encode_json`
    return line[:-1] + _HEAD + b"%08x" % zlib.crc32(line) + _TAIL + b"\n"


def decode(line: bytes) -> Entry | None:
    """The entry of a line; None when it is not one of ours, or not as it was written."""
    if not is_intact(line):
        return None
    try:
        return _finite(_DECODER.decode(line))
    except _UNREADABLE:
        pass
    try:  # the config of an older run may hold an infinite number, which is no JSON but for Python
        return Entry.of(json.loads(line))
    except _UNREADABLE:
        return None


def is_intact(line: bytes) -> bool:
    """Whether the line's checksum is right. A line without one was written by hand, and is taken as it is."""
    tail = line[-_CHECK_BYTES:]
    if not (tail.startswith(_HEAD) and tail.endswith(_TAIL)):
        return True
    return tail[len(_HEAD) : -len(_TAIL)] == b"%08x" % zlib.crc32(line[:-_CHECK_BYTES] + b"}")


def latest_config(path: Path) -> tuple[dict[str, Any], str] | None:
    """The config that the run's last `opened` or `drift` line carries, and its hash; None when no line does. Looks at no other lines."""
    found = None
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    for line in data.split(b"\n"):
        entry = decode(line) if b'"config":' in line else None
        if entry is not None and entry.detail and isinstance(entry.detail.get("config"), dict) and entry.config_hash:
            found = dict(entry.detail["config"]), entry.config_hash
    return found


def last_change(path: Path, besides: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(config before, config after) where the ledger ends with a change of the config, but for lines of the events in `besides`; else None."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    ends = (decode(line) for line in reversed(data.rsplit(b"\n", _LINES_OF_A_CHANGE)[1:]) if line)
    last = next((entry for entry in ends if entry is not None and entry.event not in besides), None)
    if last is None or last.event != "drift":
        return None
    lines = (decode(line) for line in data.split(b"\n") if b'"config":' in line)
    configs = [dict(entry.detail["config"]) for entry in lines if entry is not None and entry.detail and isinstance(entry.detail.get("config"), dict)]
    return (configs[-2], configs[-1]) if len(configs) > 1 else None


def run_lines(path: Path, events: Sequence[str], first_of: Sequence[str] = ()) -> tuple[Entry, ...]:
    """The lines of these events in order, and of the events in `first_of` the first one. Decodes no others; damaged ones are left out."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    found, wanted = [], [*events, *first_of]
    names = [name.encode() for name in wanted]
    for line in data.split(b"\n"):
        head = line[:_HEAD_BYTES]
        entry = decode(line) if any(name in head for name in names) else None
        if entry is None or entry.event not in wanted:
            continue
        found.append(entry)
        if entry.event in first_of:
            wanted, names = list(events), [name.encode() for name in events]
    return tuple(found)
