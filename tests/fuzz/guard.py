"""One command under watch: how it ended, what it said, how long it took, how much memory it held, and where it wrote.

The command runs in this process, as its console entry would run it. Whatever a user can put into a file must end in an exit code of the command's
own and a message: a traceback, a "defect", a hang, a gigabyte or a write outside the box is a finding.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXIT_CODES = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 130})
HANG_SECONDS = 5.0
MOST_MEGABYTES = 1024.0
_DEFECT = re.compile(r"Traceback \(most recent call last\)|this is a defect|error: unexpected|Exception ignored|Segmentation fault")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = frozenset({"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"})


class Hung(BaseException):
    """The command took longer than it may; a BaseException, so that no handler of the command takes it for an error of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one command ended. escapes: paths outside the box that were opened for writing, made, renamed or deleted."""

    argv: tuple[str, ...]
    code: int
    text: str
    seconds: float
    megabytes: float
    escapes: tuple[str, ...]
    fault: str | None

    @property
    def kind(self) -> str:
        """crash, hang, memory, escape, accepted or refused."""
        if self.fault is not None:
            return self.fault
        return "accepted" if self.code in (0, 4) else "refused"


class Watch:
    """Every path that this process opens for writing or changes, as the interpreter reports it; one for the life of the process."""

    def __init__(self) -> None:
        self._box: Path | None = None
        self._escapes: set[str] = set()
        sys.addaudithook(self._see)

    @contextlib.contextmanager
    def inside(self, box: Path) -> Iterator[set[str]]:
        """Collect what is written outside this folder."""
        self._box, self._escapes = box, set()
        try:
            yield self._escapes
        finally:
            self._box = None

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if self._box is None or (event != "open" and event not in _CHANGES):
            return
        if event == "open":
            path, mode, flags = args
            if not (flags & _WRITES if isinstance(flags, int) else any(c in str(mode) for c in "wax+")):
                return
        for path in args[: 2 if event in ("os.rename", "os.link", "os.symlink") else 1]:
            if isinstance(path, (str, bytes)) and self._is_outside(os.fsdecode(path)):
                self._escapes.add(os.fsdecode(path))

    def _is_outside(self, path: str) -> bool:
        whole = os.path.realpath(path)
        is_cache = "__pycache__" in whole or (whole.startswith(("/dev/", "/proc/")) and not whole.startswith("/dev/shm/"))
        return not is_cache and not Path(whole).is_relative_to(self._box or "/")


def peak_megabytes() -> float:
    """Largest memory of this process since `forget_peak`, in MB; 0 where the system does not tell."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def forget_peak() -> None:
    """Let the peak be measured from now on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _ring(number: int, frame: Any) -> None:
    raise Hung


def watched(command: Callable[[Sequence[str]], int], argv: Sequence[str], box: Path, watch: Watch) -> Outcome:
    """Run the command with its output kept, its time and memory bounded, and its writes held to the box."""
    out, fault, code = io.StringIO(), None, -1
    old = signal.signal(signal.SIGALRM, _ring)
    forget_peak()
    begun = time.monotonic()
    with watch.inside(box) as escapes, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
            code = command(argv)
        except Hung:
            fault = "hang"
        except SystemExit as error:  # argparse refuses so
            code = error.code if isinstance(error.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - what escapes a command is what this looks for
            fault = "crash"
            out.write(f"\nescaped the command: {type(error).__name__}: {error}\n")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, old)
    seconds, megabytes, text = time.monotonic() - begun, peak_megabytes(), out.getvalue()
    if fault is None:
        fault = judged(code, text, megabytes, escapes)
    return Outcome(
        argv=tuple(argv), code=code, text=text, seconds=seconds, megabytes=megabytes, escapes=tuple(sorted(escapes)), fault=fault
    )  # fmt: skip


def judged(code: int, text: str, megabytes: float, escapes: set[str]) -> str | None:
    """What is wrong with a command that ended; None when nothing is."""
    if code not in EXIT_CODES or _DEFECT.search(text):
        return "crash"
    if code not in (0, 4, 130) and not text.strip():
        return "silent"
    if escapes:
        return "escape"
    return "memory" if megabytes > MOST_MEGABYTES else None
