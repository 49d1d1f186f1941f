"""Batches that somebody carries: their requests leave as files, or their results come as files that no call of ours has fetched.

What arrived lies in a folder of the run, under the batch's id and the word in which the batch ended; for the queue it is the end of that batch and
its results. Everything else is the provider's own business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from batchtrial.errors import NotFound, Unsure
from batchtrial.keys import OUT
from batchtrial.providers.base import BatchState, BatchStatus, Intent, Limits, Provider, Sightings, SpeaksFor, asked_of

ENDS = {"completed": BatchState.COMPLETED, "cancelled": BatchState.CANCELLED}


def arrival(folder: Path, batch_id: str, end: str) -> Path:
    """Where the result lines of a batch lie that ended so."""
    return folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', batch_id)[-120:]}.{end}.jsonl"


class ByHand(SpeaksFor):
    """An adapter whose batches may be carried. Without a live provider nothing is called: what is submitted waits to be carried.

    was_asked: whether the run has ever asked a provider, and so may have sent what the ledger does not tell of.
    """

    def __init__(self, codec: Provider, live: Provider | None, folder: Path, *, was_called: Callable[[], bool] = lambda: True) -> None:
        super().__init__(codec)
        self._live, self._folder, self._was_asked = live, folder, was_called

    @property
    def limits(self) -> Limits:
        # The ledger alone says what became of a file, so one look is enough.
        return self._codec.limits if self._live is not None else replace(self._codec.limits, find_rounds=1)

    @property
    def asked(self) -> Provider:
        return super().asked if self._live is None else asked_of(self._live)

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """The provider's own way, or the id under which the payload is to be carried."""
        if self._live is not None:
            return self._live.submit(intent, payload, uploaded)
        uploaded(OUT + intent.token)
        return OUT + intent.token

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """A file of ours is known by the ledger. Raises Unsure when only the provider could say what became of a call."""
        if intent.file_id is not None and intent.file_id.startswith(OUT):
            return (intent.file_id,)
        if self._live is not None:
            return self._live.find(intent, owned)
        # The line of an upload is not fsynced: a power cut may have taken it, and the batch's receipt with it.
        if intent.file_id is None and not self._was_asked():
            return ()
        raise Unsure(f"{intent.part} may have reached the provider", where=intent.file_id or intent.token, hint="`batchtrial resume` asks it")

    def check(self, batch_id: str) -> BatchStatus:
        """Ended once its results have arrived."""
        for end, state in ENDS.items():
            if arrival(self._folder, batch_id, end).exists():
                return BatchStatus(state=state, wire_state=end)
        if batch_id.startswith(OUT) or self._live is None:
            return BatchStatus(state=BatchState.RUNNING, wire_state="carried")
        return self._live.check(batch_id)

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """The lines that arrived, else the provider's."""
        path = next((path for end in ENDS if (path := arrival(self._folder, batch_id, end)).exists()), None)
        if path is not None:
            with path.open("rb") as lines:
                yield from lines
        elif self._live is not None and not batch_id.startswith(OUT):
            yield from self._live.fetch(batch_id)
        else:
            raise NotFound("its results have not arrived", where=batch_id)

    def cancel(self, batch_id: str) -> None:
        """Only a provider's batch can be cancelled."""
        if self._live is not None and not batch_id.startswith(OUT):
            self._live.cancel(batch_id)

    def account(self, salt: str) -> Mapping[str, str] | None:
        return self._live.account(salt) if self._live is not None else None

    def holds(self, file_id: str) -> bool:
        return self._live is not None and self._live.holds(file_id)

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        return self._live.sightings(wanted, owned, since) if self._live is not None else Sightings(has_list=False)

    def close(self) -> None:
        if self._live is not None:
            self._live.close()
