"""Mistral's batch jobs: a file is uploaded, a job reads it, results lie in an output and an error file.

The job keeps our token in its metadata and the list can be filtered by it, so a lost call is looked up in one request; a filter that is ignored shows
in foreign jobs, since every token is compared. Plain HTTP: the vendor's package would add eighteen distributions and models that drop fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec

from batchtrial.errors import ProviderError
from batchtrial.providers.base import BatchState, BatchStatus, Intent, Limits, Setup
from batchtrial.providers.decode.lines import count
from batchtrial.providers.decode.plain import pick_chat, reader
from batchtrial.providers.registry import Row
from batchtrial.providers.sdk import turns
from batchtrial.providers.sdk.chat_wire import ENDPOINT, ChatWire
from batchtrial.providers.sdk.connection import sdk_of
from batchtrial.providers.sdk.edge import utc_now
from batchtrial.providers.sdk.plain_wire import MODULE, Page, PlainSettings, rows_of
from batchtrial.records import RawResult, Request

SDK = sdk_of("mistral", MODULE)
LIMITS = Limits(max_requests=1_000_000, max_bytes=512 * 10**6)
OURS: Final = frozenset({"messages", "max_tokens", "temperature", "top_p", "stop", "stream", "n", "model"})
STATES: Final[Mapping[str, BatchState]] = {
    "SUCCESS": BatchState.COMPLETED,
    "FAILED": BatchState.FAILED,
    "TIMEOUT_EXCEEDED": BatchState.EXPIRED,
    "CANCELLED": BatchState.CANCELLED,
}
FILES: Final = ("output_file", "error_file")


class MistralProvider(ChatWire):
    """One Mistral workspace."""

    name: ClassVar[str] = "mistral"
    hottest: ClassVar[float] = 1.5

    def __init__(self, settings: PlainSettings, api_key: str | None, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(SDK, settings, api_key, LIMITS, now=now)

    def encode(self, request: Request) -> bytes:
        """`{"custom_id", "body"}`; the model is the job's. Raises ConfigError for an extra field that clashes."""
        body = self._body(request, {"messages": turns.chat_messages(request), "max_tokens": request.max_tokens}, OURS)
        return msgspec.json.encode({"custom_id": request.custom_id, "body": body}) + b"\n"

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        """Of a line of either file: OpenAI's wrapper around a chat completion."""
        return reader(pick_chat)

    def _create(self, intent: Intent, file_id: str) -> Any:
        labels = {"bt_token": intent.token, "bt_part": intent.part[:512], "bt_attempt": str(intent.attempt), "bt_run": intent.label[:512]}
        body = {"endpoint": ENDPOINT, "input_files": [file_id], "model": intent.model, "metadata": labels, "timeout_hours": 24}
        return self._to.client.ask("POST", "/v1/batch/jobs", json=body).json()

    def _page(self, further: str | None, token: str | None) -> Page:
        """Pages are counted from 0, and may be shorter than was asked for. `total` says whether there are more; a filter that is honoured makes it a
        small number. further: the page, and how many jobs the earlier ones had."""
        place, before = (int(one) for one in (further or "0 0").split())
        query = {"page": str(place), "page_size": str(self.settings.page_size), "order_by": "-created"} | ({"bt_token": token} if token else {})
        answer = self._to.client.ask("GET", "/v1/batch/jobs", query=query)
        jobs, total = rows_of(answer, "data"), count(answer.json().get("total"))
        read = before + len(jobs)
        if total is None:
            raise ProviderError("the list does not say how many jobs there are", where=f"{SDK.title}: list batches", retryable=True)
        return Page(batches=jobs, further=f"{place + 1} {read}" if read < total else None)

    def _mark_of(self, batch: Mapping[str, Any]) -> str:
        labels = batch.get("metadata")
        return str(labels.get("bt_token") or "") if isinstance(labels, Mapping) else ""

    def _made_at(self, batch: Mapping[str, Any]) -> float:
        return float(count(batch.get("created_at")) or 0)

    def _get(self, batch_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._to.client.ask("GET", f"/v1/batch/jobs/{batch_id}").json()
        return found

    def _status(self, batch: Mapping[str, Any]) -> BatchStatus:
        wire = str(batch.get("status") or "unknown")
        ids, inputs = {name: str(batch[name]) for name in FILES if batch.get(name)}, batch.get("input_files")
        told = batch.get("errors")
        faults = [str(one.get("message") or one) if isinstance(one, Mapping) else str(one) for one in (told if isinstance(told, list) else [])]
        state = STATES.get(wire, BatchState.RUNNING)
        if state is BatchState.FAILED and ids:
            state = BatchState.EXPIRED  # some rows were answered, and the rest is asked again
        return BatchStatus(
            state=state,
            wire_state=wire,
            n_total=count(batch.get("total_requests")) or None,
            n_done=count(batch.get("succeeded_requests")),
            n_failed=count(batch.get("failed_requests")),
            reason="; ".join(faults[:5]) or None,
            retryable=not faults,
            ids=ids | ({"input_file_id": str(inputs[0])} if isinstance(inputs, list) and inputs else {}),
        )

    def _lines(self, batch: Mapping[str, Any]) -> Iterator[bytes]:
        for name in FILES:
            if batch.get(name):
                yield from self._download(f"/v1/files/{batch[name]}/content")

    def _stop(self, batch_id: str) -> None:
        self._to.client.ask("POST", f"/v1/batch/jobs/{batch_id}/cancel")


def make(row: Row, setup: Setup) -> MistralProvider:
    """The adapter of a lane."""
    return MistralProvider(PlainSettings(**setup.host, sampling=setup.sampling), setup.key, now=setup.now or utc_now)


def of_recording(settings: Mapping[str, Any]) -> MistralProvider:
    """One that encodes as the recorded one did."""
    return MistralProvider(PlainSettings(**settings), None)
