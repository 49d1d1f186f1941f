"""Rows that another copy of the run may have asked, in a lane that asks its rows itself: no provider lists them, so they are counted and priced.

A process that finds the run where it was not before (a copy, a backup that was put back, another machine) writes down the rows that have no answer
here. A folder that was only moved looks the same, so all words about these rows say "at most". Questions to judges are made of answers, and have no
number yet: their judges are written down by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from batchtrial.config.expand import arms_of
from batchtrial.config.judge_arms import arm_of
from batchtrial.errors import NotFound
from batchtrial.phases.base import Work
from batchtrial.phases.batches.money import Purse
from batchtrial.providers.base import AsksRows, asked_of
from batchtrial.state.entries import Entry
from batchtrial.state.ledger import SESSION, PartRecord
from batchtrial.state.machine import PartState

ELSEWHERE: Final = "elsewhere"
"""Name under which a session's line has the rows."""
JUDGES: Final = "judges"
"""Name in there of the judges whose questions were not made yet."""


def is_moved(before: Mapping[str, str], place: Mapping[str, str]) -> bool:
    """Whether the run was last worked on in another place than this one; a machine that was started again is none."""
    return bool(before) and any(before.get(name) != place[name] for name in ("host", "folder", "disk"))


def asked_elsewhere(work: Work) -> dict[str, Any]:
    """For the session's line: n_requests and, as a text, the most dollars of the lane's rows without an answer (null without a price); `judges`.

    Empty for a lane whose provider can be asked, and when every row is answered.
    """
    provider = asked_of(work.provider())
    if not isinstance(provider, AsksRows):
        return {}
    purse, records, n_all, usd = Purse(work.config, work.ledger), work.records(), 0, Decimal(0)
    is_priced, view = True, work.view
    arms = {arm.name: arm for arm in arms_of((*view.trials, *view.beside)) if arm.backend == (work.lane or work.config.backend)}
    builds = [one for one in (view.build, view.judge_build) if one is not None]  # one and the same in the second wave
    for shard in {name: shard for one in builds for name, shard in one.shards.items() if shard.arm in arms}.values():
        n = _n_open(provider, records.get(shard.part), shard.lines)
        reserve = purse.reserve(shard, arms[shard.arm], n)
        n_all, usd, is_priced = n_all + n, usd + (reserve or 0), is_priced and reserve is not None
    made = {shard.arm for one in builds for shard in one.shards.values()}
    judges = [judge.name for judge in work.config.judges if arm_of(work.config, judge).name in arms.keys() - made]
    if not n_all and not judges:
        return {}
    return {ELSEWHERE: {"n_requests": n_all, "usd": str(usd) if is_priced else None} | ({JUDGES: judges} if judges else {})}


def _n_open(provider: AsksRows, record: PartRecord | None, n_lines: int) -> int:
    if record is None or record.current is None:
        return n_lines
    if record.state is PartState.SETTLED:
        return 0
    last = record.current
    if last.batch_id is None or last.counts is not None:
        return last.n_requests - (last.counts.succeeded if last.counts is not None else 0)
    try:
        return provider.n_open(last.batch_id)
    except NotFound:
        return last.n_requests


def told_of_elsewhere(notes: Iterable[Entry]) -> tuple[Mapping[str, Any], ...]:
    """What sessions have written down, the oldest first."""
    return tuple(note.detail[ELSEWHERE] for note in notes if note.event == SESSION and note.detail and ELSEWHERE in note.detail)
