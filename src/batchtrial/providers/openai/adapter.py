"""OpenAI's Batch API and hosts that speak it: a file is uploaded, a batch reads it, results lie in an output and an error file.

The server names the batch, so our token travels in its metadata, and `find` reads the list of batches for it. A host without metadata is searched
by the input file, which belongs to one attempt alone.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from batchtrial.errors import ConfigError, NotFound, ProviderError, Unsure
from batchtrial.providers.base import KEY_CHECK, BatchState, BatchStatus, Intent, Limits, Setup, Sightings, key_check
from batchtrial.providers.decode import lines as results
from batchtrial.providers.decode.plain import Pick, pick_chat, pick_flat, pick_responses, reader
from batchtrial.providers.openai.listing import Listing, Page, created, page_of
from batchtrial.providers.openai.quirks import Quirks, quirks_of, recorded_quirks
from batchtrial.providers.registry import Row
from batchtrial.providers.sdk import turns
from batchtrial.providers.sdk.connection import Connection, HostSettings, sdk_of
from batchtrial.providers.sdk.edge import account_headers, check_extra, oldest_possible, utc_now
from batchtrial.providers.sdk.lines import split_lines, watched
from batchtrial.providers.sdk.sampling import Honoured
from batchtrial.records import RawResult, Request

ROOT = "does provider.base_url lead to the API? OpenAI's lies under /v1, as in HOST/v1"
SDK = sdk_of("openai", "openai")

Endpoint = Literal["/v1/responses", "/v1/chat/completions"]
CHAT_FIELDS = frozenset({"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "stream", "n"})
RESPONSES_FIELDS = frozenset({"model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "top_k", "stop", "stream", "background"})

STATES: Mapping[str, BatchState] = {
    "completed": BatchState.COMPLETED,
    "failed": BatchState.FAILED,
    "expired": BatchState.EXPIRED,
    "cancelled": BatchState.CANCELLED,
    # Spellings of compatible hosts.
    "canceled": BatchState.CANCELLED,
}
QUEUE_FULL = "token_limit_exceeded"
PASSING_CODES = frozenset({QUEUE_FULL, "rate_limit_exceeded", "internal_error", "server_error", "timeout", "batch_failed"})
"""Why a whole batch may be refused today and accepted later; any other reason lies in the file."""

ACCOUNT_HEADERS: Mapping[str, str] = {"organization": "openai-organization", "project": "openai-project"}
FILE_NAME = re.compile(r"bt-(?P<token>[0-9a-f]{16})\.jsonl")
METADATA_CHARS = 512
FILE_SLACK = timedelta(minutes=10)
"""A batch that reads a file is younger than the file, as one provider tells time; the slack is for two of its machines that disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAISettings(HostSettings):
    """What the adapter needs to know.

    sampling: "omit" leaves temperature and top_p out, for models that refuse them. window: overrides the host's own.
    """

    endpoint: Endpoint = "/v1/responses"
    quirks: Quirks = field(default_factory=Quirks)
    sampling: Literal["send", "omit"] = "send"
    window: str | None = None
    limits: Limits | None = None


