"""Whether a request's sampling values reach the model as asked: checked where the request is encoded, so that no arm runs under a false label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from batchtrial.errors import ConfigError
from batchtrial.records import Request


class Refuses(Protocol):
    """An adapter that can say which sampling values its wire cannot honour."""

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None: ...


class Honoured:
    """Remembers which values were found good: a million requests share a handful."""

    def __init__(self) -> None:
        self._good: set[tuple[float, float | None, int | None, bool]] = set()

    def check(self, adapter: Refuses, request: Request) -> None:
        """Raises ConfigError when the adapter refuses the request's values."""
        values = (request.temperature, request.top_p, request.top_k, bool(request.stop))
        if values in self._good:
            return
        reason = adapter.refuses((request.temperature,), request.top_p, request.top_k, request.stop)
        if reason is not None:
            raise ConfigError(reason, where=f"request {request.custom_id}")
        self._good.add(values)
