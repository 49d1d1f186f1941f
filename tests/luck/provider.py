"""The provider in this process: the emulator's application behind the SDKs' own HTTP library, without sockets.

What the SDKs would write to a connection is handed to the application as it is, and its answer back; only the transport at the very bottom is ours.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio.to_thread
from starlette.types import ASGIApp, Message
from tests.luck.machine import CLOCK, Being, current

from batchtrial.emulator.answers.modelfile import ModelFile
from batchtrial.emulator.serve.app import make_app, make_closing
from batchtrial.emulator.serve.bill import Bill
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.faults import Rule
from batchtrial.emulator.world.world import World

PAGE = re.compile(rb"\blimit=[0-9]+")
"""Pages of two, whatever was asked for: a run of four parts has to turn them."""
Headers = Sequence[tuple[bytes, bytes]]


class Provider:
    """A provider with no past; all accounts that keys lead to are in its one world. `close` lets go of it."""

    def __init__(self, root: Path, model: ModelFile, climate: Sequence[Mapping[str, Any]]) -> None:
        self.world = World(root, seed=7, mode="manual", speed=1.0, wall=lambda: 0.0)
        self.service = Service(self.world, model)
        self.service.set_rules("file", tuple(Rule.model_validate(rule) for rule in climate))
        app = make_app(self.service)
        # Half of a history's time is the search for the wire that stands last.
        app.router.routes.sort(key=lambda route: not getattr(route, "path", "").startswith("/v1/messages"))
        self.app: ASGIApp = app
        self.bill = Bill(make_closing(self.service))
        self._added: list[str] = []
        CLOCK.follow = self.advance
        _serving[:] = [self]

    def advance(self, seconds: float) -> None:
        """Time passes. It is not written to the world's file, which no second server is going to read."""
        self.world.clock.state = self.world.clock.state.moved(seconds, 0.0)

    def add(self, rule: Mapping[str, Any]) -> None:
        """A fault from now on."""
        self._added += self.service.add_rules((Rule.model_validate(rule),))

    def calm(self) -> None:
        """No more faults but those of the climate."""
        for name in self._added:
            self.service.remove_rules(name)
        self._added.clear()

    def close(self) -> None:
        """Let go of the world."""
        self.world.close()
        _serving.clear()


_serving: list[Provider] = []
_loop = asyncio.new_event_loop()


def exchange(app: ASGIApp, method: str, path: str, query: bytes, headers: Headers, body: bytes) -> list[Message]:
    """What the application sends, message by message; nothing, or an unfinished body, when it closes the connection."""
    sent: list[Message] = []
    asked = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return asked.pop() if asked else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("provider", 443),
    }
    _loop.run_until_complete(app(scope, receive, send))
    return sent


def _handler(http: ModuleType) -> Callable[[Any, Any], Any]:
    """`HTTPTransport.handle_request` of one generation of the library."""

    def handle(transport: Any, request: Any) -> Any:
        process = current()
        body = b"".join(request.stream)
        if process is not None:
            process.point(f"net:{request.method} {request.url.path}:before")
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        query = PAGE.sub(b"limit=2", request.url.query)
        with Being(None):
            sent = exchange(_serving[0].app, request.method, request.url.path, query, headers, body)
        if process is not None:
            process.point(f"net:{request.method} {request.url.path}:after")
        if not sent:
            raise http.RemoteProtocolError("Server disconnected without sending a response.")
        pieces = [message.get("body", b"") for message in sent[1:]]
        is_whole = bool(sent[1:]) and not sent[-1].get("more_body", False)
        return http.Response(sent[0]["status"], headers=sent[0]["headers"], stream=_body(http, pieces, is_whole))

    return handle


def _body(http: ModuleType, pieces: Sequence[bytes], is_whole: bool) -> Any:
    class Body(http.SyncByteStream):  # type: ignore[name-defined,misc]
        def __iter__(self) -> Iterator[bytes]:
            yield from pieces
            if not is_whole:
                raise http.RemoteProtocolError("peer closed connection without sending complete message body")

    return Body()


def install() -> None:
    """Put this provider below every client of both generations of the library, and forbid sockets and threads."""
    import httpx

    libraries = [httpx]
    try:
        import httpx2
    except ImportError:
        pass
    else:
        libraries.append(httpx2)
    for http in libraries:
        http.HTTPTransport.handle_request = _handler(http)

    def refuse(*args: object) -> None:
        raise AssertionError("the rig opens no connection")

    async def in_place(func: Callable[..., Any], *args: Any, **how: Any) -> Any:
        return func(*args)

    socket.socket.connect = refuse  # type: ignore[method-assign]
    # No threads for small files: histories are the same each time, and quicker.
    vars(asyncio)["to_thread"] = in_place
    vars(anyio.to_thread)["run_sync"] = in_place
