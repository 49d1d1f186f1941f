"""Batches that another process made for this run: from a copy of its folder, or before the folder was put back from a backup.

Tokens are made of the run's random digits, the part and the attempt, so a copy gives its batches the tokens that they would have here. A process that
did not begin the run lists the account before it first sends, and adopts what it finds. Two copies at work at once cannot see each other before both
have sent: each looks after its receipts, the older batch is kept by both, the younger one cancelled and written down with what it may have cost.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

from batchtrial.amounts import counted
from batchtrial.errors import PhaseFailed, ProviderError
from batchtrial.keys import OUT, token
from batchtrial.phases.base import Work
from batchtrial.phases.batches.account import asking_again_later
from batchtrial.phases.batches.backoff import Backoff, Wait
from batchtrial.phases.batches.parts import Job, Parts
from batchtrial.providers.base import BatchState, BatchStatus, Intent, Provider, Sightings
from batchtrial.state.duplicates import DUPLICATE
from batchtrial.state.lanes import lane_of
from batchtrial.state.ledger import LOOKED, SESSION, Attempt, PartRecord, listable
from batchtrial.state.machine import Event, PartState

log = logging.getLogger(__name__)
LAST_LOOKS = 5
"""Listings at the end of a run, at most, until one answers and shows the batches that are known here."""
MOST_REFUSALS = 20
"""Attempts beside `max_attempts` that a queue may have refused elsewhere for being full; what was refused is not paid, what came after it may be."""
HELD = "look at that batch in the provider's console; run again with --resume once it has ended"


class Copies:
    """What others sent, found by listing."""

    def __init__(self, work: Work, provider: Provider, parts: Parts) -> None:
        self._work, self._provider, self._parts, self._standing = work, provider, parts, work.standing
        self._to_look: dict[str, Job] = {}  # parts with a receipt since the last listing
        self._listing = Backoff()
        self._unread: frozenset[str] = frozenset()  # at the last listing, of a size that was asked about
        self._is_told = False

    # Before sending

    def survey(self, jobs: Iterable[Job]) -> None:
        """Learn which of the waiting parts were sent from elsewhere, each attempt once; there is nothing to learn when this process began the run."""
        standing, limits = self._standing, self._provider.limits
        if self._work.ledger.is_begun_here and not standing.is_elsewhere:
            return
        fresh = [job for job in jobs if (job.shard.part, self._parts.record(job).next_attempt) not in standing.surveyed]
        wanted = dict(map(self._next, fresh))
        if not wanted:
            return
        standing.wanted |= wanted
        # A list may lag: where somebody is known to have worked elsewhere, it is asked again after a while.
        rounds = limits.find_rounds if standing.is_elsewhere and not standing.surveyed else 1
        for number in range(rounds):
            if number:
                self._work.stop.sleep(limits.find_wait_seconds * 2 ** (number - 1))
            seen = asking_again_later(self._work, "cannot list the batches", lambda: self._list(wanted, whole=True))
            for size, ids in self._unexplained(seen.unread).items():
                standing.unread.setdefault(size, ids)
            for size, ids in self._unexplained(seen.nameless).items():
                standing.nameless.setdefault(size, ids)
        standing.surveyed |= {(job.shard.part, self._parts.record(job).next_attempt) for job in fresh}
        n = len(standing.sighted & wanted.keys())
        if n:
            self._work.progress.note(
                f"{counted(n, 'part that waits', 'parts that wait')} here had been sent from elsewhere; the batches are taken over"
            )

    def _unexplained(self, seen: Mapping[int, frozenset[str]]) -> Mapping[int, frozenset[str]]:
        """Batches that may be a copy's: as many as our own calls in doubt are ours, unless somebody is known to have worked elsewhere."""
        if self._standing.is_elsewhere:
            return seen
        doubted = Counter(r.current.n_requests for r in self._work.records().values() if r.state is PartState.SUBMITTING and r.current is not None)
        return {size: ids for size, ids in seen.items() if len(ids) > doubted[size]}

    def was_sent(self, mark: str, n_requests: int) -> bool:
        """Whether the provider showed a batch with this token, or one of that size whose token nobody can read."""
        return mark in self._standing.sighted or bool(self._standing.nameless.get(n_requests))

    def must_wait(self, job: Job, n_requests: int) -> bool:
        """Whether a batch that still runs may be this part's, sent from elsewhere. Asks again at most once a poll.

        Raises PhaseFailed after `give_up_hours`, and when the batches cannot be listed.
        """
        standing, now, submission = self._standing, self._work.now(), self._work.config.submission
        poll = timedelta(seconds=submission.poll_seconds)
        if not standing.unread.get(n_requests):
            job.held.ends()
            return False
        if not self._listing.is_due(now):
            return True
        if standing.listed_at is None or now - standing.listed_at >= poll:
            try:
                # Once none of that size is unread there is no listing any more, so this one asks for every part that has been waiting.
                seen = self._list(standing.wanted | dict([self._next(job)]), whole=True)
            except ProviderError as error:
                if not error.retryable:
                    raise
                self._listing.after(error, "cannot list the batches", now, self._work.progress.note)
                return True
            self._listing = Backoff()
            told = standing.unread[n_requests] & seen.nameless.get(n_requests, frozenset())
            standing.nameless[n_requests] = standing.nameless.get(n_requests, frozenset()) | told
            standing.unread[n_requests] &= seen.unread.get(n_requests, frozenset())
        waits = standing.unread[n_requests]
        if waits and not self._is_told:
            self._is_told = True
            self._work.progress.note(
                f"{len(waits)} batches of {n_requests} requests run in this workspace that may be those of a copy of this run: "
                "parts of that size wait until they have ended, a day at most"
            )
        if waits:
            what = f"{job.shard.part} has waited for {submission.give_up_hours:g} hours because a copy of this run may have sent it as {min(waits)}"
            job.held.goes_on(now, submission.give_up_hours, what, HELD)
        return bool(waits)

    # After sending

    def received(self, job: Job) -> None:
        """A batch has just been made for this part: look for a second one at the next occasion."""
        self._to_look[job.shard.part] = job

    def look(self) -> None:
        """One listing for all parts sent since the last one."""
        if not self._to_look:
            return
        try:
            shown = self._settle(self._to_look.values(), whole=False)
        except ProviderError as error:
            if not error.retryable:
                raise
            log.warning("cannot look for second batches: %s", error.what)
            return
        # A list that does not show our own batch yet may lag with the other one too.
        self._to_look = {part: job for part, job in self._to_look.items() if shown is not None and self._parts.current(job).batch_id not in shown}

    def take_over(self, jobs: Iterable[Job]) -> None:
        """Parts that left as files here, and that somebody had sent before this folder was put back: their batches are waited for instead."""
        out = [job for job in jobs if self._parts.is_out(job)]
        if out and (not self._work.ledger.is_begun_here or self._standing.is_elsewhere):
            asking_again_later(self._work, "cannot list the batches", lambda: self._settle(out, whole=True))

    def has_older(self, job: Job) -> bool:
        """Whether a copy of the run made an older batch for this attempt, which is waited for from now on. Raises ProviderError.

        Asked when our own was cancelled: the copy did that, since it keeps the older one, and what it cancelled must not be bought by a new attempt.
        """
        ours = self._parts.current(job).batch_id
        self._settle([job], whole=True)
        return self._parts.current(job).batch_id != ours

    def look_at_all(self, jobs: Iterable[Job]) -> None:
        """At the end of a run: every batch that anybody made for it, and a line of the ledger that says so.

        Of two copies at work at once both may send their last part and end, each before the other one's batch was there: whoever ends last has to
        look, so a run whose process died before the line is written is not done. What cannot be listed is told, and ends no run.
        """
        sent = [job for job in jobs if self._parts.record(job).attempts]
        ours = {one.batch_id or "" for one in listable(self._parts.record(job) for job in sent) if not (one.is_gone or one.is_rejected)}
        problem = None
        for number in range(LAST_LOOKS):
            if number:
                self._work.stop.sleep(self._provider.limits.find_wait_seconds * 2 ** (number - 1))
            try:
                shown = self._settle(sent, whole=True, at_end=True)
                if shown is None:
                    self._ask_for_later(sent)
            except ProviderError as error:
                log.warning("cannot look for second batches: %s", error.what)
                problem = f"the account's batches cannot be listed: {error.what}"
                if not error.retryable:
                    break
                continue
            unseen = ours - shown if shown is not None else set()
            problem = f"the account's list lacks {counted(len(unseen), 'batch', 'batches')} of this run" if unseen else None
            if problem is None:
                break
        problem = problem or self._until_readable(sent)
        if problem is not None:
            self._work.progress.note(f"note: whether a copy of this run bought anything a second time could not be seen: {problem}")
        named = None if self._work.is_own else {"lane": self._work.lane}
        self._work.ledger.append(LOOKED, n_batches=len(listable(self._work.records().values())), reason=problem, detail=named)

    def _until_readable(self, sent: list[Job]) -> str | None:
        """Wait, where a copy is known of, until batches that run on and may be second ones tell whose they are; in words, what could not be told."""
        submission, wait, is_told = self._work.config.submission, Wait(), False
        while self._unread and self._is_copy_known():
            ids = ", ".join(sorted(self._unread)[:3])
            what = f"{counted(len(self._unread), 'batch', 'batches')} that may be a copy's ran for {submission.give_up_hours:g} hours: {ids}"
            try:
                wait.goes_on(self._work.now(), submission.give_up_hours, what, HELD)
                if not is_told:
                    is_told = True
                    self._work.progress.note(f"{ids} may have been sent by a copy of this run: it waits until they have ended, a day at most")
                self._work.stop.sleep(submission.poll_seconds)
                self._settle(sent, whole=True, at_end=True)
            except PhaseFailed as error:
                return error.what
            except ProviderError as error:
                log.warning("cannot look for second batches: %s", error.what)
                if not error.retryable:
                    return f"the account's batches cannot be listed: {error.what}"
        return None

    def _is_copy_known(self) -> bool:
        """Whether somebody worked on the run elsewhere, by this process or by the ledger: who waits at the end may be killed and resumed."""
        lane = None if self._work.is_own else self._work.lane
        sessions = [note for note in self._work.ledger.notes if note.event == SESSION and lane_of(note) == lane]
        places = [(note.detail or {}).get("place") for note in sessions]
        is_met = any(record.duplicates for record in self._work.records().values())
        return self._standing.is_elsewhere or is_met or any(place != places[0] for place in places)

    def _settle(self, jobs: Iterable[Job], *, whole: bool, at_end: bool = False) -> frozenset[str] | None:
        """Every batch that the listing showed of these parts, once second ones are settled; None where there is nothing to list."""
        jobs = list(jobs)
        attempts = {one.token: (job, one) for job in jobs for one in self._parts.record(job).attempts if one.token and one.batch_id}
        if not attempts:
            return None
        later = {mark: (job, number) for job in jobs for mark, number in self._later(job)} if at_end else {}
        sizes = {mark: _most_again(self._parts.record(job)) for mark, (job, _) in later.items()}
        seen = self._list({mark: one.n_requests for mark, (_, one) in attempts.items()} | sizes, whole=whole)
        for mark, ids in seen.by_token.items():
            if mark in later:
                self._write_unknown(*later[mark], ids)
                continue
            job, attempt = attempts[mark]
            is_out = (attempt.batch_id or "").startswith(OUT)  # it left as a file here, and a copy sent it
            if is_out or (attempt.batch_id in ids and len(ids) > 1):
                self._settle_one(job, attempt, ids)
        return frozenset(batch_id for ids in seen.by_token.values() for batch_id in ids) if seen.has_list else None

    def _later(self, job: Job) -> Iterator[tuple[str, int]]:
        """Token and number of the attempts that this ledger does not know: a folder put back from a backup may have sent them before."""
        for number in range(self._parts.record(job).next_attempt, self._work.config.submission.max_attempts + MOST_REFUSALS + 1):
            yield token(self._work.ledger.run_nonce or "", job.shard.part, number), number

    def _ask_for_later(self, jobs: Iterable[Job]) -> None:
        """Where nothing is listed: attempts after one whose batch is gone or whose answers may have been brought, each asked for by its token.

        After any other the queue asks for the next attempt itself: what failed where it was sent has failed here too.
        """
        is_by_hand = self._work.layout.arrivals.exists()
        for job in jobs:
            current, part = self._parts.current(job), job.shard.part
            for mark, number in self._later(job) if is_by_hand or current.is_gone else ():
                intent = Intent(
                    part=part,
                    attempt=number,
                    token=mark,
                    payload_sha256="",
                    n_requests=current.n_requests,
                    created_at=current.created_at,
                    model=job.arm.model,
                )
                found = self._provider.find(intent, self._work.batches())
                if not found:
                    break
                self._write_unknown(job, number, found)

    def _write_unknown(self, job: Job, number: int, ids: Iterable[str]) -> None:
        """Cancel and write down batches of an attempt that nobody here knows of and that is not needed any more. Raises ProviderError."""
        record = self._parts.record(job)
        first = next((one for one in record.attempts if one.reserved_usd and one.n_requests), None)
        known = {one.batch_id for one in record.duplicates} | self._owned().keys()
        for batch_id in ids:
            if batch_id in known:
                continue
            status, what = self._end(batch_id)
            n_requests = status.n_total or _most_again(record)
            self._work.progress.note(f"WARNING: {job.shard.part} had been sent again where this folder was before; {batch_id} {what}")
            self._work.ledger.append(
                DUPLICATE,
                job.shard.part,
                attempt=number,
                batch_id=batch_id,
                n_requests=n_requests,
                reserved_usd=first.reserved_usd * n_requests / first.n_requests if first is not None else None,
                retryable=_is_cancelled(status),
                reason=f"attempt {number} is not in this ledger, and its rows came another way; this one {what}",
            )

    def _settle_one(self, job: Job, attempt: Attempt, ids: tuple[str, ...]) -> None:
        """Keep the oldest of several batches for one attempt. One that has brought its results stays, whoever was first: both were paid."""
        known = {one.batch_id for one in self._parts.record(job).duplicates}
        is_waiting = self._parts.state(job) is PartState.SUBMITTED and attempt is self._parts.record(job).current
        is_open = is_waiting and (attempt.batch_id in ids or self._parts.is_out(job))
        keep = ids[0] if is_open else attempt.batch_id or ""
        for batch_id in ids:
            if batch_id != keep and batch_id not in known:
                self.drop(job, attempt, batch_id, keep)
        if keep != attempt.batch_id:
            self._work.ledger.append(Event.REPLACED, job.shard.part, batch_id=keep, reason="a copy of the run had made it before")

    def drop(self, job: Job, attempt: Attempt, batch_id: str, keep: str) -> None:
        """Cancel a second batch and write it down. Raises ProviderError, and finds it again then."""
        part = job.shard.part
        self._standing.is_elsewhere = True  # from now on this process looks before it sends
        status, what = self._end(batch_id)
        log.error("two batches for one token: part=%s keeps %s, drops %s", part, keep, batch_id)
        self._work.progress.note(f"WARNING: {part} was sent twice, by two copies of this run; {keep} is kept, {batch_id} {what}")
        self._work.ledger.append(
            DUPLICATE,
            part,
            attempt=attempt.number,
            batch_id=batch_id,
            n_requests=attempt.n_requests,
            reserved_usd=attempt.reserved_usd,
            retryable=_is_cancelled(status),
            reason=f"{keep} is kept; this one {what}",
        )

    def _end(self, batch_id: str) -> tuple[BatchStatus, str]:
        """How a batch stood before it was cancelled, and what became of it in words. Raises ProviderError."""
        status = self._provider.check(batch_id)
        if status.state is BatchState.CANCELLED:
            return status, "had been cancelled"
        if status.state.is_terminal:
            return status, "had ended already"
        self._provider.cancel(batch_id)
        return status, "is cancelled"

    # The list

    def _list(self, wanted: dict[str, int], *, whole: bool) -> Sightings:
        """whole: back to the beginning of the run, else to the last listing."""
        standing, now = self._standing, self._work.now()
        begun = min((note.at for note in self._work.ledger.notes), default=now)
        self._work.hook("call:list:before")
        seen = self._provider.sightings(wanted, self._owned(), begun if whole or standing.listed_at is None else standing.listed_at)
        standing.listed_at = now
        standing.sighted |= seen.by_token.keys()
        self._unread = frozenset(batch_id for ids in seen.unread.values() for batch_id in ids)
        return seen

    def _owned(self) -> dict[str, str]:
        return {a.batch_id: a.token for part in self._work.records().values() for a in part.attempts if a.batch_id}

    def _next(self, job: Job) -> tuple[str, int]:
        """Token and requests of the part's next attempt."""
        record = self._parts.record(job)
        mark = token(self._work.ledger.run_nonce or "", job.shard.part, record.next_attempt)
        return mark, job.shard.lines if record.next_attempt == 1 else len(self._parts.rows_again(job))


def _is_cancelled(status: BatchStatus) -> bool:
    """Of a batch that stood so before it was ended: whether it was cancelled while running, by this copy of the run or by the other."""
    return not status.state.is_terminal or status.state is BatchState.CANCELLED


def _most_again(record: PartRecord) -> int:
    """How many rows an attempt after the last known one asks: those that have not succeeded."""
    last = record.current
    if last is None or last.counts is None:
        return last.n_requests if last is not None else 0
    return last.n_requests - last.counts.succeeded
