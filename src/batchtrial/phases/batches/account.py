"""Whose account the key belongs to: proved once a process, before anything is sent, looked at or given up.

Another account knows nothing of the run's batches, so what it does not know says nothing about them, and what is sent there is paid for again.
Proof is a batch or an input file of the run that the account shows. Where it shows none, the same key as before will do, or the account that the wire
itself names; a key that differs, and proves nothing, is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from batchtrial.config.expand import lanes_of_arms
from batchtrial.config.lanes import is_direct
from batchtrial.errors import AuthFailed, NotFound, OtherAccount, ProviderError, StateError, Unsure
from batchtrial.keys import OUT, arm_of_part
from batchtrial.phases.base import Work
from batchtrial.phases.batches.backoff import Backoff
from batchtrial.phases.batches.elsewhere import asked_elsewhere, is_moved
from batchtrial.providers.base import KEY_CHECK, Intent, Provider, asked_of
from batchtrial.state.ledger import SESSION, Attempt, read
from batchtrial.state.lock import place_of
from batchtrial.state.machine import Event, PartState

log = logging.getLogger(__name__)
T = TypeVar("T")

PROBES = 4
"""Batches, and as many input files, that are asked for before the account is said to know none of them: the newest, for old ones may be gone."""
WHOLE = "account"
"""A name that says all: two keys that it is told of are of one account."""
UNKNOWN = "unknown-"
"""What the id of a batch begins with whose own is lost."""
HINT = (
    "use the key that the run was started with, or another one of the same account, project and workspace; "
    "nothing was sent, and the run goes on with that key"
)


def prove(work: Work) -> None:
    """Return when the account that would be asked is the run's. Raises StateError when it is another one's, ProviderError, Stopped."""
    standing, provider, ledger = work.standing, work.provider(), work.ledger
    if standing.is_proved:
        return
    told = asking_again_later(work, "cannot ask the provider", lambda: provider.account(ledger.run_nonce or ""))
    if told is not None:
        last = ledger.last_session(None if work.is_own else work.lane)
        detail = last.detail if last is not None and last.detail is not None else {}
        place = place_of(work.layout.root, work.layout.ledger, ledger.run_nonce or "")
        before = dict(detail.get("place") or {})
        standing.is_elsewhere = bool(before) and before != place
        is_other_place = is_moved(before, place)
        elsewhere = asked_elsewhere(work) if is_other_place else {}  # before the check, which looks at batches: a direct lane's go on by that
        _check(work, provider, told, {str(name): str(value) for name, value in dict(detail.get("account") or {}).items()})
        if is_other_place:
            _tell(work, before, place)
        named = {} if work.is_own else {"lane": work.lane}
        ledger.append(SESSION, detail={"account": dict(told), "place": place, **elsewhere, **named})
    standing.is_proved = _witness(work, provider) is asked_of(provider)  # else again before anything is sent


def was_called(ledger: Path) -> bool:
    """Whether any process of the run has asked a provider for something: only then can a call of it have arrived."""
    entries = read(ledger).entries
    return any(one.event == SESSION or (one.event == Event.RECEIPT and not (one.batch_id or "").startswith(OUT)) for one in entries)


def asking_again_later(work: Work, what: str, call: Callable[[], T]) -> T:
    """The call's answer; waits and asks again, longer each time, while the provider is away. Raises ProviderError, PhaseFailed, Stopped."""
    backoff = Backoff()
    while True:
        try:
            return call()
        except Unsure:
            raise
        except ProviderError as error:
            if not error.retryable or work.lane is not None:  # other lanes do not wait for this one
                raise
            backoff.after(error, what, work.now(), work.progress.note)
            while not backoff.is_due(work.now()):
                work.stop.sleep(_seconds(backoff, work))


def _seconds(backoff: Backoff, work: Work) -> float:
    return max(0.0, ((backoff.not_before or work.now()) - work.now()) / timedelta(seconds=1))


