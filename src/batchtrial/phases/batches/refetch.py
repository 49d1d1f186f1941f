"""Fetching results once more when the copy here is gone or damaged, before anything is decided from them. Costs nothing."""

from __future__ import annotations

import logging

from batchtrial.errors import NotFound, ProviderError, RunStateMissing
from batchtrial.phases.base import Work
from batchtrial.phases.batches import account
from batchtrial.phases.batches.parts import Job
from batchtrial.phases.batches.queue import Queue
from batchtrial.state.ledger import Attempt

log = logging.getLogger(__name__)


def fetch_again(work: Work, queue: Queue) -> None:
    """Every saved attempt's results are on disk as the ledger has them when this returns. Raises RunStateMissing, ProviderError."""
    for job in queue.jobs:
        for attempt in queue.record(job).attempts:
            if attempt.is_saved:
                _restore(work, queue, job, attempt)


def _restore(work: Work, queue: Queue, job: Job, attempt: Attempt) -> None:
    """The damaged copy is kept aside."""
    path = queue.folder_file(job)(attempt.number)
    got = work.view.stamps.of(path)
    if got is not None and got.sha256 == attempt.sha256:
        return
    where = path.relative_to(work.layout.root).as_posix()
    log.warning("fetch again part=%s attempt=%s reason=%s", job.shard.part, attempt.number, "gone" if got is None else "damaged")
    if got is not None:
        path.rename(path.with_name(f"{path.name}.corrupt.{work.now():%Y%m%d%H%M%S}"))
    account.prove(work)
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
