"""The machine's clock, in a module of its own: those who need nothing else of a command do not load what it draws with."""

from __future__ import annotations

from datetime import UTC, datetime


def real_now() -> datetime:
    """Wall clock, UTC."""
    return datetime.now(UTC)
