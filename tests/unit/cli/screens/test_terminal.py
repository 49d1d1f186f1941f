"""Lines, tables and screens on a terminal; bars on a real one."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.cli.screens.terminal import Cell, Line, Terminal, cut, table, width_of

CODE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TEXTS = st.lists(st.sampled_from(["a", "word", " ", "  ", "日", "é", "e\u0301", "x" * 30]), max_size=30).map("".join)


@pytest.mark.parametrize(("text", "width"), [("", 0), ("abc", 3), ("日本", 4), ("e\u0301", 1), ("\u200b", 0), ("…", 1)])
def test_signs_are_as_wide_as_a_terminal_shows_them(text: str, width: int) -> None:
    assert width_of(text) == width


@given(TEXTS, st.integers(2, 40))
def test_a_line_is_folded_without_a_loss_and_behind_spaces(text: str, width: int) -> None:
    pieces = [one.plain for one in Line.of(text).folded(width)]
    assert "".join(pieces) == text.rstrip()
    assert all(width_of(one.rstrip()) <= width for one in pieces)
    assert all(piece.endswith(" ") or " " not in piece for piece in pieces[:-1]), "no word is broken that stands behind a space"


@given(TEXTS, st.integers(1, 40))
def test_what_is_cut_fits_and_says_so(text: str, width: int) -> None:
    shown = cut(text, width)
    assert width_of(shown) <= width
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))


def test_spans_keep_their_colours_when_a_line_is_folded() -> None:
    pieces = Line.of("plain ", ("red and long", "red"), " end").folded(10)
    assert [one.shown(is_coloured=True) for one in pieces] == ["plain \x1b[31mred \x1b[0m", "\x1b[31mand long\x1b[0m ", "end"]


def test_a_table_stands_in_columns() -> None:
    rows: list[tuple[Cell, ...]] = [("one", ("7", "red"), "x"), ("日本語の長い名前", "1,234", "")]
    lines = [line.plain.rstrip() for line in table(("name", "n", "more"), rows, left={"name", "more"}, gap=2, widths={"name": 9})]
    assert lines == ["name           n  more", "one            7  x", "日本語の…  1,234"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_colours_are_for_terminals_that_want_them(is_terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for wish in ("", "1"):
        monkeypatch.setenv("NO_COLOR", wish)
        out = io.StringIO()
        Terminal(out, is_terminal).write([Line.of(("bad", "red"))])
        assert ("\x1b[31m" in out.getvalue()) is (is_terminal and not wish)


def test_a_screen_gives_the_terminal_back_whatever_happens() -> None:
    out = io.StringIO()

    def interrupted() -> None:
        with Terminal(out, True, size=lambda: (10, 3)).screen() as draw:
            draw([Line.of("a line that is longer than the terminal")] * 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.getvalue().startswith("\x1b[?1049h")
    assert out.getvalue().endswith("\x1b[?1049l")
    assert len(CODE.sub("", out.getvalue()).split("\r\n")) == 3


BARS = """
from batchtrial.cli.screens.progress import progress
shown = progress()
with shown.task("parse an-arm", 40) as outer, shown.task("wait", None) as inner:
    for n in range(4):
        outer(10)
        inner(1)
        shown.note(f"part {n} is settled")
"""


def test_bars_on_a_terminal_leave_the_notes_alone_behind() -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", BARS], stderr=theirs, env={**os.environ, "COLUMNS": "80", "TERM": "xterm"})
    os.close(theirs)
    seen = b""
    while some := _read(ours):
        seen += some
    os.close(ours)
    assert child.wait() == 0
    text = seen.decode()
    assert "parse an-arm" in text
    assert "40/40" in text
    assert [f"part {n} is settled" in text for n in range(4)] == [True] * 4
    last = CODE.sub("", text.replace("\r\n", "\n").rpartition("\n")[2]).rpartition("\r")[2]
    assert last.strip() == "", "the bars are gone at the end"


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # nobody writes any more
        return b""
