"""One HTTP exchange: who asks, which fault hits it, how it ends. The three wires plug their handlers in here.

A handler reads the request, passes the gate (where faults that happen before anything is carried out strike), does its work in one
transaction and returns a response. What happens to the response afterwards is decided here too.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from batchtrial.emulator.serve import accounts
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.clock import http_date
from batchtrial.emulator.world.effects import Effects
from batchtrial.emulator.world.faults import Do, effects_of
from batchtrial.emulator.world.jsontext import BadJson, decode_object

log = logging.getLogger(__name__)


class WireError(Exception):
    """An error answer of the provider."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param
        self.details, self.headers = details, headers or {}


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Wire(Protocol):
    """What differs between providers for every exchange."""

    name: str

    def authenticate(self, request: Request) -> None:
        """Raises WireError when the key is missing or wrong."""
        ...

    def error(self, err: WireError, request_id: str) -> Response:
        """The error in the provider's envelope."""
        ...

    def headers(self, request_id: str, organization: str) -> dict[str, str]:
        """Headers of every answer. organization: whose call it was."""
        ...

    def spend_cap(self) -> WireError:
        """The refusal that waiting does not lift."""
        ...


@dataclass(slots=True)
class Call:
    """One exchange while it lasts."""

    service: Service
    wire: Wire
    op: str
    request: Request
    request_id: str
    fired: list[Do] = field(default_factory=list)

    @property
    def account(self) -> str:
        """Whose call it is."""
        return accounts.account_of(self.service.world, self.request)

    def admit(self) -> None:
        """Whoever creates the first thing in an account that stands in the path has that account. Raises WireError 403 for everybody else."""
        name = self.request.path_params.get("account")
        if name is None or not accounts.key_of(self.request):
            return  # a signed URL carries its own permission
        if self.request.method == "POST":
            accounts.claim(self.service.world, name, self.account)
        if accounts.owner_of(self.service.world, name) not in (None, self.account):
            raise WireError(403, f"The API key has no access to account {name!r}.")

    async def gate(self, part: str = "") -> Effects:
        """Let the faults strike that come before the work; returns what they do to a batch created by this call.

        part: the client's id, label or file name, for rules that match on it.
        Raises WireError for an error answer, Dropped for a closed connection.
        """
        path = self.request.url.path
        self.fired = self.service.fire(self.wire.name, self.op, path, part)
        for do in self.fired:
            if do.delay:
                await self.service.pause(do.delay)
            if do.hang is not False:
                await self.service.pause(do.hang_seconds)
                raise Dropped
            if do.close_before_commit:
                raise Dropped
            if do.spend_cap:
                raise self.wire.spend_cap()
            if do.file_gone:
                raise WireError(404, "The file is no longer available.")
            if do.status is not None and not do.after_commit:
                raise status_error(do)
        return effects_of(self.fired)

    async def body(self, limit: int = 1_000_000) -> bytes:
        """The whole request body. Raises WireError 413 when it is longer than `limit` bytes."""
        found = bytearray()
        is_too_long = False
        async for piece in self.request.stream():
            # Read to the end even so: closing under a client that still writes would lose it the answer.
            is_too_long = is_too_long or len(found) + len(piece) > limit
            if not is_too_long:
                found += piece
        if is_too_long:
            raise WireError(413, f"Request body is larger than {limit} bytes.")
        return bytes(found)

    async def json_object(self, limit: int = 1_000_000) -> dict[str, Any]:
        """The request body as a JSON object; empty for no body. Raises WireError 400 or 413."""
        raw = await self.body(limit)
        try:
            return decode_object(raw) if raw.strip() else {}
        except BadJson as err:
            raise WireError(400, f"We could not parse the JSON body of your request: {err}") from None

    async def file_field(self, field_name: str) -> tuple[str, BinaryIO, dict[str, str]]:
        """A file of a multipart body: its name, its content, and the other fields. Raises WireError 400."""
        try:
            form = await self.request.form()
        except (KeyError, ValueError) as err:
            raise WireError(400, f"The multipart body cannot be read: {err}") from None
        upload = form.get(field_name)
        if not isinstance(upload, UploadFile):
            raise WireError(400, f"'{field_name}' is a required file field", param=field_name)
        others = {name: value for name, value in form.items() if isinstance(value, str)}
        return upload.filename or "file", upload.file, others

    async def save(self, file: BinaryIO) -> tuple[str, int]:
        """Copy a file into a blob; returns the blob's name and its size in bytes."""
        world = self.service.world
        name, draft = world.new_blob()

        def copy() -> int:
            with draft.open("wb") as target:
                shutil.copyfileobj(file, target, 1 << 20)
                return target.tell()

        n_bytes = await asyncio.to_thread(copy)
        world.publish(name)
        return name, n_bytes

    async def save_stream(self, limit: int) -> tuple[str, int]:
        """Write the request body into a blob as it comes. Raises WireError 413 past `limit` bytes."""
        world = self.service.world
        name, draft = world.new_blob()
        n_bytes = 0
        try:
            with draft.open("wb") as target:
                async for piece in self.request.stream():
                    n_bytes += len(piece)
                    if n_bytes <= limit:
                        target.write(piece)
        except ClientDisconnect:
            draft.unlink()
            raise
        if n_bytes > limit:
            draft.unlink()
            raise WireError(413, "Request exceeds the maximum allowed number of bytes.")
        world.publish(name)
        return name, n_bytes


