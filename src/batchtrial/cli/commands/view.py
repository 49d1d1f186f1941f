"""`batchtrial view`: runs and answers in a browser, from a server on this machine that ends with Ctrl-C."""

from __future__ import annotations

import argparse
import os
import secrets
import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from batchtrial.app.invocation import experiments_dir
from batchtrial.app.tables import tables_of
from batchtrial.cli import args as flags
from batchtrial.cli.frame import complain, framed, say
from batchtrial.clock import real_now
from batchtrial.errors import ConfigError
from batchtrial.state.access import check_readable
from batchtrial.viewer.server import Viewer

EXAMPLES = """examples:
  batchtrial view                              runs of ./experiments; prints the address to open
  batchtrial view --open                       and opens it
  batchtrial view --from s3://trials/2026/     archived runs; requests and result lines stay in the store
  batchtrial view --port 8501 --read_only      nobody can label or stop anything

The server listens on this machine alone, and the address carries a token that nobody else has. Runs may be live: nothing is locked. It writes labels
and stop requests, and nothing else. Ctrl-C ends it. A run on another machine is seen through `ssh -L PORT:127.0.0.1:PORT` with the same --port.
"""
HOST = "127.0.0.1"
MOST_CONNECTIONS = 64
GRACE_SECONDS = 2


def parser() -> flags.Parser:
    """Flags of `view`."""
    p = flags.Parser(prog="batchtrial view", description="Runs and answers in a browser.", epilog=EXAMPLES)
    flags.add_folder(p)
    p.add_argument("--from", dest="store", type=flags.store_address, metavar="URL", help="an archived run in an object store, or all under a prefix")
    p.add_argument("--port", type=flags.positive, default=None, metavar="PORT", help="where to listen (default: a free port)")
    p.add_argument("--open", action="store_true", help="open the address in the browser")
    p.add_argument("--read_only", action="store_true", help="keep no labels and ask no run to stop")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Serve the runs of a folder to a browser."""
    given = parser().parse_args(argv)
    if given.store is not None:
        from batchtrial.archive.look import lent

        with lent(given.store, complain) as folder:
            return _serve(folder, given, named=given.store, is_read_only=True)
    folder = experiments_dir(given.experiments_dir, os.environ)
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}", where="--experiments_dir", hint="name the folder that holds the runs")
    check_readable((folder,), str(folder))
    return _serve(folder, given, named=str(folder), is_read_only=given.read_only)


def _serve(folder: Path, given: argparse.Namespace, *, named: str, is_read_only: bool) -> int:
    with listening(given.port) as found:
        port = found.getsockname()[1]
        token = secrets.token_urlsafe(24)
        viewer = Viewer(folder, tables_of, real_now, is_read_only=is_read_only)
        app = viewer.app(frozenset({f"{HOST}:{port}", f"localhost:{port}"}), token)
        address = f"http://{HOST}:{port}/?token={token}"
        config = uvicorn.Config(
            app,
            log_level="critical",
            access_log=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        say(f"runs of {named}: {address}")
        say("Ctrl-C ends this viewer")
        if given.open:
            webbrowser.open(address)
        try:
            _Server(config, viewer).run(sockets=[found])
        except KeyboardInterrupt:
            pass
        finally:
            viewer.is_closing = True
            viewer.held.close()
    return 0


class _Server(uvicorn.Server):
    """Tells the viewer when it is to end, so that no list of runs is waited for."""

    def __init__(self, config: uvicorn.Config, viewer: Viewer) -> None:
        super().__init__(config)
        self._viewer = viewer

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._viewer.is_closing = True
        super().handle_exit(sig, frame)


def listening(port: int | None) -> socket.socket:
    """A socket on this machine alone. Raises ConfigError where the port is taken."""
    # asyncio switches Nagle's algorithm off for sockets that say TCP; with it each answer on a kept connection waits some 40 ms.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port or 0))
        found.listen(128)  # from here on whoever opens the printed address waits for the answer
    except (OSError, OverflowError) as error:
        found.close()
        raise ConfigError(f"port {port} cannot be used: {error}", where="--port", hint="leave --port out for a free one") from None
    return found


main = framed(_command)
