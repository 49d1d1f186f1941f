"""Anthropic message batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError, whole_number
from batchtrial.emulator.serve.results import Closing
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.anthropic.inline import CUSTOM_ID, BadBatch, take_in
from batchtrial.emulator.wires.anthropic.wire import RESULTS, AnthropicWire
from batchtrial.emulator.world.batches import Listed, NewBatch
from batchtrial.emulator.world.clock import rfc3339
from batchtrial.emulator.world.effects import Effects, ErroredRows, RowFaults, merged
from batchtrial.emulator.world.lifecycle import Status
from batchtrial.emulator.world.records import Batch

MAX_BODY_BYTES: Final = 256_000_000
KEPT_SECONDS: Final = 29 * 86_400
BASE: Final = "/v1/messages/batches"
PIECE: Final = 1 << 18


class MessageBatches:
    """Handlers of the batch routes."""

    def __init__(self, service: Service, closing: Closing) -> None:
        self.service, self.world, self.closing = service, service.world, closing

    def routes(self, wire: AnthropicWire) -> list[Route]:
        def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
            return Route(path, Endpoint(self.service, wire, op, handler), methods=[method])

        one = BASE + "/{batch}"
        return [
            route(BASE, "POST", "create", self.create),
            route(BASE, "GET", "list", self.list_all),
            route(one, "GET", "get", self.get),
            route(one, "DELETE", "delete", self.delete),
            route(one + "/cancel", "POST", "cancel", self.cancel),
            Route(one + "/results", Endpoint(self.service, wire, "results", self.results), methods=["GET"], name="results"),
        ]

    # Create

    async def create(self, call: Call) -> Response:
        # Refused by the edge, before anything is parsed; the body is read to its end so that the client gets the answer.
        body, _ = await call.save_stream(MAX_BODY_BYTES)
        path = self.world.blob(body)
        try:
            blob = self.world.new_blob()[0]
            effects = await call.gate(part=await asyncio.to_thread(_first_custom_id, path))
            if effects.token_limit_exceeded:
                raise WireError(429, "Number of requests in the batch processing queue exceeds your rate limit.")
            n_rows = await asyncio.to_thread(take_in, path, self.world.blob(blob))
        except BadBatch as err:
            raise WireError(400, str(err)) from None
        finally:
            path.unlink()
        self.world.publish(blob)
        version = call.request.headers["anthropic-version"]
        batch = self.service.batches.add(
            NewBatch(
                provider="anthropic",
                id=self.world.new_id("msgbatch_01", 22),
                n_rows=n_rows,
                blob=blob,
                wire={"anthropic_version": version, "anthropic_beta": call.request.headers.get("anthropic-beta")},
                effects=_per_row(effects),
                is_upstream=self.service.is_upstream,
                account=call.account,
            )
        )
        return JSONResponse(self.shown(call, batch))

    # Look up

    def find(self, call: Call) -> Batch:
        """The batch in the path. Raises WireError 404."""
        batch_id = call.request.path_params["batch"]
        batch = self.service.batches.get("anthropic", batch_id, call.account)
        if batch is None or batch.deleted_at is not None:
            raise WireError(404, f"message batch {batch_id} not found")
        return batch

    async def get(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["batch"])
        batch = self.find(call)
        state = self.service.batches.state_in_place(batch)
        return JSONResponse(await asyncio.to_thread(self.shown, call, batch, state))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        query = call.request.query_params
        limit = whole_number(query.get("limit"), 20, 1, 1000, "limit")
        after, before = query.get("after_id"), query.get("before_id")
        if after and before:
            raise WireError(400, "after_id and before_id cannot be used together")
        batches = self.service.batches.listed("anthropic", call.account, is_first_page=not (after or before))
        found, has_more = _page(batches, after, before, limit)
        shown = await asyncio.to_thread(lambda: [self.shown(call, self.service.batches.by_seq(each.seq)) for each in found])
        ends = {"first_id": found[0].id if found else None, "last_id": found[-1].id if found else None}
        return JSONResponse({"data": shown, "has_more": has_more, **ends})

    async def cancel(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["batch"])
        batch = self.find(call)
        if self.service.status(batch).outcome is not None:
            raise WireError(400, f"message batch {batch.id} has already ended")
        return JSONResponse(await asyncio.to_thread(self.shown, call, self.service.batches.cancel(batch)))

    async def delete(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["batch"])
        batch = self.find(call)
        if self.service.status(batch).outcome is None:
            raise WireError(400, f"message batch {batch.id} cannot be deleted while it is processing; cancel it first")
        self.service.batches.delete(batch)
        return JSONResponse({"id": batch.id, "type": "message_batch_deleted"})

    async def results(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["batch"])
        batch = self.find(call)
        at = self.service.status(batch)
        if at.outcome is None:
            raise WireError(404, f"message batch {batch.id} has no results yet: it has not ended")
        if self._is_archived(batch):
            raise WireError(404, f"the results of message batch {batch.id} are no longer available")
        closed = await asyncio.to_thread(self.closing.closed, batch, at)
        path = closed.files.get(RESULTS)
        return StreamingResponse(_pieces(path) if path is not None else iter(()), media_type="application/x-jsonl")

    def _is_archived(self, batch: Batch) -> bool:
        return self.world.clock.now() >= batch.created_at + KEPT_SECONDS

    def shown(self, call: Call, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The batch object."""
        at = self.service.status(batch)
        is_archived = self._is_archived(batch) and at.outcome is not None
        url = None
        if at.outcome is not None and not is_archived:
            url = str(call.request.url_for("results", batch=batch.id))
        since_cancel = at.since.get("canceling")
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": state or at.state,
            "request_counts": self._counts(batch, at),
            "created_at": rfc3339(batch.created_at),
            "expires_at": rfc3339(at.expires_at),
            "ended_at": None if at.ended_at is None else rfc3339(at.ended_at),
            "cancel_initiated_at": None if since_cancel is None else rfc3339(since_cancel),
            "archived_at": rfc3339(batch.created_at + KEPT_SECONDS) if is_archived else None,
            "results_url": url,
        }

    def _counts(self, batch: Batch, at: Status) -> dict[str, int]:
        """All in `processing` until the whole batch has ended; the five always add up."""
        if at.outcome is None:
            return {"processing": batch.n_rows, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        closed = self.closing.closed(batch, at)
        return {
            "processing": 0,
            "succeeded": closed.n("succeeded") + closed.n("missing"),
            "errored": closed.n("errored"),
            "canceled": closed.n("cancelled"),
            "expired": closed.n("expired"),
        }


def _first_custom_id(path: Path) -> str:
    """A label for fault rules: the first custom_id in the body, as far as it can be seen without parsing it."""
    with path.open("rb") as file:
        head = file.read(65_536)
    start = head.find(b'"custom_id"')
    text = head[start + 11 :].lstrip(b" \t\r\n:").decode("utf-8", "replace") if start >= 0 else ""
    match = CUSTOM_ID.match(text.removeprefix('"'))
    return match.group() if match else ""


def _per_row(effects: Effects) -> Effects:
    """This API has no failed batches: what fails the validation of a batch elsewhere fails every row here."""
    if not effects.validation_failure:
        return effects
    forced = effects.validation_failure
    message = forced if isinstance(forced, str) else "The emulator was told to fail this batch."
    rows = RowFaults(errored=ErroredRows(fraction=1.0, status=400, message=message))
    return merged([effects, Effects(rows=rows)]).model_copy(update={"validation_failure": False})


def _page(batches: list[Listed], after: str | None, before: str | None, limit: int) -> tuple[list[Listed], bool]:
    """One page of a list, newest first, and whether there is more in the direction asked for. Raises WireError 400."""
    ids = [batch.id for batch in batches]
    cursor = after or before
    if cursor and cursor not in ids:
        raise WireError(400, f"no message batch {cursor} to page from")
    if before:
        end = ids.index(before)
        start = max(0, end - limit)
        return batches[start:end], start > 0
    start = ids.index(after) + 1 if after else 0
    return batches[start : start + limit], start + limit < len(batches)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece
