"""One request to a server: what it said, or why nothing usable came. Never more than one request, whatever happens."""

from __future__ import annotations

import asyncio
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from batchtrial.direct import refusals
from batchtrial.direct.records import Answer, Kind, Reply, Row, as_text, error_of, json_line, no_answer
from batchtrial.direct.stream import NotAStream, body_of_stream
from batchtrial.direct.wires import NAME_HEADER, key_in

MAX_ANSWER_BYTES: Final = 32_000_000
KINDS: Final[Mapping[int, Kind]] = {
    429: "busy",
    503: "busy",
    529: "busy",
    408: "failed",
    409: "failed",
    425: "failed",
    500: "failed",
    502: "lost",  # what stands before the server does not know what became of it
    504: "lost",
}
"""Statuses that are no last word; every other one is."""
NEVER_SENT: Final = ("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError", "UnsupportedProtocol", "LocalProtocolError", "InvalidURL")
LAST_EVENT: Final = b"data: [DONE]"
AFTER_END_SECONDS: Final = 1.0
"""For the end of the connection, after the last event of a stream: some servers leave it open."""
KEY: Final = b"[key]"
"""What stands for the key where a server says it back: answers are kept in files."""
TIER: Final = "x-gemini-service-tier"
"""Header in which Google tells at which tier an answer was served."""
REQUEST_IDS: Final = ("x-request-id", "request-id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """Who is asked. url: address of the API, rows' paths stand behind it. seconds: for one whole answer. past_proxies: this machine."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    connect_seconds: float = 5.0
    seconds: float = 600.0
    past_proxies: bool = False


def is_there(host: Host) -> bool:
    """Whether the server answers at all, asked for its models, which costs nothing; what stands before one that is down answers with 5xx."""
    import httpx as http

    try:
        found = http.get(f"{host.url.rstrip('/')}/models", headers=dict(host.headers), timeout=host.connect_seconds, trust_env=not host.past_proxies)
    except (http.HTTPError, http.InvalidURL):
        return False
    return found.status_code < 500


def load_client() -> None:
    """Import all that an Asker needs, in the caller's thread.

    A provider's SDK imports the same packages when it is first used. Two threads that import packages which import each other see them half made.
    """
    for name in ("httpx", "httpcore", "anyio", "anyio._backends._asyncio"):
        importlib.import_module(name)


class Asker:
    """An open client of one server. Used from one event loop."""

    def __init__(self, host: Host, concurrency: int) -> None:
        self._url, self._seconds = host.url.rstrip("/"), host.seconds
        import httpx as http  # late, since most commands ask nobody

        self._http = http
        self._key = key_in(host.headers).encode()
        self._never_sent: tuple[type[Exception], ...] = tuple(getattr(http, name) for name in NEVER_SENT)
        is_open = not host.past_proxies
        # Plain HTTP needs no certificates, and reading them takes longer than many an answer.
        verify = http.create_ssl_context(trust_env=is_open) if host.url.startswith("https:") else False
        self._client = http.AsyncClient(
            headers=dict(host.headers),
            timeout=http.Timeout(host.seconds, connect=host.connect_seconds, pool=None),
            limits=http.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
            trust_env=is_open,
            verify=verify,
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, row: Row) -> Reply:
        """What came of asking the row once."""
        heard = _Heard(self._key)
        try:
            # The client's own time-outs start anew with every byte: a server that drips would never meet one.
            async with asyncio.timeout(self._seconds) as bound:
                return await self._ask(row, heard, bound)
        except self._http.DecodingError as error:
            return heard.unreadable(error)
        except (TimeoutError, self._http.HTTPError, self._http.InvalidURL) as error:
            return heard.whole or self._without_answer(error)

    def _without_answer(self, error: Exception) -> Reply:
        why = f"the server gave no answer: {error or type(error).__name__}"
        if isinstance(error, self._never_sent):
            return Reply("unsent", no_answer(why))
        is_late = isinstance(error, (TimeoutError, self._http.TimeoutException))
        return Reply("lost", no_answer(f"the server gave no whole answer within {self._seconds:g} s" if is_late else why))

    async def _ask(self, row: Row, heard: _Heard, bound: asyncio.Timeout) -> Reply:
        async with self._client.stream("POST", self._url + row.path, content=row.body, headers={NAME_HEADER: row.name}) as response:
            heard.status, heard.headers = response.status_code, response.headers
            n_bytes = 0
            async for piece in response.aiter_bytes():
                n_bytes += len(piece)
                if n_bytes > MAX_ANSWER_BYTES:
                    return Reply("lost", no_answer(f"the server sent more than {MAX_ANSWER_BYTES} bytes"))
                heard.pieces.append(piece)
                if LAST_EVENT in piece and (when := bound.when()) is not None:
                    bound.reschedule(min(when, asyncio.get_running_loop().time() + AFTER_END_SECONDS))
            return heard.reply


@dataclass(slots=True)
class _Heard:
    """What a server has said so far."""

    key: bytes
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)

    @property
    def reply(self) -> Reply:
        """What it means when nothing follows."""
        raw = b"".join(self.pieces)
        if not self.key:
            return reply_of(self.status, self.headers, raw)
        key, shown = self.key.decode(), KEY.decode()
        return reply_of(self.status, {name: told.replace(key, shown) for name, told in self.headers.items()}, raw.replace(self.key, KEY))

    def unreadable(self, error: Exception) -> Reply:
        """What it means when its compression is none: with status 200 an answer that nobody can read, and that may have been paid for."""
        headers = {name: told for name, told in self.headers.items() if name != "content-type"}
        return reply_of(self.status, headers, f"its compression cannot be read: {error}".encode())

    @property
    def whole(self) -> Reply | None:
        """The answer that came to its end though the connection did not: a stream by its last event, else by its JSON; None for anything less."""
        raw = b"".join(self.pieces)
        if 200 <= self.status < 300 and (is_stream(self.headers, raw) or (raw.lstrip().startswith(b"{") and json_line(raw) is not None)):
            return found if (found := self.reply).kind == "answer" else None
        return None


