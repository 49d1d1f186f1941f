"""The emulator in this process, for sweeps of thousands of worlds: no server, no sockets, and a fresh provider in 10 ms.

The SDKs and the client's own calls to the emulator's clock are what they are; only the transport below them is ours, as in `tests.luck.provider`.
`install` puts it there for good, so it belongs into a program of its own. One provider is open at a time.
"""

from __future__ import annotations

import email.message
import io
import json
import re
import ssl
import urllib.request
import urllib.response
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.luck import provider as transport

from batchtrial.cli import dryrun
from batchtrial.emulator.modelfile import load_model

URL = "http://emulator.test"


class InProcess:
    """One provider with no past; what `tests.crash.providers.Emulator` is to the others."""

    url = URL

    def __init__(self, root: Path, *, model: Path | None = None, faults: Sequence[Mapping[str, Any]] = ()) -> None:
        assert model is not None
        self._provider = transport.Provider(root / "world", load_model(model), faults)

    def kill(self) -> None:
        """Let go of it."""
        self._provider.close()

    def call(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
        """One request, by default to `/_emulator...`."""
        code, data = ask(method, path, b"" if body is None else json.dumps(body).encode(), headers or {})
        assert code == 200, data
        return json.loads(data)

    def bill(self) -> dict[str, Any]:
        """What was accepted and paid, once every live batch has run its course."""
        return dict(self.call("GET", "/_emulator/ledger?at=end"))


def ask(method: str, address: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Status and body of one exchange with the provider that is open."""
    path, _, query = address.removeprefix(URL).partition("?")
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    sent = transport.exchange(transport._serving[0].app, method, path, query.encode(), raw, body)
    return int(sent[0]["status"]), b"".join(message.get("body", b"") for message in sent[1:])


class _Door(urllib.request.BaseHandler):
    def http_open(self, request: urllib.request.Request) -> Any:
        data = request.data if isinstance(request.data, bytes) else b""
        code, body = ask(request.get_method(), request.full_url, data, dict(request.header_items()))
        return urllib.response.addinfourl(io.BytesIO(body), email.message.Message(), request.full_url, code)


def install() -> None:
    """Put the provider below the SDKs and below the client's calls to the emulator's clock."""
    transport.install()
    vars(transport)["PAGE"] = re.compile(rb"(?!)")  # pages as long as they are asked for
    plain = ssl.create_default_context()  # every client loads the machine's certificates anew; nothing is ever connected to
    vars(ssl)["create_default_context"] = lambda *args, **kwargs: plain
    opener = urllib.request.OpenerDirector()
    opener.add_handler(_Door())
    vars(dryrun)["DIRECT"] = opener
