"""A real S3 server on loopback (moto's), and a wire to it that drops connections."""

from __future__ import annotations

import importlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

READY_SECONDS: Final = 120.0
BUCKET: Final = "trials"
KEY_ID: Final = "AKIAIOSFODNN7EXAMPLE"
SECRET: Final = "wJalrXUtnFEMIsK7MDENGbPxRfiCYEXAMPLEKEY"
_REQUEST: Final = re.compile(rb"^(?:GET|HEAD|PUT|POST|DELETE) ", re.MULTILINE)


class Server(ExitStack):
    """moto's server with one bucket. n_unchecked: calls after which it checks keys and rights, which it does not do by itself."""

    def __init__(self, log: Path, n_unchecked: int | None = None) -> None:
        super().__init__()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        out = self.enter_context(log.open("wb"))
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        checks = {} if n_unchecked is None else {"INITIAL_NO_AUTH_ACTION_COUNT": str(n_unchecked)}
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "S3_UPLOAD_PART_MIN_SIZE": "1", **checks})
        self.callback(process.wait)
        self.callback(process.kill)
        self._until_ready()
        self.put(f"/{BUCKET}")

    def _until_ready(self) -> None:
        begin = time.monotonic()
        while time.monotonic() - begin < READY_SECONDS:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/moto-api/data.json", timeout=10).close()
                return
            time.sleep(0.05)
        raise TimeoutError("moto's server did not begin to listen")

    def put(self, path: str, data: bytes = b"") -> None:
        """Send a request past every client."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=data, method="PUT")
        urllib.request.urlopen(request, timeout=30).close()


CALLS_FOR_A_USER: Final = 3


def user_of(server: Server, name: str, *actions: str) -> dict[str, str]:
    """The keys of a new user who may do this everywhere, as S3's own tools read them."""
    own = {"aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    iam = importlib.import_module("boto3").client(  # moto brings it
        "iam", endpoint_url=f"http://127.0.0.1:{server.port}", **own
    )
    iam.create_user(UserName=name)
    rights = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(rights))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


class Wire(ExitStack):
    """A port that leads to the server, and drops the connection of every `drop_at`-th request, or of all from then on."""

    def __init__(self, port: int, *, drop_at: int = 0, is_cut: bool = False) -> None:
        super().__init__()
        self._to, self._drop_at, self._is_cut = port, drop_at, is_cut
        self.n_requests = self.n_dropped = 0
        self._lock = threading.Lock()
        self._listener = self.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _is_dropped(self, data: bytes) -> bool:
        n = len(_REQUEST.findall(data)) if b" HTTP/1.1\r\n" in data else 0
        with self._lock:
            self.n_requests += n
            is_due = bool(self._drop_at and n) and (self.n_requests >= self._drop_at if self._is_cut else self.n_requests % self._drop_at == 0)
            self.n_dropped += is_due
        return is_due

    def _serve(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self._to)) as far:
            threading.Thread(target=_pump, args=(far, near), daemon=True).start()
            while data := near.recv(2**16):
                if self._is_dropped(data):
                    return
                far.sendall(data)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(2**16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def environment(port: int, **further: str) -> Mapping[str, str]:
    """What S3's own tools read, for a server on this port."""
    own = {"AWS_ACCESS_KEY_ID": KEY_ID, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_MAX_ATTEMPTS": "1"}
    return {**os.environ, **own, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1", **further}
