"""Parts that wait to be sent and shall not be: a budget is spent, or the provider takes no batches any more, and what came back is worth a report."""

from __future__ import annotations

from batchtrial.amounts import counted
from batchtrial.errors import StateError
from batchtrial.phases.base import Work
from batchtrial.phases.batches.lanes import Lanes

FLAG = "--without_unsent"


def settle_unsent(work: Work) -> int:
    """End every part that waits to be sent with what its requests have come to, in this run for ever; how many parts.

    Nobody is asked anything, and a part that is under way or in doubt stays as it is. Raises StateError when nothing waits.
    """
    ended = [lines for queue in Lanes(work).queues for lines in queue.leave_waiting()]
    if not ended:
        raise StateError("no part waits to be sent", where=FLAG, hint="resume without the flag")
    work.progress.note(f"{counted(sum(ended), 'request')} in {counted(len(ended), 'part')} are not asked in this run, and count as missing")
    return len(ended)
