"""Whether a provider's queue has room for one more part, by the limits that the config tells. Pure: the queue asks it, and the plan plays it."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from batchtrial.config.queue_limits import QueueLimits

HOUR = 3_600.0


class QueueRoom:
    """Of one lane. Times are seconds of any one clock.

    A part that alone is larger than its model's limit goes when nothing else of that model is under way: whether it is too large, the provider says.
    """

    def __init__(self, limits: QueueLimits | None, most_jobs: int, made: Iterable[float] = ()) -> None:
        """made: when batches were made, in order."""
        self._limits, self._most_jobs = limits or QueueLimits(), most_jobs
        self._tokens: Counter[str] = Counter()
        self._n_jobs = 0
        self._made = deque(made)

    @property
    def is_full(self) -> bool:
        """No part at all may go, whatever its model."""
        return self._n_jobs >= self._most_jobs

    def opens_at(self, now: float) -> float:
        """When the next batch may be made by the hour's number of them; `now` or earlier: at once."""
        most = self._limits.creates_per_hour
        while self._made and self._made[0] <= now - HOUR:
            self._made.popleft()
        return now if most is None or len(self._made) < most else self._made[len(self._made) - most] + HOUR

    def has(self, model: str, tokens: int) -> bool:
        """Whether the batches under way leave room for this part."""
        most = self._limits.enqueued(model)
        return not self.is_full and (most is None or self._tokens[model] == 0 or self._tokens[model] + tokens <= most)

    def enter(self, model: str, tokens: int) -> None:
        """The part is under way."""
        self._tokens[model] += tokens
        self._n_jobs += 1

    def leave(self, model: str, tokens: int) -> None:
        """The part is under way no more."""
        self._tokens[model] -= tokens
        self._n_jobs -= 1

    def note_made(self, now: float) -> None:
        """A batch was made."""
        self._made.append(now)
