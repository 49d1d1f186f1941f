"""Work without a person: no stop is asked for and no progress shown. What works so is short, and can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class NeverStop:
    """A stop signal that nobody gives."""

    def check(self) -> None:
        """Does not raise."""

    def is_requested(self) -> bool:
        """False."""
        return False

    def is_immediate(self) -> bool:
        """False."""
        return False

    def sleep(self, seconds: float) -> None:
        """Does not wait."""

    def sleep_draining(self, seconds: float) -> None:
        """Does not wait."""


class Silent:
    """Progress that nobody sees."""

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """Counts nothing."""
        yield lambda n: None

    def note(self, text: str) -> None:
        """Says nothing."""