class OpenAIProvider:
    """One OpenAI project, or one compatible host. Safe to use from several threads."""

    name = "openai"

    def __init__(
        self,
        settings: OpenAISettings,
        api_key: str | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Nothing is imported or sent yet: a missing key or package is told at the first call, so that codecs work without."""
        self.settings = settings
        quirks = settings.quirks
        self.limits = settings.limits or Limits(
            max_requests=quirks.max_requests,
            max_bytes=quirks.max_bytes,
            is_found_by_file=not quirks.has_labels,
            least_poll_seconds=quirks.least_poll_seconds,
        )
        self._clock, self._now = clock, now
        self._honoured = Honoured()
        self._file_names: dict[str, str] = {}
        self._pick: Pick = pick_flat if quirks.wrapper == "flat" else (pick_responses if self._is_responses else pick_chat)
        self._to = Connection(SDK, api_key, settings, self._client)

    # --- codecs

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        """Why these sampling values cannot be honoured, or None when they can."""
        settings = self.settings
        if settings.sampling == "omit" and len(set(temps)) > 1:
            return f"temperatures {sorted(set(temps))} cannot be told apart: sampling parameters are not sent (sampling: omit)"
        if settings.sampling == "omit" and top_p is not None:
            return f"top_p {top_p} would not be sent (sampling: omit)"
        if any(not 0 <= temp <= 2 for temp in temps):
            return f"temperatures {sorted(set(temps))} leave the range 0 to 2"
        if top_k is not None and (self._is_responses or not settings.quirks.takes_top_k):
            return f"top_k {top_k} is no parameter of {settings.endpoint} here"
        if stop and self._is_responses:
            return "stop sequences are no parameter of /v1/responses; use endpoint /v1/chat/completions"
        most = settings.quirks.most_stops
        return f"{len(stop)} stop sequences are more than {most}" if most is not None and len(stop) > most else None

    def encode(self, request: Request) -> bytes:
        """`{"custom_id", "method", "url", "body"}`. Raises ConfigError for a parameter that the endpoint lacks or an extra field that clashes."""
        self._honoured.check(self, request)
        body: dict[str, Any] = {"model": request.model}
        if self._is_responses:
            least = self.settings.quirks.least_of_responses
            if request.max_tokens < least:
                what = f"an answer of at most {request.max_tokens} tokens is refused: /v1/responses takes {least} or more"
                raise ConfigError(what, where="max_new_tokens, max_tokens", hint="a larger number; short answers cost no more")
            body |= {"input": turns.responses_input(request), "max_output_tokens": request.max_tokens}
        else:
            body |= {"messages": turns.chat_messages(request), self.settings.quirks.chat_tokens_field: request.max_tokens}
        if self.settings.sampling == "send":
            body["temperature"] = request.temperature
            if request.top_p is not None:
                body["top_p"] = request.top_p
            if request.top_k is not None:
                body["top_k"] = request.top_k
        if request.stop:
            body["stop"] = list(request.stop)
        body |= turns.responses_extras(request) if self._is_responses else turns.chat_extras(request)
        if request.extra:
            check_extra(request.extra, (RESPONSES_FIELDS if self._is_responses else CHAT_FIELDS).union(body))
            body.update(request.extra)
        line: dict[str, Any] = {"custom_id": request.custom_id}
        if self.settings.quirks.request_line == "full":
            line |= {"method": "POST", "url": self.settings.endpoint}
        return msgspec.json.encode(line | {"body": body}) + b"\n"

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        """Of a success or error line of either endpoint, from whichever file it came."""
        return reader(self._pick)

    # --- verbs

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """Upload the file unless that is done, then create the batch once."""
        quirks, file_id = self.settings.quirks, intent.file_id
        if quirks.refuses:
            raise ProviderError(f"nothing is sent to this host: {quirks.refuses}", where="provider.quirks", hint="choose another provider")
        if file_id is None:
            file_id = self._upload(intent, payload)
            uploaded(file_id)
        labels = {
            quirks.label: intent.token,
            "bt_part": intent.part[:METADATA_CHARS],
            "bt_attempt": str(intent.attempt),
            "bt_run": intent.label[:METADATA_CHARS],
        }
        with self._to.edge.calling("create batch", creating=True, root=ROOT):
            batch = self._to.client.batches.create(
                input_file_id=file_id,
                endpoint=self.settings.endpoint,
                completion_window=self.settings.window or quirks.window,
                **({"metadata": labels} if quirks.has_labels else {}),
            )
        return self._to.created_id(batch)

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """Batches with our token, or of our input file, in the whole list back to the time of that file. One listing: callers repeat it.

        Raises Unsure when the list cannot have been read to its end and what was read of it shows none.
        """
        batches = self._batches(self._file_time(intent.file_id), intent.created_at)
        found: dict[str, float] = {}
        try:
            for batch in batches:
                if batch["id"] not in owned and self._is_ours(batch, intent):
                    found[batch["id"]] = created(batch) or 0.0
        except Unsure:
            if not found:
                raise
        return tuple(sorted(found, key=lambda batch_id: (found[batch_id], batch_id)))

    def check(self, batch_id: str) -> BatchStatus:
        """One look at the batch."""
        return status_of(self._get(batch_id))

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """The lines of output and error file, whichever there are. Raises ProviderError (retryable) before the batch has ended.

        Raises NotFound after the lines when rows are counted as done, no output file is named and the error file does not hold every row: some
        hosts count a row that failed as done.
        """
        status = self.check(batch_id)
        if not status.state.is_terminal:
            raise ProviderError(f"the batch is still {status.wire_state}", where=f"{self._to.title}: fetch {batch_id}", retryable=True)
        n = 0
        for kind in ("output_file_id", "error_file_id"):
            for line in self._download(status.ids[kind]) if kind in status.ids else ():
                n += 1
                yield line
        if status.n_done and "output_file_id" not in status.ids and not (status.n_total and n >= status.n_total):
            raise NotFound(f"the batch finished {status.n_done} rows and names no output file", where=f"{self._to.title}: fetch {batch_id}")

    def cancel(self, batch_id: str) -> None:
        """Ask for the batch to be stopped; one that has ended or is gone already is fine."""
        self._to.cancel(batch_id, lambda client: client.batches.cancel(batch_id), self.check)

    def account(self, salt: str) -> Mapping[str, str]:
        """Organisation and project, where the answers' headers name them."""
        told = {KEY_CHECK: key_check(self._to.key, salt)}
        try:
            with self._to.edge.calling("list batches", root=ROOT):
                answer = self._to.client.batches.with_raw_response.list(limit=1)
        except NotFound:
            return told  # a host without a list
        return told | account_headers(answer.headers, ACCOUNT_HEADERS)

    def holds(self, file_id: str) -> bool:
        """Whether the project has the file of that id."""
        try:
            with self._to.edge.calling(f"get file {file_id}"):
                return getattr(self._to.client.files.retrieve(file_id), "id", None) == file_id
        except NotFound:
            return False

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        """By the token in the metadata; on a host without any, by the name of the input file, in which the token stands too."""
        found: dict[str, list[tuple[float, str]]] = {}
        for batch in self._batches(None, since):
            token = owned.get(batch["id"]) or self._token_of(batch)
            if token in wanted:
                found.setdefault(token, []).append((created(batch) or 0.0, batch["id"]))
        return Sightings(by_token={token: tuple(batch_id for _, batch_id in sorted(ones)) for token, ones in found.items()})

    def close(self) -> None:
        """Close the connections that were opened."""
        self._to.close()

    # --- the wire

    @property
    def _is_responses(self) -> bool:
        return self.settings.endpoint == "/v1/responses"

    def _client(self, sdk: Any, **common: Any) -> Any:
        return sdk.OpenAI(**common)

    def _upload(self, intent: Intent, payload: Path) -> str:
        name = f"bt-{intent.token}.jsonl"
        with payload.open("rb") as file, self._to.edge.calling(f"upload {name}", root=ROOT):
            made = self._to.client.files.create(
                file=(name, file, "application/octet-stream"),
                purpose=self.settings.quirks.upload_purpose,
                timeout=self._to.timeout(answer=True),
            )
        file_id = getattr(made, "id", None)
        if not isinstance(file_id, str) or not file_id:
            raise ProviderError("the answer to the upload names no file", where=f"{self._to.title}: upload {name}", retryable=True)
        return file_id

    def _get(self, batch_id: str) -> Any:
        return self._to.batch(batch_id, lambda client: client.batches.retrieve(batch_id))

    def _file_time(self, file_id: str | None) -> datetime | None:
        """When the provider says it got our file, by its own clock: no batch that reads it is older. None when it cannot say."""
        if file_id is None:
            return None
        try:
            with self._to.edge.calling(f"get file {file_id}"):
                stamp = results.count(getattr(self._to.client.files.retrieve(file_id), "created_at", None))
        except NotFound:
            return None
        return datetime.fromtimestamp(stamp, UTC) - FILE_SLACK if stamp else None

    def _batches(self, since: datetime | None, created_at: datetime) -> Iterator[dict[str, Any]]:
        """Every batch in the list, until a whole page is too old: the order inside a page is not promised.

        since: by the provider's clock; None: what cannot be older than a thing of ours that was made at `created_at`.
        """
        quirks, where, bound = self.settings.quirks, f"{self._to.title}: list batches", since

        def ask(query: Mapping[str, Any]) -> Page:
            nonlocal bound
            own = {name: value for name, value in query.items() if name in ("limit", "after")}
            further = {name: value for name, value in query.items() if name not in own}
            with self._to.edge.calling("list batches", root=ROOT):
                answer = self._to.client.batches.with_raw_response.list(**own, **({"extra_query": further} if further else {}))
                page = page_of(answer.http_response.json(), where, is_bare=quirks.paging == "none")
            if bound is None:
                bound = oldest_possible(created_at, answer.headers, self._now())
            return page

        return Listing(quirks, ask, where).batches(lambda: bound)

    def _is_ours(self, batch: Mapping[str, Any], intent: Intent) -> bool:
        labels, quirks = batch.get("metadata"), self.settings.quirks
        if quirks.has_labels and isinstance(labels, Mapping) and quirks.label in labels:
            return bool(labels[quirks.label] == intent.token)
        if intent.file_id is not None:
            return bool(batch.get("input_file_id") == intent.file_id)
        return not quirks.has_labels and self._token_of(batch) == intent.token  # the ledger may have lost the id, the file's name has the token

    def _token_of(self, batch: Mapping[str, Any]) -> str:
        """The token that a batch carries, "" when it carries none of ours."""
        labels = batch.get("metadata")
        label = self.settings.quirks.label
        if isinstance(labels, Mapping) and isinstance(labels.get(label), str):
            return str(labels[label])
        file_id = batch.get("input_file_id")
        if self.settings.quirks.has_labels or not isinstance(file_id, str):
            return ""
        if file_id not in self._file_names:
            try:
                with self._to.edge.calling(f"get file {file_id}"):
                    self._file_names[file_id] = str(getattr(self._to.client.files.retrieve(file_id), "filename", ""))
            except NotFound:
                self._file_names[file_id] = ""
        match = FILE_NAME.fullmatch(self._file_names[file_id])
        return match["token"] if match is not None else ""

    def _download(self, file_id: str) -> Iterator[bytes]:
        with (
            self._to.edge.calling(f"download {file_id}"),
            self._to.client.files.with_streaming_response.content(file_id) as answer,
        ):
            yield from split_lines(watched(answer.iter_bytes(), patience=self.settings.timeouts.slow, clock=self._clock))


def status_of(batch: Any) -> BatchStatus:
    """A batch as we see it."""
    wire = str(getattr(batch, "status", None) or "unknown")
    counts = getattr(batch, "request_counts", None)
    state = STATES.get(wire.lower(), BatchState.RUNNING)
    faults = _faults(getattr(batch, "errors", None))
    ids = {name: getattr(batch, name, None) for name in ("output_file_id", "error_file_id", "input_file_id")}
    return BatchStatus(
        state=state,
        wire_state=wire,
        n_total=results.count(getattr(counts, "total", None)) or None,
        n_done=results.count(getattr(counts, "completed", None)),
        n_failed=results.count(getattr(counts, "failed", None)),
        reason="; ".join(fault_text(fault) for fault in faults[:5]) or None,
        retryable=not faults or any(str(_part(fault, "code")) in PASSING_CODES for fault in faults),
        is_queue_full=any(_part(fault, "code") == QUEUE_FULL for fault in faults),
        ids={name: value for name, value in ids.items() if isinstance(value, str) and value},
    )


def _faults(told: Any) -> list[Any]:
    """Why a batch was refused: OpenAI's object around a list, the bare list that some hosts give, or whatever stands there."""
    found = getattr(told, "data", told)
    if not found:
        return []
    return [{"message": one} if isinstance(one, str | int | float) else one for one in (found if isinstance(found, list) else [found])]


def fault_text(fault: Any) -> str:
    """`code: message (line n)` of one reason why a batch was refused."""
    line = _part(fault, "line")
    return f"{_part(fault, 'code') or 'error'}: {_part(fault, 'message') or ''}" + (f" (line {line})" if line else "")


def _part(fault: Any, name: str) -> Any:
    return fault.get(name) if isinstance(fault, Mapping) else getattr(fault, name, None)


def make(row: Row, setup: Setup) -> OpenAIProvider:
    """The adapter of a lane: of OpenAI, of a host that speaks its wire, or of a server of one's own."""
    if row.host:
        quirks, usual = quirks_of(setup.host_row or row.host), setup.now or utc_now
    else:
        quirks, usual = Quirks(chat_tokens_field="max_completion_tokens" if setup.is_longer_field else "max_tokens", takes_top_k=True), utc_now
    endpoint = setup.endpoint or ("/v1/responses" if row.host == "openai" else "/v1/chat/completions")
    named: dict[str, Any] = {"title": row.title, "key_variable": row.key_variable} if row.host else {}
    return OpenAIProvider(
        OpenAISettings(**setup.host, **named, endpoint=cast(Endpoint, endpoint), quirks=quirks, sampling=setup.sampling), setup.key, now=usual
    )


def of_recording(settings: Mapping[str, Any]) -> OpenAIProvider:
    """One that encodes as the recorded one did."""
    known = dict(settings)
    if "quirks" in known:
        known["quirks"] = recorded_quirks(known["quirks"])
    return OpenAIProvider(OpenAISettings(**known), None)
