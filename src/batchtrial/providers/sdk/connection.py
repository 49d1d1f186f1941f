"""One SDK's client, made at its first use, with its error table and time-outs, and what every adapter of one does alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from batchtrial.errors import Ambiguous, NotFound, ProviderError
from batchtrial.providers.base import BatchStatus
from batchtrial.providers.registry import row_of
from batchtrial.providers.sdk.edge import Edge, Timeouts, checked_key, import_sdk


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdk:
    """Which package speaks to a provider, the extra that installs it, and where its key comes from."""

    module: str
    extra: str
    title: str
    key_variable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    """How a host is reached. past_proxies: it was started on this machine by this run, so no proxy of the environment stands between.

    title, key_variable: of the host, where they are not those of the wire's own provider.
    """

    base_url: str | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry_after_cap: float = 120.0
    past_proxies: bool = False
    title: str = ""
    key_variable: str = ""


def sdk_of(provider: str, module: str) -> Sdk:
    """What speaks to a provider of the registry by this package."""
    row = row_of(provider)
    return Sdk(module=module, extra=row.extra, title=row.title, key_variable=row.key_variable)


class Connection:
    """Nothing is imported, checked or opened before the first call, so that plans and codecs need neither SDK nor key."""

    def __init__(self, sdk: Sdk, api_key: str | None, settings: HostSettings, make: Callable[..., Any]) -> None:
        """make: (SDK module, arguments that the clients of every SDK take, by name) -> client."""
        own = replace(sdk, title=settings.title or sdk.title, key_variable=settings.key_variable or sdk.key_variable)
        self._named, self._api_key, self._settings, self._make = own, api_key, settings, make

    @property
    def title(self) -> str:
        """Whom errors are about."""
        return self._named.title

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
        cap = self._settings.retry_after_cap
        return Edge(self.sdk, title=self._named.title, variable=self._named.key_variable, api_key=self.key, retry_after_cap=cap)

    @cached_property
    def client(self) -> Any:
        """The SDK's client, its own retries off."""
        # Of a server that this run has started there is no certificate; to load those of the machine takes longer than a call.
        own = {"http_client": self.sdk.DefaultHttpxClient(trust_env=False, verify=False)} if self._settings.past_proxies else {}
        return self._make(self.sdk, api_key=self.key, base_url=self._settings.base_url, max_retries=0, timeout=self.timeout(), **own)

    @cached_property
    def plain(self) -> Any:
        """The SDK's own HTTP library without the SDK's credentials, for signed URLs."""
        is_own = self._settings.past_proxies
        return self.edge.http.Client(timeout=self.timeout(), trust_env=not is_own, verify=not is_own)

    def timeout(self, *, answer: bool = False) -> Any:
        """The bounds of one call. answer: a large body goes up first, and the server takes its time over it."""
        bounds = self._settings.timeouts
        return self.edge.http.Timeout(bounds.answer if answer else bounds.read, connect=bounds.connect)

    def created_id(self, batch: Any) -> str:
        """The id of a batch just created. Raises Ambiguous when the answer names none, for one may exist."""
        # Some hosts wrap the batch that they have just made, and no other answer.
        inner = getattr(batch, "job", None)
        batch_id = inner.get("id") if isinstance(inner, Mapping) else getattr(batch, "id", None)
        if not isinstance(batch_id, str) or not batch_id:
            raise Ambiguous("the answer to the create call names no batch", where=f"{self._named.title}: create batch", retryable=True)
        return batch_id

    def batch(self, batch_id: str, get: Callable[[Any], Any]) -> Any:
        """The batch of that id. get: asks the client for it. Raises ProviderError when the answer is something else."""
        title = self._named.title
        with self.edge.calling(f"get batch {batch_id}"):
            batch = get(self.client)
        if getattr(batch, "id", None) != batch_id:
            raise ProviderError(f"the answer is no batch {batch_id}", where=title, hint=f"does base_url lead to {title}?", retryable=True)
        return batch

    def cancel(self, batch_id: str, ask: Callable[[Any], Any], check: Callable[[str], BatchStatus]) -> None:
        """Ask for the batch to be stopped; one that has ended or is gone already is fine."""
        try:
            with self.edge.calling(f"cancel {batch_id}"):
                ask(self.client)
        except NotFound:
            return
        except ProviderError as error:
            if error.retryable or not check(batch_id).state.is_terminal:
                raise

    def close(self) -> None:
        """Close the connections that were opened; later calls open new ones."""
        for made in ("client", "plain"):
            if made in self.__dict__:
                self.__dict__.pop(made).close()
