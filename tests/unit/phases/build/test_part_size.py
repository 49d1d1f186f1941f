"""`lines_per_part: auto`: chosen by playing the run against its limits, once; what was cut stays cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.rig import Rig

from batchtrial.config.expand import arms_of, expand
from batchtrial.config.queue_limits import QueueLimits
from batchtrial.phases.build.duration import Load, expected
from batchtrial.phases.build.part_size import CLOSE_ENOUGH, best_lines, sizes_to_try
from batchtrial.state.files import BuildManifest, load


def rig_of(folder: Path, queue: dict[str, Any] | None = None, n_items: int = 60) -> Rig:
    changes = {"provider": {"queue": queue}} if queue is not None else {}
    return Rig(folder, n_items=n_items, settings={"lines_per_part": "auto", "max_concurrent_jobs": 8}, changes=changes)


def manifest(rig: Rig) -> BuildManifest:
    found = load(BuildManifest, rig.layout.build_manifest)
    assert found is not None
    return found


def test_without_limits_an_arm_is_as_few_parts_as_a_batch_lets(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.run("build")
    assert manifest(rig).lines_per_part == 60
    assert len(rig.names()) == 2


def test_a_queue_that_holds_little_is_kept_full_by_small_parts(tmp_path: Path) -> None:
    plain = rig_of(tmp_path / "plain")
    plain.run("build")
    tokens = sum(shard.input_tokens for shard in manifest(plain).shards.values())
    rig = rig_of(tmp_path / "run", {"enqueued_tokens": tokens // 5, "tokens_per_hour": tokens, "batch_seconds": 60})
    rig.run()
    assert 1 < (manifest(rig).lines_per_part or 0) < 30
    assert rig.is_paid_once()
    assert "rejected" not in rig.events()


def test_what_was_chosen_stays_when_the_limits_change(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, {"enqueued_tokens": 500, "tokens_per_hour": 1000, "batch_seconds": 60})
    rig.run("build")
    before = manifest(rig)
    rig.changes = {"provider": {"queue": {"enqueued_tokens": 10**9}}}
    rig.run()
    assert manifest(rig).shards == before.shards
    assert rig.is_paid_once()


@pytest.mark.parametrize("limit", [300, 1_000, 10_000, 10**9])
@pytest.mark.parametrize("speed", [100, 5_000])
def test_the_chosen_size_is_within_a_fiftieth_of_the_best_that_fits(tmp_path: Path, limit: int, speed: int) -> None:
    queue = {"enqueued_tokens": limit, "tokens_per_hour": speed, "batch_seconds": 300}
    config = rig_of(tmp_path, queue).config()
    arms = arms_of(expand(config, ""))

    def seconds(size: int) -> float:
        n_parts = -(-200 // size)
        loads = [Load(arm.model, round(200 * 10.0 / n_parts)) for _ in range(n_parts) for arm in arms]
        return expected(loads, QueueLimits(**queue), config.submission.max_concurrent_jobs).seconds

    size = best_lines(arms, 200, 10.0, 1000, config)
    fitting = [one for one in sizes_to_try(200, 1000) if one * 10 <= limit]
    assert size in fitting
    assert seconds(size) <= CLOSE_ENOUGH * min(map(seconds, fitting))


def test_sizes_fit_into_a_batch() -> None:
    assert max(sizes_to_try(10**6, 50_000)) == 50_000
    assert sizes_to_try(3, 50_000) == [1, 2, 3]
    assert sizes_to_try(1, 1) == [1]
