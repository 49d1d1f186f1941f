"""Files of a foreign config: read within bounds, with the line of every key; and what of them could not be taken over."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import yaml

from batchtrial.config.files import read_text
from batchtrial.config.tree import compose, decode_tree
from batchtrial.errors import ConfigError

MAX_BYTES: Final = 64 * 2**20
Step = str | int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Something that was not taken over as it is. where: file, line and key. is_near: something much like it stands in its place."""

    where: str
    what: str
    instead: str
    is_near: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f"; {self.instead}" if self.instead else "")


@dataclass(slots=True)
class Findings:
    """What was left out or changed, in the order in which it was found, each once."""

    found: dict[Left, None] = field(default_factory=dict)

    def left(self, where: str, what: str, instead: str = "") -> None:
        """It has no counterpart."""
        self.found[Left(where=where, what=what, instead=instead)] = None

    def near(self, where: str, what: str, instead: str) -> None:
        """Something much like it is there."""
        self.found[Left(where=where, what=what, instead=instead, is_near=True)] = None


@dataclass(frozen=True)
class Document:
    """A YAML or JSON file. name: as the config names it."""

    path: Path
    name: str
    text: str

    @cached_property
    def tree(self) -> Any:
        """Its content. Raises ConfigError naming file and line."""
        return decode_tree(self.text, where=self.name, is_json=self.path.suffix == ".json", is_core=True, max_chars=MAX_BYTES)

    @cached_property
    def _root(self) -> yaml.Node | None:
        try:
            return compose(self.text)
        except (ConfigError, yaml.YAMLError):
            return None

    def place(self, steps: Sequence[Step]) -> str:
        """`promptfooconfig.yaml, line 7: tests.0.assert.1`."""
        line = self._line(steps)
        key = ".".join(map(str, steps))
        return f"{self.name}, line {line}: {key}" if line is not None else f"{self.name}: {key}"

    def _line(self, steps: Sequence[Step]) -> int | None:
        node, line = self._root, None
        for step in steps:
            if isinstance(node, yaml.MappingNode):
                pair = next(((key, value) for key, value in node.value if key.value == str(step)), None)
                if pair is None:
                    break
                line, node = pair[0].start_mark.line + 1, pair[1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                node = node.value[step]
                line = node.start_mark.line + 1
            else:
                break
        return line


@dataclass(frozen=True, slots=True)
class Library:
    """The files that a config may name: those of its own folder, and of the working directory."""

    folder: Path

    def paths(self, given: str, where: str) -> list[Path]:
        """Files of a `file://` reference or a path, patterns filled in. Raises ConfigError when there is none, or it lies elsewhere."""
        name = given.removeprefix("file://")
        if not name or "\x00" in name:
            raise ConfigError(f"{given!r} is no file name", where=where)
        for root in (self.folder, Path()):
            found = sorted(root.glob(name)) if any(sign in name for sign in "*?[") and not Path(name).is_absolute() else [root / name]
            there = [path for path in found if path.is_file()]
            if there:
                self._check(there, where)
                return there
        raise ConfigError(f"there is no file {name}", where=where, hint=f"paths are looked up from {self.folder}")

    def _check(self, paths: Sequence[Path], where: str) -> None:
        roots = [root.resolve() for root in (self.folder, Path())]
        for path in paths:
            if not any(path.resolve().is_relative_to(root) for root in roots):
                raise ConfigError(f"{path} lies outside the config's folder", where=where, hint="copy it there, or run from a folder that holds both")

    def text(self, path: Path, where: str) -> str:
        """A text file. Raises ConfigError."""
        return read_text(path, what="the file", where=where, max_bytes=MAX_BYTES)

    def document(self, path: Path, where: str) -> Document:
        """A YAML or JSON file."""
        name = path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.as_posix()
        return Document(path, name, self.text(path, where))


def csv_rows(text: str, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV file. Raises ConfigError."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    try:
        for row in reader:
            if None in row:
                raise ConfigError(f"line {reader.line_num} has more cells than the header", where=name)
            yield reader.line_num, {key.strip(): value or "" for key, value in row.items()}
    except csv.Error as error:
        raise ConfigError(f"line {reader.line_num} is no CSV: {error}", where=name) from None


def json_lines(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of a file with a JSON value a line. Raises ConfigError."""
    for number, line in enumerate(text.split("\n"), 1):  # splitlines() parts at signs that JSON may hold, such as U+2028
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"line {number} is no JSON: {error}", where=name) from None
