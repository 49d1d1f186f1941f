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
    """seconds: expected. least_seconds: what no order of sending could beat. bound_by: the setting that parts wait for longest, or empty."""

    backend: str
    seconds: float
    least_seconds: float
    bound_by: str
    assumed: str

    @property
    def sentence(self) -> str:
        waits = f", parts wait longest for {self.bound_by}" if self.bound_by else ""
        return f"about {hours(self.seconds)} at {self.backend}, {hours(self.least_seconds)} at best{waits}; assumed: {self.assumed}"


def hours(seconds: float) -> str:
    """`3.5 h`, `20 min`."""
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min"


def lane_durations(config: Config, bought: Sequence[tuple[str, str, int]], sizes: Sequence[int]) -> Iterator[LaneDuration]:
    """bought: (backend, model, prompt tokens) of each arm that is bought, in order. sizes: items of each slice. Direct lanes have no batches."""
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
        )
