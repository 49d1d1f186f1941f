"""Settings of a lane whose rows are asked one by one. They came with a later version, and are written down only where they are set."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from batchtrial.config.settings import Model

LATER_KEYS: Final = frozenset({"lane", "service_tier", "concurrency", "answer_seconds", "despite_pause", "queue"})


class DirectSettings(Model):
    """How a lane's requests go."""

    lane: Literal["batch", "direct"] | None = Field(
        None,
        description="How requests go: as batches, or each by itself at the synchronous API (docs/direct.md). Unset: direct with a `service_tier` and "
        "for `local`; at Fireworks direct in a live run, since its Batch API is paused; batch elsewhere.",
    )
    service_tier: str | None = Field(
        None,
        pattern="^[a-z][a-z0-9_]*$",
        description="Direct lane: the tier asked for in each request, such as `flex` or `spot`. What the answer names was served and is priced.",
    )
    concurrency: int | None = Field(None, ge=1, description="Direct lane: most requests in flight; unset: 16, for `local` max_concurrent_requests.")
    answer_seconds: float | None = Field(
        None, gt=0, description="Direct lane: time-out for one whole answer; unset: 900 with a `service_tier`, else read_seconds."
    )
    despite_pause: bool = Field(False, description="Send batches to Fireworks although its Batch API is paused.")

    @model_serializer(mode="wrap")
    def _without_unset_later_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in write(self).items() if name not in LATER_KEYS or value}
