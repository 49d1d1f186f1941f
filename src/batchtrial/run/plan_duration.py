"""How long each lane of a plan takes, by the limits and the speed that its config tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from batchtrial.config.lanes import config_of_lane, is_direct
from batchtrial.config.model import Config
from batchtrial.config.queue_limits import QueueLimits
from batchtrial.phases.build.duration import Load, expected

WAITS_FOR = {
    "max_concurrent_jobs": "submission.max_concurrent_jobs",
    "enqueued_tokens": "provider.queue.enqueued_tokens",
    "creates_per_hour": "provider.queue.creates_per_hour",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneDuration:
    """seconds: expected. least_seconds: what no order of sending could beat. bound_by: the setting that parts wait for longest, or empty.

    doubts: what in the limits does not fit the run.
    """

    backend: str
    seconds: float
    least_seconds: float
    bound_by: str
    assumed: str
    doubts: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        waits = f", parts wait longest for {self.bound_by}" if self.bound_by else ""
        return f"about {hours(self.seconds)} at {self.backend}, {hours(self.least_seconds)} at best{waits}; assumed: {self.assumed}"


def hours(seconds: float) -> str:
    """`3.5 h`, `20 min`."""
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min"


def lane_durations(config: Config, bought: Sequence[tuple[str, str, int]], sizes: Sequence[int], asked: set[str]) -> Iterator[LaneDuration]:
    """Of every lane that has batches. bought: (backend, model, prompt tokens) of each arm that is bought, in order. sizes: items of each slice.

    asked: every model that the run asks, judges too.
    """
    n_items = max(1, sum(sizes))
    for backend in dict.fromkeys(backend for backend, _, _ in bought):
        lane = config_of_lane(config, backend)
        if is_direct(lane):
            continue
        mine = [(model, tokens) for other, model, tokens in bought if other == backend]
        loads = [Load(model, -(-tokens * n // n_items)) for n in sizes for model, tokens in mine]
        queue = lane.provider.queue or QueueLimits()
        got = expected(loads, queue, config.submission.max_concurrent_jobs)
        speed = "" if queue.tokens_per_hour is None else " and its tokens at provider.queue.tokens_per_hour"
        yield LaneDuration(
            backend=backend,
            seconds=got.seconds,
            least_seconds=got.least,
            bound_by=WAITS_FOR.get(got.bound_by, ""),
            assumed=f"a batch takes {hours(queue.batch_seconds)}{speed}",
            doubts=tuple(_doubts(queue, loads, asked)),
        )


def _doubts(queue: QueueLimits, loads: Sequence[Load], asked: set[str]) -> Iterator[str]:
    """Parts that the queue never has room for, and limits of models that nobody asks: a name that is mistyped limits nothing."""
    for model in dict.fromkeys(load.model for load in loads):
        largest, limit = max(load.tokens for load in loads if load.model == model), queue.enqueued(model)
        if limit is not None and largest > limit:
            yield f"a part of about {largest:,} tokens is larger than {model}'s queue of {limit:,}: fewer lines_per_part"
    told = {model for limits in (queue.enqueued_tokens, queue.tokens_per_hour) if isinstance(limits, dict) for model in limits}
    if unasked := sorted(told - asked):
        yield f"provider.queue names {', '.join(unasked)}, which this run does not ask"
