"""Models whose queue the provider calls full: their parts wait, however long it takes, and no attempt of theirs counts.

The queue may be full of our own batches or of somebody else's in the same organization. Nothing was asked and nothing is paid, so waiting is right;
it ends when a batch of ours leaves room, when the next try is due, or, after `give_up_hours` in which none was taken, with the run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from batchtrial.errors import PhaseFailed
from batchtrial.phases.base import Work
from batchtrial.phases.batches.backoff import Backoff


@dataclass(slots=True)
class _Full:
    since: datetime
    tries: Backoff = field(default_factory=Backoff)


class FullQueues:
    """Of one lane."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._full: dict[str, _Full] = {}

    def is_open(self, model: str) -> bool:
        """Whether a part of this model may be tried now."""
        full = self._full.get(model)
        return full is None or full.tries.is_due(self._work.now())

    def refused(self, model: str, why: str, retry_after: float | None = None) -> None:
        """The provider says that it is full; the person watching is told the first time. Raises PhaseFailed after `give_up_hours` of that.

        retry_after: seconds, where the provider said so.
        """
        now, submission = self._work.now(), self._work.config.submission
        if model not in self._full:
            limit = "" if self._work.config.provider.queue else "; `provider.queue.enqueued_tokens` keeps below its limit"
            self._work.progress.note(f"the queue for {model} is full, its parts wait: {why}{limit}")
        full = self._full.setdefault(model, _Full(since=now))
        if now - full.since > timedelta(hours=submission.give_up_hours):
            raise PhaseFailed(
                f"the provider's queue for {model} has been full for {submission.give_up_hours:g} hours",
                where="submission.give_up_hours",
                hint="look at the account's limits and at who else uses it; run again with --resume when there is room",
            )
        full.tries.wait(now, submission.poll_seconds, retry_after)

    def left(self, model: str) -> None:
        """A batch of this model has ended: there is room."""
        if model in self._full:
            self._full[model].tries = Backoff()

    def taken(self, model: str) -> None:
        """The provider has taken a batch of this model and works on it."""
        self._full.pop(model, None)
