"""The direct lane: what it is to send, find, look at and fetch a batch whose rows this program asks itself, each written down in a journal.

There is no batch at the provider: it is the journal in the run's folder. So an attempt is found, or proved absent, by looking there; a process that
is killed goes on row by row; and what may have been paid twice is counted by it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from batchtrial.direct.asking import Host, is_spent, is_there
from batchtrial.direct.executor import Executor
from batchtrial.direct.hopeless import is_no_api
from batchtrial.direct.journal import BrokenJournal, Journal
from batchtrial.direct.pace import Tempo
from batchtrial.direct.records import GONE, Answer, Row, error_of
from batchtrial.errors import AuthFailed, NotFound, ProviderError, RateLimited, StateError
from batchtrial.providers.base import KEY_CHECK, MAYBE_PAID_TWICE, BatchState, BatchStatus, Intent, Limits, Provider, Sightings, SpeaksFor, key_check
from batchtrial.providers.direct.forms import Form, custom_id_of

PREFIX = "direct-"
"""What the ids of this lane's batches begin with."""
POLL_SECONDS = 1.0
LOOK_SECONDS = 0.2
"""How long a look waits for the end: no look costs anything here."""
DRAIN_SECONDS = 20.0
RESUME = "rows that were answered are kept; resume the run when this is put right"


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectSettings:
    """What the lane needs to know. tier: asked for in each request, "" for none. folder: of journals. root: the run's.

    key_hint: what to do when the key is refused.
    """

    host: Host
    form: Form
    tier: str = ""
    folder: Path
    root: Path
    concurrency: int
    key: str | None = field(default=None, repr=False)
    key_hint: str = ""
    tempo: Tempo = field(default_factory=Tempo)
    seed: int = 0


@dataclass(slots=True)
class _Rows:
    """The rows of a batch that have no answer yet, read from its payload as they are needed."""

    name: str
    journal: Journal
    payload: Path
    form: Form
    tier: str

    def rows(self) -> Iterator[Row]:
        todo = self.journal.open_rows()
        wanted = next(todo, None)
        with self.payload.open("rb") as lines:
            for number, line in enumerate(lines):
                if number == wanted:
                    yield self.form.row(number, line, self.journal.about.get("model", ""), self.tier)
                    wanted = next(todo, None)

    def is_wanted(self) -> bool:
        return True

    def asked(self, row: int) -> None:
        self.journal.asked(row)

    def turned_away(self, row: int) -> None:
        self.journal.turned_away(row)

    def lost(self, row: int) -> None:
        self.journal.lost(row)

    def answered(self, row: int, answer: Answer) -> None:
        self.journal.answered(row, answer)

    async def commit(self) -> None:
        await self.journal.commit()


