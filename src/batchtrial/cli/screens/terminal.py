"""Text on a terminal: how wide it is, its colours, tables, and pictures that are drawn again and again."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TextIO

from batchtrial.visible import visible

Span = tuple[str, str]
"""A text and its style, "" for none."""
Cell = str | Span
_CODES: Final[Mapping[str, str]] = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33"}
_OTHER_SCREEN, _FIRST_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_WIDE: Final = ("W", "F")


def width_of(text: str) -> int:
    """Columns that a terminal shows it in."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def cut(text: str, width: int) -> str:
    """The text, with an ellipsis where it is wider."""
    if width_of(text) <= width:
        return text
    while width_of(text) >= width:
        text = text[:-1]
    return f"{text}…"


@dataclass(frozen=True, slots=True)
class Line:
    """A line in spans. Nothing in it moves the cursor: signs that would are shown as their code points."""

    spans: tuple[Span, ...]

    @classmethod
    def of(cls, *cells: Cell) -> Line:
        """The cells, one behind the other."""
        return cls(tuple((visible(text), style) for text, style in map(_span, cells)))

    @property
    def plain(self) -> str:
        """Its text."""
        return "".join(text for text, _ in self.spans)

    def shown(self, *, is_coloured: bool) -> str:
        """Its text with the codes of its styles."""
        if not is_coloured:
            return self.plain.rstrip()
        return "".join(f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style and text else text for text, style in self.spans)

    def folded(self, width: int) -> list[Line]:
        """As lines of at most that width, broken behind spaces where there are some."""
        text, begins, used, behind_space = self.plain.rstrip(), [0], 0, 0
        for at, char in enumerate(text):
            if char != " " and used + _columns(char) > width and at > begins[-1]:
                begins.append(behind_space if behind_space > begins[-1] else at)
                used = width_of(text[begins[-1] : at])
            used += _columns(char)
            behind_space = at + 1 if char == " " else behind_space
        return [self._part(begin, end) for begin, end in zip(begins, [*begins[1:], len(text)], strict=True)]

    def _part(self, begin: int, end: int) -> Line:
        spans, at = [], 0
        for text, style in self.spans:
            spans.append((text[max(begin - at, 0) : max(end - at, 0)], style))
            at += len(text)
        return Line(tuple(spans))


def _span(cell: Cell) -> Span:
    return (cell, "") if isinstance(cell, str) else cell


def text_of(cell: Cell) -> str:
    """A cell without its style."""
    return cell if isinstance(cell, str) else cell[0]


def table(
    heads: Sequence[str], rows: Sequence[Sequence[Cell]], *, left: Collection[str], gap: int, widths: Mapping[str, int] | None = None
) -> Iterator[Line]:
    """A head and a line for each row. left: columns that are not set to the right; widths: of columns that are cut to fit, others are as wide as they
    have to be."""
    most = [
        (widths or {}).get(head) or max(map(width_of, (visible(head), *(visible(text_of(row[at])) for row in rows)))) for at, head in enumerate(heads)
    ]
    for row in ([(head, "bold") for head in heads], *rows):
        cells: list[Cell] = []
        for head, width, cell in zip(heads, most, row, strict=True):
            text, style = _span(cell)
            text = cut(visible(text), width)
            blank = " " * (width - width_of(text))
            cells += [(text, style), blank] if head in left else [blank, (text, style)]
            cells.append(" " * gap)
        yield Line.of(*cells[:-1])


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where lines go. size: its columns and rows, which may change."""

    stream: TextIO
    is_terminal: bool
    size: Callable[[], tuple[int, int]] = shutil.get_terminal_size

    @classmethod
    def of(cls, stream: TextIO) -> Terminal:
        """Whatever the stream is."""
        return cls(stream, stream.isatty())

    @property
    def is_coloured(self) -> bool:
        return self.is_terminal and not os.environ.get("NO_COLOR")

    def write(self, lines: Iterable[Line], *, folds: bool = True) -> None:
        """The lines, one below the other."""
        for line in lines:
            for one in line.folded(self.size()[0]) if folds else [line]:
                self.stream.write(f"{one.shown(is_coloured=self.is_coloured)}\n")
        self.stream.flush()

    @contextmanager
    def screen(self) -> Iterator[Callable[[Iterable[Line]], None]]:
        """A screen of its own, which ends with the block; what it is given fills it anew each time."""

        def draw(lines: Iterable[Line]) -> None:
            width, height = self.size()
            rows = [one.shown(is_coloured=self.is_coloured) for line in lines for one in line.folded(width)][:height]
            self.stream.write(_HOME + "\r\n".join(f"{row}{_REST_OF_LINE}" for row in rows) + _REST_OF_SCREEN)
            self.stream.flush()

        self.stream.write(_OTHER_SCREEN)
        try:
            yield draw
        finally:
            self.stream.write(_FIRST_SCREEN)
            self.stream.flush()
