"""What all wires share while the server runs: the world, the model, the faults, waiting, and dropping connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.types import Receive, Scope

from batchtrial.emulator.answers.modelfile import ModelFile
from batchtrial.emulator.answers.rows import Fates, Reader, UpstreamAnswer
from batchtrial.emulator.answers.simulation import SimulatedModel
from batchtrial.emulator.world.batches import Batches
from batchtrial.emulator.world.draws import token
from batchtrial.emulator.world.faults import Do, Rule, rule_id
from batchtrial.emulator.world.lifecycle import Status, status
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import RowFile
from batchtrial.emulator.world.world import World

Recorded = Callable[[Batch, bytes], UpstreamAnswer]
"""What the recording says to a row."""


class Service:
    """The emulated providers behind their wires."""

    def __init__(self, world: World, model_file: ModelFile, *, is_upstream: bool = False, recorded: Recorded | None = None) -> None:
        self.world = world
        self.model = SimulatedModel(model_file, world.seed)
        self.batches = Batches(world, model_file.batch_seconds, model_file.queue)
        self.is_upstream, self.recorded = is_upstream, recorded
        self.stopping = asyncio.Event()
        self.transports: dict[Any, asyncio.BaseTransport] = {}
        self._n_requests = 0
        self._boot = world.count_up("boots")

    def next_request_id(self) -> str:
        """Id of an exchange; not kept in the world, so that reading writes nothing."""
        self._n_requests += 1
        return token("req_", self.world.seed, "request", self._boot, self._n_requests)

    def status(self, batch: Batch) -> Status:
        """Where a batch stands now."""
        return status(batch, self.world.clock.now())

    @contextmanager
    def fates(self, batch: Batch, at: Status, reader: Reader) -> Iterator[Fates]:
        """The rows of a batch with what became of them; closes the row file afterwards."""
        with RowFile(self.world.blob(batch.blob)) as rows:
            yield Fates(batch, at, rows, reader, self.model, lambda row, line: self.real_answer(batch, row, line))

    def real_answer(self, batch: Batch, row: int, line: bytes) -> UpstreamAnswer | None:
        """What a real model said to a row, on the recording or when the server behind us was asked; None when it was not."""
        if self.recorded is not None:
            return self.recorded(batch, line)
        if not batch.is_upstream:
            return None
        found = self.world.row("SELECT status, body FROM answered WHERE batch = ? AND row = ?", (batch.seq, row))
        return None if found is None else UpstreamAnswer(found["status"], found["body"])

    # Faults

    def set_rules(self, origin: str, rules: tuple[Rule, ...]) -> list[str]:
        """Make these the rules of an origin; a rule that was there keeps its count. Returns their ids."""
        ids = [rule_id(origin, position, rule) for position, rule in enumerate(rules)]
        with self.world.commit() as db:
            known = {row["id"] for row in db.execute("SELECT id FROM fault_rules WHERE origin = ?", (origin,)).fetchall()}
            db.executemany("DELETE FROM fault_rules WHERE id = ?", [(each,) for each in known - set(ids)])
            for position, (name, rule) in enumerate(zip(ids, rules, strict=True)):
                db.execute(
                    "INSERT OR IGNORE INTO fault_rules(id, position, origin, rule) VALUES(?, ?, ?, ?)",
                    (name, position, origin, rule.model_dump_json(exclude_unset=True)),
                )
        return ids

    def add_rules(self, rules: tuple[Rule, ...]) -> list[str]:
        """Add rules at run time, after all others. Returns their ids."""
        ids = []
        with self.world.commit() as db:
            for rule in rules:
                position = self.world.count_up("fault")
                ids.append(rule_id("added", position, rule))
                db.execute(
                    "INSERT INTO fault_rules(id, position, origin, rule) VALUES(?, ?, 'added', ?)",
                    (ids[-1], position, rule.model_dump_json(exclude_unset=True)),
                )
        return ids

    def remove_rules(self, rule_name: str | None = None) -> int:
        """Forget one rule or all of them; returns how many there were."""
        with self.world.commit() as db:
            if rule_name is None:
                return db.execute("DELETE FROM fault_rules").rowcount
            return db.execute("DELETE FROM fault_rules WHERE id = ?", (rule_name,)).rowcount

    def fire(self, provider: str, op: str, path: str, part: str) -> list[Do]:
        """Count a request with every rule that matches it; returns what the rules do that it sets off, in their order."""
        fired = []
        with self.world.commit() as db:
            rows = db.execute("SELECT * FROM fault_rules ORDER BY origin DESC, position").fetchall()
            for row in rows:
                rule = Rule.model_validate(json.loads(row["rule"]))
                if not rule.matches(provider, op, path, part):
                    continue
                seen = row["seen"] + 1
                is_hit = rule.fires(seen)
                db.execute("UPDATE fault_rules SET seen = ?, fired = fired + ? WHERE id = ?", (seen, int(is_hit), row["id"]))
                if is_hit:
                    fired.append(rule.do)
        return fired

    # Waiting and dropping

    async def pause(self, seconds: float) -> None:
        """Wait real seconds, or less when the server stops."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return

    async def drop(self, scope: Scope, receive: Receive) -> None:
        """Close the connection under an exchange, and wait until it is closed."""
        transport = self.transports.get(tuple(scope.get("client") or ()))
        if transport is not None:
            transport.close()  # what was sent already still arrives
        while (await receive())["type"] != "http.disconnect":
            continue
