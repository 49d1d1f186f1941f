"""A provider in memory that behaves: it accepts, names, runs, bills, forgets and loses answers as it is told to, and counts what it was paid for."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from batchtrial.errors import Ambiguous, NotFound, ProviderError, RateLimited, Unsure
from batchtrial.providers.base import BatchState, BatchStatus, Intent, Limits, Sightings
from batchtrial.records import AnswerState, BadLine, Outcome, RawResult, Request, Usage

Trouble = Literal["lost before", "lost after", "refused", "busy", "full", "file gone", "down"]
Answer = Callable[[str, int], str]
"""(custom_id, which batch, from 1) -> the word on its result line, with what was said after `=`, or "" for no line."""


def succeeded(custom_id: str, batch: int) -> str:
    """Every row succeeds."""
    return "succeeded"


class Clock:
    """Time that moves when somebody waits."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.waited: list[float] = []

    def now(self) -> datetime:
        return self.time

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.time += timedelta(seconds=seconds)


@dataclass(slots=True)
class Batch:
    """What the provider keeps of a batch."""

    id: str
    token: str
    rows: tuple[str, ...]
    made_at: datetime
    lines: tuple[bytes, ...]
    ends_as: BatchState
    is_gone: bool = False
    is_cancelled: bool = False
    is_refused: bool = False  # for the queue being full, at once
    hidden_for: int = 0  # looks for its token that do not show it yet
    unlisted_for: int = 0  # listings that do not


