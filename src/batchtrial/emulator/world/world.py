"""The world on disk: one SQLite file and a folder of blobs. What was answered with 200 is here after a kill.

One connection, one lock, short transactions; long work (validating, rendering) reads files and takes the lock only to publish.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from batchtrial.emulator.world.clock import Clock, ClockMode, ClockState, continued, first_state
from batchtrial.emulator.world.draws import token

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters(name TEXT PRIMARY KEY, n INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS batches(
  seq INTEGER PRIMARY KEY, provider TEXT NOT NULL, id TEXT NOT NULL, created_at REAL NOT NULL, n_rows INTEGER NOT NULL,
  blob TEXT NOT NULL, wire TEXT NOT NULL, effects TEXT NOT NULL, problems TEXT NOT NULL, is_upstream INTEGER NOT NULL,
  finished_at REAL, cancelled_at REAL, deleted_at REAL,
  polls INTEGER NOT NULL DEFAULT 0, list_calls INTEGER NOT NULL DEFAULT 0, n_billed INTEGER, closed TEXT, account TEXT NOT NULL DEFAULT '',
  usual_seconds REAL, model TEXT NOT NULL DEFAULT '', tokens INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS batches_by_id ON batches(provider, id);
CREATE TABLE IF NOT EXISTS paid(
  batch INTEGER NOT NULL, row INTEGER NOT NULL, custom_id TEXT NOT NULL, identity INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, PRIMARY KEY(batch, row)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS datasets(
  name TEXT PRIMARY KEY, seq INTEGER NOT NULL, account TEXT NOT NULL, created_at REAL NOT NULL, state TEXT NOT NULL,
  wire TEXT NOT NULL, files TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files(
  id TEXT PRIMARY KEY, seq INTEGER NOT NULL, created_at REAL NOT NULL, filename TEXT NOT NULL, purpose TEXT NOT NULL,
  n_bytes INTEGER NOT NULL, blob TEXT NOT NULL, expires_at REAL, deleted_at REAL, account TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS result_files(id TEXT PRIMARY KEY, batch INTEGER NOT NULL, name TEXT NOT NULL, deleted_at REAL);
CREATE TABLE IF NOT EXISTS uploads(
  id TEXT PRIMARY KEY, seq INTEGER NOT NULL, created_at REAL NOT NULL, wire TEXT NOT NULL, status TEXT NOT NULL, file TEXT,
  account TEXT NOT NULL DEFAULT '');
CREATE TABLE IF NOT EXISTS upload_parts(
  id TEXT PRIMARY KEY, upload TEXT NOT NULL, created_at REAL NOT NULL, n_bytes INTEGER NOT NULL, blob TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS fault_rules(
  id TEXT PRIMARY KEY, position INTEGER NOT NULL, origin TEXT NOT NULL, rule TEXT NOT NULL,
  seen INTEGER NOT NULL DEFAULT 0, fired INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS calls(provider TEXT NOT NULL, op TEXT NOT NULL, received INTEGER NOT NULL DEFAULT 0,
  carried_out INTEGER NOT NULL DEFAULT 0, PRIMARY KEY(provider, op)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answered(
  batch INTEGER NOT NULL, row INTEGER NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY(batch, row)
  ) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS direct(
  seq INTEGER PRIMARY KEY, at REAL NOT NULL, path TEXT NOT NULL, custom_id TEXT, body_sha256 TEXT NOT NULL,
  body TEXT NOT NULL, status INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
  tier TEXT NOT NULL DEFAULT '');
"""
FORMAT: Final = "1"
_TEXT: Final = "TEXT NOT NULL DEFAULT ''"
LATER_COLUMNS: Final = (
    ("batches", "account", _TEXT),
    ("files", "account", _TEXT),
    ("uploads", "account", _TEXT),
    ("direct", "tier", _TEXT),
    ("batches", "usual_seconds", "REAL"),
    ("batches", "model", _TEXT),
    ("batches", "tokens", "INTEGER NOT NULL DEFAULT 0"),
)
"""Table, column and kind of what worlds of earlier versions lack."""


class WorldError(Exception):
    """The folder cannot be used as asked; the text says why and what to do."""


