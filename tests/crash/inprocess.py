"""The emulator in this process: no server, no sockets, and a fresh provider in 10 ms, for kills by the hundred.

The SDKs and the client's own calls to the emulator's clock are what they are; only the transport below them is ours, and only for hosts of these
emulators: every other call goes where it always goes.
"""

from __future__ import annotations

import asyncio
import email.message
import functools
import io
import itertools
import json
import ssl
import urllib.request
import urllib.response
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio.to_thread
from starlette.types import ASGIApp, Message
from tests.luck.provider import exchange

from batchtrial.app import emulator as dryrun
from batchtrial.emulator.answers.modelfile import load_model
from batchtrial.emulator.serve.app import make_app
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.faults import Rule
from batchtrial.emulator.world.world import World

_apps: dict[str, ASGIApp] = {}
"""The provider of each host."""
_numbers = itertools.count(1)


class InProcess:
    """One provider with no past; what `tests.crash.providers.Emulator` is to the others."""

    def __init__(self, root: Path, *, model: Path | None = None, faults: Sequence[Mapping[str, Any]] = (), seed: int = 7) -> None:
        assert model is not None
        install()
        self._host = f"emulator-{next(_numbers)}.test"
        self.url = f"http://{self._host}"
        self._world = World(root / "world", seed=seed, mode="manual", speed=1.0, wall=lambda: 0.0)
        service = Service(self._world, load_model(model))
        service.set_rules("file", tuple(Rule.model_validate(rule) for rule in faults))
        _apps[self._host] = make_app(service)

    def kill(self) -> None:
        """Let go of it."""
        if _apps.pop(self._host, None) is not None:
            self._world.close()

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request, by default to `/_emulator...`."""
        path, _, query = path.partition("?")
        sent = ask(self._host, method, path, query.encode(), b"" if body is None else json.dumps(body).encode(), headers or {})
        assert sent[0]["status"] == 200, sent
        return json.loads(b"".join(message.get("body", b"") for message in sent[1:]))

    def bill(self) -> dict[str, Any]:
        """What was accepted and paid, once every live batch has run its course."""
        return dict(self.call("GET", "/_emulator/ledger?at=end"))

    def calls(self) -> dict[str, dict[str, dict[str, int]]]:
        """Calls received and carried out, by provider and operation."""
        return dict(self.call("GET", "/_emulator/calls"))


def ask(host: str, method: str, path: str, query: bytes, body: bytes, headers: Mapping[str, str]) -> list[Message]:
    """What the provider of this host sends, message by message."""
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return exchange(_apps[host], method, path, query, raw, body)


class _Door(urllib.request.BaseHandler):
    handler_order = 100  # before the one that opens connections

    def http_open(self, request: urllib.request.Request) -> Any:
        if request.host not in _apps:
            return None
        path, _, query = request.selector.partition("?")
        data = request.data if isinstance(request.data, bytes) else b""
        sent = ask(request.host, request.get_method(), path, query.encode(), data, dict(request.header_items()))
        body = io.BytesIO(b"".join(message.get("body", b"") for message in sent[1:]))
        answer: Any = urllib.response.addinfourl(body, email.message.Message(), request.full_url, sent[0]["status"])
        answer.msg = ""
        return answer


def _handler(http: ModuleType, plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`HTTPTransport.handle_request` of one generation of the SDKs' library."""

    class Body(http.SyncByteStream):  # type: ignore[name-defined,misc]
        def __init__(self, sent: Sequence[Message]) -> None:
            self._sent = sent

        def __iter__(self) -> Iterator[bytes]:
            yield from (message.get("body", b"") for message in self._sent)
            if not self._sent or self._sent[-1].get("more_body", False):
                raise http.RemoteProtocolError("peer closed connection without sending complete message body")

    def handle(transport: Any, request: Any) -> Any:
        if request.url.host not in _apps:
            return plain(transport, request)
        sent = ask(request.url.host, request.method, request.url.path, request.url.query, b"".join(request.stream), dict(request.headers))
        if not sent:
            raise http.RemoteProtocolError("Server disconnected without sending a response.")
        return http.Response(sent[0]["status"], headers=sent[0]["headers"], stream=Body(sent[1:]))

    return handle


@functools.cache
def install() -> None:
    """Put these providers below the SDKs and below the client's calls to the emulator's clock, once in a process."""
    import httpx

    libraries: list[Any] = [httpx]
    try:
        import httpx2
    except ImportError:
        pass
    else:
        libraries.append(httpx2)
    for http in libraries:
        http.HTTPTransport.handle_request = _handler(http, http.HTTPTransport.handle_request)
    vars(dryrun)["DIRECT"].add_handler(_Door())

    async def in_place(func: Callable[..., Any], *args: Any, **how: Any) -> Any:
        return func(*args)

    vars(asyncio)["to_thread"] = vars(anyio.to_thread)["run_sync"] = in_place  # no threads for small files
    # Every client loads the machine's certificates anew, which takes longer than all that it then does here.
    vars(ssl)["create_default_context"] = functools.cache(ssl.create_default_context)