@dataclass(slots=True)
class Memory:
    """The provider. on_submit: troubles of the next create calls, in order; ends: how the next batches end."""

    clock: Clock
    answer: Answer = succeeded
    limits: Limits = field(default_factory=lambda: Limits(max_requests=1000, max_bytes=10**6, find_rounds=2, find_wait_seconds=1.0))
    on_submit: deque[Trouble | None] = field(default_factory=deque)
    on_find: deque[Literal["unsure", "down"]] = field(default_factory=deque)
    on_check: deque[Literal["down", "not found"]] = field(default_factory=deque)
    on_fetch: deque[Literal["down", "cut", "not found"]] = field(default_factory=deque)
    on_list: deque[Literal["down", "denied"]] = field(default_factory=deque)
    ends: deque[BatchState] = field(default_factory=deque)
    hide_new_for: int = 0
    is_hopeless: bool = False
    most_rows_queued: int | None = None  # more in batches under way, and the next one fails for it
    others_rows: int = 0  # rows that somebody else of the account has in the queue
    is_unlabelled: bool = False  # a batch tells whose it is by its results alone
    has_list: bool = True
    life_seconds: float = 60.0
    at_create: Callable[[Intent], None] = lambda intent: None
    at_line: Callable[[], None] = lambda: None
    name: str = "memory"
    told: Mapping[str, str] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    owned_seen: list[Set[str]] = field(default_factory=list)
    most_open: int = 0
    n_uploads: int = 0

    # Codecs

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        return None

    def encode(self, request: Request) -> bytes:
        return json.dumps({"custom_id": request.custom_id, "system": request.system, "user": request.user}).encode() + b"\n"

    def decode(self, line: bytes) -> RawResult:
        try:
            row = json.loads(line)
            row["is"], _, said = row["is"].partition("=")
            outcome = Outcome(row["is"].rstrip("!?~"))
        except (ValueError, KeyError, TypeError) as error:
            raise BadLine(str(error)) from None
        is_answer = outcome is Outcome.SUCCEEDED
        usage = Usage(input_tokens=1000, output_tokens=100) if is_answer and "?" not in row["is"] else None  # ? is an answer without usage
        text, state, is_retryable = (said or "x") if is_answer else None, AnswerState.COMPLETE, "!" not in row["is"]
        if "~" in row["is"]:  # a success that nobody can read
            text, state = None, AnswerState.NOT_UNDERSTOOD
        return RawResult(custom_id=row["custom_id"], outcome=outcome, text=text, usage=usage, retryable=is_retryable, state=state)

    # Verbs

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        self.calls.append(f"submit {intent.part} {intent.attempt}")
        self.at_create(intent)
        trouble = self.on_submit.popleft() if self.on_submit else None
        if trouble == "refused":
            raise ProviderError("no such model", where="memory")
        if trouble == "busy":
            raise RateLimited("slow down", retryable=True, retry_after=7.0)
        if trouble == "down":
            raise ProviderError("cannot be reached", retryable=True)
        if intent.file_id is None:
            self.n_uploads += 1
            uploaded(f"file-{intent.token}")
        if trouble == "full":
            raise RateLimited("too much waits already", retryable=True)
        if trouble == "file gone" and intent.file_id is not None:
            raise NotFound("no such file")
        if trouble == "lost before":
            raise Ambiguous("no answer", retryable=True)
        batch = self.accept(intent, payload)
        if trouble == "lost after":
            raise Ambiguous("no answer", retryable=True)
        return batch.id

    def accept(self, intent: Intent, payload: Path) -> Batch:
        """Make the batch: from here on it is owed."""
        number = len(self.batches) + 1
        rows = tuple(json.loads(line)["custom_id"] for line in payload.read_bytes().splitlines())
        words = [(one, self.answer(one, number)) for one in rows]
        lines = tuple(json.dumps({"custom_id": one, "is": word}).encode() + b"\n" for one, word in words if word)
        ends_as = self.ends.popleft() if self.ends else BatchState.COMPLETED
        queued = self.others_rows + sum(len(one.rows) for one in self.batches.values() if not self._has_ended(one))
        is_too_much = self.most_rows_queued is not None and queued + len(rows) > self.most_rows_queued
        ends_as = BatchState.FAILED if is_too_much else ends_as
        batch = Batch(
            f"batch-{number}",
            intent.token,
            rows,
            self.clock.now(),
            lines,
            ends_as,
            is_refused=is_too_much,
            hidden_for=self.hide_new_for,
            unlisted_for=self.hide_new_for,
        )
        self.batches[batch.id] = batch
        self.most_open = max(self.most_open, sum(not self._has_ended(one) for one in self.batches.values()))
        return batch

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        self.calls.append(f"find {intent.part} {intent.attempt}")
        self.owned_seen.append(owned)
        trouble = self.on_find.popleft() if self.on_find else None
        if trouble == "unsure":
            raise Unsure("a batch of the right size still runs", retryable=True)
        if trouble == "down":
            raise ProviderError("cannot be reached", retryable=True)
        found = []
        for batch in self.batches.values():
            if batch.hidden_for > 0:
                batch.hidden_for -= 1
            elif batch.token == intent.token and batch.id not in owned:
                found.append(batch.id)
        return tuple(found)

    def check(self, batch_id: str) -> BatchStatus:
        self.calls.append(f"check {batch_id}")
        trouble = self.on_check.popleft() if self.on_check else None
        if trouble == "down":
            raise ProviderError("cannot be reached", retryable=True)
        batch = self.batches.get(batch_id)
        if batch is None or batch.is_gone or trouble == "not found":
            raise NotFound("no such batch")
        if not self._has_ended(batch):
            return BatchStatus(state=BatchState.RUNNING, wire_state="rebalancing")
        reason = "the queue is full" if batch.ends_as is BatchState.FAILED else None
        is_again = not self.is_hopeless
        return BatchStatus(state=batch.ends_as, wire_state=batch.ends_as.value, reason=reason, retryable=is_again, is_queue_full=batch.is_refused)

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        self.calls.append(f"fetch {batch_id}")
        trouble = self.on_fetch.popleft() if self.on_fetch else None
        if trouble == "down":
            raise ProviderError("cannot be reached", retryable=True)
        if trouble == "not found":
            raise NotFound("no such file")
        for number, line in enumerate(self.batches[batch_id].lines):
            if trouble == "cut" and number == 1:
                raise ProviderError("the connection was lost", retryable=True)
            self.at_line()
            yield line

    def cancel(self, batch_id: str) -> None:
        self.calls.append(f"cancel {batch_id}")
        self.batches[batch_id].is_cancelled = True

    def account(self, salt: str) -> Mapping[str, str] | None:
        return dict(self.told)

    def holds(self, file_id: str) -> bool:
        return False

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        if not self.has_list:
            return Sightings(has_list=False)
        self.calls.append("list")
        trouble = self.on_list.popleft() if self.on_list else None
        if trouble is not None:
            raise ProviderError("cannot be listed", retryable=trouble == "down")
        found: dict[str, list[str]] = {}
        unread: dict[int, frozenset[str]] = {}
        for batch in self.batches.values():
            if batch.unlisted_for > 0:
                batch.unlisted_for -= 1
            elif self.is_unlabelled and batch.id not in owned and not self._has_ended(batch):
                unread[len(batch.rows)] = unread.get(len(batch.rows), frozenset()) | {batch.id}
            elif batch.token in wanted:
                found.setdefault(batch.token, []).append(batch.id)
        return Sightings(by_token={token: tuple(ids) for token, ids in found.items()}, unread=unread)

    def close(self) -> None:
        """Nothing is open."""

    def _has_ended(self, batch: Batch) -> bool:
        return batch.is_refused or self.clock.now() >= batch.made_at + timedelta(seconds=self.life_seconds)

    # The bill

    def paid(self) -> Counter[str]:
        """How often each row was answered in a batch that ran."""
        ran = [batch for batch in self.batches.values() if batch.ends_as is not BatchState.FAILED and not batch.is_cancelled]
        return Counter(json.loads(line)["custom_id"] for batch in ran for line in batch.lines if b"succeeded" in line)

    def n_calls(self, verb: str) -> int:
        """Calls of one verb."""
        return sum(call.split()[0] == verb for call in self.calls)
