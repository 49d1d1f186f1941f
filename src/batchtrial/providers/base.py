"""What every provider adapter is: four verbs on the wire, two pure codecs, and its limits as data.

Retries, splitting, ordering, money and state live above the adapter. An adapter knows one wire and nothing of files on our side, the ledger,
budgets or other adapters. Foreign exceptions become ours at its edge.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, cast, runtime_checkable

# What a finish reason or a call of a tool means belongs to what a result is, so those who know the protocol alone find it here.
from batchtrial.providers.decode.calls import calls_as_answers as calls_as_answers
from batchtrial.providers.decode.finish import is_known as is_known
from batchtrial.providers.decode.finish import state_of_text as state_of_text
from batchtrial.providers.decode.plain import many_at_once as many_at_once
from batchtrial.records import RawResult, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one batch may hold, and how one is found again."""

    max_requests: int
    max_bytes: int
    find_rounds: int = 3  # listings that must all be without our token before an absence is believed
    find_wait_seconds: float = 5.0  # waited before the second listing, doubled each time
    has_labels: bool = True  # False: a batch cannot carry our token, so `find` may answer Unsure
    is_found_by_file: bool = False  # a batch is known by its input file alone, so that file's id must be on the disk before the batch is made
    poll_seconds: float = math.inf  # the longest that two looks may lie apart, whatever the run waits elsewhere
    least_poll_seconds: float = 0.0  # two looks at a batch lie at least so far apart, whatever the config says
    takes_nothing: bool = False  # its batch API is paused: rows that failed cannot be sent again
    may_vanish: bool = False  # a batch can be deleted while it runs, so an id that nobody knows says nothing about the account

    def between_looks(self, wished: float) -> float:
        """Seconds between two looks at a batch. wished: as the config has it."""
        return max(self.least_poll_seconds, min(wished, self.poll_seconds))


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One attempt at one part, as the ledger recorded it before the call.

    token: 16 hex digits, the same whenever this attempt is sent or looked for.
    file_id: set once the input has been uploaded. n_requests: lines of the payload. created_at: when the intent was written (UTC).
    """

    part: str
    attempt: int
    token: str
    payload_sha256: str
    n_requests: int
    created_at: datetime
    model: str
    file_id: str | None = None
    label: str = ""  # readable name for the provider's console, never used for matching


class BatchState(StrEnum):
    """What a batch is to us; providers' own words are mapped to these, unknown ones to RUNNING."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"  # refused as a whole: no rows were executed
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self is not BatchState.RUNNING


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStatus:
    """One look at a batch. `wire_state` is the provider's own word; `reason` says why a batch failed; `ids` go to the manifest."""

    state: BatchState
    wire_state: str
    n_total: int | None = None
    n_done: int | None = None
    n_failed: int | None = None
    reason: str | None = None
    retryable: bool = True  # False: sending the same bytes again cannot help
    is_queue_full: bool = False  # failed because too much of the account was waiting already
    ids: Mapping[str, str] = field(default_factory=dict)  # output_file_id, error_file_id, results_uri ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """What a listing of the account shows of some tokens, whoever sent them.

    by_token: token -> the batches that carry it, oldest first. unread: size -> batches of that size that may carry any token until they have ended.
    nameless: size -> ended batches of that size whose results show no custom_id: they may be anybody's, for ever.
    has_list: False where there is nothing to list, since no token can have two batches.
    """

    by_token: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unread: Mapping[int, frozenset[str]] = field(default_factory=dict)
    nameless: Mapping[int, frozenset[str]] = field(default_factory=dict)
    has_list: bool = True


MAYBE_PAID_TWICE = "maybe_paid_twice"
"""Name under which the ids of an ended batch tell how many of its rows may have been paid for and were asked again."""
KEY_CHECK = "key"
"""Name under which `account` tells the check of the key."""


def key_check(key: str, salt: str) -> str:
    """Twelve bits that the same key always has, and one other key in 4,096: enough to notice a change, too few to find or to confirm a key."""
    return hashlib.sha256(f"{salt}\x1f{key}".encode()).hexdigest()[:3]


class Provider(Protocol):
    """One wire. Every method but the codecs may raise ProviderError; `submit` raises Ambiguous when the create call may have been carried out."""

    @property
    def name(self) -> str: ...

    @property
    def limits(self) -> Limits: ...

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        """Pure: why this wire cannot honour these sampling values, so that nothing is sent under a false label; None when it can."""

    def encode(self, request: Request) -> bytes:
        """Pure: the request's line in the part file, ended by one newline; the same request gives the same bytes."""

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        """Pure: the reader of one result line, which judges it by its content and raises BadLine. It can be pickled for another process."""

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """Upload the payload (unless intent.file_id is set; `uploaded` is called with the id at once), create the batch ONCE, return its id."""

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """Ids of batches that carry this intent's token, oldest first; () proves absence; raises Unsure when it cannot tell yet.

        owned: batch ids that the ledger already ties to other attempts.
        """

    def check(self, batch_id: str) -> BatchStatus:
        """One look at the batch. Raises NotFound when the provider does not know it."""

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """Result lines as received, success and error lines alike, in any order, each ended by one newline; streamed."""

    def cancel(self, batch_id: str) -> None:
        """Ask the provider to stop the batch; used for duplicates only."""

    def account(self, salt: str) -> Mapping[str, str] | None:
        """What the wire tells of the account that is asked, by name, and `key_check` of the key; None when there is no account behind it."""

    def holds(self, file_id: str) -> bool:
        """Whether the account has the input file of that id."""

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        """Batches made after `since` that carry a token, in one listing.

        wanted: token -> requests. owned: batch id -> token, as the ledger has it.
        """

    def close(self) -> None:
        """Close open connections; the provider may be used again afterwards."""


