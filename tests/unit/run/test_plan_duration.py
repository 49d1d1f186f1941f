"""What a plan says of the time that its lanes take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.rig import Rig

from batchtrial.run.plan_duration import hours, lane_durations


def told(folder: Path, lanes: dict[str, Any], bought: list[tuple[str, str, int]], sizes: list[int]) -> list[str]:
    config = Rig(folder, changes={"backend": "openai"} | lanes, settings={"max_concurrent_jobs": 2}).config()
    return [one.sentence for one in lane_durations(config, bought, sizes, {model for _, model, _ in bought})]


def test_each_lane_has_its_own_limits(tmp_path: Path) -> None:
    lanes = {
        "provider": {"queue": {"enqueued_tokens": 60, "batch_seconds": 600}},
        "lanes": {"anthropic": {"queue": {"tokens_per_hour": 50, "batch_seconds": 60}}},
    }
    bought = [("openai", "a", 100), ("openai", "b", 100), ("anthropic", "c", 100)]
    ours, theirs = told(tmp_path, lanes, bought, [5, 5])
    assert ours == ("about 20 min at openai, 10 min at best, parts wait longest for submission.max_concurrent_jobs; assumed: a batch takes 10 min")
    assert theirs == ("about 2 h at anthropic, 2 h at best; assumed: a batch takes 1 min and its tokens at provider.queue.tokens_per_hour")


def test_a_part_that_no_queue_has_room_for_and_a_limit_of_nobody_are_told(tmp_path: Path) -> None:
    queue = {"enqueued_tokens": {"a": 60, "b": 10, "B": 5, "j": 5}}
    config = Rig(tmp_path, changes={"backend": "openai", "provider": {"queue": queue}}).config()
    (lane,) = lane_durations(config, [("openai", "a", 100), ("openai", "b", 100)], [5, 5], {"a", "b", "j"})
    assert lane.doubts == (
        "a part of about 50 tokens is larger than b's queue of 10: fewer lines_per_part",
        "provider.queue names B, which this run does not ask",
    )


def test_a_direct_lane_has_no_batches(tmp_path: Path) -> None:
    assert told(tmp_path, {"provider": {"lane": "direct"}}, [("openai", "a", 100)], [10]) == []


def test_words_for_times() -> None:
    assert [hours(one) for one in (90, 3_600, 50_000)] == ["1.5 min", "1 h", "13.9 h"]
