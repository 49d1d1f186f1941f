"""One SDK's client, made at its first use, with its error table and time-outs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from batchtrial.providers.sdk.edge import Edge, Timeouts, checked_key, import_sdk


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """Which package speaks to a provider, the extra that installs it, and where its key comes from."""

    module: str
    extra: str
    title: str
    key_variable: str


class Connection:
    """Nothing is imported, checked or opened before the first call, so that plans and codecs need neither SDK nor key."""

    def __init__(self, sdk: Sdk, api_key: str | None, *, timeouts: Timeouts, retry_after_cap: float, make: Callable[[Any, str, Any], Any]) -> None:
        """make: (SDK module, checked key, default time-out) -> client, with the SDK's own retries off."""
        self._named, self._api_key = sdk, api_key
        self._timeouts, self._cap, self._make = timeouts, retry_after_cap, make

    @cached_property
    def sdk(self) -> Any:
        """The SDK's module. Raises MissingExtra."""
        return import_sdk(self._named.module, self._named.extra)

    @cached_property
    def key(self) -> str:
        """The key, checked. Raises AuthFailed."""
        return checked_key(self._api_key, title=self._named.title, variable=self._named.key_variable)

    @cached_property
    def edge(self) -> Edge:
        """The error table."""
        return Edge(self.sdk, title=self._named.title, variable=self._named.key_variable, api_key=self.key, retry_after_cap=self._cap)

    @cached_property
    def client(self) -> Any:
        """The SDK's client."""
        return self._make(self.sdk, self.key, self.timeout())

    @cached_property
    def plain(self) -> Any:
        """The SDK's own HTTP library without the SDK's credentials, for signed URLs."""
        return self.edge.http.Client(timeout=self.timeout())

    def timeout(self, *, answer: bool = False) -> Any:
        """The bounds of one call. answer: a large body goes up first, and the server takes its time over it."""
        bounds = self._timeouts
        return self.edge.http.Timeout(bounds.answer if answer else bounds.read, connect=bounds.connect)

    def close(self) -> None:
        """Close the connections that were opened; later calls open new ones."""
        for made in ("client", "plain"):
            if made in self.__dict__:
                self.__dict__.pop(made).close()
