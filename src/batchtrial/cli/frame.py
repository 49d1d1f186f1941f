"""The outermost frame of every command: errors become a message and an exit code, logging is set up once."""

from __future__ import annotations

import atexit
import errno
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from batchtrial.app.modes import file_modes
from batchtrial.errors import RunnerError, StateError
from batchtrial.state.access import me
from batchtrial.visible import VisibleFormatter, in_json, on_terminal

log = logging.getLogger("batchtrial")
INTERRUPTED = 130
GARBAGE = (100_000, 20, 20)
"""When cycles are looked for. A ledger is many small records without cycles; at the interpreter's own 700, reading one takes twice as long."""


def own_process() -> None:
    """Settings for a process that is this one command and ends with it; a caller's process is the caller's."""
    _open_what_was_closed()
    gc.set_threshold(*GARBAGE)
    # Else the interpreter looks through all records once more before it ends, which takes a tenth of a command's time, and ends anyway.
    atexit.register(gc.freeze)


def _open_what_was_closed() -> None:
    """Standard streams that were closed (`2>&-`) lead nowhere; a file of the run would get their number, and what is written to them."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free, which is this one
            setattr(sys, name, open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays open


def nobody_reads() -> None:
    """From here on standard output leads nowhere: whoever reads no further (`| head`) changes nothing about what a command does and how it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def say(text: str = "") -> None:
    """A line of the result, on standard output."""
    _print(on_terminal(text))


def say_json(value: Any, **how: Any) -> None:
    """A result for programs, on standard output. how: as `in_json` takes it."""
    _print(in_json(value, **how))


def _print(text: str) -> None:
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        nobody_reads()


def complain(text: str) -> None:
    """A line for the person, on standard error. A log that takes no more, such as a terminal that is gone, ends nothing."""
    with suppress(OSError):
        sys.stderr.write(on_terminal(text) + "\n")
        sys.stderr.flush()


class Main(Protocol):
    """A command's entry: arguments (those of the process when not given) to exit code."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def framed(command: Callable[[Sequence[str] | None], int]) -> Main:
    """The command with its errors told in one clear message: what, where, what to type next."""

    def main(argv: Sequence[str] | None = None) -> int:
        if argv is None:
            own_process()
        try:
            with file_modes(sys.argv[1:] if argv is None else argv):
                return command(argv)
        except RunnerError as error:
            complain(str(error) if error.exit_code == INTERRUPTED else f"error: {error}")
            return error.exit_code
        except KeyboardInterrupt:
            complain("stopped: interrupted")
            return INTERRUPTED
        except OSError as error:
            complain(f"error: {explain(error)}")
            return 1
        except Exception as error:
            log.exception("unexpected %s", type(error).__name__)
            if type(error).__module__.startswith("polars"):  # no command reads a whole table for its checksum first
                complain(f"error: a table cannot be read: {error}")
                complain(
                    "  hint `batchtrial repair --check --run_id RUN` names what is damaged, and `batchtrial resume` makes it again; else a defect"
                )
                return StateError.exit_code
            complain(f"error: unexpected {type(error).__name__}: {error}")
            complain("  hint this is a defect; what was finished is on disk, and --resume goes on from it")
            return 1

    main.__doc__ = command.__doc__
    return main


def explain(error: OSError) -> str:
    """A disk's complaint with its fix."""
    hints = {
        errno.ENOSPC: "the disk is full: free some space, then run again with --resume",
        errno.EDQUOT: "the quota is used up: free some space, then run again with --resume",
        errno.EACCES: "give access to it, or choose another --experiments_dir",
        errno.EROFS: "the file system is read-only: choose another --experiments_dir",
        errno.EIO: "the disk reports an error: check it, then run again with --resume",
    }
    where = f"\n  at   {error.filename}" if error.filename else ""
    where += f"\n  as   {me()}" if error.errno in (errno.EACCES, errno.EPERM) else ""
    hint = hints.get(error.errno or 0)
    return f"{error.strerror or error}{where}" + (f"\n  hint {hint}" if hint else "")


def set_up_logging(*, is_verbose: bool) -> None:
    """Every decision to standard error when asked for; what a person must see is told by progress and errors, the rest is in run.log."""
    root = logging.getLogger("batchtrial")
    for old in list(root.handlers):
        root.removeHandler(old)
        old.close()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(VisibleFormatter("%(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.INFO if is_verbose else logging.CRITICAL)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
