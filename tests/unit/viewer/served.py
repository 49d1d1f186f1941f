"""A viewer that listens on this machine, and a client that is no browser."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn

from batchtrial.app.tables import tables_of
from batchtrial.cli.commands.view import MOST_CONNECTIONS, listening
from batchtrial.clock import real_now
from batchtrial.viewer.server import Viewer

TOKEN = "the-token-of-this-test"


@dataclass
class Told:
    """What the server answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """The server's address, and who asks. cookie: of somebody who opened the printed address."""

    port: int
    viewer: Viewer
    cookie: str = field(init=False)

    def __post_init__(self) -> None:
        self.cookie = f"batchtrial_{self.port}={TOKEN}"

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/?token={TOKEN}"

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None, without: tuple[str, ...] = (), **headers: str) -> Told:
        """A request as the page makes it. headers: others, with _ for -; without: names of headers that are left out."""
        own = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if body is not None:
            own |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json", "Content-Length": str(len(body))}
        own |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in own.items():
                if name not in without:
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return Told(answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()})
        finally:
            connection.close()

    def post(self, path: str, value: Any, **how: Any) -> Told:
        return self.ask(path, method="POST", body=json.dumps(value).encode(), **how)


def question(**ask: Any) -> str:
    """A question as it stands in an address."""
    return quote(json.dumps(ask))


@contextmanager
def served(folder: Path, *, is_read_only: bool = False) -> Iterator[Served]:
    """A viewer of the folder's runs, with the limits of the command."""
    found = listening(None)
    port = found.getsockname()[1]
    viewer = Viewer(folder, tables_of, real_now, is_read_only=is_read_only)
    app = viewer.app(frozenset({f"127.0.0.1:{port}", f"localhost:{port}"}), TOKEN)
    config = uvicorn.Config(app, log_level="critical", access_log=False, limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[found]), daemon=True)
    thread.start()
    try:
        yield Served(port, viewer)
    finally:
        viewer.is_closing = server.should_exit = True
        thread.join(20)
        viewer.held.close()
        found.close()
