"""Anthropic's Message Batches: all requests travel inside the create call, results come as one stream.

A batch carries no label, so our token stands before every custom_id on the wire (`<token>-<custom_id>`) and is taken off again when results are
fetched. `find` can therefore only read it once a batch has ended; until then a batch of the right size that nobody owns leaves it Unsure. One that
has ended and shows no custom_id, however often it is read, may be ours: it is taken, its rows count as lost, and nothing is bought again.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec

from batchtrial.errors import ConfigError, NotFound, ProviderError, Unsure
from batchtrial.providers.anthropic import results as messages
from batchtrial.providers.base import KEY_CHECK, BatchState, BatchStatus, Intent, Limits, Setup, Sightings, key_check
from batchtrial.providers.decode.lines import count
from batchtrial.providers.decode.plain import reader
from batchtrial.providers.registry import Row
from batchtrial.providers.sdk import turns
from batchtrial.providers.sdk.connection import Connection, HostSettings, sdk_of
from batchtrial.providers.sdk.edge import account_headers, check_extra, check_listed, oldest_possible, utc_now
from batchtrial.providers.sdk.lines import split_lines, watched
from batchtrial.providers.sdk.sampling import Honoured
from batchtrial.records import RawResult, Request

ROOT = "does provider.base_url lead to the API? Anthropic's client adds /v1 itself, so that the address ends before it"
SDK = sdk_of("anthropic", "anthropic")
PATH = "/v1/messages/batches"

OUR_FIELDS = frozenset({"model", "max_tokens", "messages", "system", "temperature", "top_p", "top_k", "stop_sequences", "stream", "speed"})
LIMITS = Limits(max_requests=100_000, max_bytes=254 * 10**6, has_labels=False)
"""256 MB as documented, less the 18 bytes that the token adds to each of 100,000 lines."""

HEAD = b'{"custom_id":"'
CUSTOM_ID = re.compile(rb'[A-Za-z0-9_-]{1,47}"')
TOKEN_CHARS = 16
SEND_BYTES = 256 * 1024
READS = 3
"""Times that an ended batch is read before it is believed to show no custom_id: what was read may have been cut short."""
NO_ID = ""
KEPT = timedelta(days=28)
"""Results are kept for 29 days: a batch without them is older than any intent that is younger than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicSettings(HostSettings):
    """What the adapter needs to know.

    api_version: sent whatever the SDK's own default is. 2026-10-21 refuses sampling parameters, row by row, at our cost in time.
    sampling: "omit" leaves them out, for models and versions that refuse them. cache: put a cache marker of that life on the system prompt.
    """

    api_version: Literal["2023-06-01", "2026-10-21"] = "2023-06-01"
    sampling: Literal["send", "omit"] = "send"
    cache: Literal["5m", "1h"] | None = None
    page_size: int = 1000
    limits: Limits = LIMITS


