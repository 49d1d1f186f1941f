"""Fetching what has ended at the provider, and nothing else: nothing is sent, and nothing is waited for."""

from __future__ import annotations

from dataclasses import dataclass

from batchtrial.config.lanes import is_direct
from batchtrial.errors import RunStateMissing
from batchtrial.phases.base import Work
from batchtrial.phases.batches.lanes import Lanes
from batchtrial.phases.batches.refetch import fetch_again
from batchtrial.state.machine import IN_FLIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedParts:
    """What came of it. waiting: parts whose batches the provider has, or may have, still. n_unsent: parts that wait to be sent."""

    fetched: tuple[str, ...]
    waiting: tuple[str, ...]
    n_unsent: int


def fetch_ended(work: Work) -> FetchedParts:
    """Look once at each batch under way, in every lane that has batches, and fetch it when it has ended. Raises RunStateMissing, ProviderError."""
    if work.view.build is None:
        raise RunStateMissing("no requests are built", where="batch_inputs/build_manifest.json", hint="there is nothing to fetch")
    fetched: list[str] = []
    waiting: list[str] = []
    n_unsent = 0
    for queue in Lanes(work).queues:
        flying = [job.shard.part for job in queue.jobs if queue.state(job) in IN_FLIGHT and not queue.parts.is_out(job)]
        if flying and not is_direct(queue.work.config):  # a look at rows that are asked here would ask on
            queue.begin()
            fetch_again(queue.work, queue)
            queue.take_in(frozenset(flying))
        still = {job.shard.part for job in queue.jobs if queue.state(job) in IN_FLIGHT}
        fetched += [part for part in flying if part not in still]
        waiting += [part for part in flying if part in still]
        n_unsent += len(queue.jobs) - queue.n_settled - len(still)
    return FetchedParts(fetched=tuple(fetched), waiting=tuple(waiting), n_unsent=n_unsent)
