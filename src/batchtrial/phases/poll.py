"""poll: wait for every batch, fetch its results, send again what is worth it, until each request has its final outcome.

Leaves, per part, the lines as received in results.jsonl (results_a2.jsonl for a second attempt, and so on).
"""

from __future__ import annotations

import logging

from batchtrial.config.expand import arms_of
from batchtrial.errors import NotFound, ProviderError, RunStateMissing
from batchtrial.phases.base import View, Work
from batchtrial.phases.queue import Job, Queue
from batchtrial.records import Verdict
from batchtrial.state.layout import result_file
from batchtrial.state.ledger import Attempt
from batchtrial.state.machine import PartState

log = logging.getLogger(__name__)
name = "poll"


def verdict(view: View) -> Verdict:
    """Done when every part is settled and every fetched file is on disk as fetched."""
    if view.build is None:
        return Verdict(status="blocked", reason="waits for build", needs="build")
    parts = list(view.build.shards)
    unsent = [part for part in parts if part not in view.parts]
    if len(unsent) == len(parts):
        return Verdict(status="blocked", reason="waits for submit", needs="submit")
    unsettled = [part for part in parts if part not in view.parts or view.parts[part].state is not PartState.SETTLED]
    if unsettled:
        return Verdict(status="missing", reason=f"{len(parts) - len(unsettled)} of {len(parts)} parts settled")
    damaged = damaged_files(view)
    if damaged:
        return Verdict(status="stale", reason=f"{len(damaged)} result files gone or not as fetched ({damaged[0]})")
    counts = [record.counts for part in parts if (record := view.parts[part]) and record.counts]
    lost = sum(c.total - c.succeeded for c in counts)
    note = f", {lost} requests never succeeded" if lost else ""
    return Verdict(status="done", reason=f"all {len(parts)} parts settled{note}")


def damaged_files(view: View) -> list[str]:
    """Result files of saved attempts that are gone or differ from what was fetched, relative to the run."""
    found = []
    for arm in arms_of(view.trials):
        for shard in view.shards(arm):
            record = view.parts.get(shard.part)
            for attempt in record.attempts if record is not None else ():
                if attempt.is_saved:
                    path = result_file(view.layout.root / arm.part_folder(shard.part_index), attempt.number)
                    got = view.stamps.of(path)
                    if got is None or got.sha256 != attempt.sha256:
                        found.append(path.relative_to(view.layout.root).as_posix())
    return found


def run(work: Work) -> None:
    """Watch, fetch, settle. Raises Stopped, ProviderError, PhaseFailed, RunStateMissing."""
    queue = Queue(work)
    for job in queue.jobs:
        for attempt in queue.record(job).attempts:
            if attempt.is_saved:
                _restore(work, queue, job, attempt)
    queue.run("poll", queue.is_settled, lambda: sum(queue.state(job) is PartState.SETTLED for job in queue.jobs))


def _restore(work: Work, queue: Queue, job: Job, attempt: Attempt) -> None:
    """Fetch an attempt's results once more when the local copy is gone or damaged; the damaged copy is kept aside. Costs nothing."""
    path = queue.folder_file(job)(attempt.number)
    got = work.view.stamps.of(path)
    if got is not None and got.sha256 == attempt.sha256:
        return
    where = path.relative_to(work.layout.root).as_posix()
    log.warning("fetch again part=%s attempt=%s reason=%s", job.shard.part, attempt.number, "gone" if got is None else "damaged")
    if got is not None:
        path.rename(path.with_name(f"{path.name}.corrupt.{work.now():%Y%m%d%H%M%S}"))
    try:
        _, fresh, _ = queue.download(job, attempt)
    except NotFound as error:
        raise RunStateMissing(
            f"the results of {job.shard.part} are gone here and at the provider: {error.what}",
            where=where,
            hint="put the file back from a copy or an archive of the run; its rows were paid for and are not bought again",
        ) from None
    except ProviderError as error:
        raise ProviderError(f"cannot fetch {where} again: {error.what}", where=error.where, hint=error.hint) from None
    if fresh.sha256 != attempt.sha256:
        work.ledger.append("refetched", job.shard.part, attempt=attempt.number, sha256=fresh.sha256, size=fresh.size, path=where)
    work.progress.note(f"fetched {where} again")
