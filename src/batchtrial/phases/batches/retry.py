"""When rows of a part are sent again, and when a part is settled: decided once its attempt has ended. Which rows: `fate` in `tally.py`."""

from __future__ import annotations

import logging

from batchtrial.phases.base import Work
from batchtrial.phases.batches.parts import Job, Parts
from batchtrial.phases.batches.reasons import reason_lines
from batchtrial.state.machine import Event, PartState

log = logging.getLogger(__name__)


def decide(work: Work, parts: Parts, job: Job) -> bool:
    """Whether the part's attempt had ended: the rows that failed for a passing reason go into the next attempt while there are attempts left and
    batches are taken, and else the part is settled."""
    record = parts.record(job)
    if record.state not in (PartState.DOWNLOADED, PartState.FAILED):
        return False
    fate = parts.fate(job)
    part, used = job.shard.part, sum(not (attempt.is_lost or attempt.is_queue_full or attempt.is_taken_over) for attempt in record.attempts)
    is_left = record.current is not None and record.current.is_left
    if fate.again and used < work.config.submission.max_attempts and not (parts.takes_nothing or is_left):
        log.info("retry part=%s rows=%s of %s", part, len(fate.again), job.shard.lines)
        is_rest = record.current is not None and record.current.is_taken_over
        why = "the others were taken over" if is_rest else "; ".join(reason_lines(fate.again_reasons, 1))
        work.progress.note(f"{part}: {len(fate.again)} of {job.shard.lines} rows go into attempt {record.next_attempt}" + (f" ({why})" * bool(why)))
        work.ledger.append(Event.RETRY, part, n_requests=len(fate.again), reasons=None if is_rest else fate.reasons or None)
    else:
        log.info("settled part=%s counts=%s", part, fate.counts.model_dump())
        for line in reason_lines(fate.reasons):
            work.progress.note(f"{part}: {line}")
        if fate.again and parts.takes_nothing:
            work.progress.note(f"{part}: {len(fate.again)} of {job.shard.lines} rows are not asked again, since the provider takes no batches now")
        work.ledger.append(Event.SETTLED, part, counts=fate.counts, reasons=fate.reasons or None)
    return True
