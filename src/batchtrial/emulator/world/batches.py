"""Batches in the world: accept, look up, page through, cancel. No wire format here."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Any, cast

from batchtrial.emulator.serve.accounts import EVERYBODY
from batchtrial.emulator.world.effects import Effects, ListLag, decoded, encoded
from batchtrial.emulator.world.queues import QueueRules, Queues
from batchtrial.emulator.world.records import Batch, Provider
from batchtrial.emulator.world.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class NewBatch:
    """What a wire hands over once it has taken a batch in."""

    provider: Provider
    id: str
    n_rows: int
    blob: str
    wire: dict[str, Any]
    effects: Effects
    problems: tuple[dict[str, Any], ...] = ()
    is_upstream: bool = False
    account: str = EVERYBODY
    model: str = ""  # where the wire's batches have one model
    tokens: int = 0  # of the prompts


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch in a list: enough to cut pages before the batches of a page are read."""

    seq: int
    id: str


COLUMNS = """b.*, CASE WHEN is_upstream THEN (SELECT count(*) FROM answered a WHERE a.batch = b.seq) ELSE 0 END AS n_answered"""


def _batch(row: sqlite3.Row, usual_seconds: float) -> Batch:
    return Batch(
        seq=row["seq"],
        provider=cast(Provider, row["provider"]),
        id=row["id"],
        created_at=row["created_at"],
        n_rows=row["n_rows"],
        blob=row["blob"],
        wire=json.loads(row["wire"]),
        effects=decoded(row["effects"]),
        problems=tuple(json.loads(row["problems"])),
        is_upstream=bool(row["is_upstream"]),
        n_answered=row["n_answered"],
        finished_at=row["finished_at"],
        cancelled_at=row["cancelled_at"],
        deleted_at=row["deleted_at"],
        account=row["account"],
        usual_seconds=row["usual_seconds"] or usual_seconds,  # worlds of earlier versions did not keep it
    )


class Batches:
    """All batches of a world. usual_seconds: length of an undisturbed life of those that are created from now on."""

    def __init__(self, world: World, usual_seconds: float, rules: QueueRules | None = None) -> None:
        self.world, self.usual_seconds = world, usual_seconds
        self.queues = Queues(world, rules, usual_seconds)

    def add(self, new: NewBatch) -> Batch:
        """Accept a batch: from here on it is owed."""
        with self.world.commit() as db:
            cursor = db.execute(
                "INSERT INTO batches(provider, id, created_at, n_rows, blob, wire, effects, problems, is_upstream, account, usual_seconds, "
                "model, tokens) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    new.provider,
                    new.id,
                    self.world.clock.now(),
                    new.n_rows,
                    new.blob,
                    json.dumps(new.wire),
                    encoded(new.effects),
                    json.dumps(new.problems),
                    int(new.is_upstream),
                    new.account,
                    self.queues.life(new.provider, new.model, new.tokens, is_taken=not new.problems),
                    new.model,
                    new.tokens,
                ),
            )
            return self.by_seq(cast(int, cursor.lastrowid))

    def _read(self, row: sqlite3.Row) -> Batch:
        return _batch(row, self.usual_seconds)

    def by_seq(self, seq: int) -> Batch:
        row = self.world.row(f"SELECT {COLUMNS} FROM batches b WHERE seq = ?", (seq,))
        if row is None:
            raise LookupError(f"no batch number {seq}")
        return self._read(row)

    def get(self, provider: Provider, batch_id: str, account: str | None = None) -> Batch | None:
        """The newest batch of that id, deleted or not. account: whose; None asks for the name alone, which holds the account itself."""
        row = self.world.row(f"SELECT {COLUMNS} FROM batches b WHERE provider = ? AND id = ? ORDER BY seq DESC LIMIT 1", (provider, batch_id))
        found = None if row is None else self._read(row)
        return found if found is None or account is None or found.account in (account, EVERYBODY) else None

    def all(self) -> list[Batch]:
        """Every batch ever accepted, oldest first."""
        return [self._read(row) for row in self.world.rows(f"SELECT {COLUMNS} FROM batches b ORDER BY seq")]

    def cancel(self, batch: Batch, *, delete: bool = False) -> Batch:
        """Note that the client gave a batch up; the first time counts."""
        now = self.world.clock.now()
        with self.world.commit() as db:
            db.execute("UPDATE batches SET cancelled_at = coalesce(cancelled_at, ?) WHERE seq = ?", (now, batch.seq))
            if delete:
                db.execute("UPDATE batches SET deleted_at = coalesce(deleted_at, ?) WHERE seq = ?", (now, batch.seq))
        return self.by_seq(batch.seq)

    def delete(self, batch: Batch) -> None:
        """The batch is no longer shown; it stays on the bill."""
        with self.world.commit() as db:
            db.execute("UPDATE batches SET deleted_at = ? WHERE seq = ?", (self.world.clock.now(), batch.seq))

    def disturb(self, batch: Batch, effects: Effects) -> Batch:
        """Give a batch that exists other effects."""
        with self.world.commit() as db:
            db.execute("UPDATE batches SET effects = ? WHERE seq = ?", (encoded(effects), batch.seq))
        return self.by_seq(batch.seq)

    def state_in_place(self, batch: Batch) -> str | None:
        """The state that a fault wants to be shown in place of the batch's own this time; None when there is no such fault."""
        unknown = batch.effects.unknown_state
        return unknown.state if unknown is not None and self._count_poll(batch) <= unknown.polls else None

    def _count_poll(self, batch: Batch) -> int:
        """How many times the batch was asked for, this time included."""
        with self.world.commit() as db:
            db.execute("UPDATE batches SET polls = polls + 1 WHERE seq = ?", (batch.seq,))
            return int(db.execute("SELECT polls FROM batches WHERE seq = ?", (batch.seq,)).fetchone()["polls"])

    def listed(self, provider: Provider, account: str, *, is_first_page: bool) -> list[Listed]:
        """The account's, newest first, without those that were deleted and those that a lagging list does not show yet."""
        with self.world.commit() as db:
            rows = db.execute(
                "SELECT seq, id, created_at, list_calls, json_extract(effects, '$.list_lag') AS lag FROM batches "
                "WHERE provider = ? AND account IN (?, ?) AND deleted_at IS NULL ORDER BY seq DESC",
                (provider, account, EVERYBODY),
            ).fetchall()
            lagging = [row["seq"] for row in rows if row["lag"] is not None]
            if lagging and is_first_page:
                db.executemany("UPDATE batches SET list_calls = list_calls + 1 WHERE seq = ?", [(seq,) for seq in lagging])
        now, this_call = self.world.clock.now(), int(is_first_page)
        return [Listed(row["seq"], row["id"]) for row in rows if not _is_hidden(row, row["list_calls"] + this_call, now)]


def _is_hidden(row: sqlite3.Row, list_calls: int, now: float) -> bool:
    if row["lag"] is None:
        return False
    lag = ListLag.model_validate_json(row["lag"])
    return list_calls <= lag.calls or now < row["created_at"] + lag.seconds