@runtime_checkable
class AsksRows(Protocol):
    """A lane without batches at the provider: this program asks the rows, and nothing but its own files tells which were asked."""

    def n_open(self, batch_id: str) -> int:
        """Rows that have no answer here; nothing is asked. Raises ProviderError, StateError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What an adapter is made of: a lane's settings in plain values. What is not set is the wire's own default.

    host: how it is reached (`base_url`, `timeouts`, `past_proxies`). key: None for an adapter of which only the pure half is used. account: for
    wires that name one in their paths. host_row: name of a row in the table of OpenAI-compatible hosts. is_longer_field: a chat answer's length is
    bounded by the field's newer name. now: the time that batches live in.
    """

    host: Mapping[str, Any] = field(default_factory=dict)
    key: str | None = None
    account: str = ""
    endpoint: str | None = None
    host_row: str | None = None
    sampling: Literal["send", "omit"] = "send"
    api_version: str | None = None
    cache: Literal["5m", "1h"] | None = None
    is_longer_field: bool = False
    now: Callable[[], datetime] | None = None

    def given(self, **settings: Any) -> dict[str, Any]:
        """The settings without those that are not set."""
        return {name: value for name, value in settings.items() if value is not None}


class SpeaksFor:
    """The pure half of an adapter, taken from another: what records, replays or carries batches speaks the wire that they are of."""

    def __init__(self, codec: Provider) -> None:
        self._codec = codec

    @property
    def name(self) -> str:
        return self._codec.name

    @property
    def limits(self) -> Limits:
        return self._codec.limits

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        return self._codec.refuses(temps, top_p, top_k, stop)

    def encode(self, request: Request) -> bytes:
        return self._codec.encode(request)

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        return self._codec.decode

    @property
    def asked(self) -> Provider:
        """Whoever asks the account, behind what stands before it."""
        return cast("Provider", self)

    def account(self, salt: str) -> Mapping[str, str] | None:
        """Nobody's: a recording or a folder of files has no account."""
        return None

    def holds(self, file_id: str) -> bool:
        return False

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        return Sightings(has_list=False)


def asked_of(provider: Provider) -> Provider:
    """Whoever asks the account: what is proved by a batch that it shows is not proved by a file of that batch that somebody brought."""
    return provider.asked if isinstance(provider, SpeaksFor) else provider


class LaneCodecs(SpeaksFor):
    """Speaks the first lane's wire where nobody asks for another; its limits are the smallest, so that one cut of the items fits every lane."""

    def __init__(self, codecs: Mapping[str, Provider]) -> None:
        """codecs: by lane, at least one."""
        super().__init__(next(iter(codecs.values())))
        self._codecs = codecs

    @property
    def limits(self) -> Limits:
        every = [codec.limits for codec in self._codecs.values()]
        return replace(every[0], max_requests=min(one.max_requests for one in every), max_bytes=min(one.max_bytes for one in every))

    def of(self, lane: str) -> Provider:
        """The lane's own codec."""
        return self._codecs[lane]


def codec_of(codec: Provider, lane: str) -> Provider:
    """What speaks the lane's wire; the codec itself in a run with one lane."""
    return codec.of(lane) if isinstance(codec, LaneCodecs) else codec