def _check(work: Work, provider: Provider, told: Mapping[str, str], before: Mapping[str, str]) -> None:
    sent = list(_sent(work))
    if sent and told.get(WHOLE) != before.get(WHOLE, told.get(WHOLE)):
        _refuse(work, f"the run was started with the account {before[WHOLE]}, and {told.get(WHOLE)} is asked now")
    doubted = [attempt for attempt in sent if attempt.batch_id is None]
    owned = [attempt for attempt in sent if attempt.batch_id is not None]
    if not sent or any(_sees(work, provider, attempt) for attempt in owned[:PROBES]):
        return
    if any(_holds(work, provider, attempt) for attempt in [*doubted, *owned][:PROBES]):
        return
    other = [name for name in sorted(before) if name != KEY_CHECK and name in told and told[name] != before[name]]
    if other:
        names = ", ".join(f"{name} {before[name]}, now {told[name]}" for name in other)
        _refuse(work, f"this key belongs to another account than the run was started with ({names})")
    if WHOLE in told and WHOLE in before:
        return
    if KEY_CHECK in told and told[KEY_CHECK] == before.get(KEY_CHECK):
        return
    if not owned and (not before or any(_finds(work, provider, attempt) for attempt in doubted)):
        return
    ids = ", ".join(attempt.batch_id or "" for attempt in owned[:2])
    known = f"knows no batch of this run: {ids}" if owned else "does not show the call that is in doubt, and the key is not the one that made it"
    _refuse(work, f"the provider {known}")


def _sent(work: Work) -> Iterator[Attempt]:
    """Attempts that this run's own account has, or may have, the newest first; behind them those of arms that are asked no more, such as a judge's
    who was replaced: nobody says at which provider they were."""
    known = lanes_of_arms((*work.view.trials, *work.view.beside)).keys()
    found = [
        (arm_of_part(record.part) in known, attempt.created_at, record.part, attempt)
        for record in work.records().values()
        for attempt in record.attempts
        if attempt.token and not attempt.is_lost and not (attempt.batch_id or attempt.file_id or "").startswith((OUT, UNKNOWN))
        if attempt.batch_id is not None or (attempt is record.current and record.state is PartState.SUBMITTING)
    ]
    return (attempt for *_, attempt in sorted(found, key=lambda one: one[:3], reverse=True))


def _witness(work: Work, provider: Provider) -> Provider:
    """Whoever says that the account has a batch: itself. While every part is settled nothing can be sent, and files that somebody brought will do."""
    build, records = work.view.build, work.records()
    is_over = build is not None and build.shards.keys() <= work.ledger.parts.keys()
    return provider if is_over and all(record.state is PartState.SETTLED for record in records.values()) else asked_of(provider)


def _sees(work: Work, provider: Provider, attempt: Attempt) -> bool:
    try:
        asking_again_later(work, "cannot look at the run's batches", lambda: _witness(work, provider).check(attempt.batch_id or ""))
    except (NotFound, StateError):  # the second: no batch that this lane can have made
        return False
    except AuthFailed as error:
        _refuse(work, f"the provider does not let this key see the batches of this run: {error.what}")
    return True


def _holds(work: Work, provider: Provider, attempt: Attempt) -> bool:
    file_id = attempt.file_id
    try:
        return file_id is not None and asking_again_later(work, "cannot look at the run's files", lambda: provider.holds(file_id))
    except AuthFailed as error:
        _refuse(work, f"the provider does not let this key see the files of this run: {error.what}")
        return False


def _finds(work: Work, provider: Provider, attempt: Attempt) -> bool:
    """Whether the batch of a call in doubt is shown to this key. A batch that may be it proves nothing."""
    intent = Intent(
        part="",
        attempt=attempt.number,
        token=attempt.token,
        payload_sha256=attempt.payload_sha256,
        n_requests=attempt.n_requests,
        created_at=attempt.created_at,
        model="",
        file_id=attempt.file_id,
    )
    try:
        return bool(asking_again_later(work, "cannot look for a batch", lambda: provider.find(intent, work.batches())))
    except Unsure:
        return False


def _refuse(work: Work, what: str) -> None:
    log.error("refused: %s", what)
    raise OtherAccount(what, where=work.config.backend, hint=HINT)


def _tell(work: Work, before: Mapping[str, str], place: Mapping[str, str]) -> None:
    """Say when the run is not where it was: a copy, a backup put back, another machine."""
    where = "on another machine" if before.get("host") != place["host"] else "in another folder"
    what = where if before.get("folder") != place["folder"] or before.get("host") != place["host"] else "before its files were put back"
    log.warning("the run was last worked on %s: %s, now %s", what, dict(before), dict(place))
    note = f"note: this run was last worked on {what}; batches that were sent from there are looked for before anything is sent"
    if is_direct(work.config) and work.config.is_live:
        note = f"note: this run was last worked on {what}; in the direct lane each copy asks its own rows, and knows nothing of the other's"
    work.progress.note(note)
