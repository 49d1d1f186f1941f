"""Three flags in the place of `--force`: each with one meaning, and none that can lose money recommended by any message."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import batchtrial
from batchtrial.cli.commands.resume import main as resume
from batchtrial.cli.commands.resume import parser as resume_parser
from batchtrial.cli.commands.run import alt_main
from batchtrial.cli.commands.run import main as run
from batchtrial.cli.commands.run import parser as run_parser
from batchtrial.cli.screens.giving_up import agreed
from batchtrial.errors import StateError

SOURCES = Path(batchtrial.__file__).parent
NEW = ("--accept_drift", "--remake", "--give_up_unknown_batches")
LOSING = ("--give_up", "--yes", "--force")


@pytest.mark.parametrize("command", [run, resume, alt_main])
@pytest.mark.parametrize("further", [[], ["--run_id", "r1"], ["--plan_only"]])
def test_force_answers_with_the_three_that_took_its_place(
    command: Callable[[list[str]], int], further: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command([*further, "--force"]) == 2
    said = capsys.readouterr().err
    assert "--force is gone" in said
    assert all(flag in said for flag in NEW)
    assert "hint" not in said


@pytest.mark.parametrize("help_text", [run_parser().format_help(), resume_parser().format_help()])
def test_help_shows_the_three_and_no_force(help_text: str) -> None:
    assert all(flag in help_text for flag in NEW)
    assert "--force" not in help_text


@pytest.mark.parametrize(
    ("command", "flags", "why"),
    [
        (run, ["--give_up_unknown_batches"], "a run that begins has no batches"),
        (run, ["--retry_not_understood"], "a run that begins has no answers"),
        (run, ["--without_unsent"], "a run that begins has sent nothing"),
        (resume, ["--run_id", "r1", "--without_unsent", "--plan_only"], "a plan settles nothing"),
        (run, ["--resume", "--run_id", "r1", "--yes"], "was not given"),
        (resume, ["--run_id", "r1", "--yes"], "was not given"),
        (resume, ["--run_id", "r1", "--give_up_unknown_batches", "--plan_only"], "a plan asks no provider"),
    ],
)
def test_a_flag_that_would_do_nothing_is_refused(
    command: Callable[[list[str]], int], flags: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(flags) == 2
    assert why in capsys.readouterr().err


def hints() -> Iterator[tuple[str, str]]:
    """(file:line, text) of every hint, note and message that is raised or told anywhere in the sources."""
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            values = [word.value for word in node.keywords if word.arg == "hint"] if isinstance(node, ast.Call) else []
            if isinstance(node, ast.Dict) and path.name in ("diagnose.py", "frame.py"):
                values += node.values
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
                values += node.args if name in ("note", "complain") else []
            for value in values:
                texts = [one.value for one in ast.walk(value) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                if texts:
                    yield f"{path.relative_to(SOURCES)}:{value.lineno}", " ".join(texts)


def test_no_message_recommends_a_flag_that_can_lose_money() -> None:
    found = list(hints())
    assert len(found) > 100  # the search itself works
    losing = [(place, text) for place, text in found for flag in LOSING if flag in text]
    # `clean` names --yes only when nothing in flight goes with it (test_clean has that).
    assert [place for place, _ in losing if not place.startswith("cli/commands/clean.py")] == []


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal of our own as standard input; the number is its far end."""
    far, near = os.openpty()
    with os.fdopen(near, encoding="utf-8") as file:
        monkeypatch.setattr(sys, "stdin", file)
        yield far
    os.close(far)


def test_on_a_terminal_it_asks_and_yes_is_agreement(terminal: int, capsys: pytest.CaptureFixture[str]) -> None:
    os.write(terminal, b"yes\n")
    agreed(is_confirmed=False)("3 batches would be lost")
    said = capsys.readouterr().err
    assert "3 batches would be lost" in said
    assert "never bought again" in said
    assert "type yes" in said


@pytest.mark.parametrize("answer", [b"\n", b"no\n", b"y\n", b"\x04"])
def test_on_a_terminal_anything_else_is_none(terminal: int, answer: bytes) -> None:
    os.write(terminal, answer)
    with pytest.raises(StateError, match="nothing was given up"):
        agreed(is_confirmed=False)("3 batches would be lost")


def test_without_a_terminal_only_yes_is_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(StateError, match="nothing was given up"):
            agreed(is_confirmed=False)("3 batches would be lost")
        agreed(is_confirmed=True)("3 batches would be lost")