def reply_of(status: int, headers: Mapping[str, str], raw: bytes) -> Reply:
    """What a whole response means. One with status 200 is kept whatever it holds: what it means is for its reader to say, and asking again costs."""
    request_id = next((headers[name] for name in REQUEST_IDS if name in headers), "")
    is_good = 200 <= status < 300
    if is_good and is_stream(headers, raw):
        try:
            whole = body_of_stream(raw)
        except NotAStream:
            whole = as_text(raw)
        if whole is None:
            return Reply("lost", no_answer("the server broke its stream off"))
        return Reply("answer", Answer(200, _with_tier(whole, headers), request_id))
    if 300 <= status < 400:
        return Reply("answer", _moved(status, headers))
    answer = Answer(200 if is_good else status if status >= 400 else 502, json_line(raw) or as_text(raw), request_id)
    if is_good:
        return Reply("answer", Answer(200, _with_tier(answer.body, headers), request_id))
    kind = KINDS.get(status, "failed" if status >= 500 else "answer")
    if is_spent(answer):
        return Reply("answer", answer)
    return Reply(kind, answer, wait_of(headers))


def _with_tier(body: bytes, headers: Mapping[str, str]) -> bytes:
    """The body with the tier that a header alone tells, since the bill goes by it and no header is kept."""
    tier = headers.get(TIER)
    if not tier or not body.startswith(b"{") or b'"service_tier"' in body:
        return body
    more = body[1:].lstrip()
    return b'{"service_tier":' + json.dumps(tier.lower()).encode() + (more if more.startswith(b"}") else b"," + more)


def _moved(status: int, headers: Mapping[str, str]) -> Answer:
    """What stands for a redirect. It is not followed: a key goes to the address that somebody wrote down, and to no other."""
    what = f"the address leads elsewhere (HTTP {status} to {headers.get('location', 'nowhere')}): set provider.base_url to where the API lies"
    return Answer(404, json.dumps({"error": {"message": what, "code": "redirected"}}).encode())


def is_stream(headers: Mapping[str, str], raw: bytes) -> bool:
    """Whether a body is a stream of events: by its type, or by how it begins, which is no JSON."""
    return headers.get("content-type", "").lower().startswith("text/event-stream") or raw.lstrip().startswith((b"data:", b"event:"))


def is_spent(answer: Answer) -> bool:
    """Whether the account has no money left, which waiting does not lift."""
    return refusals.is_spent(answer.status, *_code_and_words(answer))


def is_of_the_account(answer: Answer) -> bool:
    """Whether it refuses the account, so that every other row would be told the same: its money or its key."""
    told = _code_and_words(answer)
    return refusals.is_spent(answer.status, *told) or refusals.is_key_refused(answer.status, *told)


def _code_and_words(answer: Answer) -> tuple[str, str]:
    fault = error_of(answer) or {}
    return fault.get("code") or "", fault.get("message") or ""


def wait_of(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `retry-after` as a number or a date. None when it does not say."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    try:
        at = parsedate_to_datetime(headers["retry-after"])
        now = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
        return max(0.0, (at - now).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None
