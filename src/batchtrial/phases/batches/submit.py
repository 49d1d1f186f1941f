"""submit: every part is sent at least once, under a recorded intent.

When more parts wait than batches may be in flight, places are made by watching and fetching those that run.
"""

from __future__ import annotations

from batchtrial.amounts import counted
from batchtrial.config.metric_sources import own_paths
from batchtrial.phases.base import View, Work
from batchtrial.phases.batches.coverage import check_budget
from batchtrial.phases.batches.import_controls import import_controls
from batchtrial.phases.batches.lanes import Lanes
from batchtrial.phases.batches.queue import Queue
from batchtrial.phases.prepare.items import prepared_items
from batchtrial.phases.prepare.metrics import try_metrics
from batchtrial.records import Verdict
from batchtrial.state.machine import PartState

name = "submit"


def verdict(view: View) -> Verdict:
    """Done when no part waits for its first batch and none is in doubt."""
    if view.build is None:
        return Verdict(status="blocked", reason="waits for build", needs="build")
    shards = view.asked_shards()
    states = {part: view.parts[part].state if part in view.parts else PartState.PENDING for part in shards}
    in_doubt = [part for part, state in states.items() if state is PartState.SUBMITTING]
    unsent = [part for part, state in states.items() if state is PartState.PENDING and not _was_sent(view, part)]
    if not in_doubt and not unsent:
        never = sum(not _was_sent(view, part) for part in shards)
        of_all = f"{len(shards) - never} of {counted(len(shards), 'part')} were sent, and no further ones are"
        return Verdict(status="done", reason=f"{of_all if never else f'all {len(shards)} parts have been sent'}{view.but_failed}")
    doubts = f", {len(in_doubt)} in doubt ({in_doubt[0]})" if in_doubt else ""
    sent = len(shards) - len(in_doubt) - len(unsent)
    return Verdict(status="missing", reason=f"{sent} of {counted(len(shards), 'part')} sent{doubts}")


def _was_sent(view: View, part: str) -> bool:
    return part in view.parts and any(a.batch_id for a in view.parts[part].attempts)


def run(work: Work) -> None:
    """Send. Raises Stopped, ProviderError, PhaseFailed."""
    if work.config.metrics or own_paths(work.config):
        try_metrics(work.config, work.view.prepared, prepared_items(work.layout), work.progress.note, work.stop.check)
    import_controls(work)
    lanes = Lanes(work)
    check_budget(work, lanes.purse)
    lanes.run("submit", Queue.is_submitted, lambda queue: queue.n_sent)
