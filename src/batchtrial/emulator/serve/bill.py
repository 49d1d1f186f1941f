"""The bill: what was accepted, what was answered and paid for, and whether anything was paid for twice.

Only answered rows cost money. A batch is put on the bill when it has ended; what was finished by then counts, also in batches that
expired, were cancelled or deleted.
"""

from __future__ import annotations

import sqlite3
from typing import Any, Final

from batchtrial.emulator.serve.results import Closing
from batchtrial.emulator.world.lifecycle import status
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import RowFile

SHOWN_AT_MOST: Final = 100
_FAR_FUTURE: Final = 400 * 86_400.0


class Bill:
    """Adds up what is on the bill, after closing every batch that is over."""

    def __init__(self, closing: Closing) -> None:
        self.closing, self.service, self.world = closing, closing.service, closing.world

    def _open(self) -> list[Batch]:
        rows = self.world.rows("SELECT seq FROM batches WHERE closed IS NULL ORDER BY seq")
        return [self.service.batches.by_seq(row["seq"]) for row in rows]

    def settle(self) -> None:
        """Put every batch that is over and not on the bill yet there."""
        for batch in self._open():
            at = self.service.status(batch)
            if at.outcome is not None:
                self.closing.closed(batch, at)

    def ledger(self, *, at_end: bool = False) -> dict[str, Any]:
        """The bill as JSON. With `at_end` it is the bill as it will be once every live batch has run its course."""
        self.settle()
        with self.world.lock:
            if not at_end:
                return self._added_up()
            with self.world.rehearsal() as db:
                for batch in self._open():
                    end = status(batch, self.world.clock.now() + _FAR_FUTURE)
                    if end.outcome is not None:
                        db.executemany("INSERT OR IGNORE INTO paid VALUES(?, ?, ?, ?, ?, ?)", list(self.closing.paid_rows(batch, end)))
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
        named = world.rows("SELECT custom_id, count(*) AS n FROM direct WHERE status = 200 AND custom_id IS NOT NULL GROUP BY custom_id HAVING n > 1")
        by_tier = world.rows(
            "SELECT tier, count(*) AS n, sum(input_tokens) AS i, sum(output_tokens) AS o FROM direct WHERE status = 200 GROUP BY tier ORDER BY tier"
        )
        n_any = 1 if total["n"] else 0
        by_account = world.rows("SELECT account, n_rows, (SELECT count(*) FROM paid p WHERE p.batch = b.seq) AS n FROM batches b ORDER BY seq")
        return {
            "batches": batches,
            "accepted_requests": sum(batch["n_requests"] for batch in batches),
            "in_flight_requests": sum(batch["n_requests"] for batch in batches if batch["n_answered"] is None),
            "answered_requests": total["n"],
            "accounts": accounts_of(by_account),
            "answered_by_custom_id_max": twice_by_id[0]["n"] if twice_by_id else n_any,
            "duplicates": [row["custom_id"] for row in twice_by_id[:SHOWN_AT_MOST]],
            "n_duplicates": len(twice_by_id),
            "paid_by_identity_max": twice[0]["n"] if twice else n_any,
            "paid_more_than_once": [self._twice(row) for row in twice[:SHOWN_AT_MOST]],
            "n_paid_more_than_once": len(twice),
            "input_tokens": total["i"],
            "output_tokens": total["o"],
            "uploads": _cancelled_in_time(calls, "upload", "put_signed", "upload_complete"),
            "creates": _cancelled_in_time(calls, "create"),
            "cancels": _cancelled_in_time(calls, "cancel"),
            "direct": {
                "answered": sum(row["n"] for row in direct),
                "answered_by_body_max": max((row["n"] for row in direct), default=0),
                "n_answered_again": sum(row["n"] - 1 for row in named),
                "by_tier": {row["tier"]: {"answered": row["n"], "input_tokens": row["i"], "output_tokens": row["o"]} for row in by_tier},
            },
            "usd": None,
        }

    def _line(self, batch: Batch) -> dict[str, Any]:
        row = self.world.row("SELECT n_billed FROM batches WHERE seq = ?", (batch.seq,))
        at = self.service.status(batch)
        return {
            "provider": batch.provider,
            "account": batch.account,
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
        with RowFile(self.world.blob(batch.blob)) as rows:
            read = self.closing.formats[batch.provider].reader_of(batch)(rows.line(paid[0]["row"]))
        assert read.chat is not None
        who = self.service.model.identity(read.chat)
        return {
            "times": row["n"],
            "item": who.item,
            "arm": who.condition,
            "sample": who.sample,
            "temperature": read.chat.temperature,
            "model": read.chat.model,
            "provider": batch.provider,
            "custom_ids": [each["custom_id"] for each in paid],
            "batches": [each["id"] for each in paid],
        }


def accounts_of(rows: list[sqlite3.Row]) -> dict[str, dict[str, int]]:
    """What each account was asked for and has to pay, in the order of their first batches."""
    accounts: dict[str, dict[str, int]] = {}
    for row in rows:
        one = accounts.setdefault(row["account"], {"batches": 0, "accepted_requests": 0, "answered_requests": 0})
        one["batches"] += 1
        one["accepted_requests"] += row["n_rows"]
        one["answered_requests"] += row["n"]
    return accounts


def calls_by_provider(rows: list[sqlite3.Row]) -> dict[str, dict[str, dict[str, int]]]:
    calls: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        calls.setdefault(row["provider"], {})[row["op"]] = {"received": row["received"], "carried_out": row["carried_out"]}
    return calls


def _cancelled_in_time(calls: dict[str, dict[str, dict[str, int]]], *ops: str) -> int:
    return sum(by_op[op]["carried_out"] for by_op in calls.values() for op in ops if op in by_op)
