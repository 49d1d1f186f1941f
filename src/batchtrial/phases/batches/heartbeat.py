"""A line per hour of waiting, so that a log without a progress bar says what is waited for, since when, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from batchtrial.state.ledger import Attempt

EVERY: Final = timedelta(hours=1)


@dataclass(slots=True)
class Heartbeat:
    """When something was last said. since: when the waiting began, by the same clock."""

    since: datetime | None = None
    _said: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether another hour has passed; the first call begins the first hour."""
        if self.since is None or self._said is None:
            self.since = self._said = now
            return False
        if now - self._said < EVERY:
            return False
        self._said = now
        return True

    def hours(self, now: datetime) -> float:
        """Hours since the waiting began."""
        return (now - (self.since or now)).total_seconds() / 3600


def waiting_line(hours: float, attempts: Sequence[Attempt], reserved: Decimal, unpriced: int) -> str:
    """What is waited for. attempts: those under way, of which the oldest is named."""
    if not attempts:
        return f"waiting for {hours:.0f} h: nothing is under way at the provider, parts wait to be sent"
    oldest = min(attempts, key=lambda one: (one.batch_at is None, one.batch_at))
    since = f" since {oldest.batch_at:%Y-%m-%d %H:%M} UTC" if oldest.batch_at is not None else ""
    n_requests = sum(one.n_requests for one in attempts)
    held = f"up to ${reserved:,.4f} is held for them"
    held += f", and {unpriced} of them have no known price" if unpriced else ""
    plural = "es" if len(attempts) != 1 else ""
    return f"waiting for {hours:.0f} h: {len(attempts)} batch{plural} with {n_requests} requests, {oldest.batch_id or 'one in doubt'}{since}; {held}"