def status_error(do: Do) -> WireError:
    """The error answer that a `status` fault asks for."""
    headers = {}
    if do.retry_after is not None:
        headers["retry-after"] = do.retry_after if isinstance(do.retry_after, str) else f"{do.retry_after:g}"
    if do.retry_after_ms is not None:
        headers["retry-after-ms"] = f"{do.retry_after_ms:g}"
    if do.x_should_retry is not None:
        headers["x-should-retry"] = str(do.x_should_retry).lower()
    assert do.status is not None
    return WireError(do.status, do.message or f"The emulator was told to answer {do.status}.", code=do.code, headers=headers)


Handler = Callable[[Call], Awaitable[Response]]


class Endpoint:
    """ASGI application of one route."""

    def __init__(self, service: Service, wire: Wire, op: str, handler: Handler) -> None:
        self.service, self.wire, self.op, self.handler = service, wire, op, handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        call = Call(self.service, self.wire, self.op, request, self.service.next_request_id())
        try:
            response = await self._answer(call)
            if any(do.close_after_commit for do in call.fired):
                raise Dropped
            await self._send(call, response, scope, receive, send)
        except ClientDisconnect:
            log.info("%s %s: the client went away", self.wire.name, self.op)
        except Dropped:
            await self.service.drop(scope, receive)
        finally:
            await request.close()  # the files of a form

    async def _answer(self, call: Call) -> Response:
        try:
            self.wire.authenticate(call.request)
            call.admit()
            self.service.world.count_call(self.wire.name, self.op, carried_out=False)
            response = await self.handler(call)
            self.service.world.count_call(self.wire.name, self.op, carried_out=True)
            for do in call.fired:
                if do.status is not None and do.after_commit:
                    raise status_error(do)
        except WireError as err:
            return self.wire.error(err, call.request_id)
        except HTTPException as err:
            return self.wire.error(WireError(err.status_code, str(err.detail)), call.request_id)
        return response

    async def _send(self, call: Call, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in self.wire.headers(call.request_id, accounts.organization_of(call.service.world, call.request)).items():
            response.headers.setdefault(name, value)
        response.headers["date"] = http_date(self.service.world.clock.now())
        await response(scope, receive, damaged(send, call, scope, receive))


def damaged(send: Send, call: Call, scope: Scope, receive: Receive) -> Send:
    """`send` with the faults that concern a body: it stops early, or trickles."""
    cut = next((do.truncation for do in call.fired if do.truncation is not None), None)
    slow = next((do.slowness for do in call.fired if do.slowness is not None), None)
    if cut is None and slow is None:
        return send
    left = cut.bytes if cut else None
    longest = slow.cap_seconds if slow else 0.0
    is_finished = False

    async def trickle(body: bytes, message: MutableMapping[str, Any]) -> None:
        nonlocal longest
        step = max(1, int(slow.bytes_per_second / 10)) if slow else max(1, len(body))
        while slow and longest > 0.0 and len(body) > step:
            await send({"type": "http.response.body", "body": body[:step], "more_body": True})
            body = body[step:]
            longest -= 0.1
            await call.service.pause(0.1)
        await send({**message, "body": body})

    async def damaged_send(message: Message) -> None:
        nonlocal left, is_finished
        if is_finished:
            return
        if message["type"] == "http.response.start":
            if cut and cut.clean:
                message["headers"] = [pair for pair in message["headers"] if pair[0].lower() != b"content-length"]
            await send(message)
            return
        body: bytes = message.get("body", b"")
        if left is not None and len(body) >= left and (cut is not None):
            is_finished = True
            await trickle(body[:left], {"type": "http.response.body", "more_body": not cut.clean})
            if not cut.clean:
                raise Dropped
            return
        if left is not None:
            left -= len(body)
        await trickle(body, dict(message))

    return damaged_send


def whole_number(value: Any, default: int | None, low: int, high: int, param: str) -> int:
    """A number from a query or a form. Raises WireError 400 outside low..high, or without a value and a default."""
    if value is None and default is not None:
        return default
    text = str(value)
    if not text.isascii() or not text.isdigit() or len(text) > 12 or not low <= int(text) <= high:
        raise WireError(400, f"{param}: must be an integer from {low} to {high}", param=param)
    return int(text)
