"""A provider whose batch API is paused: what came back is settled, for what failed cannot be sent again, and the run comes to its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.rig import Rig

from batchtrial.errors import ConfigDrift
from batchtrial.providers.base import BatchState


def test_rows_that_expired_are_settled_and_not_sent_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path, settings={"max_concurrent_jobs": 10})
    rig.run("submit")
    n_sent = len(rig.memory.batches)
    for batch in rig.memory.batches.values():
        batch.ends_as, batch.lines = BatchState.EXPIRED, batch.lines[:1]
    rig.memory.limits = replace(rig.memory.limits, takes_nothing=True)
    rig.run()
    assert len(rig.memory.batches) == n_sent == len(rig.parts())
    counts = [part.counts for part in rig.parts().values()]
    assert [(one.succeeded, one.expired) for one in counts if one is not None] == [(1, 1)] * n_sent
    assert any("not asked again, since the provider takes no batches now" in note for note in rig.notes)


def test_a_run_that_was_begun_with_batches_does_not_go_on_in_the_direct_lane(tmp_path: Path) -> None:
    """Not even when all of them are fetched; nothing of the change is written down."""
    rig = Rig(tmp_path)
    rig.run()
    before = rig.layout.effective_config.read_bytes()
    own = rig.config()
    for settings in ({"lane": "direct"}, {"service_tier": "flex"}):
        with pytest.raises(ConfigDrift, match="begun in another lane"):
            rig.open(given=own.model_copy(update={"provider": own.provider.model_copy(update=settings)}), accept_drift=True)
    assert rig.layout.effective_config.read_bytes() == before
