"""How much one rendering may do: steps of loops, characters made, seconds. What is over it is an error, never a wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

MOST_CHARS: Final = 2**20
"""Characters of one rendered turn."""
MOST_WORK: Final = 16 * MOST_CHARS
"""Characters and list entries that all filters and operators of one rendering make together."""
MOST_STEPS: Final = 200_000
LONGEST_RANGE: Final = 10_000
LARGEST_NUMBER: Final = 10**18
SECONDS: Final = 5.0


class TooMuch(ValueError):
    """A rendering that would not end, or would not fit."""


@dataclass(slots=True)
class Budget:
    """What is left for one rendering of an item with these columns."""

    columns: Mapping[str, Any]
    clock: Callable[[], float] = time.monotonic
    steps: int = MOST_STEPS
    work: int = MOST_WORK
    deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.deadline = self.clock() + SECONDS

    def step(self) -> None:
        """One round of a loop, one filter or one operator. Raises TooMuch."""
        self.steps -= 1
        if self.steps < 0:
            raise TooMuch(f"its loops take more than {MOST_STEPS:,} steps")
        if self.clock() > self.deadline:
            raise TooMuch(f"it takes longer than {SECONDS:g} seconds")

    def spend(self, n: int) -> None:
        """So many characters or entries are about to be made. Raises TooMuch."""
        if n > MOST_CHARS:
            raise TooMuch(f"a value would have {n:,} characters or entries, and {MOST_CHARS:,} are allowed")
        self.work -= n
        if self.work < 0:
            raise TooMuch(f"its filters and operators make more than {MOST_WORK:,} characters")


CURRENT: Final[ContextVar[Budget]] = ContextVar("budget")
"""Of the rendering in hand."""


def counted(values: Iterable[Any]) -> Iterator[Any]:
    """The values, each taken as a step."""
    budget = CURRENT.get()
    for value in values:
        budget.step()
        yield value


def paid(value: Any) -> Any:
    """A value that was made, its size counted; a stream becomes a list."""
    budget = CURRENT.get()
    budget.step()
    if isinstance(value, Iterator):
        value = list(counted(value))
    if isinstance(value, str | list | tuple):
        budget.spend(len(value))
    return value
