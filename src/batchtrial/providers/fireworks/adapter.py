"""Fireworks batch inference: a dataset is uploaded, a job of our own id reads it, results lie in an output dataset behind signed URLs.

Dataset and job ids are made from the intent's token, so a second create of the same attempt meets the first one and is answered 409: that, and a
plain GET, is all that `find` needs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from batchtrial.errors import Ambiguous, ConfigError, NotFound, ProviderError
from batchtrial.providers.base import KEY_CHECK, BatchState, BatchStatus, Intent, Limits, Setup, Sightings, key_check
from batchtrial.providers.decode import lines as results
from batchtrial.providers.decode.plain import pick_flat, reader
from batchtrial.providers.fireworks.names import SDK, TITLE, checked_url, fingerprint, is_result_file, job_id, last_segment, status_of
from batchtrial.providers.registry import Row
from batchtrial.providers.sdk import turns
from batchtrial.providers.sdk.connection import Connection, HostSettings
from batchtrial.providers.sdk.edge import check_extra
from batchtrial.providers.sdk.lines import split_lines, watched
from batchtrial.providers.sdk.sampling import Honoured
from batchtrial.records import RawResult, Request

UPLOAD_BYTES = 150 * 10**6
"""Above this size the multipart endpoint refuses, and a signed URL is asked for."""

OUR_FIELDS = frozenset({"messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "model", "stream", "n"})

LIMITS = Limits(max_requests=100_000, max_bytes=500 * 10**6, find_rounds=2, find_wait_seconds=1.0, may_vanish=True)
"""The smallest size that successive documents name; no bound on lines is documented."""

READY_ROUNDS = 10
READY_WAIT_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FireworksSettings(HostSettings):
    """What the adapter needs to know. window: `maxJobDuration` as the provider spells it ("24h"); None leaves it to the provider."""

    account_id: str
    window: str | None = None
    upload_bytes: int = UPLOAD_BYTES
    limits: Limits = LIMITS


class FireworksProvider:
    """One Fireworks account. Safe to use from several threads."""

    name = "fireworks"

    def __init__(
        self,
        settings: FireworksSettings,
        api_key: str | None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is imported or sent yet. Raises nothing: a missing key is told at the first call, so that codecs work without one."""
        self.settings = settings
        self.limits = settings.limits
        self._sleep, self._clock = sleep, clock
        self._honoured = Honoured()
        self._to = Connection(SDK, api_key, settings, self._client)

    # --- codecs

    def encode(self, request: Request) -> bytes:
        """`{"custom_id", "body"}`; model and endpoint belong to the job. Raises ConfigError when an extra field clashes with ours."""
        self._honoured.check(self, request)
        body: dict[str, Any] = {"messages": turns.chat_messages(request), "max_tokens": request.max_tokens, "temperature": request.temperature}
        if request.top_p is not None:
            body["top_p"] = request.top_p
        if request.top_k is not None:
            body["top_k"] = request.top_k
        if request.stop:
            body["stop"] = list(request.stop)
        body |= turns.chat_extras(request)
        if request.extra:
            check_extra(request.extra, OUR_FIELDS.union(body))
            body.update(request.extra)
        return msgspec.json.encode({"custom_id": request.custom_id, "body": body}) + b"\n"

    @property
    def decode(self) -> Callable[[bytes], RawResult]:
        """Of a flat success line, an `error-data` line, or either in OpenAI's wrapper."""
        return reader(pick_flat)

    def refuses(self, temps: Sequence[float], top_p: float | None = None, top_k: int | None = None, stop: Sequence[str] = ()) -> str | None:
        """Why these sampling values cannot be honoured, or None when they can."""
        return None if all(0 <= temp <= 2 for temp in temps) else f"temperatures {sorted(set(temps))} leave the range 0 to 2"

    # --- verbs

    def submit(self, intent: Intent, payload: Path, uploaded: Callable[[str], None]) -> str:
        """Dataset, upload, job. The job's id is ours, so a 409 on its create is answered by looking whether it is this intent's job."""
        dataset_id = intent.file_id
        if dataset_id is None:
            dataset_id = self._upload(intent, payload)
            uploaded(dataset_id)
        return self._create(intent, dataset_id)

    def find(self, intent: Intent, owned: Set[str]) -> tuple[str, ...]:
        """The job with this intent's id, or () when there is none. A too early () costs nothing: a create of the same id adopts."""
        try:
            job = self._get_job(job_id(intent))
        except NotFound:
            return ()
        self._check_ours(job, intent)
        return (job_id(intent),)

    def check(self, batch_id: str) -> BatchStatus:
        """One look at the job."""
        return status_of(self._get_job(batch_id))

    def fetch(self, batch_id: str) -> Iterator[bytes]:
        """Every line of every result and error file of the job's output dataset; nothing when a failed or stopped job left no dataset."""
        job = self._get_job(batch_id)
        status = status_of(job)
        dataset_id = status.ids.get("output_dataset_id") or f"{batch_id}-out"
        try:
            urls = self._download_urls(dataset_id)
        except NotFound:
            # A job refused or stopped before its first row never makes its dataset. One that says it finished rows has lost it.
            if status.state in (BatchState.FAILED, BatchState.CANCELLED, BatchState.EXPIRED) and not status.n_done:
                return
            raise
        names = sorted(filter(is_result_file, urls))
        if not names and status.n_done:
            raise NotFound(f"{TITLE} offers no result file for a job that finished {status.n_done} rows", where=f"dataset {dataset_id}")
        for position, name in enumerate(names):
            if position:
                # The URLs live ten minutes, and the file before may have taken longer.
                urls = self._download_urls(dataset_id)
                if name not in urls:
                    raise NotFound(f"{TITLE} no longer offers {name!r}", where=f"dataset {dataset_id}")
            yield from self._download(urls[name], f"download {name}")

    def cancel(self, batch_id: str) -> None:
        """Delete the job, which is how this provider stops one; a job that is gone already is fine."""
        try:
            with self._to.edge.calling(f"delete job {batch_id}"):
                self._to.client.batch_inference_jobs.delete(batch_id)
        except NotFound:
            return

    def account(self, salt: str) -> Mapping[str, str]:
        """The account id, which stands in every path, so nobody has to be asked."""
        return {"account": self.settings.account_id, KEY_CHECK: key_check(self._to.key, salt)}

    def holds(self, file_id: str) -> bool:
        """Whether the account has the dataset of that id."""
        try:
            self._dataset_state(file_id)
        except NotFound:
            return False
        return True

    def sightings(self, wanted: Mapping[str, int], owned: Mapping[str, str], since: datetime) -> Sightings:
        """Nothing to look for: there is one job to a token, and a second create of it adopts the first."""
        return Sightings(has_list=False)

    def close(self) -> None:
        """Close the connections that were opened."""
        self._to.close()

    def _client(self, sdk: Any, **common: Any) -> Any:
        settings = self.settings
        if not settings.account_id:
            raise ConfigError(f"no account id for {TITLE}", where="account_id", hint="set it in the config or in FIREWORKS_ACCOUNT_ID")
        return sdk.Fireworks(**common, account_id=settings.account_id)

    # --- the input dataset

    def _upload(self, intent: Intent, payload: Path) -> str:
        dataset_id = f"{job_id(intent)}-in"
        if self._make_dataset(intent, dataset_id) == "READY":
            return dataset_id
        if payload.stat().st_size <= self.settings.upload_bytes:
            self._upload_small(dataset_id, payload)
            state = self._dataset_state(dataset_id)
        else:
            self._upload_big(dataset_id, payload)
            state = ""
        if state != "READY":
            with self._to.edge.calling(f"validate upload of {dataset_id}"):
                self._to.client.datasets.validate_upload(dataset_id, body={})
            self._await_ready(dataset_id)
        return dataset_id

    def _make_dataset(self, intent: Intent, dataset_id: str) -> str:
        """The state of the dataset of this id, made now or by an earlier try of the same attempt."""
        dataset = {
            "display_name": fingerprint(intent),
            "user_uploaded": {},
            "example_count": str(intent.n_requests),
        }
        with self._to.edge.calling(f"create dataset {dataset_id}"):
            try:
                self._to.client.datasets.create(dataset_id=dataset_id, dataset=dataset)
                return "UPLOADING"
            except self._to.sdk.ConflictError:
                pass
        with self._to.edge.calling(f"get dataset {dataset_id}"):
            there = self._to.client.datasets.get(dataset_id)
        state = str(getattr(there, "state", None) or "")
        same_count = results.count(getattr(there, "example_count", None)) == intent.n_requests
        if not same_count or getattr(there, "display_name", None) not in (None, "", fingerprint(intent)):
            raise ProviderError(
                f"the dataset {dataset_id} exists with other contents than this part's",
                where=f"part {intent.part}, attempt {intent.attempt}",
                hint="delete it at the provider if nothing else uses it, then resume",
            )
        return state

    def _upload_small(self, dataset_id: str, payload: Path) -> None:
        with payload.open("rb") as file, self._to.edge.calling(f"upload {dataset_id}"):
            self._to.client.datasets.upload(
                dataset_id, file=(f"{dataset_id}.jsonl", file, "application/octet-stream"), timeout=self._to.timeout(answer=True)
            )

    def _upload_big(self, dataset_id: str, payload: Path) -> None:
        name, size = f"{dataset_id}.jsonl", payload.stat().st_size
        with self._to.edge.calling(f"get upload endpoint of {dataset_id}"):
            reply = self._to.client.datasets.get_upload_endpoint(dataset_id, filename_to_size={name: str(size)})
        url = (getattr(reply, "filename_to_signed_urls", None) or {}).get(name)
        if not url:
            raise ProviderError(f"{TITLE} gave no upload URL", where=f"dataset {dataset_id}", retryable=True)
        # Both headers are part of the signature; the key is not sent: the URL is the permission.
        headers = {
            "content-type": "application/octet-stream",
            "x-goog-content-length-range": f"{size},{size}",
            "content-length": str(size),
        }
        doing = f"upload {dataset_id} to its signed URL"
        with payload.open("rb") as file, self._to.edge.calling(doing):
            answer = self._to.plain.put(checked_url(url), content=file, headers=headers, timeout=self._to.timeout(answer=True))
        if not answer.is_success:
            raise self._signed_url_error(answer.status_code, answer.text, answer.headers, doing)

    def _dataset_state(self, dataset_id: str) -> str:
        with self._to.edge.calling(f"get dataset {dataset_id}"):
            return str(getattr(self._to.client.datasets.get(dataset_id), "state", None) or "")

    def _await_ready(self, dataset_id: str) -> None:
        for _ in range(READY_ROUNDS):
            if self._dataset_state(dataset_id) == "READY":
                return
            self._sleep(READY_WAIT_SECONDS)
        raise ProviderError(f"the dataset {dataset_id} is still not ready after its upload", where=TITLE, retryable=True)

    # --- the job

    def _create(self, intent: Intent, dataset_id: str) -> str:
        wanted = job_id(intent)
        account = f"accounts/{self.settings.account_id}"
        with self._to.edge.calling(f"create job {wanted}", creating=True):
            try:
                job = self._to.client.batch_inference_jobs.create(
                    batch_inference_job_id=wanted,
                    display_name=(intent.label or wanted)[:63],
                    model=intent.model,
                    input_dataset_id=f"{account}/datasets/{dataset_id}",
                    output_dataset_id=f"{account}/datasets/{wanted}-out",
                    extra_body={"maxJobDuration": self.settings.window} if self.settings.window else None,
                )
            except self._to.sdk.ConflictError:
                job = None
        if job is None:
            self._adopt(intent)
        elif last_segment(getattr(job, "name", None)) != wanted:
            raise Ambiguous("the answer to the create call names no job of ours", where=f"{TITLE}: create job {wanted}", retryable=True)
        return wanted

    def _adopt(self, intent: Intent) -> None:
        """The create was answered 409: fine if the job that is there is this intent's own, or was: who asks about it is told that it is gone."""
        try:
            job = self._get_job(job_id(intent))
        except NotFound:
            return
        except ProviderError as error:
            raise Ambiguous(f"a job {job_id(intent)} exists and cannot be looked at: {error.what}", where=error.where, retryable=True) from None
        self._check_ours(job, intent)

    def _get_job(self, batch_id: str) -> Any:
        with self._to.edge.calling(f"get job {batch_id}"):
            job = self._to.client.batch_inference_jobs.get(batch_id)
            if last_segment(getattr(job, "name", None)) != batch_id:
                raise ProviderError(f"the answer is no job {batch_id}", where=TITLE, hint="does base_url lead to Fireworks?", retryable=True)
            return job

    def _check_ours(self, job: Any, intent: Intent) -> None:
        wanted = intent.file_id or f"{job_id(intent)}-in"
        if last_segment(job.input_dataset_id) != wanted:
            raise ProviderError(
                f"a job {job_id(intent)} exists that reads {job.input_dataset_id!r}, not this part's dataset",
                where=f"part {intent.part}, attempt {intent.attempt}",
                hint="it belongs to something else; start a new run",
            )

    # --- downloads

    def _download_urls(self, dataset_id: str) -> Mapping[str, str]:
        with self._to.edge.calling(f"get download endpoint of {dataset_id}"):
            reply = self._to.client.datasets.get_download_endpoint(dataset_id)
        return getattr(reply, "filename_to_signed_urls", None) or {}

    def _download(self, url: str, doing: str) -> Iterator[bytes]:
        with self._to.edge.calling(doing), self._to.plain.stream("GET", checked_url(url)) as answer:
            if not answer.is_success:
                answer.read()
                raise self._signed_url_error(answer.status_code, answer.text, answer.headers, doing)
            yield from split_lines(watched(answer.iter_bytes(), patience=self.settings.timeouts.slow, clock=self._clock))

    def _signed_url_error(self, status: int, text: str, headers: Mapping[str, str], doing: str) -> ProviderError:
        if status in (400, 401, 403):
            # The storage refuses an old signature; the key has no part in it, and asking again brings a new URL.
            return ProviderError(f"the signed URL was refused (HTTP {status})", where=f"{TITLE}: {doing}", retryable=True)
        return self._to.edge.from_status_code(status, text, headers, f"{TITLE}: {doing}")


def make(row: Row, setup: Setup) -> FireworksProvider:
    """The adapter of a lane."""
    return FireworksProvider(FireworksSettings(**setup.host, account_id=setup.account), setup.key)


def of_recording(settings: Mapping[str, Any]) -> FireworksProvider:
    """One that encodes as the recorded one did."""
    return FireworksProvider(FireworksSettings(account_id="", **settings), None)
