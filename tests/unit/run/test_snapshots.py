"""Snapshots are coalesced: the ledger carries the events, and what is written grows with the parts, not with their square."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.unit.rig import Rig

from batchtrial.run.options import Options
from batchtrial.state.files import ControlRegistry, MultiTrialManifest, TrialManifest, load


class Disk:
    """A hook that adds up the bytes of every snapshot as it is written."""

    def __init__(self, root: Path) -> None:
        self.root, self.n_bytes = root, 0
        self.writes: Counter[str] = Counter()

    def __call__(self, point: str) -> None:
        kind, name, when = (*point.split(":"), "", "")[:3]
        is_snapshot = name.endswith("manifest.json") or name in ("run_state.json", "control_registry.json")
        if kind == "write" and when == "after" and is_snapshot:
            self.writes[name] += 1
            self.n_bytes += sum(path.stat().st_size for path in self.root.rglob(name))


def cost(folder: Path, n_parts: int) -> tuple[int, Counter[str], int]:
    """Snapshot bytes, snapshot writes and ledger bytes of a run of so many parts."""
    rig = Rig(folder, n_items=n_parts // 2, settings={"lines_per_part": 1, "max_concurrent_jobs": 20})
    disk = Disk(rig.layout.root)
    rig.run(hook=disk)
    assert rig.is_paid_once()
    return disk.n_bytes, disk.writes, rig.layout.ledger.stat().st_size


def test_bytes_written_grow_linearly_with_the_parts(tmp_path: Path) -> None:
    small, large = cost(tmp_path / "small", 100), cost(tmp_path / "large", 300)
    assert large[0] < 3.3 * small[0]
    assert large[2] < 3.1 * small[2]
    assert large[1]["trial_manifest.json"] <= small[1]["trial_manifest.json"] + 2


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    rig = Rig(tmp_path_factory.mktemp("finished"), n_items=6)
    rig.memory.answer = lambda one, batch: "errored!" if one.startswith(rig.arms("treatment")) and batch == 2 else "succeeded"
    rig.run()
    return rig


def manifest_of(rig: Rig) -> TrialManifest:
    listed = load(MultiTrialManifest, rig.layout.multi_trial_manifest)
    assert listed is not None
    manifest = load(TrialManifest, rig.layout.trial(listed.trials[0].slug).manifest)
    assert manifest is not None
    return manifest


def test_the_manifest_says_what_the_ledger_says(finished: Rig) -> None:
    manifest, parts = manifest_of(finished), finished.parts()
    assert set(manifest.job_status.values()) == {"completed"}
    assert len(manifest.job_status) == len(parts) == 6
    assert {one.batch_id for one in manifest.batches} == set(finished.memory.batches)
    assert sum(one.total for one in manifest.job_counts.values()) == finished.n_requests
    assert sum(one.errored for one in manifest.job_counts.values()) == 2
    assert manifest.stage_status["downloaded"].status == "completed"
    assert sorted(batch for batches in manifest.jobs.values() for batch in batches) == sorted(finished.memory.batches)


def test_the_registry_says_that_the_control_is_complete_with_its_counts(finished: Rig) -> None:
    registry = load(ControlRegistry, finished.layout.control_registry)
    assert registry is not None
    (entry,) = registry.controls.values()
    assert (entry.status, entry.counts and entry.counts.succeeded) == ("completed", 6)


def test_a_part_that_failed_is_not_a_completed_control(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.run(to_step="submit")
    registry = load(ControlRegistry, rig.layout.control_registry)
    assert registry is not None
    assert {entry.status for entry in registry.controls.values()} == {"in_progress"}
    assert [entry.counts for entry in registry.controls.values()] == [None]


def test_going_on_with_a_settled_run_calls_nobody_and_writes_no_snapshot(finished: Rig) -> None:
    calls, disk = list(finished.memory.calls), Disk(finished.layout.root)
    done = finished.run(hook=disk, options=Options(to_step="poll"))
    assert done.ran == ()
    assert finished.memory.calls == calls
    assert disk.writes == {}


def test_damage_to_a_manifest_heals_from_the_ledger(finished: Rig) -> None:
    before = manifest_of(finished)
    path = next(finished.layout.root.glob("*/results/trial_manifest.json"))
    path.write_text("{}")
    finished.run()
    after = manifest_of(finished)
    assert (after.jobs, after.job_status, after.job_counts, after.batches) == (before.jobs, before.job_status, before.job_counts, before.batches)
    assert [one.read_text() for one in path.parent.glob("*.corrupt.*")] == ["{}"]
