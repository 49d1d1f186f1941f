"""Asking a run to stop: files in its folder, which its process looks for."""

from __future__ import annotations

import os
import socket
from datetime import datetime

from batchtrial.state.layout import RunLayout
from batchtrial.state.store import write_bytes


def request_stop(layout: RunLayout, now: datetime, *, is_immediate: bool = False) -> None:
    """Ask for it, saying who asked. Both files for an immediate stop: a process that looks for either sees it."""
    asked = f"asked for at {now:%Y-%m-%dT%H:%M:%SZ} by process {os.getpid()} on {socket.gethostname()}\n".encode()
    write_bytes(layout.stop_requested, asked)
    if is_immediate:
        write_bytes(layout.stop_now, asked)
