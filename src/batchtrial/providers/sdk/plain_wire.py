"""What adapters over plain HTTP do alike: send once, look a lost call up in the list of batches, read a batch to its end.

A wire says what its calls are called and what its answers look like; when something is sent, and what an odd list proves, is decided here.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Final, Literal

from batchtrial.errors import Ambiguous, NotFound, ProviderError, Unsure
from batchtrial.providers.base import KEY_CHECK, BatchStatus, Intent, Limits, Sightings, key_check
from batchtrial.providers.sdk.connection import Connection, HostSettings, Sdk
from batchtrial.providers.sdk.edge import utc_now
from batchtrial.providers.sdk.lines import split_lines, watched
from batchtrial.providers.sdk.sampling import Honoured

MODULE: Final = "batchtrial.providers.sdk.plain_http"
MOST_PAGES: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainSettings(HostSettings):
    """What these adapters need to know. sampling: "omit" leaves sampling parameters out, for models that refuse them."""

    sampling: Literal["send", "omit"] = "send"
    page_size: int = 100
    limits: Limits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Batches of one answer, and what the next page is asked for with; None at the end."""

    batches: Sequence[Mapping[str, Any]]
    further: str | None


class PlainWire(ABC):
    """One account behind one wire. Safe to use from several threads."""

    name: ClassVar[str]
    id_key: ClassVar[str] = "id"
    """Where a batch names itself."""

    def __init__(
        self,
        sdk: Sdk,
        settings: PlainSettings,
        api_key: str | None,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """Nothing is imported or sent yet: a missing key or package is told at the first call, so that codecs work without."""
        self.settings, self.limits = settings, settings.limits or limits
        self._clock, self._now = clock, now
        self._honoured = Honoured()
        self._to = Connection(sdk, api_key, settings, self._client)

    # What a wire says of itself

    def _client(self, module: Any, **common: Any) -> Any:
        return module.Client(**common)

    @abstractmethod
    def _upload(self, intent: Intent, payload: Path) -> str:
        """Send the file up; its id."""

    @abstractmethod
    def _create(self, intent: Intent, file_id: str) -> Any:
        """Create the batch; the JSON of the answer."""

    @abstractmethod
    def _page(self, further: str | None, token: str | None) -> Page:
        """One page of the list. token: whose batches are looked for, where the wire can filter by it."""

    @abstractmethod
    def _mark_of(self, batch: Mapping[str, Any]) -> str:
        """The token that a batch carries, "" for none."""

    @abstractmethod
    def _made_at(self, batch: Mapping[str, Any]) -> float:
        """When it was made, unix seconds; 0 when it does not say."""

    @abstractmethod
    def _get(self, batch_id: str) -> Mapping[str, Any]:
        """The batch's JSON."""

    @abstractmethod
    def _status(self, batch: Mapping[str, Any]) -> BatchStatus:
        """The batch as we see it."""

    @abstractmethod
    def _lines(self, batch: Mapping[str, Any]) -> Iterator[bytes]:
        """The result lines of a batch that has ended."""

    @abstractmethod
    def _stop(self, batch_id: str) -> None:
        """Ask for the batch to be stopped."""

    @abstractmethod
    def _file(self, file_id: str) -> object:
        """Ask for the input file."""

    # What they do alike

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """Upload the file unless that is done, then create the batch once."""
        file_id = intent.file_id
        if file_id is None:
            with self._to.edge.calling(f"upload {self._file_name(intent)}"):
                file_id = self._upload(intent, payload)
            if not file_id:
                raise ProviderError("the answer to the upload names no file", where=f"{self._to.title}: upload", retryable=True)
            uploaded(file_id)
        with self._to.edge.calling("create batch", creating=True):
            made = self._create(intent, file_id)
        batch_id = made.get(self.id_key) if isinstance(made, Mapping) else None
        if not isinstance(batch_id, str) or not batch_id:
            raise Ambiguous("the answer to the create call names no batch", where=f"{self._to.title}: create batch", retryable=True)
        return batch_id

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """Batches that carry our token, in the whole list. One listing: callers repeat it.

        Raises Unsure when the list cannot have been read to its end and what was read of it shows none.
        """
        found: dict[str, float] = {}
        try:
            for batch in self._batches(intent.token):
                if batch[self.id_key] not in owned and self._mark_of(batch) == intent.token:
                    found[batch[self.id_key]] = self._made_at(batch)
        except Unsure:
            if not found:
                raise
        return tuple(sorted(found, key=lambda batch_id: (found[batch_id], batch_id)))

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        """By the token that each batch carries."""
        found: dict[str, list[tuple[float, str]]] = {}
        for batch in self._batches(None):
            token = owned.get(batch[self.id_key]) or self._mark_of(batch)
            if token in wanted:
                found.setdefault(token, []).append((self._made_at(batch), batch[self.id_key]))
        return Sightings(by_token={token: tuple(batch_id for _, batch_id in sorted(ones)) for token, ones in found.items()})

    def check(self, batch_id: str) -> BatchStatus:
        """One look at the batch."""
        return self._status(self._known(batch_id))

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """The result lines. Raises ProviderError (retryable) before the batch has ended."""
        batch = self._known(batch_id)
        status = self._status(batch)
        if not status.state.is_terminal:
            raise ProviderError(f"the batch is still {status.wire_state}", where=f"{self._to.title}: fetch {batch_id}", retryable=True)
        with self._to.edge.calling(f"results of {batch_id}"):
            yield from self._lines(batch)

    def cancel(self, batch_id: str) -> None:
        """Ask for the batch to be stopped; one that has ended or is gone already is fine."""
        self._to.cancel(batch_id, lambda client: self._stop(batch_id), self.check)

    def account(self, salt: str) -> Mapping[str, str]:
        """The check of the key alone: these wires name no account."""
        with self._to.edge.calling("list batches"):
            self._page(None, None)
        return {KEY_CHECK: key_check(self._to.key, salt)}

    def holds(self, file_id: str) -> bool:
        """Whether the account has the input file of that id."""
        try:
            with self._to.edge.calling(f"get file {file_id}"):
                self._file(file_id)
        except NotFound:
            return False
        return True

    def close(self) -> None:
        """Close the connections that were opened."""
        self._to.close()

    def _known(self, batch_id: str) -> Mapping[str, Any]:
        with self._to.edge.calling(f"get batch {batch_id}"):
            batch = self._get(batch_id)
        if not isinstance(batch, Mapping) or batch.get(self.id_key) != batch_id:
            raise ProviderError(f"the answer is no batch {batch_id}", where=self._to.title, hint="is base_url right?", retryable=True)
        return batch

    def _batches(self, token: str | None) -> Iterator[Mapping[str, Any]]:
        """Every batch of the list. Raises Unsure when it contradicts itself: an empty page that was promised, a page or a cursor that comes again."""
        where, seen, asked, further = f"{self._to.title}: list batches", set[str](), set[str](), None
        for _ in range(MOST_PAGES):
            with self._to.edge.calling("list batches"):
                page = self._page(further, token)
            if not all(isinstance(batch, Mapping) and isinstance(batch.get(self.id_key), str) for batch in page.batches):
                raise ProviderError("the answer is no list of batches", where=where, hint="is base_url right?", retryable=True)
            new = [batch for batch in page.batches if batch[self.id_key] not in seen]
            yield from new
            seen.update(batch[self.id_key] for batch in new)
            if page.further is None and (new or further is None):
                return
            if not new or page.further is None or page.further in asked:
                raise Unsure("the list of batches promises more than it gives", where=where, hint="it is asked again", retryable=True)
            asked.add(page.further)
            further = page.further
        raise Unsure(f"the list of batches has more than {MOST_PAGES} pages", where=where, retryable=True)

    def _file_name(self, intent: Intent) -> str:
        return f"bt-{intent.token}.jsonl"

    def _download(self, path: str, query: Mapping[str, str] | None = None) -> Iterator[bytes]:
        with self._to.client.chunks(path, query=query) as chunks:
            yield from split_lines(watched(chunks, patience=self.settings.timeouts.slow, clock=self._clock))


def rows_of(answer: Any, key: str) -> list[Any]:
    """The list under that key of an answer's JSON. Raises ProviderError when there is none: it would be taken for an empty one."""
    told = answer.json()
    rows = told.get(key) if isinstance(told, Mapping) else None
    if not isinstance(rows, list):
        raise ProviderError("the answer is no list of batches", hint="is base_url right?", retryable=True)
    return rows


def way_on(told: Mapping[str, Any], key: str) -> str | None:
    """What the next page is asked for with; None at the end. Raises ProviderError for what is neither text nor number: it is no end."""
    token = told.get(key)
    if token is None or token == "":
        return None
    if not isinstance(token, str | int):
        raise ProviderError("the list of batches does not say in known words whether it goes on", where=key, retryable=True)
    return str(token)
