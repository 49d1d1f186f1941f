"""How long a run takes by its limits: the same rule that the queue sends by, played against the speed that is assumed."""

from __future__ import annotations

import random

import pytest

from batchtrial.config.queue_limits import QueueLimits
from batchtrial.phases.build.duration import Load, expected


def test_batches_that_take_an_hour_whatever_they_hold_go_in_rounds() -> None:
    got = expected([Load("m", 10)] * 12, None, 4)
    assert (got.seconds, got.least, got.bound_by) == (3 * 3600.0, 3600.0, "max_concurrent_jobs")


def test_a_queue_that_holds_two_parts_of_a_model_binds() -> None:
    got = expected([Load("m", 10)] * 6, QueueLimits(enqueued_tokens=25), 100)
    assert (got.seconds, got.bound_by) == (3 * 3600.0, "enqueued_tokens")


def test_batches_an_hour_bind() -> None:
    got = expected([Load("m", 10)] * 6, QueueLimits(creates_per_hour=2, batch_seconds=60), 100)
    assert (got.seconds, got.bound_by) == (2 * 3600.0 + 60, "creates_per_hour")


def test_no_order_beats_the_work_of_the_slowest_model() -> None:
    limits = QueueLimits(tokens_per_hour={"slow": 100, "fast": 1000}, batch_seconds=1)
    got = expected([Load("slow", 50), Load("fast", 50)] * 4, limits, 100)
    assert got.seconds == got.least == 2 * 3600.0


def test_a_model_whose_queue_is_full_lets_the_others_by() -> None:
    limits = QueueLimits(enqueued_tokens={"a": 10}, tokens_per_hour=10, batch_seconds=1)
    parts = [Load("a", 10)] * 3 + [Load("b", 10)] * 3
    assert expected(parts, limits, 100).seconds == 3 * 3600.0  # not six


def test_nothing_takes_no_time() -> None:
    assert (expected([], None, 4).seconds, expected([], None, 4).least) == (0.0, 0.0)


@pytest.mark.parametrize("seed", range(40))
def test_no_plan_ends_before_its_least_time(seed: int) -> None:
    chance = random.Random(seed)
    models = [f"m{number}" for number in range(chance.randint(1, 5))]
    limits = QueueLimits(
        enqueued_tokens={model: chance.randint(50, 500) for model in models if chance.random() < 0.7} or None,
        tokens_per_hour={model: chance.randint(10, 1000) for model in models if chance.random() < 0.7} or None,
        creates_per_hour=chance.choice([None, 3, 50]),
        batch_seconds=chance.choice([1.0, 600.0]),
    )
    parts = [Load(chance.choice(models), chance.randint(1, 120)) for _ in range(chance.randint(1, 60))]
    got = expected(parts, limits, chance.randint(1, 8))
    assert got.seconds >= got.least - 1e-6
    assert expected(parts, limits, 1).seconds >= got.seconds - 1e-6
