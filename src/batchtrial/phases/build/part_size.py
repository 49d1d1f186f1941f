"""`lines_per_part: auto`: the size of parts that makes the run short by the limits of its lanes. Chosen once; the manifest keeps it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from batchtrial.config.expand import Arm
from batchtrial.config.lanes import config_of_lane
from batchtrial.config.model import Config
from batchtrial.phases.build.duration import Load, expected

CLOSE_ENOUGH = 1.02
"""Of two sizes the larger is taken when it takes at most this much longer: fewer batches are easier to follow."""


def best_lines(arms: Sequence[Arm], n_items: int, tokens: float, most_lines: int, config: Config) -> int:
    """Requests per part. tokens: estimated prompt tokens of a request. most_lines: as many as a batch may hold."""
    n_lines = max(arm.samples for arm in arms) * n_items
    sizes = sizes_to_try(n_lines, most_lines)
    fitting = [size for size in sizes if all(size * tokens <= limit for limit in _limits(arms, config))] or sizes[:1]
    seconds = {size: _seconds(arms, -(-n_lines // size), tokens * n_items, config) for size in fitting}
    shortest = min(seconds.values())
    return max(size for size in fitting if seconds[size] <= CLOSE_ENOUGH * shortest)


def sizes_to_try(n_lines: int, most_lines: int) -> list[int]:
    """The sizes that cut an arm into 1, 2, 3, 4, 6, 8, 12 ... parts, up to a thousand, as far as a batch may be so large; ascending."""
    counts = sorted({1, *(2**power * third // 2 for power in range(1, 10) for third in (2, 3))})
    fitting = {size for n in counts if n <= n_lines and (size := -(-n_lines // n)) <= most_lines}
    return sorted(fitting | {min(most_lines, n_lines)})


def _limits(arms: Sequence[Arm], config: Config) -> Iterator[int]:
    """Tokens that each model's queue holds, where that is known."""
    for arm in arms:
        queue = config_of_lane(config, arm.backend).provider.queue
        limit = queue.enqueued(arm.model) if queue is not None else None
        if limit is not None:
            yield limit


def _seconds(arms: Sequence[Arm], n_parts: int, tokens_of_arm: float, config: Config) -> float:
    """How long the slowest lane takes with each arm in so many equal parts."""
    found = []
    for backend in {arm.backend for arm in arms}:
        loads = [Load(arm.model, round(arm.samples * tokens_of_arm / n_parts)) for _ in range(n_parts) for arm in arms if arm.backend == backend]
        found.append(expected(loads, config_of_lane(config, backend).provider.queue, config.submission.max_concurrent_jobs).seconds)
    return max(found)
