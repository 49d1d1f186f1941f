"""What is wrong with a row, as records and as an exception."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SHOWN: Final = 80  # characters of an offending value


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be used. field: the name in the file, "" for the row as a whole. fix: what would mend it."""

    line: int
    field: str
    problem: str
    value: str = ""
    fix: str = ""

    def __str__(self) -> str:
        named = f", field {self.field!r}" if self.field else ""
        value = f": {self.value}" if self.value else ""
        return f"line {self.line}{named}: {self.problem}{value}"


class RowProblem(ValueError):
    """What is wrong with a field; becomes a BadRow."""

    def __init__(self, field: str, problem: str, value: object = None, fix: str = "") -> None:
        super().__init__(problem)
        self.field, self.problem, self.fix = field, problem, fix
        self.value = "" if value is None else shown(value)

    def at(self, line: int) -> BadRow:
        """The record of this problem."""
        return BadRow(line=line, field=self.field, problem=self.problem, value=self.value, fix=self.fix)


def shown(value: object) -> str:
    """A value as a message shows it: quoted, on one line, cut when long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
