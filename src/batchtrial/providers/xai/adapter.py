"""xAI's batches over REST: an uploaded file in OpenAI's form, a batch that bears a name, results in pages.

The name is required and given back, so our token is that name. A batch has no word for its state: its counters tell it. Plain HTTP: the vendor's
package is gRPC and sends a create five times when the connection is lost, and the openai package cannot read a batch that has no `id`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from batchtrial.errors import ProviderError
from batchtrial.providers.base import BatchState, BatchStatus, Intent, Limits, Setup
from batchtrial.providers.decode.lines import count, load_object
from batchtrial.providers.decode.lines import decode_line as decode_chat_line
from batchtrial.providers.decode.plain import reader
from batchtrial.providers.registry import Row
from batchtrial.providers.sdk import turns
from batchtrial.providers.sdk.chat_wire import ENDPOINT, ChatWire
from batchtrial.providers.sdk.connection import sdk_of
from batchtrial.providers.sdk.edge import utc_now
from batchtrial.providers.sdk.lines import watched
from batchtrial.providers.sdk.plain_wire import MODULE, Page, PlainSettings, rows_of, way_on
from batchtrial.records import BadLine, RawResult, Request

SDK = sdk_of("xai", MODULE)
LIMITS = Limits(max_requests=100_000, max_bytes=200 * 10**6)
OURS: Final = frozenset({"model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "stream", "n"})
MOST_PAGES: Final = 20_000


def _pick_nothing(line: bytes) -> None:
    """Every line goes to the careful reader."""


def decode_line(line: bytes) -> RawResult:
    """One result: a chat completion behind the name of its call, or an error. Raises BadLine."""
    custom_id, value = load_object(line, key="batch_request_id")
    told = value.get("batch_result")
    result: Mapping[str, Any] = told if isinstance(told, dict) else {}
    answer = result.get("response")
    body = answer.get("chat_get_completion", answer) if isinstance(answer, dict) else answer
    if not result.get("error") and not body:
        raise BadLine("neither a response nor an error")
    wrapped = {"custom_id": custom_id, "response": None if result.get("error") else {"status_code": 200, "body": body}, "error": result.get("error")}
    return decode_chat_line(msgspec.json.encode(wrapped))


class XaiProvider(ChatWire):
    """One xAI team."""

    name: ClassVar[str] = "xai"
    hottest: ClassVar[float] = 2
    id_key: ClassVar[str] = "batch_id"

    def __init__(self, settings: PlainSettings, api_key: str | None, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(SDK, settings, api_key, LIMITS, now=now)

    def encode(self, request: Request) -> bytes:
        """`{"custom_id", "method", "url", "body"}`. Raises ConfigError for an extra field that clashes."""
        begun = {"model": request.model, "messages": turns.chat_messages(request), "max_completion_tokens": request.max_tokens}
        line = {"custom_id": request.custom_id, "method": "POST", "url": ENDPOINT, "body": self._body(request, begun, OURS)}
        return msgspec.json.encode(line) + b"\n"

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        """Of one result as a line."""
        return reader(_pick_nothing, decode_line)

    def _create(self, intent: Intent, file_id: str) -> Any:
        return self._to.client.ask("POST", "/v1/batches", json={"name": intent.token, "input_file_id": file_id}).json()

    def _page(self, further: str | None, token: str | None) -> Page:
        query = {"limit": str(self.settings.page_size)} | ({"pagination_token": further} if further else {})
        answer = self._to.client.ask("GET", "/v1/batches", query=query)
        return Page(batches=rows_of(answer, "batches"), further=way_on(answer.json(), "pagination_token"))

    def _mark_of(self, batch: Mapping[str, Any]) -> str:
        return str(batch.get("name") or "")

    def _made_at(self, batch: Mapping[str, Any]) -> float:
        """The list may tell the day alone, which is enough to put two batches of one token in order."""
        try:
            return datetime.fromisoformat(str(batch.get("create_time"))).replace(tzinfo=None).timestamp()
        except ValueError:
            return 0.0

    def _get(self, batch_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._to.client.ask("GET", f"/v1/batches/{batch_id}").json()
        return found

    def _status(self, batch: Mapping[str, Any]) -> BatchStatus:
        told = batch.get("state")
        counts: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
        names = ("num_requests", "num_pending", "num_success", "num_error", "num_cancelled")
        total, pending, done, failed, stopped = (count(counts.get(name)) or 0 for name in names)
        why = batch.get("cancel_by_xai_message")
        if batch.get("cancel_time") or why:
            state = BatchState.FAILED if why and not done + failed else BatchState.CANCELLED
        else:
            over = BatchState.EXPIRED if stopped else BatchState.COMPLETED  # rows that nobody cancelled ran out of time
            state = over if total > 0 and pending == 0 else BatchState.RUNNING
        return BatchStatus(
            state=state,
            wire_state=state.value if total else "reading",
            n_total=total or None,
            n_done=done,
            n_failed=failed,
            reason=str(why) if why else None,
            retryable=not why,
            ids={"input_file_id": str(batch["input_file_id"])} if batch.get("input_file_id") else {},
        )

    def _lines(self, batch: Mapping[str, Any]) -> Iterator[bytes]:
        """Page by page. Raises ProviderError (retryable) when the pages do not end."""
        further, asked = "", set[str]()
        for _ in range(MOST_PAGES):
            query = {"limit": "1000"} | ({"pagination_token": further} if further else {})
            told = self._results(f"/v1/batches/{batch[self.id_key]}/results", query)
            for result in told["results"]:
                yield msgspec.json.encode(result) + b"\n"
            asked.add(further)
            further = way_on(told, "pagination_token") or ""
            if not further:
                return
            if further in asked:
                break
        raise ProviderError("the pages of results do not end", where=f"{SDK.title}: fetch {batch[self.id_key]}", retryable=True)

    def _results(self, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        """One page of results, whole. Raises ProviderError when it is none."""
        with self._to.client.chunks(path, query=query) as chunks:
            page = b"".join(watched(chunks, patience=self.settings.timeouts.slow, clock=self._clock))
        try:
            told = msgspec.json.decode(page)
        except ValueError as error:
            raise ProviderError(f"a page of results was cut short ({error})", where=f"{SDK.title}: {path}", retryable=True) from None
        if not isinstance(told, dict) or not isinstance(told.get("results"), list):
            raise ProviderError("the answer is no page of results", where=f"{SDK.title}: {path}", retryable=True)
        return told

    def _stop(self, batch_id: str) -> None:
        self._to.client.ask("POST", f"/v1/batches/{batch_id}:cancel")


def make(row: Row, setup: Setup) -> XaiProvider:
    """The adapter of a lane."""
    return XaiProvider(PlainSettings(**setup.host, sampling=setup.sampling), setup.key, now=setup.now or utc_now)


def of_recording(settings: Mapping[str, Any]) -> XaiProvider:
    """One that encodes as the recorded one did."""
    return XaiProvider(PlainSettings(**settings), None)
