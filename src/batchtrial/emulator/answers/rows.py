"""What became of each row of a batch, worked out row by row from the batch's record: no row is ever stored.

Nothing here knows a wire's words; a wire gives a `reader` (line -> request) and renders the fates it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from batchtrial.emulator.answers.request import BadRequest, ChatRequest
from batchtrial.emulator.answers.simulation import Answer, Identity, SimulatedModel
from batchtrial.emulator.world.draws import Shuffle
from batchtrial.emulator.world.effects import ErroredRows, RowFaults
from batchtrial.emulator.world.jsontext import BadJson, decode, encode
from batchtrial.emulator.world.lifecycle import Status
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import RowFile

MAX_WORDS: Final = 2_000
RowKind = Literal["succeeded", "errored", "expired", "cancelled", "missing"]
Reader = Callable[[bytes], "Read"]
_NO_FAULTS: Final = RowFaults.model_construct()
_ALL_FAILED: Final = ErroredRows.model_construct(status=500, message="The server had an error while processing your request.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a row is errored."""

    status: int
    message: str
    code: str | None = None
    param: str | None = None
    body: dict[str, object] | None = None  # whole error body, when a fault gives one


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One line of input as a wire understands it: a request, or the reason why it cannot be one."""

    custom_id: str
    chat: ChatRequest | None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What became of one row. `answers` and `who` are there for succeeded rows of a simulated batch."""

    row: int
    custom_id: str
    kind: RowKind
    chat: ChatRequest | None = None
    who: Identity | None = None
    answers: tuple[Answer, ...] = ()
    problem: Problem | None = None
    upstream: str | None = None  # answer body of a real server, JSON text
    is_billed: bool = False
    copies: int = 1
    is_malformed: bool = False
    is_invalid_utf8: bool = False
    is_raw: bool = False  # its line is written without escapes where the wire has them
    id_key: str = ""  # what ids inside the row are drawn from


@dataclass(frozen=True, slots=True)
class UpstreamAnswer:
    """What a real server said to a row."""

    status: int
    body: str


def problem_in(answer: UpstreamAnswer) -> Problem | None:
    """Why a real server's answer is an error, in that server's words; None when it is not, or does not say so."""
    try:
        body = decode(answer.body)
    except BadJson:
        body = None
    told = body.get("error", body) if isinstance(body, dict) else None
    if answer.status == 200:
        is_error = isinstance(body, dict) and bool(body.get("error")) and not (body.get("choices") or body.get("output"))
        return Problem(status=200, message="", body={"error": told}) if is_error else None
    if isinstance(told, str):
        return Problem(status=answer.status, message=told[:MAX_WORDS])
    if not isinstance(told, dict):
        return Problem(status=answer.status, message=answer.body[:MAX_WORDS])
    code = next((told[name] for name in ("code", "type") if isinstance(told.get(name), str) and told[name]), None)
    words = told.get("message") or told.get("detail") or told
    return Problem(status=answer.status, message=(words if isinstance(words, str) else encode(words))[:MAX_WORDS], code=code)


def read_or_problem(custom_id: str, make: Callable[[], ChatRequest]) -> Read:
    """A request, or HTTP 400 as the endpoint would answer it."""
    try:
        return Read(custom_id=custom_id, chat=make())
    except BadRequest as err:
        problem = Problem(status=400, message=str(err), param=err.param, code="invalid_request_error")
        return Read(custom_id=custom_id, chat=None, problem=problem)


class Fates:
    """The fates of all rows of a batch at a time."""

    def __init__(
        self,
        batch: Batch,
        status: Status,
        rows: RowFile,
        reader: Reader,
        model: SimulatedModel,
        real: Callable[[int, bytes], UpstreamAnswer | None],
    ) -> None:
        self.batch, self.status, self.rows, self.reader, self.model = batch, status, rows, reader, model
        self.real = real
        self.faults = batch.effects.rows or _NO_FAULTS
        self.n = len(rows)
        # Which rows are finished first, and in which order they are written, says nothing about their place in the input.
        self._finish_rank = Shuffle(self.n, model.seed, "finish")
        self._written = Shuffle(self.n, model.seed, "order")

    def in_order(self) -> Iterator[Fate]:
        """Every row once, in the order in which result lines are written."""
        for position in range(self.n):
            yield self.fate(self.row_at(position))

    def row_at(self, position: int) -> int:
        if self.faults.order == "input":
            return position
        if self.faults.order == "reversed":
            return self.n - 1 - position
        return self._written(position)

    def fate(self, row: int) -> Fate:
        """What became of a row."""
        line = self.rows.line(row)
        read = self.reader(line)
        fate = Fate(row=row, custom_id=read.custom_id, kind="succeeded", chat=read.chat, problem=read.problem)
        answer = self.real(row, line)
        if not self._is_finished(row, answer):
            return replace(fate, kind="expired" if self.status.outcome == "expired" else "cancelled", problem=None)
        errored = self._chosen_error(row, read.custom_id)
        if errored is not None:
            return replace(fate, kind="errored", problem=_problem(errored))
        if read.chat is None:  # refused whatever a real server made of it
            return replace(fate, kind="errored")
        if answer is not None:
            return self._from_real(fate, read.chat, answer)
        return self._simulated(fate, read.chat)

    def _is_finished(self, row: int, answer: UpstreamAnswer | None) -> bool:
        if self.batch.is_upstream:
            return answer is not None
        return self.status.outcome == "completed" or self._finish_rank(row) < self.status.n_finished

    def _chosen_error(self, row: int, custom_id: str) -> ErroredRows | None:
        if self.batch.effects.all_failed:
            return _ALL_FAILED
        errored = self.faults.errored
        return errored if errored and errored.choose(row, custom_id, self.n, "errored") else None

    def _from_real(self, fate: Fate, chat: ChatRequest, answer: UpstreamAnswer) -> Fate:
        who = self.model.identity(chat)
        key = f"{who.item}|{who.condition}|{who.sample}"
        problem = problem_in(answer)
        if problem is None:
            return self._with_line_faults(replace(fate, who=who, upstream=answer.body, is_billed=True, id_key=key))
        return replace(fate, kind="errored", problem=problem)

    def _simulated(self, fate: Fate, chat: ChatRequest) -> Fate:
        who = self.model.identity(chat)
        answers = self.model.answers(chat, who)
        huge = self.faults.huge
        if huge and huge.choose(fate.row, fate.custom_id, self.n, "huge"):
            answers = tuple(replace(each, text=(each.text + " " + "padding " * (huge.bytes // 8 + 1))[: huge.bytes]) for each in answers)
        spoiled = self.faults.answers
        if spoiled and spoiled.choose(fate.row, fate.custom_id, self.n, "answers"):
            answers = tuple(replace(each, form=spoiled.form) for each in answers)
        key = f"{who.item}|{who.condition}|{who.sample}"
        return self._with_line_faults(replace(fate, who=who, answers=answers, is_billed=True, id_key=key))

    def _with_line_faults(self, fate: Fate) -> Fate:
        faults, row, custom_id = self.faults, fate.row, fate.custom_id
        if faults is _NO_FAULTS:
            return fate
        if faults.missing and faults.missing.choose(row, custom_id, self.n, "missing"):
            return replace(fate, kind="missing", is_billed=faults.missing.billed)
        return replace(
            fate,
            copies=2 if faults.duplicated and faults.duplicated.choose(row, custom_id, self.n, "duplicated") else 1,
            is_malformed=bool(faults.malformed and faults.malformed.choose(row, custom_id, self.n, "malformed")),
            is_invalid_utf8=bool(faults.invalid_utf8 and faults.invalid_utf8.choose(row, custom_id, self.n, "invalid_utf8")),
            is_raw=bool(faults.raw_unicode and faults.raw_unicode.choose(row, custom_id, self.n, "raw_unicode")),
        )

    def strangers(self) -> Iterator[Fate]:
        """Rows that nobody asked for: a copy of the first answers under ids of their own."""
        for number in range(min(self.faults.unknown_id, 1000)):
            fate = self.fate(number % self.n)
            if fate.kind == "succeeded":
                yield replace(fate, custom_id=f"unknown-{number:04d}", is_billed=False, copies=1)


def _problem(fault: ErroredRows) -> Problem:
    return Problem(status=fault.status, message=fault.message, code=fault.code, body=fault.body)


def written(line: bytes, fate: Fate) -> bytes:
    """A result line as it reaches the file: with the damage that the faults ask for."""
    if fate.is_malformed:
        line = line[: max(1, len(line) // 2)] + b"\n"
    if fate.is_invalid_utf8:
        middle = len(line) // 2
        line = line[:middle] + b"\xff\xfe" + line[middle:]
    return line * fate.copies