class AnthropicProvider:
    """One Anthropic workspace. Safe to use from several threads."""

    name = "anthropic"

    def __init__(
        self,
        settings: AnthropicSettings,
        api_key: str | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Nothing is imported or sent yet: a missing key or package is told at the first call, so that codecs work without."""
        self.settings = settings
        self.limits = settings.limits
        self._clock, self._now = clock, now
        self._honoured = Honoured()
        self._to = Connection(SDK, api_key, settings, self._client)
        # Ended batch -> one custom_id of it. What a batch holds never changes, and many parts may be in doubt at once.
        self._seen_ids: dict[str, str] = {}
        self._reads: Counter[str] = Counter()  # of ended batches in which no custom_id was found

    # --- codecs

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        """Why these sampling values cannot be honoured, or None when they can.

        Under API version 2026-10-21 only what equals the provider's default by being left out can: temperature 1 and nothing else.
        """
        different = sorted(set(temps))
        if any(not one.strip() for one in stop):
            return "a stop sequence of nothing but spaces or line ends is refused"
        if self.settings.sampling == "omit":
            if len(different) > 1:
                return f"temperatures {different} cannot be told apart: sampling parameters are not sent (sampling: omit)"
            given = top_p if top_p is not None else top_k
            return None if given is None else "top_p and top_k would not be sent (sampling: omit)"
        if any(not 0 <= temp <= 1 for temp in different):
            return f"temperatures {different} leave the range 0 to 1"
        if self.settings.api_version == "2026-10-21" and (different not in ([], [1.0]) or top_p is not None or top_k is not None):
            return (
                f"API version 2026-10-21 refuses temperature, top_p and top_k (asked: temperatures {different}, top_p {top_p}, top_k {top_k}); "
                "use api_version 2023-06-01, or sampling: omit with a single temperature"
            )
        return None

    def encode(self, request: Request) -> bytes:
        """`{"custom_id", "params"}`. Raises ConfigError for sampling that cannot be honoured or an extra field that clashes."""
        self._honoured.check(self, request)
        params: dict[str, Any] = {"model": request.model, "max_tokens": request.max_tokens}
        if request.system:
            params["system"] = self._system(request.system)
        params["messages"] = turns.anthropic_messages(request)
        if self.settings.sampling == "send" and self.settings.api_version != "2026-10-21":
            params["temperature"] = request.temperature
            if request.top_p is not None:
                params["top_p"] = request.top_p
            if request.top_k is not None:
                params["top_k"] = request.top_k
        if request.stop:
            params["stop_sequences"] = list(request.stop)
        params |= turns.anthropic_extras(request)
        if request.extra:
            check_extra(request.extra, OUR_FIELDS.union(params))
            params.update(request.extra)
        return msgspec.json.encode({"custom_id": request.custom_id, "params": params}) + b"\n"

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        """Of one line of the results stream, with or without the token before its custom_id."""
        return reader(messages.pick, messages.decode_line)

    # --- verbs

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """Send every line of the payload inside the one create call; `uploaded` is not called, for there is no file."""
        size = wire_size(payload)
        with self._to.edge.calling("create batch", creating=True, root=ROOT):
            batch = self._to.client.post(
                PATH,
                cast_to=self._to.sdk.types.messages.MessageBatch,
                content=wire_body(payload, intent.token),
                options={
                    "headers": {"Content-Type": "application/json", "Content-Length": str(size)},
                    "timeout": self._to.timeout(answer=True),
                },
            )
        return self._to.created_id(batch)

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """Batches whose custom_ids begin with our token; see the module's text for why this can be Unsure for as long as a batch runs."""
        ours: list[tuple[str, str]] = []
        unread: list[str] = []
        nameless: list[tuple[timedelta, str]] = []
        for batch in self._batches(intent.created_at):
            if batch.id in owned or total_of(batch) != intent.n_requests:
                continue
            first = self._first_id(batch)
            if is_archived(batch):
                if self._now() - intent.created_at >= KEPT:
                    nameless.append((abs(stamp(batch) - intent.created_at), batch.id))
            elif first is None:
                unread.append(batch.id)
            elif first == NO_ID:
                nameless.append((abs(stamp(batch) - intent.created_at), batch.id))
            elif first.startswith(f"{intent.token}-"):
                ours.append((stamp(batch).isoformat(), batch.id))
        if not ours and unread:
            raise Unsure(
                f"{len(unread)} batch(es) of {intent.n_requests} requests could be this part's: {', '.join(sorted(unread)[:5])}",
                where=f"{SDK.title}: part {intent.part}",
                hint="their custom_ids can be read once they have ended; other parts go on",
                retryable=True,
            )
        return tuple(batch_id for _, batch_id in sorted(ours)) or tuple(batch_id for _, batch_id in sorted(nameless)[:1])  # the nearest in time

    def check(self, batch_id: str) -> BatchStatus:
        """One look at the batch."""
        return status_of(self._get(batch_id))

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """The results stream, without our token before the custom_ids. Raises ProviderError (retryable) before the batch has ended."""
        batch = self._get(batch_id)
        if not status_of(batch).state.is_terminal:
            raise ProviderError(f"the batch is still {batch.processing_status}", where=f"{SDK.title}: fetch {batch_id}", retryable=True)
        if not getattr(batch, "results_url", None):
            raise NotFound("the batch has ended and its results are no longer kept", where=f"{SDK.title}: fetch {batch_id}")
        for line in self._results(batch_id):
            yield messages.without_token(line)

    def cancel(self, batch_id: str) -> None:
        """Ask for the batch to be stopped; one that has ended or is gone already is fine."""
        self._to.cancel(batch_id, lambda client: client.messages.batches.cancel(batch_id), self.check)

    def account(self, salt: str) -> Mapping[str, str]:
        """The organisation, by its header. Which workspace of it, the wire does not tell."""
        with self._to.edge.calling("list batches", root=ROOT):
            answer = self._to.client.messages.batches.with_raw_response.list(limit=1)
        return {KEY_CHECK: key_check(self._to.key, salt)} | account_headers(answer.headers, {"organization": "anthropic-organization-id"})

    def holds(self, file_id: str) -> bool:
        """Never: there are no input files."""
        return False

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        """By their custom_ids, which can be read once they have ended; until then a batch of a wanted size may be anybody's."""
        sizes = frozenset(wanted.values())
        found: dict[str, list[tuple[str, str]]] = {}
        unread: dict[int, set[str]] = {}
        nameless: dict[int, set[str]] = {}
        for batch in self._batches(since):
            token, size = owned.get(batch.id), total_of(batch)
            if token is None and size in sizes:
                first = self._first_id(batch)
                token = first.partition("-")[0] if first is not None else None
                if first is None and not is_archived(batch):
                    unread.setdefault(size, set()).add(batch.id)
                if first == NO_ID:
                    nameless.setdefault(size, set()).add(batch.id)
            if token is not None and token in wanted:
                found.setdefault(token, []).append((stamp(batch).isoformat(), batch.id))
        return Sightings(
            by_token={token: tuple(batch_id for _, batch_id in sorted(ones)) for token, ones in found.items()},
            unread={size: frozenset(ids) for size, ids in unread.items()},
            nameless={size: frozenset(ids) for size, ids in nameless.items()},
        )

    def close(self) -> None:
        """Close the connections that were opened."""
        self._to.close()

    # --- the wire

    def _client(self, sdk: Any, **common: Any) -> Any:
        return sdk.Anthropic(**common, default_headers={"anthropic-version": self.settings.api_version})

    def _system(self, text: str) -> str | list[dict[str, Any]]:
        if self.settings.cache is None:
            return text
        marker = {"type": "ephemeral"} | ({"ttl": "1h"} if self.settings.cache == "1h" else {})
        return [{"type": "text", "text": text, "cache_control": marker}]

    def _get(self, batch_id: str) -> Any:
        return self._to.batch(batch_id, lambda client: client.messages.batches.retrieve(batch_id))

    def _batches(self, created_at: datetime) -> Iterator[Any]:
        """Every batch that can be of that time or later, newest first as the API lists them; a page's order is not relied on."""
        since: datetime | None = None
        seen: set[str] = set()
        after: str | None = None
        while True:
            asked: dict[str, Any] = {"limit": self.settings.page_size} | ({"after_id": after} if after is not None else {})
            with self._to.edge.calling("list batches", root=ROOT):
                answer = self._to.client.messages.batches.with_raw_response.list(**asked)
                check_listed(answer, f"{SDK.title}: list batches")
                page = answer.parse()
            since = since or oldest_possible(created_at, answer.headers, self._now())
            data = [batch for batch in page.data or () if batch.id not in seen]
            seen.update(batch.id for batch in data)
            yield from (batch for batch in data if since is None or stamp(batch) >= since)
            if not data and (page.has_more or after is not None):  # a further page is asked for only where it was promised
                raise Unsure("the list of batches says that there is more, and gives no more", where=f"{SDK.title}: list batches", retryable=True)
            if not data or not page.has_more or (since is not None and all(stamp(batch) < since for batch in data)):
                return
            after = data[-1].id

    def _first_id(self, batch: Any) -> str | None:
        """One custom_id of an ended batch as it went over the wire; None while it cannot be read, NO_ID once it is believed to show none."""
        if batch.id not in self._seen_ids:
            if batch.processing_status != "ended" or not getattr(batch, "results_url", None):
                return None
            with closing(self._results(batch.id)) as lines:
                try:
                    custom_id = messages.first_wire_id(lines)
                except NotFound:
                    custom_id = None
            if custom_id is None:
                self._reads[batch.id] += 1
                if self._reads[batch.id] < READS:
                    return None
                custom_id = NO_ID
            self._seen_ids[batch.id] = custom_id
        return self._seen_ids[batch.id]

    def _results(self, batch_id: str) -> Generator[bytes]:
        """Lines as received. The SDK's own `results` parses every line into a model that odd lines do not fit, and sends the key wherever the
        batch says that its results are; this asks the documented path of the host we were told to use."""
        with self._to.edge.calling(f"results of {batch_id}"):
            answer = self._to.client.get(
                f"{PATH}/{batch_id}/results",
                cast_to=self._to.edge.http.Response,
                stream=True,
                options={"headers": {"Accept": "application/binary"}},
            )
            with closing(answer):
                yield from split_lines(watched(answer.iter_bytes(), patience=self.settings.timeouts.slow, clock=self._clock))


def wire_size(payload: Path) -> int:
    """Bytes of the create call's body, so that it can go up with a length and without being held."""
    n_lines = n_bytes = 0
    with payload.open("rb") as file:
        for line in file:
            n_lines += 1
            n_bytes += len(line.rstrip(b"\r\n")) + TOKEN_CHARS + 1
    return len(b'{"requests":[') + n_bytes + max(0, n_lines - 1) + len(b"]}")


def wire_body(payload: Path, token: str) -> Iterator[bytes]:
    """The create call's body in pieces: the payload's lines with the token before each custom_id. Raises ConfigError for a line that is not ours."""
    mark = HEAD + token.encode() + b"-"
    held: list[bytes] = [b'{"requests":[']
    size = 0
    with payload.open("rb") as file:
        for number, line in enumerate(file):
            if not line.startswith(HEAD) or CUSTOM_ID.match(line, len(HEAD)) is None:
                raise ConfigError("a request line has no custom_id that can carry our token", where=f"{payload.name} line {number + 1}")
            held.append((b"," if number else b"") + mark + line[len(HEAD) :].rstrip(b"\r\n"))
            size += len(line)
            if size >= SEND_BYTES:
                yield b"".join(held)
                held, size = [], 0
    held.append(b"]}")
    yield b"".join(held)


def total_of(batch: Any) -> int:
    """Requests of a batch: its five counts always add up to them."""
    counts = batch.request_counts
    return sum(count(getattr(counts, name, None)) or 0 for name in ("processing", "succeeded", "errored", "canceled", "expired"))


def is_archived(batch: Any) -> bool:
    """Whether it ended so long ago that its results are no longer kept."""
    return batch.processing_status == "ended" and not getattr(batch, "results_url", None)


def stamp(batch: Any) -> datetime:
    """When the batch was created; the end of time when it does not say, for it is not to be taken for an old one."""
    made = batch.created_at
    if not isinstance(made, datetime):
        return datetime.max.replace(tzinfo=UTC)
    return made if made.tzinfo else made.replace(tzinfo=UTC)


def status_of(batch: Any) -> BatchStatus:
    """A batch as we see it. It has no word of its own for an end in cancellation or expiry, so the counts say which."""
    wire = str(getattr(batch, "processing_status", None) or "unknown")
    counts: Mapping[str, int] = {
        name: count(getattr(batch.request_counts, name, None)) or 0 for name in ("processing", "succeeded", "errored", "canceled", "expired")
    }
    state = BatchState.RUNNING
    if wire == "ended":
        state = BatchState.CANCELLED if counts["canceled"] else BatchState.EXPIRED if counts["expired"] else BatchState.COMPLETED
    url = getattr(batch, "results_url", None)
    return BatchStatus(
        state=state,
        wire_state=wire,
        n_total=sum(counts.values()) or None,
        n_done=counts["succeeded"],
        n_failed=counts["errored"],
        ids={"results_uri": url} if isinstance(url, str) and url else {},
    )


def make(row: Row, setup: Setup) -> AnthropicProvider:
    """The adapter of a lane."""
    given = setup.given(api_version=setup.api_version)
    return AnthropicProvider(
        AnthropicSettings(**setup.host, **given, sampling=setup.sampling, cache=setup.cache), setup.key, now=setup.now or utc_now
    )


def of_recording(settings: Mapping[str, Any]) -> AnthropicProvider:
    """One that encodes as the recorded one did."""
    return AnthropicProvider(AnthropicSettings(**settings), None)
