"""The server process: a listening socket, uvicorn in a thread, and a clean way out.

The main thread does nothing but wait for a reason to stop: a signal, or the death of the process that asked for this server.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from batchtrial.emulator.serve.service import Service

PARENT_POLL_SECONDS = 0.5
GRACE_SECONDS = 1  # for exchanges that are under way when the server stops


def listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off for sockets that say TCP, and a kept connection is slow with it.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(512)
    except OSError:
        found.close()
        raise
    return found


def url_of(found: socket.socket, host: str) -> str:
    """URL of a listening socket."""
    port = found.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def ready_record(url: str) -> dict[str, Any]:
    """What a client needs to reach this server."""
    return {
        "url": url,
        "pid": os.getpid(),
        "fireworks_base_url": url,
        "openai_base_url": f"{url}/v1",
        "anthropic_base_url": url,
    }


def publish(path: Path, record: dict[str, Any]) -> None:
    """Write the ready file in one step: a reader sees all of it or none."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _protocol(transports: dict[Any, asyncio.BaseTransport]) -> type[asyncio.Protocol]:
    """uvicorn's protocol, with its open connections within reach: a fault may have to cut one."""

    class Protocol(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._peer = self.client
            transports[self._peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            transports.pop(self._peer, None)
            super().connection_lost(exc)

    return Protocol


class Server:
    """Runs an application until told to stop."""

    def __init__(self, make_app: Callable[[], tuple[ASGIApp, Service]], sock: socket.socket) -> None:
        self._make_app, self._sock = make_app, sock
        self._stop = threading.Event()
        self._server: uvicorn.Server | None = None
        self._service: Service | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failure: BaseException | None = None

    def run(self, when_ready: Callable[[], None], parent_pid: int | None, before_stop: Callable[[], None]) -> None:
        """Serve until SIGTERM, SIGINT or the death of `parent_pid`.

        when_ready is called once connections are answered, before_stop while they still are.
        """
        signal.signal(signal.SIGTERM, lambda number, frame: self._stop.set())
        signal.signal(signal.SIGINT, lambda number, frame: self._stop.set())
        if parent_pid is not None:
            threading.Thread(target=self._watch_parent, args=(parent_pid,), daemon=True).start()
        thread = threading.Thread(target=self._serve, daemon=True)
        thread.start()
        while not self._stop.is_set() and thread.is_alive() and not (self._server and self._server.started):
            self._stop.wait(0.005)
        if self._server and self._server.started:
            when_ready()
        while not self._stop.wait(1.0) and thread.is_alive():
            continue
        before_stop()
        self._shut_down()
        thread.join(GRACE_SECONDS + 2.0)
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            asyncio.run(self._serve_async())
        except BaseException as err:  # noqa: BLE001  handed to the main thread, which raises it
            self._failure = err
        finally:
            self._stop.set()

    async def _serve_async(self) -> None:
        self._loop = asyncio.get_running_loop()
        app, self._service = self._make_app()
        config = uvicorn.Config(
            app,
            http=_protocol(self._service.transports),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            date_header=False,  # ours follows the virtual clock
            server_header=False,
            timeout_keep_alive=75,  # longer than clients keep idle connections, so that they close first
            timeout_graceful_shutdown=GRACE_SECONDS,
            backlog=512,
        )
        self._server = uvicorn.Server(config)
        await self._server.serve(sockets=[self._sock])

    def _shut_down(self) -> None:
        # From here on a broken exchange is expected and not worth a line.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)
        logging.getLogger("asyncio").setLevel(logging.CRITICAL + 1)
        if self._server is not None:
            self._server.should_exit = True
        if self._loop is not None and self._service is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._service.stopping.set)

    def _watch_parent(self, pid: int) -> None:
        while not self._stop.is_set():
            if not is_alive(pid):
                self._stop.set()
                return
            time.sleep(PARENT_POLL_SECONDS)


def is_alive(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        # "pid (comm) S ...": a zombie whose parent does not collect it is as good as gone.
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state not in ("Z", "X")
