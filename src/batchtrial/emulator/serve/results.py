"""Closing a batch that is over: result files, counts and bill, worked out in one pass over its rows when somebody first asks.

The commit at the end is what makes a batch closed; a kill before it means only that the pass is made again, with the same result.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from batchtrial.emulator.answers.bodies import usage_of
from batchtrial.emulator.answers.rows import Fate, Reader, written
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.world.jsontext import decode
from batchtrial.emulator.world.lifecycle import Status
from batchtrial.emulator.world.records import Batch

Renderer = Callable[[Fate], tuple[str, bytes] | None]  # file name and line, or None for a row without a line
PaidRow = tuple[int, int, str, int, int, int]  # batch, row, custom_id, identity, input tokens, output tokens
ROWS_A_COMMIT: Final = 2000
INPUT: Final = ("prompt_tokens", "input_tokens", "promptTokenCount")
OUTPUT: Final = ("completion_tokens", "output_tokens", "candidatesTokenCount")
MAX_TOKENS: Final = 10**12
"""The most that a row of the bill says of itself; the sum of millions of rows still has room where 64 bits are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How one wire reads its request lines and writes its result lines."""

    reader_of: Callable[[Batch], Reader]
    renderer_of: Callable[[Batch], Renderer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What is known of a batch once it is over."""

    n_by_kind: Mapping[str, int]  # succeeded, errored, expired, cancelled, missing
    input_tokens: int
    output_tokens: int
    files: Mapping[str, Path]  # only files with at least one line

    def n(self, kind: str) -> int:
        return self.n_by_kind.get(kind, 0)


class Closing:
    """Closes batches and remembers what came out."""

    def __init__(self, service: Service, formats: Mapping[str, Format]) -> None:
        self.service, self.world, self.formats = service, service.world, formats
        self._lock = threading.Lock()

    def closed(self, batch: Batch, at: Status) -> Closed:
        """The result of a batch whose `at.outcome` is not None. Takes seconds for a large batch, the first time."""
        known = self._known(batch)
        if known is None:
            with self._lock:
                if self._known(batch) is None:
                    self._close(batch, at)
            known = self._known(batch)
        assert known is not None
        return known

    def _known(self, batch: Batch) -> Closed | None:
        row = self.world.row("SELECT closed FROM batches WHERE seq = ?", (batch.seq,))
        if row is None or row["closed"] is None:
            return None
        found = json.loads(row["closed"])
        return Closed(
            n_by_kind=found["n_by_kind"],
            input_tokens=found["input_tokens"],
            output_tokens=found["output_tokens"],
            files={name: self.path(batch, name) for name in found["files"]},
        )

    def path(self, batch: Batch, name: str) -> Path:
        return self.world.blob(f"results-{batch.seq:08d}-{name}")

    def _close(self, batch: Batch, at: Status) -> None:
        n_by_kind: Counter[str] = Counter()
        n_billed = n_input = n_output = 0
        drafts: dict[str, BinaryIO] = {}
        paid: list[PaidRow] = []
        try:
            for name, line, fate in self._pass(batch, at):
                if name is not None:
                    if name not in drafts:
                        drafts[name] = self.path(batch, f"{name}.tmp").open("wb")
                    drafts[name].write(line)
                if fate is None:
                    continue
                n_by_kind[fate.kind] += 1
                row = self.paid_row(batch, fate)
                if row is not None:
                    paid.append(row)
                    n_billed, n_input, n_output = n_billed + 1, n_input + row[4], n_output + row[5]
                if len(paid) >= ROWS_A_COMMIT:
                    self._pay(paid)
        finally:
            for file in drafts.values():
                file.close()
        self._pay(paid)
        for name in drafts:
            self.path(batch, f"{name}.tmp").replace(self.path(batch, name))
        closed = {"n_by_kind": n_by_kind, "input_tokens": n_input, "output_tokens": n_output, "files": sorted(drafts)}
        with self.world.commit() as db:
            db.execute("UPDATE batches SET n_billed = ?, closed = ? WHERE seq = ?", (n_billed, json.dumps(closed), batch.seq))

    def _pay(self, paid: list[PaidRow]) -> None:
        with self.world.commit() as db:
            # A pass that a kill cut short has put some of them there already.
            db.executemany("INSERT OR IGNORE INTO paid VALUES(?, ?, ?, ?, ?, ?)", paid)
        paid.clear()

    def _pass(self, batch: Batch, at: Status) -> Iterator[tuple[str | None, bytes, Fate | None]]:
        """File name, line and fate of every row; lines that nobody asked for come last, without a fate."""
        if at.outcome == "failed" or batch.n_rows == 0:
            return
        form = self.formats[batch.provider]
        render = form.renderer_of(batch)
        with self.service.fates(batch, at, form.reader_of(batch)) as fates:
            for fate in fates.in_order():
                rendered = render(fate)
                yield (None, b"", fate) if rendered is None else (rendered[0], written(rendered[1], fate), fate)
            for fate in fates.strangers():
                rendered = render(fate)
                if rendered is not None:
                    yield (*rendered, None)

    def paid_rows(self, batch: Batch, at: Status) -> Iterator[PaidRow]:
        """The rows that a batch puts on the bill if it ends as `at` says; nothing is written."""
        for _, _, fate in self._pass(batch, at):
            row = None if fate is None else self.paid_row(batch, fate)
            if row is not None:
                yield row

    def paid_row(self, batch: Batch, fate: Fate) -> PaidRow | None:
        """The line of a row on the bill, or None when it costs nothing."""
        if not fate.is_billed or fate.chat is None or fate.who is None:
            return None
        identity = self.service.model.billing_identity(batch.provider, fate.chat, fate.who)
        return (batch.seq, fate.row, fate.custom_id, identity, *tokens_of(fate))


def tokens_of(fate: Fate) -> tuple[int, int]:
    """Input and output tokens of an answered row."""
    return usage_of(fate.answers) if fate.upstream is None else usage_in(decode(fate.upstream))


def usage_in(body: object) -> tuple[int, int]:
    """Input and output tokens that an answer body names, in any wire's spelling; 0 where it names none that can be."""
    usage = (body.get("usage") or body.get("usageMetadata")) if isinstance(body, Mapping) else None
    usage = usage if isinstance(usage, dict) else {}
    n_input = next((usage[name] for name in INPUT if name in usage), 0)
    n_output = next((usage[name] for name in OUTPUT if name in usage), 0)
    return _tokens(n_input), _tokens(n_output) + _tokens(usage.get("thoughtsTokenCount"))


def _tokens(count: object) -> int:
    """A number of tokens, or 0 where none could be meant: a larger one has no room in the bill and would keep its batch from ever ending."""
    return count if isinstance(count, int) and 0 <= count <= MAX_TOKENS else 0
