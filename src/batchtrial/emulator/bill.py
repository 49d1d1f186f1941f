"""The bill: what was accepted, what was answered and paid for, and whether anything was paid for twice.

Only answered rows cost money. A batch is put on the bill when it has ended; what was finished by then counts, also in batches that
expired, were cancelled or deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any, Final

from batchtrial.emulator.bodies import usage_of
from batchtrial.emulator.jsontext import decode_object
from batchtrial.emulator.lifecycle import Status, status
from batchtrial.emulator.records import Batch
from batchtrial.emulator.rows import Fate, Reader
from batchtrial.emulator.service import Service

SHOWN_AT_MOST: Final = 100
ReaderOf = Callable[[Batch], Reader]
_FAR_FUTURE: Final = 400 * 86_400.0


class Bill:
    """Puts ended batches on the bill and adds it up."""

    def __init__(self, service: Service, readers: dict[str, ReaderOf]) -> None:
        self.service, self.world, self.readers = service, service.world, readers

    def settle(self) -> None:
        """Put every batch that has ended and is not on the bill yet there."""
        for batch in self._unbilled():
            at = self.service.status(batch)
            if at.outcome is not None:
                self._settle(batch, at)

    def _unbilled(self) -> list[Batch]:
        rows = self.world.rows("SELECT seq FROM batches WHERE n_billed IS NULL ORDER BY seq")
        return [self.service.batches.by_seq(row["seq"]) for row in rows]

    def _settle(self, batch: Batch, at: Status) -> None:
        lines = list(self._billed(batch, at))
        with self.world.commit() as db:
            # Two askers may have worked the same batch out: the rows are the same, so the second changes nothing.
            db.executemany("INSERT OR IGNORE INTO paid VALUES(?, ?, ?, ?, ?, ?)", lines)
            db.execute("UPDATE batches SET n_billed = ? WHERE seq = ?", (len(lines), batch.seq))

    def _billed(self, batch: Batch, at: Status) -> Iterator[tuple[int, int, str, int, int, int]]:
        """(batch, row, custom_id, identity, input tokens, output tokens) of each row to be paid for."""
        if at.outcome == "failed":
            return
        with self.service.fates(batch, at, self.readers[batch.provider](batch)) as fates:
            for row in range(fates.n):
                fate = fates.fate(row)
                if fate.is_billed and fate.asked is not None and fate.who is not None:
                    identity = self.service.model.billing_identity(batch.provider, fate.asked, fate.who)
                    yield batch.seq, row, fate.custom_id, identity, *_tokens(fate)

    def ledger(self, *, at_end: bool = False) -> dict[str, Any]:
        """The bill as JSON. With `at_end` it is the bill as it will be once every live batch has run its course."""
        self.settle()
        with self.world.lock:
            if not at_end:
                return self._added_up()
            with self.world.rehearsal() as db:
                for batch in self._unbilled():
                    end = status(batch, self.world.clock.now() + _FAR_FUTURE, self.service.usual_seconds)
                    if end.outcome is not None:
                        db.executemany("INSERT OR IGNORE INTO paid VALUES(?, ?, ?, ?, ?, ?)", list(self._billed(batch, end)))
                return self._added_up()

    def _added_up(self) -> dict[str, Any]:
        world = self.world
        total = world.row("SELECT count(*) AS n, coalesce(sum(input_tokens), 0) AS i, coalesce(sum(output_tokens), 0) AS o FROM paid")
        twice_by_id = world.rows("SELECT custom_id, count(*) AS n FROM paid GROUP BY custom_id HAVING n > 1 ORDER BY n DESC, custom_id")
        twice = world.rows("SELECT identity, count(*) AS n FROM paid GROUP BY identity HAVING n > 1 ORDER BY n DESC, identity")
        assert total is not None
        batches = [self._line(batch) for batch in self.service.batches.all()]
        calls = calls_by_provider(world.rows("SELECT * FROM calls ORDER BY provider, op"))
        direct = world.rows("SELECT body_sha256, count(*) AS n FROM direct WHERE status = 200 GROUP BY body_sha256")
        n_any = 1 if total["n"] else 0
        return {
            "batches": batches,
            "accepted_requests": sum(batch["n_requests"] for batch in batches),
            "in_flight_requests": sum(batch["n_requests"] for batch in batches if batch["n_answered"] is None),
            "answered_requests": total["n"],
            "answered_by_custom_id_max": twice_by_id[0]["n"] if twice_by_id else n_any,
            "duplicates": [row["custom_id"] for row in twice_by_id[:SHOWN_AT_MOST]],
            "n_duplicates": len(twice_by_id),
            "paid_by_identity_max": twice[0]["n"] if twice else n_any,
            "paid_more_than_once": [self._twice(row) for row in twice[:SHOWN_AT_MOST]],
            "n_paid_more_than_once": len(twice),
            "input_tokens": total["i"],
            "output_tokens": total["o"],
            "uploads": _carried_out(calls, "upload", "put_signed", "upload_complete"),
            "creates": _carried_out(calls, "create"),
            "cancels": _carried_out(calls, "cancel"),
            "direct": {
                "answered": sum(row["n"] for row in direct),
                "answered_by_body_max": max((row["n"] for row in direct), default=0),
            },
            "usd": None,
        }

    def _line(self, batch: Batch) -> dict[str, Any]:
        row = self.world.row("SELECT n_billed FROM batches WHERE seq = ?", (batch.seq,))
        at = self.service.status(batch)
        return {
            "provider": batch.provider,
            "id": batch.id,
            "created_at": batch.created_at,
            "n_requests": batch.n_rows,
            "n_answered": row["n_billed"] if row else None,
            "state": at.state,
            "outcome": at.outcome,
            "deleted": batch.deleted_at is not None,
            "label": batch.wire.get("displayName") or batch.wire.get("metadata"),
        }

    def _twice(self, row: sqlite3.Row) -> dict[str, Any]:
        """Which rows share an identity, and what it is."""
        paid = self.world.rows(
            "SELECT p.batch, p.row, p.custom_id, b.id, b.provider FROM paid p JOIN batches b ON b.seq = p.batch "
            "WHERE identity = ? ORDER BY p.batch, p.row LIMIT ?",
            (row["identity"], SHOWN_AT_MOST),
        )
        batch = self.service.batches.by_seq(paid[0]["batch"])
        with self.service.fates(batch, self.service.status(batch), self.readers[batch.provider](batch)) as fates:
            read = fates.reader(fates.rows.line(paid[0]["row"]))
        assert read.asked is not None
        who = self.service.model.identity(read.asked)
        return {
            "times": row["n"],
            "item": who.item,
            "arm": who.condition,
            "sample": who.sample,
            "temperature": read.asked.temperature,
            "model": read.asked.model,
            "provider": batch.provider,
            "custom_ids": [each["custom_id"] for each in paid],
            "batches": [each["id"] for each in paid],
        }


def _tokens(fate: Fate) -> tuple[int, int]:
    if fate.upstream is None:
        return usage_of(fate.answers)
    usage = decode_object(fate.upstream).get("usage")
    usage = usage if isinstance(usage, dict) else {}
    n_input = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    n_output = usage.get("completion_tokens", usage.get("output_tokens", 0))
    return (n_input if isinstance(n_input, int) else 0), (n_output if isinstance(n_output, int) else 0)


def calls_by_provider(rows: list[sqlite3.Row]) -> dict[str, dict[str, dict[str, int]]]:
    calls: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        calls.setdefault(row["provider"], {})[row["op"]] = {"received": row["received"], "carried_out": row["carried_out"]}
    return calls


def _carried_out(calls: dict[str, dict[str, dict[str, int]]], *ops: str) -> int:
    return sum(by_op[op]["carried_out"] for by_op in calls.values() for op in ops if op in by_op)
