"""A metric that a program of the user's computes: it reads answers as JSON lines and writes one line for each, in the same order.

The program runs wherever its own command puts it: a container keeps it from harm, not this module. Here it is bounded: so many seconds and bytes for
a call, and whoever exceeds them is killed with all that it started. It gets no variable of the environment that may hold a key.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, ClassVar, Final

import msgspec
import numpy as np
from pydantic import Field

from batchtrial.errors import ConfigError
from batchtrial.scoring.metrics.base import Asked, Kind, NamedMetric, Numbers, Rows, Texts

_MOST_OUTPUT: Final = 64 << 20
_LARGEST: Final = 1e100
_SHOWN: Final = 300
_PASSED_ON: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "USER", "DOCKER_HOST", "XDG_RUNTIME_DIR", "SYSTEMROOT")
_LOOK_SECONDS: Final = 0.02


class Command(NamedMetric):
    """A number by a program of your own. It reads a JSON object a line, `{"answer": ..., "references": [...], "columns": {...}}`, and writes a
    line for each in the same order: a number, or `null` where there is none. It is killed when it takes too long, and gets no keys."""

    id: ClassVar[str] = "command"
    kind: ClassVar[Kind] = "grade"
    needs: ClassVar[str] = "the answer; references and columns go along"
    undefined: ClassVar[str] = "the program says `null`"

    run: Texts = Field(min_length=1, description="The program and its arguments as a list; no shell reads it.")
    scale: Kind = Field("grade", description="What its numbers are: share, grade or count.")
    seconds: float = Field(60.0, gt=0, le=3600, description="Longest time for one call, about 4,096 items at most.")
    version_run: Texts = Field((), description="A program whose first line says the version to record, such as `[judge, --version]`.")

    @property
    def number_kind(self) -> Kind:
        return self.scale

    @property
    def version(self) -> str | None:
        if not self.version_run:
            return None
        said = self._called(self.version_run, b"").decode("utf-8", "replace").splitlines()
        return said[0][:_SHOWN] if said else None

    def made_of(self) -> Any:
        """Parameters, and sha256 of the files that the command names."""
        files = [shutil.which(self.run[0]) or "", *self.run]
        read = {one: hashlib.sha256(Path(one).read_bytes()).hexdigest() for one in files[1:] if one and Path(one).is_file()}
        return [super().made_of(), read]

    def check(self) -> None:
        super().check()
        if self.scale == "corpus":
            raise ConfigError("a command gives a share, a grade or a count", where=f"metrics.{self.column}.scale")
        if shutil.which(self.run[0]) is None:
            if Path(self.run[0]).is_file():
                hint = "chmod +x, or name the program that runs it first, as in [python, judge.py]"
                raise ConfigError(f"{self.run[0]!r} may not be executed", where=f"metrics.{self.column}.run", hint=hint)
            raise ConfigError(f"there is no program {self.run[0]!r}", where=f"metrics.{self.column}.run", hint="give its path, or put it on PATH")

    def of(self, rows: Rows) -> dict[str, Numbers]:
        there = [place for place, text in enumerate(rows.texts) if text is not None]
        values = np.full(len(rows.texts), np.nan)
        if there:
            sent = b"".join(_line(rows.texts[place] or "", rows.items[place]) for place in there)
            values[there] = self._numbers(self._called(self.run, sent), len(there))
        if self.scale == "share":
            values = 1.0 - values if self.is_negated else values
            values[list(rows.worst)] = 0.0 if self.direction == "higher" else 1.0
        return {self.column: values}

    def _numbers(self, output: bytes, n: int) -> list[float]:
        lines = output.splitlines()
        if len(lines) != n:
            raise self._failed(f"wrote {len(lines)} lines for {n} answers", hint="one line for each answer, in the same order, and nothing else")
        return [self._number(line, place + 1) for place, line in enumerate(lines)]

    def _number(self, line: bytes, number: int) -> float:
        try:
            value = msgspec.json.decode(line)
        except (ValueError, RecursionError):
            value = line.decode("utf-8", "replace")
        if value is None:
            return math.nan
        is_fine = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST  # which NaN and infinity are not
        if is_fine and self.scale == "share":
            is_fine = 0 <= value <= 1
        if is_fine and self.scale == "count":
            is_fine = value >= 0 and float(value).is_integer()
        if not is_fine:
            raise self._failed(f"wrote {str(value)[:_SHOWN]!r} in line {number}", hint=f"a number that is a {self.scale}, or null")
        return float(value)

    def _called(self, words: Sequence[str], sent: bytes) -> bytes:
        """What the program writes. Raises ConfigError when it fails, writes too much or takes too long; it is not there any more then."""
        env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
            given.write(sent)
            given.seek(0)
            try:
                process = subprocess.Popen(list(words), stdin=given, stdout=out, stderr=said, env=env, start_new_session=True)
            except OSError as error:
                raise self._failed(f"cannot be started: {error.strerror or error}") from None
            try:
                code = self._ended(process, out, said)
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)  # what it left behind, too
                process.wait()
            said.seek(0)
            words_of = " ".join(said.read(_SHOWN).decode("utf-8", "replace").split())
            if code:
                raise self._failed(f"ended with {code}" + (f": {words_of}" if words_of else ""))
            out.seek(0)
            return out.read()

    def _ended(self, process: subprocess.Popen[bytes], out: IO[bytes], said: IO[bytes]) -> int:
        end = time.monotonic() + self.seconds
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_LOOK_SECONDS)
            if time.monotonic() > end:
                raise self._failed(f"was killed, since it took longer than {self.seconds:g} s", hint="`seconds` allows more")
            if max(os.fstat(one.fileno()).st_size for one in (out, said)) > _MOST_OUTPUT:
                raise self._failed(f"was killed, since it wrote more than {_MOST_OUTPUT >> 20} MiB")

    def _failed(self, what: str, hint: str = "") -> ConfigError:
        return ConfigError(f"the metric {self.column}: {self.run[0]} {what}", where=f"metrics.{self.column}.run", hint=hint)


def _line(text: str, item: Asked) -> bytes:
    columns = getattr(item, "columns", {})
    told: Mapping[str, Any] = {"answer": text, "references": list(item.answers), "columns": dict(columns)}
    return msgspec.json.encode(told) + b"\n"


FAMILY: tuple[type[NamedMetric], ...] = (Command,)
