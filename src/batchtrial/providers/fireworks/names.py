"""What things are called at Fireworks, and what its words about a job mean; nothing here calls anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from batchtrial.errors import ProviderError
from batchtrial.providers.base import BatchState, BatchStatus, Intent
from batchtrial.providers.decode.lines import count
from batchtrial.providers.sdk.connection import sdk_of

SDK = sdk_of("fireworks", "fireworks")
TITLE = SDK.title

STATES: Mapping[str, BatchState] = {
    "COMPLETED": BatchState.COMPLETED,
    "ARCHIVED": BatchState.COMPLETED,
    "FAILED": BatchState.FAILED,
    "EXPIRED": BatchState.EXPIRED,
    "CANCELLED": BatchState.CANCELLED,
    "EARLY_STOPPED": BatchState.CANCELLED,
    "DELETED": BatchState.CANCELLED,
}
"""The states that end a job; every other one, known or not, is still running: a job is not given up for a word that is new to us."""

HOPELESS_STATUS = frozenset({"INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNIMPLEMENTED"})


def job_id(intent: Intent) -> str:
    """The id that every try of this attempt gives its job."""
    return f"bt-{intent.token}"


def fingerprint(intent: Intent) -> str:
    """What the dataset's display name says about its bytes."""
    return f"bt {intent.payload_sha256[:32]}"


def last_segment(resource: object) -> str:
    """The id at the end of a resource name; "" when it is none."""
    return resource.rsplit("/", 1)[-1] if isinstance(resource, str) else ""


def is_result_file(name: str) -> bool:
    """Whether a file of an output dataset holds result or error lines."""
    base = name.rsplit("/", 1)[-1]
    return base.endswith(".jsonl") or base.startswith("error-data")


def checked_url(url: str) -> str:
    """A signed URL that may be followed: https, or http to this machine. Raises ProviderError."""
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")):
        return url
    raise ProviderError(f"{TITLE} gave a signed URL that is neither https nor on this machine", where=f"{parts.scheme}://{parts.hostname}")


def status_of(job: Any) -> BatchStatus:
    """A job as we see it."""
    wire = str(getattr(job, "state", None) or "JOB_STATE_UNSPECIFIED")
    progress, status = getattr(job, "job_progress", None), getattr(job, "status", None)
    code = str(getattr(status, "code", None) or "")
    state = STATES.get(wire.removeprefix("JOB_STATE_"), BatchState.RUNNING)
    ids = {
        "output_dataset_id": last_segment(getattr(job, "output_dataset_id", None)),
        "input_dataset_id": last_segment(getattr(job, "input_dataset_id", None)),
    }
    return BatchStatus(
        state=state,
        wire_state=wire,
        n_total=count(getattr(progress, "total_input_requests", None)),
        n_done=count(getattr(progress, "successfully_processed_requests", None)),
        n_failed=count(getattr(progress, "failed_requests", None)),
        reason=f"{code}: {getattr(status, 'message', None) or ''}".strip(": ") or None if state is BatchState.FAILED else None,
        retryable=not (state is BatchState.FAILED and code in HOPELESS_STATUS),
        is_queue_full=state is BatchState.FAILED and code == "RESOURCE_EXHAUSTED",
        ids={name: value for name, value in ids.items() if value},
    )
