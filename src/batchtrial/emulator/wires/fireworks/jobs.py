"""Fireworks batch inference jobs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from batchtrial.emulator.serve.exchange import Call, Endpoint, WireError
from batchtrial.emulator.serve.results import Closing
from batchtrial.emulator.serve.service import Service
from batchtrial.emulator.wires.fireworks.datasets import Datasets
from batchtrial.emulator.wires.fireworks.paging import page
from batchtrial.emulator.wires.fireworks.wire import FireworksWire, check_id, last_segment, line_problem, reader_of
from batchtrial.emulator.world.batches import NewBatch
from batchtrial.emulator.world.clock import rfc3339
from batchtrial.emulator.world.effects import Effects
from batchtrial.emulator.world.jsontext import BadJson, decode_object
from batchtrial.emulator.world.lifecycle import CANCEL_SHARE, Status
from batchtrial.emulator.world.records import Batch
from batchtrial.emulator.world.rowfile import save_index, scan

BASE: Final = "/v1/accounts/{account}/batchInferenceJobs"


class Parameters(BaseModel):
    """`inferenceParameters` of a job."""

    model_config = ConfigDict(extra="allow", defer_build=True)
    maxTokens: int | None = None
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    topP: float | None = Field(None, ge=0.0, le=1.0)
    topK: int | None = None
    n: int | None = Field(None, ge=1, le=128)
    extraBody: str | None = None


class CreateJob(BaseModel):
    """Body of a create call; fields that the SDK's types do not have are kept too."""

    model_config = ConfigDict(extra="allow", defer_build=True)
    displayName: str | None = None
    model: str | None = None
    inputDatasetId: str | None = None
    outputDatasetId: str | None = None
    inferenceParameters: Parameters | None = None
    precision: str | None = None
    continuedFromJobName: str | None = None
    systemPrompt: str | None = None


@dataclass(frozen=True, slots=True)
class TakenIn:
    """The rows of a new job."""

    blob: str
    n_rows: int
    problems: tuple[dict[str, Any], ...]


class Jobs:
    """Handlers of the job routes."""

    def __init__(self, service: Service, datasets: Datasets, closing: Closing) -> None:
        self.service, self.world, self.datasets, self.closing = service, service.world, datasets, closing
        datasets.derived = self.output_dataset
        datasets.derived_files = self.output_files

    def routes(self, wire: FireworksWire) -> list[Route]:
        def route(path: str, method: str, op: str, handler: Callable[[Call], Any]) -> Route:
            return Route(path, Endpoint(self.service, wire, op, handler), methods=[method])

        one = BASE + "/{job}"
        return [
            route(BASE, "POST", "create", self.create),
            route(BASE, "GET", "list", self.list_all),
            route(one, "GET", "get", self.get),
            route(one, "DELETE", "cancel", self.delete),
        ]

    # Create

    async def create(self, call: Call) -> Response:
        body = await call.json_object()
        account = call.request.path_params["account"]
        job_id = call.request.query_params.get("batchInferenceJobId", "")
        effects = await call.gate(part=f"{job_id} {body.get('displayName') or ''}".strip())
        if job_id:
            check_id(job_id, "batchInferenceJobId")
        wanted = _validated(body)
        self._refuse_taken(f"accounts/{account}/batchInferenceJobs/{job_id}")
        if wanted.continuedFromJobName is not None:
            wanted, rows = await self._continued(call, wanted)
        else:
            rows = await self._from_dataset(call, wanted)
        with self.world.commit():
            job_id = job_id or self.world.new_id("bij-", 12)
            name = f"accounts/{account}/batchInferenceJobs/{job_id}"
            self._refuse_taken(name)
            output = wanted.outputDatasetId or f"accounts/{account}/datasets/{self.world.new_id('bij-output-', 12)}"
            self._refuse_bad_output(output)
            wire = {**wanted.model_dump(exclude_none=True), "outputDatasetId": output}
            batch = self.service.batches.add(
                NewBatch(
                    provider="fireworks", id=name, n_rows=rows.n_rows, blob=rows.blob, wire=wire, effects=effects,
                    problems=rows.problems or _forced_problems(effects), is_upstream=self.service.is_upstream, account=call.account,
                )
            )  # fmt: skip
        return JSONResponse(self.shown(batch))

    def _refuse_taken(self, name: str) -> None:
        batch = self.service.batches.get("fireworks", name)
        if batch is not None and not self.is_gone(batch):
            raise WireError(409, f"batch inference job {name!r} already exists")

    def _refuse_bad_output(self, output: str) -> None:
        check_id(last_segment(output), "outputDatasetId")
        if self.world.row("SELECT 1 FROM datasets WHERE name = ?", (output,)) or self._job_writing(output):
            raise WireError(409, f"output dataset {output!r} already exists")

    async def _from_dataset(self, call: Call, wanted: CreateJob) -> TakenIn:
        if not wanted.model:
            raise WireError(400, "model is required")
        if not self.service.model.file.knows(wanted.model):
            raise WireError(404, f"model {wanted.model!r} not found")
        if not wanted.inputDatasetId:
            raise WireError(400, "inputDatasetId is required")
        row = self.datasets.find(wanted.inputDatasetId)
        if row["state"] != "READY":
            raise WireError(400, f"dataset {wanted.inputDatasetId!r} is not ready", code="9")
        paths = [self.world.blob(file["blob"]) for _, file in sorted(json.loads(row["files"]).items())]
        taken: TakenIn = await asyncio.to_thread(lambda: self._take_in(paths))
        return taken

    def _take_in(self, paths: list[Path]) -> TakenIn:
        """Copy the dataset's files into one file of rows and check every line."""
        name, draft = self.world.new_blob()
        if len(paths) == 1:
            os.link(paths[0], draft)
        else:
            with draft.open("wb") as target:
                for path in paths:
                    with path.open("rb") as source:
                        shutil.copyfileobj(source, target, 1 << 20)
        offsets, seen, problem = array("Q"), set[int](), None
        for number, offset, line in scan(draft):
            offsets.append(offset)
            problem = problem or _at(number, line_problem(line, seen))
        if not offsets:
            problem = {"message": "the input dataset has no rows"}
        save_index(self.world.blob(name), offsets)
        self.world.publish(name)
        return TakenIn(name, len(offsets), (problem,) if problem else ())

    async def _continued(self, call: Call, wanted: CreateJob) -> tuple[CreateJob, TakenIn]:
        """A job for the rows that an earlier one did not finish."""
        name = wanted.continuedFromJobName or ""
        earlier = self.service.batches.get("fireworks", name)
        if earlier is None or self.is_gone(earlier):
            raise WireError(404, f"batch inference job {name!r} not found")
        at = self.service.status(earlier)
        if at.outcome not in ("expired", "cancelled"):
            raise WireError(400, f"job {name!r} has nothing left to continue", code="9")
        old = CreateJob.model_validate(earlier.wire)
        inherited = {
            "model": wanted.model or old.model,
            "inferenceParameters": wanted.inferenceParameters or old.inferenceParameters,
            "systemPrompt": wanted.systemPrompt or old.systemPrompt,
        }
        rows: TakenIn = await asyncio.to_thread(lambda: self._take_in_rest(earlier, at))
        return wanted.model_copy(update=inherited), rows

    def _take_in_rest(self, earlier: Batch, at: Status) -> TakenIn:
        name, draft = self.world.new_blob()
        offsets = array("Q")
        with draft.open("wb") as target, self.service.fates(earlier, at, reader_of(earlier)) as fates:
            for row in range(fates.n):
                if fates.fate(row).kind in ("expired", "cancelled"):
                    offsets.append(target.tell())
                    target.write(fates.rows.line(row) + b"\n")
        save_index(self.world.blob(name), offsets)
        self.world.publish(name)
        problems = () if offsets else ({"message": "the earlier job has no unfinished rows"},)
        return TakenIn(name, len(offsets), problems)

    # Look up

    def is_gone(self, batch: Batch) -> bool:
        """Deleted, and the clean-up is over."""
        if batch.deleted_at is None:
            return False
        return self.world.clock.now() >= batch.deleted_at + CANCEL_SHARE * batch.usual_seconds

    def find(self, call: Call) -> Batch:
        """The job in the path. Raises WireError 404."""
        found = call.request.path_params
        name = f"accounts/{found['account']}/batchInferenceJobs/{found['job']}"
        batch = self.service.batches.get("fireworks", name)
        if batch is None or self.is_gone(batch):
            raise WireError(404, f"batch inference job {name!r} not found")
        return batch

    async def get(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["job"])
        batch = self.find(call)
        state = self.service.batches.state_in_place(batch)
        return JSONResponse(await asyncio.to_thread(lambda: self.shown(batch, state)))

    async def list_all(self, call: Call) -> Response:
        await call.gate()
        prefix = f"accounts/{call.request.path_params['account']}/"
        is_first_page = not call.request.query_params.get("pageToken")
        batches = self.service.batches.listed("fireworks", call.account, is_first_page=is_first_page)
        mine = [batch for batch in reversed(batches) if batch.id.startswith(prefix)]

        def collect() -> dict[str, Any]:
            return page(call.request, "batchInferenceJobs", mine, lambda each: self.shown(self.service.batches.by_seq(each.seq)))

        return JSONResponse(await asyncio.to_thread(collect))

    async def delete(self, call: Call) -> Response:
        await call.gate(part=call.request.path_params["job"])
        self.service.batches.cancel(self.find(call), delete=True)
        return JSONResponse({})

    def shown(self, batch: Batch, state: str | None = None) -> dict[str, Any]:
        """The job object."""
        at = self.service.status(batch)
        wire = batch.wire
        if state is None:
            state = at.state if batch.deleted_at is None else "JOB_STATE_DELETING"
        code, message = "OK", ""
        if at.outcome == "failed":
            problem = batch.problems[0]
            code, message = problem.get("status", "INVALID_ARGUMENT"), problem["message"]
        job = {
            "name": batch.id,
            "displayName": wire.get("displayName", ""),
            "createTime": rfc3339(batch.created_at),
            "createdBy": "emulator@example.com",
            "updateTime": rfc3339(max(at.since.values())),
            "expireTime": rfc3339(at.expires_at),
            "state": state,
            "status": {"code": code, "message": message},
            "model": wire.get("model", ""),
            "inputDatasetId": wire.get("inputDatasetId", ""),
            "outputDatasetId": wire["outputDatasetId"],
            "inferenceParameters": wire.get("inferenceParameters", {}),
            "precision": wire.get("precision", "PRECISION_UNSPECIFIED"),
            "continuedFromJobName": wire.get("continuedFromJobName", ""),
            "systemPrompt": wire.get("systemPrompt", ""),
            "jobProgress": self._progress(batch, at),
            "lifecycle": _lifecycle(at),
        }
        if "maxJobDuration" in wire:
            job["maxJobDuration"] = wire["maxJobDuration"]
        return job

    def _progress(self, batch: Batch, at: Status) -> dict[str, Any] | None:
        if "JOB_STATE_RUNNING" not in at.since:
            return None
        n_failed = n_input = n_output = 0
        if at.outcome is not None:
            closed = self.closing.closed(batch, at)
            n_failed, n_input, n_output = closed.n("errored"), closed.input_tokens, closed.output_tokens
        return {
            "percent": 100 * at.n_finished // max(1, batch.n_rows),
            "epoch": 0,
            "totalInputRequests": batch.n_rows,
            "totalProcessedRequests": at.n_finished,
            "successfullyProcessedRequests": at.n_finished - n_failed,
            "failedRequests": n_failed,
            "outputRows": at.n_finished - n_failed,
            "inputTokens": n_input,
            "outputTokens": n_output,
            "cachedInputTokenCount": 0,
        }

    # Output datasets: they follow from their job and are not stored.

    def _job_writing(self, dataset: str) -> Batch | None:
        row = self.world.row(
            "SELECT seq FROM batches WHERE provider = 'fireworks' AND json_extract(wire, '$.outputDatasetId') = ? ORDER BY seq DESC LIMIT 1",
            (dataset,),
        )
        return None if row is None else self.service.batches.by_seq(row["seq"])

    def output_dataset(self, name: str) -> dict[str, Any] | None:
        """The dataset that a job has written, or None when there is none of that name."""
        batch = self._job_writing(name)
        if batch is None:
            return None
        at = self.service.status(batch)
        if at.outcome in (None, "failed"):
            return None
        created = rfc3339(at.ended_at or batch.created_at)
        return {
            "name": name, "displayName": "", "createTime": created, "updateTime": created, "createdBy": "emulator@example.com",
            "state": "READY", "status": {"code": "OK", "message": ""}, "exampleCount": str(at.n_finished),
            "format": "FORMAT_UNSPECIFIED", "sourceJobName": batch.id,
        }  # fmt: skip

    def output_files(self, name: str, lineage: bool) -> dict[str, Path] | None:
        """Files of an output dataset by their download key; with lineage also those of the jobs it continues."""
        if self.output_dataset(name) is None:
            return None
        found: dict[str, Path] = {}
        batch = self._job_writing(name)
        while batch is not None:
            dataset = last_segment(batch.wire["outputDatasetId"])
            files = self.closing.closed(batch, self.service.status(batch)).files
            found.update({f"dataset/{dataset}/{file}": path for file, path in files.items()})
            earlier = batch.wire.get("continuedFromJobName") if lineage else None
            batch = self.service.batches.get("fireworks", earlier) if earlier else None
        return found


