"""Batches of the Gemini Developer API: a file is uploaded in two steps, a long-running operation reads it, its results are a file.

The display name is required and given back, so our token is that name, and a lost call is looked up in the whole list, which has no filter. Sending a
create twice makes two batches. Plain HTTP: google-genai would add twenty-six distributions, and reads a batch that ended in part as one that runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from batchtrial.errors import NotFound, ProviderError
from batchtrial.providers.base import BatchState, BatchStatus, Intent, Limits, Setup
from batchtrial.providers.decode.lines import count
from batchtrial.providers.decode.plain import reader
from batchtrial.providers.gemini.results import body_of, decode_line
from batchtrial.providers.registry import Row
from batchtrial.providers.sdk.connection import sdk_of
from batchtrial.providers.sdk.edge import utc_now
from batchtrial.providers.sdk.plain_wire import MODULE, Page, PlainSettings, PlainWire, way_on
from batchtrial.records import RawResult, Request

SDK = sdk_of("gemini", MODULE)
VERSION: Final = "v1beta"
"""As the vendor's guide writes the paths; the SDK's own default is v1, with the same calls."""
LIMITS = Limits(max_requests=200_000, max_bytes=2 * 10**9, may_vanish=True)
STATES: Final[Mapping[str, BatchState]] = {
    "SUCCEEDED": BatchState.COMPLETED,
    "PARTIALLY_SUCCEEDED": BatchState.COMPLETED,
    "FAILED": BatchState.FAILED,
    "EXPIRED": BatchState.EXPIRED,
    "CANCELLED": BatchState.CANCELLED,
}
QUEUE_FULL: Final = frozenset({8, 429})
PASSING: Final = frozenset({4, 10, 13, 14, 500, 503}) | QUEUE_FULL
OURS_IN_FILE, THEIRS_IN_FILE = b'{"custom_id":', b'{"key":'


def _pick_nothing(line: bytes) -> None:
    """Every line goes to the careful reader."""


class GeminiProvider(PlainWire):
    """One project of the Gemini Developer API."""

    name: ClassVar[str] = "gemini"

    def __init__(self, settings: PlainSettings, api_key: str | None, *, now: Callable[[], datetime] = utc_now) -> None:
        super().__init__(SDK, settings, api_key, LIMITS, now=now)

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        """Why these sampling values cannot be honoured, or None when they can."""
        if self.settings.sampling == "omit" and (len(set(temps)) > 1 or top_p is not None or top_k is not None):
            return "sampling parameters are not sent (sampling: omit), and more than one temperature, top_p or top_k is asked for"
        if any(not 0 <= temp <= 2 for temp in temps):
            return f"temperatures {sorted(set(temps))} leave the range 0 to 2"
        return f"{len(stop)} stop sequences are more than 5" if len(stop) > 5 else None

    def encode(self, request: Request) -> bytes:
        """`{"custom_id", "request"}`; the file that goes up says `key` for the first. Raises ConfigError for what Gemini cannot take."""
        self._honoured.check(self, request)
        body = body_of(request, is_sampled=self.settings.sampling == "send")
        return msgspec.json.encode({"custom_id": request.custom_id, "request": body}) + b"\n"

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        """Of a keyed result line."""
        return reader(_pick_nothing, decode_line)

    def _client(self, module: Any, **common: Any) -> Any:
        return module.Client(**common, header="x-goog-api-key", scheme="")

    def _upload(self, intent: Intent, payload: Path) -> str:
        size = payload.stat().st_size - intent.n_requests * (len(OURS_IN_FILE) - len(THEIRS_IN_FILE))
        named = {"file": {"display_name": self._file_name(intent), "mime_type": "jsonl", "size_bytes": str(size)}}
        begin = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start", "X-Goog-Upload-Header-Content-Length": str(size)}
        answer = self._to.client.ask("POST", f"/upload/{VERSION}/files", json=named, headers=begin)
        url = answer.headers.get("x-goog-upload-url")
        if not url:
            raise ProviderError("the answer names no place for the upload", where=f"{SDK.title}: upload", retryable=True)
        end = {"X-Goog-Upload-Command": "upload, finalize", "X-Goog-Upload-Offset": "0", "Content-Length": str(size)}
        answer = self._to.client.ask("POST", url, content=_keyed(payload), headers=end, timeout=self._to.timeout(answer=True))
        file = answer.json().get("file")
        return str(file.get("name") or "") if isinstance(file, Mapping) else ""

    def _create(self, intent: Intent, file_id: str) -> Any:
        model = intent.model.removeprefix("models/")
        body = {"batch": {"displayName": intent.token, "inputConfig": {"fileName": file_id}}}
        return _with_id(self._to.client.ask("POST", f"/{VERSION}/models/{model}:batchGenerateContent", json=body).json())

    def _page(self, further: str | None, token: str | None) -> Page:
        query = {"pageSize": str(self.settings.page_size)} | ({"pageToken": further} if further else {})
        told = self._to.client.ask("GET", f"/{VERSION}/batches", query=query).json()
        found = told.get("operations", []) if isinstance(told, Mapping) and told.keys() <= {"operations", "nextPageToken"} else None
        if not isinstance(found, list):
            raise ProviderError("the answer is no list of batches", where=f"{SDK.title}: list batches", hint="is base_url right?", retryable=True)
        return Page(batches=[_with_id(one) for one in found], further=way_on(told, "nextPageToken"))

    def _mark_of(self, batch: Mapping[str, Any]) -> str:
        return str(_part(batch, "metadata").get("displayName") or "")

    def _made_at(self, batch: Mapping[str, Any]) -> float:
        try:
            return datetime.fromisoformat(str(_part(batch, "metadata").get("createTime"))).timestamp()
        except ValueError:
            return 0.0

    def _get(self, batch_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = _with_id(self._to.client.ask("GET", f"/{VERSION}/batches/{batch_id}").json())
        return found

    def _status(self, batch: Mapping[str, Any]) -> BatchStatus:
        told, fault, stats = _part(batch, "metadata"), _part(batch, "error"), _part(_part(batch, "metadata"), "batchStats")
        wire = str(told.get("state") or ("FAILED" if fault else "SUCCEEDED" if batch.get("done") else "unknown"))
        file, code = self._results(batch), _number(fault.get("code"))
        return BatchStatus(
            state=STATES.get(re.sub(r"^(BATCH|JOB)_STATE_", "", wire), BatchState.RUNNING),
            wire_state=wire,
            n_total=_number(stats.get("requestCount")) or None,
            n_done=_number(stats.get("successfulRequestCount")),
            n_failed=_number(stats.get("failedRequestCount")),
            reason=f"{fault.get('code')}: {fault.get('message')}" if fault else None,
            retryable=not fault or code in PASSING,
            is_queue_full=code in QUEUE_FULL,
            ids={"responses_file": file} if file else {},
        )

    def _results(self, batch: Mapping[str, Any]) -> str:
        """The file of results, from either of the two places that name it."""
        output = _part(_part(batch, "metadata"), "output")
        return str(_part(batch, "response").get("responsesFile") or output.get("responsesFile") or "")

    def _lines(self, batch: Mapping[str, Any]) -> Iterator[bytes]:
        file = self._results(batch)
        if file:
            yield from self._download(f"/{VERSION}/{file}:download", {"alt": "media"})
        elif self._status(batch).state is BatchState.COMPLETED:
            raise NotFound("the batch has ended and names no file of results", where=f"{SDK.title}: fetch {batch['id']}")

    def _stop(self, batch_id: str) -> None:
        self._to.client.ask("POST", f"/{VERSION}/batches/{batch_id}:cancel")

    def _file(self, file_id: str) -> object:
        return self._to.client.ask("GET", f"/{VERSION}/{file_id}")


def _keyed(payload: Path) -> Iterator[bytes]:
    """The lines of a part with the name that this wire has for a request's id."""
    with payload.open("rb") as lines:
        for line in lines:
            yield THEIRS_IN_FILE + line.removeprefix(OURS_IN_FILE)


def _with_id(operation: Any) -> Any:
    """The operation with the last piece of its name as its id."""
    name = operation.get("name") if isinstance(operation, Mapping) else None
    return {**operation, "id": name.rpartition("/")[2]} if isinstance(name, str) and name else operation


def _part(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = told.get(name)
    return found if isinstance(found, Mapping) else {}


def _number(told: object) -> int | None:
    """A count; this API writes long numbers as texts."""
    return int(told) if isinstance(told, str) and told.isdecimal() else count(told)


def make(row: Row, setup: Setup) -> GeminiProvider:
    """The adapter of a lane."""
    return GeminiProvider(PlainSettings(**setup.host, sampling=setup.sampling), setup.key, now=setup.now or utc_now)


def of_recording(settings: Mapping[str, Any]) -> GeminiProvider:
    """One that encodes as the recorded one did."""
    return GeminiProvider(PlainSettings(**settings), None)
