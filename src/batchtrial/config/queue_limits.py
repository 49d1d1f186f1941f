"""What a provider's queue takes, as its user knows it: limits of the account are on its limits page and in no API."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from batchtrial.config.settings import Model

Tokens = Annotated[int, Field(ge=1)]


class QueueLimits(Model):
    """Limits of one lane's account, and how fast it works. All may change on resume."""

    enqueued_tokens: Tokens | dict[str, Tokens] | None = Field(
        None, description="Prompt tokens that batches under way may hold together: a number for each model, or one by model id."
    )
    creates_per_hour: int | None = Field(None, ge=1, description="Batches that may be made within an hour.")
    batch_seconds: float = Field(3_600.0, gt=0, description="How long a batch takes whatever its size: an assumption of the plan, no limit.")
    tokens_per_hour: Tokens | dict[str, Tokens] | None = Field(
        None, description="Prompt tokens worked off in an hour, for each model or by model id: an assumption of the plan; unset: any number."
    )

    def enqueued(self, model: str) -> int | None:
        """The most prompt tokens of this model under way; None for no limit."""
        return _of(self.enqueued_tokens, model)

    def speed(self, model: str) -> int | None:
        """Prompt tokens of this model worked off in an hour; None for any number."""
        return _of(self.tokens_per_hour, model)


def _of(told: int | dict[str, int] | None, model: str) -> int | None:
    return told.get(model) if isinstance(told, dict) else told
