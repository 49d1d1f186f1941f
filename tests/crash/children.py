"""Runs in processes of their own, that kill themselves with SIGKILL at the n-th system call of a kind, or are killed from outside.

A child is forked from a process that has everything imported, and then is what the console command would be: same entry, same exit code.
"""

from __future__ import annotations

import ctypes
import functools
import io
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from tests.crash.providers import forks

NONCE = "0123456789abcdef"
Call = Literal["fsync", "rename", "send", "recv", "write", "point"]
CALLS: tuple[Call, ...] = ("fsync", "rename", "send", "recv", "write")


@dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL at the n-th call of a kind: `before` it is carried out, or right after. `point`: at the n-th that the run's hook is shown."""

    call: Call
    n: int
    before: bool

    def __str__(self) -> str:
        return f"{'before' if self.before else 'after'} {self.call} #{self.n}"


def _counting(plain: Callable[..., Any], kill: Kill, counter: list[int]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        counter[0] += 1
        is_hit = counter[0] == kill.n
        if is_hit and kill.before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = plain(*args, **kwargs)
        if is_hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


def _opening(write: Callable[..., int]) -> Callable[..., Any]:
    """`io.open`, by which every file of ours is opened, with another `write` under binary files that are written."""
    plain = io.open

    class Counted(io.FileIO):
        def write(self, data: Any, /) -> int:
            return write(self, data)

    def call(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **kwargs: Any) -> Any:
        if "b" not in mode or "r" in mode:
            return plain(file, mode, buffering, *args, **kwargs)
        raw = Counted(file, mode.replace("b", ""))
        return raw if buffering == 0 else io.BufferedWriter(raw)

    return call


def _arm(kill: Kill) -> None:
    """Put the counter before every way that Python code reaches the system call. `write` is one to a file; code in C has writes of its own."""
    counter = [0]
    if kill.call == "point":
        from batchtrial.cli.commands import execute

        hook = _counting(lambda point: None, kill, counter)
        vars(execute)["run"] = functools.partial(execute.run, hook=hook)
    elif kill.call == "fsync":
        os.fsync = _counting(os.fsync, kill, counter)
    elif kill.call == "rename":
        os.replace = _counting(os.replace, kill, counter)
        os.rename = _counting(os.rename, kill, counter)
    elif kill.call == "write":
        io.open = _opening(_counting(io.FileIO.write, kill, counter))
    else:
        names = ("send", "sendall", "sendmsg") if kill.call == "send" else ("recv", "recv_into")
        for name in names:
            setattr(socket.socket, name, _counting(getattr(socket.socket, name), kill, counter))


@dataclass(frozen=True, slots=True)
class Mood:
    """What a child is to suffer. most_bytes: no file may grow past it. is_mere_mortal: permissions count although it may be root's process."""

    kill: Kill | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    most_bytes: int | None = None
    is_mere_mortal: bool = False


def _drop_privileges() -> None:
    """Give up every capability, CAP_DAC_OVERRIDE among them: root then needs the permission bits like anybody."""
    version, this_process = 0x20080522, 0
    header = (ctypes.c_uint32 * 2)(version, this_process)
    nothing = (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _run(argv: list[str], log: str, mood: Mood) -> None:
    sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.environ.update(mood.variables)
    import secrets

    from batchtrial.cli.commands.run import main

    # The provider's bad day is told by tokens, so every run of a sweep has the same ones.
    secrets.token_hex = lambda nbytes=None: NONCE
    if mood.kill is not None:
        _arm(mood.kill)
    if mood.most_bytes is not None:
        sys.dont_write_bytecode = True  # Python would keep what it could write of a module
        resource.setrlimit(resource.RLIMIT_FSIZE, (mood.most_bytes, mood.most_bytes))
    if mood.is_mere_mortal:
        _drop_privileges()
    code = main(argv)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def spawn(argv: Sequence[str], log: Path, kill: Kill | None = None, **mood: Any) -> BaseProcess:
    """Start `batchtrial run ARGV`; its output goes to `log`. mood: see Mood."""
    log.parent.mkdir(parents=True, exist_ok=True)
    child = forks.Process(target=_run, args=(list(argv), str(log), Mood(kill, **mood)))
    child.start()
    return child


def finish(child: BaseProcess, seconds: float = 120.0) -> int:
    """Its exit code, negative for a signal; AssertionError when it does not end in time."""
    child.join(seconds)
    if child.exitcode is None:
        child.kill()
        child.join()
        raise AssertionError(f"the run did not end within {seconds:g} seconds")
    return child.exitcode
