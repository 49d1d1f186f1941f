"""Waiting longer each time for a thing that keeps failing, or for one that never comes, and giving up in the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from batchtrial.errors import PhaseFailed, ProviderError

log = logging.getLogger(__name__)

FIRST_WAIT_SECONDS = 2.0
MOST_FAILURES = 12
"""Failures in a row, each after a longer wait, before the run stops and says so."""
LONGEST_WAIT_SECONDS = 600.0


@dataclass(slots=True)
class Wait:
    """A wait of this process for what the provider neither gives nor denies. since: None while nothing is waited for."""

    since: datetime | None = None

    def goes_on(self, now: datetime, hours: float, what: str, hint: str) -> None:
        """Raises PhaseFailed, with `what`, once it has lasted `hours` of `submission.give_up_hours`."""
        self.since = self.since or now
        if now - self.since > timedelta(hours=hours):
            raise PhaseFailed(what, where="submission.give_up_hours", hint=hint)

    def ends(self) -> None:
        """It has come."""
        self.since = None


@dataclass(slots=True)
class Backoff:
    """Back-off for one thing that keeps failing. not_before: when it may be tried again."""

    failures: int = 0
    not_before: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        return self.not_before is None or now >= self.not_before

    def wait(self, now: datetime, first_seconds: float, asked: float | None = None) -> None:
        """Twice as long as last time, or as long as the provider asked, never longer than LONGEST_WAIT_SECONDS."""
        seconds = asked if asked is not None else first_seconds * 2 ** min(self.failures, MOST_FAILURES)
        self.failures += 1
        self.not_before = now + timedelta(seconds=min(seconds, LONGEST_WAIT_SECONDS))

    def after(self, error: ProviderError, what: str, now: datetime, tell: Callable[[str], None]) -> None:
        """Note a failure; the person watching is told of the first. Raises PhaseFailed after MOST_FAILURES in a row: stopping beats hanging."""
        if self.failures >= MOST_FAILURES:
            raise PhaseFailed(f"{what}: {error.what}", where=error.where, hint=error.hint or "run again with --resume when it is back") from None
        log.warning("%s: %s (try %s)", what, error.what, self.failures + 1)
        if self.failures == 0:
            tell(f"{what}: {error.what}; it is tried again for three quarters of an hour; Ctrl-C stops it and loses nothing")
        self.wait(now, FIRST_WAIT_SECONDS, error.retry_after)
