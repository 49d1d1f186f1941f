"""What the account's queue takes: our own limit keeps below it, and a queue that is full all the same costs time and never a row."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.unit.memory import Trouble
from tests.unit.rig import Rig

from batchtrial.errors import PhaseFailed
from batchtrial.state.files import BuildManifest, load

BUSY: Trouble = "busy"


def rig_of(folder: Path, queue: dict[str, Any] | None = None, **settings: Any) -> Rig:
    changes = {"provider": {"queue": queue}} if queue is not None else {}
    return Rig(folder, n_items=12, settings={"max_concurrent_jobs": 6, "max_attempts": 2} | settings, changes=changes)


def part_tokens(rig: Rig) -> int:
    """Prompt tokens of the largest part."""
    rig.run("build")
    build = load(BuildManifest, rig.layout.build_manifest)
    assert build is not None
    return max(shard.input_tokens for shard in build.shards.values())


def test_batches_under_way_stay_below_the_tokens_that_the_account_may_have_queued(tmp_path: Path) -> None:
    tokens = part_tokens(rig_of(tmp_path / "measured"))
    rig = rig_of(tmp_path / "run", {"enqueued_tokens": 2 * tokens})
    rig.memory.most_rows_queued = 4  # two parts of two rows
    rig.run()
    assert rig.is_paid_once()
    assert rig.memory.most_open == 2
    assert "rejected" not in rig.events()
    assert rig.counts()["succeeded"] == rig.n_requests


def test_a_limit_by_model_holds_for_that_model_alone(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, {"enqueued_tokens": {"some-other-model": 1}})
    rig.run()
    assert rig.memory.most_open == 6


def test_a_part_over_the_limit_goes_when_nothing_else_is_under_way(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, {"enqueued_tokens": 1})
    rig.run()
    assert rig.is_paid_once()
    assert rig.memory.most_open == 1


def test_no_more_batches_are_made_within_an_hour_than_the_account_may_make_whatever_process_made_them(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, {"creates_per_hour": 5})
    rig.memory.at_create = lambda intent: rig.layout.stop_requested.touch() if rig.memory.n_calls("submit") == 3 else None
    with pytest.raises(BaseException, match="stop"):
        rig.run()
    rig.layout.stop_requested.unlink(missing_ok=True)
    rig.run()
    made = sorted(batch.made_at for batch in rig.memory.batches.values())
    assert len(made) == len(rig.names()) == 12
    assert all(later - first >= timedelta(hours=1) for first, later in zip(made, made[5:], strict=False))
    assert rig.is_paid_once()


def test_a_queue_that_is_full_of_others_takes_time_and_no_attempt_at_a_row(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.memory.most_rows_queued, rig.memory.others_rows = 100, 99
    opens = rig.clock.now() + timedelta(hours=9)
    rig.memory.at_create = lambda intent: setattr(rig.memory, "others_rows", 99 if rig.clock.now() < opens else 0)
    rig.run()
    assert rig.counts()["succeeded"] == rig.n_requests  # two attempts were allowed, and many more batches were refused
    assert rig.is_paid_once()
    refused = [entry for entry in rig.entries() if entry.event == "rejected"]
    assert len(refused) > 2 * len(rig.names())
    assert all(entry.detail == {"queue_full": True} for entry in refused)
    assert sum("the queue for" in note and "is full" in note for note in rig.notes) == 1
    assert max(rig.memory.n_calls("submit") / 9, 0) < 60  # an hour: not once a look


def test_a_queue_that_stays_full_ends_the_run_after_the_hours_that_a_batch_may_take(tmp_path: Path) -> None:
    rig = rig_of(tmp_path, give_up_hours=3.0)
    rig.memory.most_rows_queued, rig.memory.others_rows = 100, 99
    with pytest.raises(PhaseFailed, match=r"has been full for 3 hours") as caught:
        rig.run()
    assert "resume" in caught.value.hint
    rig.memory.others_rows = 0
    rig.run()
    assert rig.is_paid_once()


def test_our_own_batches_that_fill_the_queue_let_the_others_in_as_they_end(tmp_path: Path) -> None:
    rig = rig_of(tmp_path)
    rig.memory.most_rows_queued = 5
    rig.run()
    assert rig.counts()["succeeded"] == rig.n_requests
    assert rig.is_paid_once()


def test_a_provider_that_asks_to_slow_down_while_our_batches_run_is_waited_for(tmp_path: Path) -> None:
    rig, busy = rig_of(tmp_path), [BUSY] * 40
    rig.memory.on_submit = deque([None, *busy])
    rig.memory.life_seconds = 40_000.0
    rig.run()
    assert rig.is_paid_once()
