"""A line every ten minutes of waiting, so that a log without a progress bar says what is waited for, since when, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from batchtrial.state.ledger import Attempt
from batchtrial.state.money import Money

EVERY: Final = timedelta(minutes=10)


@dataclass(slots=True)
class Heartbeat:
    """When something was last said. since: when the waiting began, by the same clock."""

    since: datetime | None = None
    _said: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether another ten minutes have passed; the first call begins the first ten."""
        if self.since is None or self._said is None:
            self.since = self._said = now
            return False
        if now - self._said < EVERY:
            return False
        self._said = now
        return True

    def waited(self, now: datetime) -> timedelta:
        """How long it has been waited."""
        return now - (self.since or now)


def waiting_line(waited: timedelta, attempts: Sequence[Attempt], money: Money) -> str:
    """What is waited for. attempts: those under way, of which the oldest is named."""
    minutes = int(waited.total_seconds()) // 60
    how_long = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
    if not attempts:
        return f"waiting for {how_long}: nothing is under way at the provider, parts wait to be sent"
    oldest = min(attempts, key=lambda one: (one.batch_at is None, one.batch_at))
    since = f" since {oldest.batch_at:%Y-%m-%d %H:%M} UTC" if oldest.batch_at is not None else ""
    n_requests = sum(one.n_requests for one in attempts)
    held = f"{money.in_flight(before='up to ') or 'nothing'} is held for them"
    plural = "es" if len(attempts) != 1 else ""
    return f"waiting for {how_long}: {len(attempts)} batch{plural} with {n_requests} requests, {oldest.batch_id or 'one in doubt'}{since}; {held}"