class World:
    """State of the emulated providers under one folder.

    Raises WorldError when the folder is used by another server, was made with another seed, or cannot be written.
    """

    def __init__(self, root: Path, *, seed: int | None, mode: ClockMode, speed: float, wall: Callable[[], float]) -> None:
        self.root = root
        self.lock = threading.RLock()
        try:
            (root / "blobs").mkdir(parents=True, exist_ok=True)
            self._guard = (root / "lock").open("a")
        except OSError as err:
            raise WorldError(f"cannot write to {root}: {err.strerror}; choose another --state") from None
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._guard.close()
            raise WorldError(f"{root} is in use by another emulator; stop it or choose another --state") from None
        for draft in (root / "blobs").glob("*.tmp"):  # a kill left them; nothing that was acknowledged is in them
            draft.unlink()
        self._db = sqlite3.connect(root / "world.sqlite", isolation_level=None, check_same_thread=False)
        try:
            self._open(seed, mode, speed, wall)
        except sqlite3.DatabaseError as err:
            self.close()
            raise WorldError(f"{root / 'world.sqlite'} is not a usable world: {err}; move it away to start afresh") from None
        except WorldError:
            self.close()
            raise

    def _open(self, seed: int | None, mode: ClockMode, speed: float, wall: Callable[[], float]) -> None:
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        # NORMAL survives a kill of the process at any moment; only a power cut could lose the last commits.
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(SCHEMA)
        for table, column, kind in LATER_COLUMNS:
            if column not in {row["name"] for row in self._db.execute(f"PRAGMA table_info({table})")}:
                self._db.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
        with self.commit():
            self.seed = self._agree_on_seed(seed)
            self.clock = Clock(self._agree_on_clock(mode, speed, wall()), wall)

    def _agree_on_seed(self, seed: int | None) -> int:
        known = self.meta("seed")
        if self.meta("format") not in (None, FORMAT):
            raise WorldError(f"{self.root} was made by another version of the emulator; choose another --state")
        if known is None:
            self.set_meta("seed", str(seed or 0))
            self.set_meta("format", FORMAT)
            return seed or 0
        if seed is not None and seed != int(known):
            raise WorldError(f"{self.root} was made with --seed {known}, not {seed}; leave --seed out or choose another --state")
        return int(known)

    def _agree_on_clock(self, mode: ClockMode, speed: float, wall: float) -> ClockState:
        known = self.meta("clock")
        if known is None:
            state = first_state(mode, speed, wall)
        else:
            state = ClockState(**json.loads(known))
            if (state.mode, state.speed) == (mode, speed):
                return state
            state = continued(state, mode, speed, wall)
        self.set_meta("clock", json.dumps(state.as_json()))
        return state

    def advance(self, seconds: float) -> float:
        """Move the virtual clock forward; returns the new time."""
        with self.commit():
            self.clock.state = self.clock.state.moved(seconds, self.clock.wall())
            self.set_meta("clock", json.dumps(self.clock.state.as_json()))
        return self.clock.now()

    @contextmanager
    def commit(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is on disk afterwards, or none. Inside another one it joins that."""
        with self.lock:
            if self._db.in_transaction:
                yield self._db
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    @contextmanager
    def rehearsal(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is always undone: for asking what would be."""
        with self.lock:
            self._db.execute("BEGIN")
            try:
                yield self._db
            finally:
                self._db.execute("ROLLBACK")

    def rows(self, sql: str, args: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self.lock:
            return self._db.execute(sql, args).fetchall()

    def row(self, sql: str, args: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        with self.lock:
            found: sqlite3.Row | None = self._db.execute(sql, args).fetchone()
            return found

    def meta(self, key: str) -> str | None:
        found = self.row("SELECT value FROM meta WHERE key = ?", (key,))
        return None if found is None else str(found["value"])

    def set_meta(self, key: str, value: str) -> None:
        with self.commit() as db:
            db.execute("INSERT INTO meta VALUES(?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value", (key, value))

    def count_up(self, name: str) -> int:
        """The next number of a named counter, from 1."""
        with self.commit() as db:
            db.execute("INSERT INTO counters VALUES(?, 1) ON CONFLICT(name) DO UPDATE SET n = n + 1", (name,))
            return int(db.execute("SELECT n FROM counters WHERE name = ?", (name,)).fetchone()["n"])

    def new_id(self, prefix: str, length: int = 24) -> str:
        """A fresh id: depends on the seed and on how many of its kind there were, on nothing else."""
        return token(prefix, self.seed, prefix, self.count_up(f"id:{prefix}"), length=length)

    def blob(self, name: str) -> Path:
        """Path of a stored file; `name` is made by the emulator, never by a client."""
        return self.root / "blobs" / name

    def new_blob(self) -> tuple[str, Path]:
        """Name for a file, and the draft path to write it to before `publish`."""
        name = f"b{self.count_up('blob'):08d}"
        return name, self.blob(name + ".tmp")

    def publish(self, name: str) -> None:
        """The draft becomes the file, in one step."""
        self.blob(name + ".tmp").replace(self.blob(name))

    def count_call(self, provider: str, op: str, *, carried_out: bool) -> None:
        """One more request of a kind: received, or received and carried out."""
        column = "carried_out" if carried_out else "received"
        with self.commit() as db:
            db.execute(
                f"INSERT INTO calls(provider, op, {column}) VALUES(?, ?, 1) ON CONFLICT(provider, op) DO UPDATE SET {column} = {column} + 1",
                (provider, op),
            )

    def close(self) -> None:
        """Release the folder."""
        with self.lock:
            self._db.close()
            self._guard.close()
