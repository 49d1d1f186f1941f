"""poll: wait for every batch, fetch its results, send again what is worth it, until each request has its final outcome.

Leaves, per part, the lines as received in results.jsonl (results_a2.jsonl for a second attempt, and so on).
"""

from __future__ import annotations

from batchtrial.amounts import counted
from batchtrial.config.expand import arms_of
from batchtrial.phases.base import View, Work
from batchtrial.phases.batches.lanes import Lanes
from batchtrial.phases.batches.queue import Queue
from batchtrial.records import Verdict
from batchtrial.state.layout import result_name
from batchtrial.state.machine import PartState

name = "poll"


def verdict(view: View) -> Verdict:
    """Done when every part is settled, every fetched file is on disk as fetched, and the account was listed for second batches after the last one."""
    if view.build is None:
        return Verdict(status="blocked", reason="waits for build", needs="build")
    parts = list(view.asked_shards())
    unsent = [part for part in parts if part not in view.parts]
    if not parts and view.failed:
        return Verdict(status="missing", reason=f"nothing can be asked{view.but_failed}")
    if len(unsent) == len(parts):
        return Verdict(status="blocked", reason="waits for submit", needs="submit")
    unsettled = [part for part in parts if part not in view.parts or view.parts[part].state is not PartState.SETTLED]
    if unsettled:
        return Verdict(status="missing", reason=f"{len(parts) - len(unsettled)} of {counted(len(parts), 'part')} settled")
    damaged = damaged_files(view)
    if damaged:
        return Verdict(status="stale", reason=f"{len(damaged)} result files gone or not as fetched ({damaged[0]})")
    if view.unlooked & view.asked_lanes:
        return Verdict(status="missing", reason=f"all {counted(len(parts), 'part')} settled; the account is still to be listed for second batches")
    counts = [record.counts for part in parts if (record := view.parts[part]) and record.counts]
    lost = sum(c.total - c.succeeded for c in counts)
    note = f", {counted(lost, 'request')} never succeeded" if lost else ""
    return Verdict(status="done", reason=f"all {counted(len(parts), 'part')} settled{note}{view.but_failed}")


def damaged_files(view: View) -> list[str]:
    """Result files of saved attempts that are gone or differ from what was fetched, relative to the run."""
    found, root = [], view.layout.root.as_posix()
    for arm in arms_of(view.trials):
        for shard in view.shards(arm) if arm.backend not in view.failed else ():
            record = view.parts.get(shard.part)
            for attempt in record.attempts if record is not None else ():
                if attempt.is_saved:
                    path = f"{arm.part_folder(shard.part_index)}/{result_name(attempt.number)}"
                    got = view.stamps.of(f"{root}/{path}")
                    if got is None or got.sha256 != attempt.sha256:
                        found.append(path)
    return found


def run(work: Work, label: str = name) -> None:
    """Watch, fetch, settle. label: what the progress says. Raises Stopped, ProviderError, PhaseFailed, RunStateMissing."""
    lanes = Lanes(work)
    lanes.run(label, Queue.is_settled, lambda queue: queue.n_settled)
    lanes.look_for_copies()
