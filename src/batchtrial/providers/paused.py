"""A provider whose batch API is paused: what is there is looked at and fetched, nothing is uploaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from batchtrial.errors import ProviderError
from batchtrial.providers.base import Intent, Limits, Provider
from batchtrial.providers.by_hand import ByHand


class Paused(ByHand):
    """The adapter without its paying half. why: since when, and by what source. instead: what to do."""

    def __init__(self, live: Provider, folder: Path, why: str, instead: str) -> None:
        super().__init__(live, live, folder)
        self._why, self._instead = why, instead

    @property
    def limits(self) -> Limits:
        return replace(super().limits, takes_nothing=True)

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """Never. Raises ProviderError."""
        raise ProviderError(f"nothing is uploaded: {self._why}", where="provider.lane", hint=self._instead)
