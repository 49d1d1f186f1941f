"""How long a lane takes by what its config assumes of the provider. Pure; seconds throughout."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from batchtrial.config.queue_limits import QueueLimits
from batchtrial.phases.build.queue_room import HOUR, QueueRoom


class Load(NamedTuple):
    """A part as far as its duration goes."""

    model: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Duration:
    """seconds: until the last batch has ended. least: what no order of sending could beat: all work of a model at its speed, or the longest part.
    bound_by: the setting that the parts waited for longest; empty when none waited."""

    seconds: float
    least: float
    bound_by: str


def expected(parts: Sequence[Load], limits: QueueLimits | None, most_jobs: int) -> Duration:
    """Play the parts, in this order, through the queue's own rule against a provider that works off each model's batches one behind the other.

    A batch takes `batch_seconds` and, at a known speed, what its tokens take after those before it.
    """
    given = limits or QueueLimits()
    room, now, last_end = QueueRoom(given, most_jobs), 0.0, 0.0
    waiting: dict[str, deque[tuple[int, int]]] = defaultdict(deque)
    for place, part in enumerate(parts):
        waiting[part.model].append((place, part.tokens))
    busy_until: dict[str, float] = defaultdict(float)
    ends: list[tuple[float, str, int]] = []
    waits: dict[str, float] = defaultdict(float)
    while any(waiting.values()):
        ready = sorted((queue[0][0], model) for model, queue in waiting.items() if queue and room.has(model, queue[0][1]))
        if ready and room.opens_at(now) <= now:
            model = ready[0][1]
            tokens = waiting[model].popleft()[1]
            speed = given.speed(model)
            begin = max(now, busy_until[model])
            busy_until[model] = begin + (tokens / speed * HOUR if speed else 0.0)
            end = max(now + given.batch_seconds, busy_until[model])
            room.enter(model, tokens)
            room.note_made(now)
            heapq.heappush(ends, (end, model, tokens))
            last_end = max(last_end, end)
            continue
        why = "creates_per_hour" if ready else "max_concurrent_jobs" if room.is_full else "enqueued_tokens"
        until = min([end for end, *_ in ends[:1]] + ([room.opens_at(now)] if ready else []))
        waits[why] += until - now
        now = until
        while ends and ends[0][0] <= now:
            _, model, tokens = heapq.heappop(ends)
            room.leave(model, tokens)
    return Duration(seconds=last_end, least=least(parts, given), bound_by=max(waits, key=waits.__getitem__) if waits else "")


def least(parts: Sequence[Load], limits: QueueLimits) -> float:
    """Seconds that no order of sending could beat: the work of one model at its speed, or the longest part."""
    work: dict[str, float] = defaultdict(float)
    longest = limits.batch_seconds if parts else 0.0
    for part in parts:
        speed = limits.speed(part.model)
        seconds = part.tokens / speed * HOUR if speed else 0.0
        work[part.model] += seconds
        longest = max(longest, seconds)
    return max([longest, *work.values()])