class DirectProvider(SpeaksFor):
    """One synchronous API, asked by this process."""

    def __init__(self, codec: Provider, settings: DirectSettings) -> None:
        super().__init__(codec)
        self.settings = settings
        self._journals: dict[str, Journal] = {}
        self._executor: Executor | None = None
        self._away: tuple[str, ProviderError] | None = None
        """Of a server that is away: why, and the batch at whose looks it is tried again; nothing is asked meanwhile."""

    @property
    def limits(self) -> Limits:
        return replace(self._codec.limits, find_rounds=1, has_labels=True, may_vanish=False, poll_seconds=POLL_SECONDS)

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """Open a journal for the attempt and begin to ask; returns at once."""
        name = PREFIX + intent.token
        if not self._path(name).exists():
            about = {
                "part": intent.part,
                "model": intent.model,
                "payload": os.path.relpath(payload, self.settings.root),
                "payload_sha256": intent.payload_sha256,
            }
            self._journals[name] = Journal.create(self._path(name), intent.n_requests, about)
        self._go_on(name)
        return name

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """The attempt's journal: what has none was never asked for."""
        name = PREFIX + intent.token
        return (name,) if self._path(name).exists() else ()

    def check(self, batch_id: str) -> BatchStatus:
        """How far the rows are; asking goes on when it does not.

        Raises NotFound, AuthFailed, RateLimited, StateError; a retryable ProviderError, for one batch alone, where the server is away.
        """
        journal = self._journal(batch_id)
        if self._away is not None and self._away[0] == batch_id:
            if not is_there(self._host):
                raise self._away[1]
            self._away = None
        if not journal.is_whole and self._go_on(batch_id):
            self._wait(journal)
        state = BatchState.COMPLETED if journal.is_whole else BatchState.RUNNING
        told = {MAYBE_PAID_TWICE: str(journal.n_maybe_twice)} if journal.is_whole and journal.n_maybe_twice else {}
        return BatchStatus(state=state, wire_state=state.value, n_total=journal.n_rows, n_done=journal.n_answered, ids=told)

    def n_open(self, batch_id: str) -> int:
        """Rows without an answer on the disk; nothing is asked. Raises NotFound, StateError."""
        journal = self._journal(batch_id)
        return journal.n_rows - journal.n_answered

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """A result line for each row, in the order of the requests."""
        journal = self._journal(batch_id)
        if not journal.is_whole:
            raise ProviderError("its rows are still being asked", where=batch_id, retryable=True)
        with self._payload(journal).open("rb") as lines:
            for line, (_, answer) in zip(lines, journal.answers(), strict=True):
                yield self.settings.form.line(custom_id_of(line), answer)

    def cancel(self, batch_id: str) -> None:
        """Nothing: an attempt has one journal, so there is no second one to stop."""

    def account(self, salt: str) -> Mapping[str, str] | None:
        """The check of the key; a synchronous API names no account."""
        return {KEY_CHECK: key_check(self.settings.key or "", salt)}

    def holds(self, file_id: str) -> bool:
        return False

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        return Sightings(has_list=False)

    def close(self) -> None:
        """Ask nothing more, wait a moment for the answers under way, and let the others go."""
        if self._executor is not None:
            self._executor.close(DRAIN_SECONDS)
            self._executor = None
        for journal in self._journals.values():
            journal.close()
        self._journals.clear()

    def _path(self, name: str) -> Path:
        return self.settings.folder / f"{name}.jsonl"

    def _payload(self, journal: Journal) -> Path:
        return self.settings.root / journal.about.get("payload", "")

    def _journal(self, name: str) -> Journal:
        if not name.startswith(PREFIX):
            hint = "a run that was begun with batches keeps `lane: batch`; a `local` run of an earlier version is finished with that version"
            raise StateError(f"the batch {name} was not made by the direct lane", where=name, hint=hint)
        if name not in self._journals:
            try:
                self._journals[name] = Journal(self._path(name))
            except FileNotFoundError:
                raise NotFound("its journal is gone", where=self._path(name).name) from None
            except BrokenJournal as error:
                raise StateError(str(error), where=str(self._path(name)), hint="put the file back from a copy; nothing was asked") from None
        return self._journals[name]

    def _go_on(self, name: str) -> bool:
        """Have the open rows asked, if they are not; False where they wait for the server to be back."""
        if self._away is not None:
            return False
        executor = self._running()
        if executor.is_under_way(name):
            return True
        journal = self._journal(name)
        payload = self._payload(journal)
        if not payload.is_file() or _sha256(payload) != journal.about.get("payload_sha256"):
            raise StateError("the requests are not as they were when their first row was asked", where=str(payload), hint="put the file back")
        journal.begin()
        executor.add(_Rows(name, journal, payload, self.settings.form, self.settings.tier))
        return True

    @property
    def _host(self) -> Host:
        one = self.settings
        return replace(one.host, url=one.host.url.rstrip("/") + one.form.root)

    def _running(self) -> Executor:
        if self._executor is None:
            one = self.settings
            self._executor = Executor(self._host, one.concurrency, tempo=one.tempo, seed=one.seed, may_halt=True)
        return self._executor

    def _wait(self, journal: Journal) -> None:
        executor = self._running()
        executor.wait(lambda: journal.is_whole, LOOK_SECONDS)
        if executor.failure is not None:
            raise StateError(f"the journal cannot be written: {executor.failure}", where=str(journal.path), hint="make room; then resume the run")
        if executor.halted is not None and not journal.is_whole:
            executor.close(DRAIN_SECONDS)  # so that no row is asked by two
            self._executor = None
            if not executor.is_away:
                raise self._why_halted(executor.halted)
            self._away = journal.path.stem, self._why_away(executor.halted)
            raise self._away[1]

    def _why_halted(self, answer: Answer) -> ProviderError:
        if is_spent(answer):
            return RateLimited(f"the account has no money left: {self._words(answer)}", where=self.settings.host.url, hint=RESUME)
        if is_no_api(answer):
            return AuthFailed(self._words(answer), where=self.settings.host.url, hint=RESUME)
        return AuthFailed(f"the key was refused: {self._words(answer)}", where=self.settings.host.url, hint=f"{self.settings.key_hint}; {RESUME}")

    def _why_away(self, answer: Answer) -> ProviderError:
        status = "" if answer.status == GONE else f"HTTP {answer.status}: "
        return ProviderError(f"the server is away: {status}{self._words(answer)}", where=self.settings.host.url, hint=RESUME, retryable=True)

    def _words(self, answer: Answer) -> str:
        words = str((error_of(answer) or {}).get("message"))
        return (words.replace(self.settings.key, "***") if self.settings.key else words)[:500]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