def _validated(body: dict[str, Any]) -> CreateJob:
    try:
        wanted = CreateJob.model_validate(body)
        if wanted.inferenceParameters and wanted.inferenceParameters.extraBody:
            decode_object(wanted.inferenceParameters.extraBody)
    except ValidationError as err:
        first = err.errors()[0]
        raise WireError(400, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except BadJson as err:
        raise WireError(400, f"inferenceParameters.extraBody: {err}") from None
    return wanted


def _forced_problems(effects: Effects) -> tuple[dict[str, Any], ...]:
    if effects.token_limit_exceeded:
        return ({"status": "RESOURCE_EXHAUSTED", "message": "enqueued token quota exceeded"},)
    if effects.validation_failure:
        forced = effects.validation_failure
        return ({"message": forced if isinstance(forced, str) else "the input dataset failed validation"},)
    return ()


def _at(number: int, problem: str | None) -> dict[str, Any] | None:
    return None if problem is None else {"message": f"line {number}: {problem}"}


def _lifecycle(at: Status) -> dict[str, str]:
    shown = {}
    if "JOB_STATE_PENDING" in at.since:
        shown["validatedTime"] = rfc3339(at.since["JOB_STATE_PENDING"])
    if "JOB_STATE_RUNNING" in at.since:
        shown["runStartTime"] = rfc3339(at.since["JOB_STATE_RUNNING"])
    if at.ended_at is not None:
        shown["endTime"] = rfc3339(at.ended_at)
    return shown
