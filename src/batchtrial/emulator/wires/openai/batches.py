"""OpenAI batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from batchtrial.emulator.serve.batch_calls import BatchCalls, Counted, TakenIn, take_rows
from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError, whole_number
from batchtrial.emulator.serve.results import Closed, Closing
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.openai.dialects import OPENAI, Dialect, hours_of, in_dialect, page_of
from batchtrial.emulator.wires.openai.endpoints import ENDPOINTS
from batchtrial.emulator.wires.openai.files import BATCH_FILE_SECONDS, Files, StoredFile
from batchtrial.emulator.wires.openai.wire import ERRORS, OUTPUT, OpenAIWire, PrettyJson, Validation
from batchtrial.emulator.world.effects import Effects
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.world import World

TIMES: Final = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")


class Lifetime(BaseModel):
    """`output_expires_after`."""

    model_config = ConfigDict(defer_build=True)
    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600, le=2_592_000)


class CreateBatch(BaseModel):
    """Body of a create call."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)
    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]] | None = Field(
        None, max_length=16
    )
    output_expires_after: Lifetime | None = None


class OpenAIBatches(BatchCalls):
    """Handlers of the batch routes."""

    def __init__(self, service: Service, files: Files, closing: Closing, dialect: Dialect = OPENAI) -> None:
        super().__init__(service, closing, dialect.name, "No batch found with id '{id}'.")
        self.dialect, self.files = dialect, files
        files.result_file = self.result_file
        files.result_files = self.result_files

    def routes(self, wire: OpenAIWire) -> list[Route]:
        def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
            return Route(path, Endpoint(self.service, wire, op, handler), methods=[method])

        return [
            one
            for root in self.dialect.roots
            for one in (
                route(f"{root}/batches", "POST", "create", self.create),
                route(f"{root}/batches", "GET", "list", self.list_all),
                route(f"{root}/batches/{{batch}}", "GET", "get", self.get),
                route(f"{root}/batches/{{batch}}/cancel", "POST", "cancel", self.cancel),
            )
        ]

    # Create

    async def create(self, call: Call) -> Response:
        asked = _validated(await call.json_object(), self.dialect)
        hours = hours_of(self.dialect, asked.completion_window)
        if not self.dialect.has_labels:
            asked = asked.model_copy(update={"metadata": None})
        file = await asyncio.to_thread(self.files.find, asked.input_file_id, call.account)
        label = " ".join([file.filename, *(asked.metadata or {}).values()])
        effects = await call.gate(part=label)
        if file.purpose != self.dialect.purpose:
            text = f"The file {file.id} has purpose '{file.purpose}', not '{self.dialect.purpose}'."
            raise WireError(400, text, param="input_file_id")
        validation = Validation(asked.endpoint, self.service.model.file.knows, counts_tokens=self.service.batches.queues.has_rules)
        blob, n_rows = await asyncio.to_thread(take_in, self.world, file, validation, self.dialect)
        _force_problems(validation, effects)
        wire = asked.model_dump(exclude_none=True) | {"model": validation.model, "input_filename": file.filename}
        wire |= {"window_seconds": hours * 3600.0} if hours != 24 else {}
        with self.world.commit():
            self._queue(validation, call.account)
            problems, model = tuple(validation.problems), validation.model or ""
            taken = TakenIn(blob=blob, n_rows=n_rows, problems=problems, model=model, tokens=validation.tokens)
            own = self.world.new_id("batch_", 32)
            batch = self.accept(call, taken, effects, wire, id=own, files={self.world.new_id("file-"): name for name in (OUTPUT, ERRORS)})
        shown = self.shown(batch)
        return PrettyJson({"job": shown, "warning": ""} if self.dialect.is_wrapped else shown)

    def _queue(self, validation: Validation, account: str) -> None:
        """What the account's queue says to one batch more. Raises WireError 429."""
        queues, model = self.service.batches.queues, validation.model or ""
        if queues.is_too_often(self.name, account):
            raise WireError(429, "Rate limit reached for batches in organization org-emulator: too many were created in the last hour.")
        if queues.is_over(self.name, account, model, validation.tokens):
            _add_limit(validation, queues.limit(model) or 0)

    # Look up

    async def get(self, call: Call) -> Response:
        batch = await self.find_behind_gate(call)
        return PrettyJson(await asyncio.to_thread(self.shown, batch, self.service.batches.state_in_place(batch)))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        query = call.request.query_params
        limit = min(self.dialect.page, whole_number(query.get("limit"), 20, 1, 100, "limit"))
        is_first_page = not (query.get("after") or query.get("cursor"))
        batches = self.service.batches.listed(self.name, call.account, is_first_page=is_first_page)
        found = page_of(self.dialect, [{"id": each.id, "seq": each.seq} for each in batches], query, limit)
        found["data"] = await self.shown_all([each["seq"] for each in found["data"]])
        return PrettyJson(found["data"] if self.dialect.paging == "array" else found)

    async def cancel(self, call: Call) -> Response:
        batch = await self.find_behind_gate(call)
        at = self.service.status(batch)
        if at.outcome in ("completed", "failed", "expired"):
            raise WireError(409, f"Cannot cancel a batch with status '{at.state}'.")
        if at.outcome is None:
            batch = self.service.batches.cancel(batch)
        return PrettyJson(await asyncio.to_thread(self.shown, batch))

    def shown(self, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The batch object: what is not set is null, not absent."""
        now, wire = self.counted(batch), batch.wire
        at, closed = now.at, now.closed
        files = self._result_ids(batch, closed)
        failed = at.outcome == "failed"
        shown = {
            "id": batch.id,
            "object": "batch",
            "endpoint": wire["endpoint"],
            "model": wire.get("model"),
            "errors": {"object": "list", "data": list(batch.problems)} if failed else None,
            "input_file_id": wire["input_file_id"],
            "completion_window": wire["completion_window"],
            "status": state or at.state,
            "output_file_id": files.get(OUTPUT),
            "error_file_id": files.get(ERRORS),
            "created_at": int(batch.created_at),
            "expires_at": int(at.expires_at),
            **{f"{name}_at": int(at.since[name]) if name in at.since else None for name in TIMES},
            "request_counts": _counts(batch, now),
            "usage": _usage(closed) if closed is not None and not failed else None,
            "metadata": wire.get("metadata"),
        }
        return in_dialect(self.dialect, shown)

    # Result files: they follow from their batch; only their ids are stored.

    def _result_ids(self, batch: Batch, closed: Closed | None) -> dict[str, str]:
        if closed is None:
            return {}
        rows = self.world.rows("SELECT id, name FROM result_files WHERE batch = ?", (batch.seq,))
        return {row["name"]: row["id"] for row in rows if row["name"] in closed.files or self._is_empty(row["name"])}

    def _is_empty(self, name: str) -> bool:
        """Whether a file of that name is there although it has no line."""
        return name == ERRORS and self.dialect.has_empty_error_file

    def result_file(self, file_id: str, account: str) -> StoredFile | None:
        """The account's result file of that id, or None when there is none or its batch is not over."""
        found = self.result_of(file_id, account)
        if found is None:
            return None
        batch, at, name, path = found
        if path is None and self._is_empty(name):
            path = self.closing.path(batch, "empty")
            path.touch()
        if path is None or at.ended_at is None:
            return None
        lifetime = batch.wire.get("output_expires_after", {}).get("seconds", BATCH_FILE_SECONDS)
        return StoredFile(
            id=file_id,
            n_bytes=path.stat().st_size,
            created_at=at.ended_at,
            filename=f"{batch.id}_{name}.jsonl",
            purpose="batch_output",
            expires_at=at.ended_at + lifetime,
            path=path,
        )

    def result_files(self, account: str) -> list[StoredFile]:
        """All result files that the account has."""
        rows = self.world.rows("SELECT id FROM result_files WHERE deleted_at IS NULL ORDER BY batch, name")
        return [file for row in rows if (file := self.result_file(row["id"], account)) is not None]


def take_in(world: World, file: StoredFile, validation: Validation, dialect: Dialect) -> tuple[str, int]:
    """Blob and number of the rows of the input, every line of which is checked; the batch keeps them when the client deletes the file."""
    if file.n_bytes > dialect.max_bytes:
        validation.add("file_too_large", f"The input file is larger than {dialect.max_bytes} bytes.")
        return take_rows(world, lambda draft: draft.touch(), validation.check)
    blob, n_rows = take_rows(world, file.copy_to, validation.check)
    if n_rows > dialect.max_rows:
        validation.add("too_many_tasks", f"The input file has {n_rows} requests; at most {dialect.max_rows} are allowed.")
    if not n_rows and not validation.problems:
        validation.add("empty_file", "The input file has no requests.")
    return blob, n_rows


def _validated(body: dict[str, Any], dialect: Dialect) -> CreateBatch:
    told = {name: value for name, value in body.items() if name not in dialect.further_fields}
    if dialect.usual_window is not None:
        told.setdefault("completion_window", dialect.usual_window)
    try:
        asked = CreateBatch.model_validate(told)
    except ValidationError as err:
        first = err.errors()[0]
        param = ".".join(map(str, first["loc"]))
        raise WireError(400, f"Invalid '{param}': {first['msg']}", param=param) from None
    if asked.endpoint not in ENDPOINTS:
        raise WireError(400, f"Invalid 'endpoint': the emulator serves {list(ENDPOINTS)}.", param="endpoint")
    return asked


def _force_problems(validation: Validation, effects: Effects) -> None:
    if effects.token_limit_exceeded:
        _add_limit(validation, 90_000)
    if effects.validation_failure:
        forced = effects.validation_failure
        validation.add("invalid_request", forced if isinstance(forced, str) else "The emulator was told to fail this batch.", 1)


def _add_limit(validation: Validation, limit: int) -> None:
    text = f"Enqueued token limit reached for {validation.model} in organization org-emulator. Limit: {limit:,} enqueued tokens."
    validation.add("token_limit_exceeded", text)


def _counts(batch: Batch, now: Counted) -> dict[str, int]:
    if now.at.outcome == "failed" or "in_progress" not in now.at.since:
        return {"total": 0, "completed": 0, "failed": 0}
    # Rows that expired or were cancelled are neither completed nor failed; a row whose line got lost was completed.
    return {"total": batch.n_rows, "completed": now.n_done if now.closed is not None else now.at.n_finished, "failed": now.n_failed}


def _usage(closed: Closed) -> dict[str, Any]:
    return {
        "input_tokens": closed.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": closed.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": closed.input_tokens + closed.output_tokens,
    }
