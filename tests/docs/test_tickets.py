"""Tickets: each acceptance line names its commands, each command can be run by a test, each ticket has a log."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import FENCE, ROOT, text_of

TICKETS = sorted((ROOT / "codex" / "tickets").rglob("*.md"))
ROW = re.compile(r"^\| (?P<line>[^|]+) \| (?P<proof>[^|]+) \|$", re.M)
NUMBERS = {"001", "002", "003", "004", "201", "202", "203", "204", "205"}


def commands_of(ticket: Path) -> list[str]:
    """Commands in the blocks of a ticket that are marked for running."""
    return [
        line
        for match in FENCE.finditer(text_of(ticket))
        if match["info"].split() == ["bash", "ticket"]
        for line in match["body"].strip().splitlines()
        if line and not line.startswith("#")
    ]


def commands() -> list[str]:
    """Commands of all tickets, each once, in order."""
    return list(dict.fromkeys(command for ticket in TICKETS for command in commands_of(ticket)))


def test_every_ticket_is_there() -> None:
    assert {ticket.stem[:3] for ticket in TICKETS} == NUMBERS


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda p: p.stem)
def test_each_acceptance_line_has_commands_that_are_run(ticket: Path) -> None:
    acceptance = text_of(ticket).split("## Acceptance")[1].split("```")[0]
    rows = [match for match in ROW.finditer(acceptance) if match["line"].strip() not in ("line", "---")]
    shown = [re.findall(r"`([^`]+)`", row["proof"]) for row in rows]
    assert rows
    assert all(shown)
    assert list(dict.fromkeys(command for one in shown for command in one)) == commands_of(ticket)


@pytest.mark.parametrize("ticket", TICKETS, ids=lambda p: p.stem)
def test_each_ticket_has_a_log_with_output(ticket: Path) -> None:
    log = text_of(ROOT / "codex" / "logs" / f"{ticket.stem[:3]}.md")
    for heading in ("## Built", "## Decisions", "## Commands and their output"):
        assert heading in log
    assert "```text" in log.split("## Commands and their output")[1]
