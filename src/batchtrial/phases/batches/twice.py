"""What may have been bought twice, in words: by two copies of a run at its price, or by a provider that answered a request twice."""

from __future__ import annotations

from collections.abc import Iterable, Set
from decimal import Decimal

from batchtrial.amounts import counted
from batchtrial.config.judge_arms import arm_of
from batchtrial.phases.base import View
from batchtrial.phases.batches.elsewhere import JUDGES
from batchtrial.phases.batches.money import price_for, reserve_usd
from batchtrial.phases.batches.tally import BILLED_AGAIN
from batchtrial.providers.base import MAYBE_PAID_TWICE
from batchtrial.state.ledger import PartRecord


def bought_twice(view: View) -> str | None:
    """A sentence with requests, batches and the most that it can have cost; None when nothing was."""
    records = list(view.parts.values())
    told = (_by_copies(records), _by_the_provider(records), _in_flight(records), _elsewhere(view))
    return " ".join(filter(None, told)) or None


def _by_the_provider(records: Iterable[PartRecord]) -> str | None:
    n = sum(attempt.odd.get(BILLED_AGAIN, 0) for record in records for attempt in record.attempts)
    if not n:
        return None
    lines = "1 result line answers a request that another line answers too" if n == 1 else f"{n:,} result lines answer requests that others do too"
    return f"Answered twice by the provider: {lines}. The cost above counts one answer of each request; if the provider billed them all, it is more."


def _in_flight(records: Iterable[PartRecord]) -> str | None:
    found = [(one, int(one.ids[MAYBE_PAID_TWICE])) for record in records for one in record.attempts if one.ids.get(MAYBE_PAID_TWICE)]
    n = sum(rows for _, rows in found)
    if not n:
        return None
    is_priced = all(one.reserved_usd for one, _ in found)
    most = sum((one.reserved_usd * rows / one.n_requests for one, rows in found), Decimal(0)) if is_priced else None
    return (
        f"At most {_rows(n, most)}, may have been paid twice: in flight when the program was killed, or answered with the answer lost on the way, "
        "and asked again. The cost above counts one answer of each."
    )


def _elsewhere(view: View) -> str | None:
    """Every time the run was found elsewhere by itself: what the first had left open, the second may have left again."""
    found = view.elsewhere
    if not found:
        return None
    sums = [one["usd"] for one in found]
    most = None if None in sums else sum((Decimal(usd) for usd in sums), Decimal(0))
    n = sum(one["n_requests"] for one in found)
    rows = f"At most {_rows(n, most)}, may have been asked and paid there too: rows asked one by one are listed nowhere." if n else None
    told = (
        "This run was gone on with in another place than before (a copy, a backup put back, a folder moved).",
        rows,
        _judged_elsewhere(view, {name for one in found for name in one.get(JUDGES, ())}),
        "The cost above counts what was asked here.",
    )
    return " ".join(filter(None, told))


def _judged_elsewhere(view: View, names: Set[str]) -> str | None:
    """How much judges are asked in a copy hangs on its answers; the number of here is the best that is known."""
    judges = [(judge, arm_of(view.config, judge)) for judge in view.config.judges if judge.name in names]
    if not judges:
        return None
    shards = view.judge_build.shards.values() if view.judge_build is not None else ()
    asked = [(shard, price_for(view.config, arm)) for _, arm in judges for shard in shards if shard.arm == arm.name]
    most = sum((reserve_usd(price, shard, shard.lines) for shard, price in asked if price is not None), Decimal(0))
    is_priced = all(price is not None for _, price in asked)
    here = f"; here they are {_rows(sum(shard.lines for shard, _ in asked), most if is_priced else None)}" if asked else ""
    names_told = ", ".join(judge.name for judge, _ in judges)
    return f"Judgements by {names_told}, whose questions were made after that, may have been bought there too{here}."


def _rows(n: int, most: Decimal | None) -> str:
    return f"{counted(n, 'row')}, {f'up to ${most:.4f}' if most is not None else 'at an unknown price'}"


def _by_copies(records: Iterable[PartRecord]) -> str | None:
    found = [one for record in records for one in record.duplicates]
    if not found:
        return None
    n, rows = len(found), sum(one.n_requests for one in found)
    cancelled = sum(one.is_cancelled for one in found)
    is_priced = all(one.reserved_usd for one in found)
    most = f"up to ${sum(one.reserved_usd for one in found):.4f}" if is_priced else "an unknown sum"
    return (
        f"Sent twice, by two copies of this run: {rows:,} requests in {n} batch{'es' * (n != 1)}. "
        f"{cancelled} of them {'were' if cancelled != 1 else 'was'} cancelled while running, {n - cancelled} had ended. "
        f"What the provider bills for them, {most}, stands in the cost above as unknown."
    )
