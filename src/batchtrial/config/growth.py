"""What a run was before it grew: written by `batchtrial grow`, so that parts which were cut then are never cut again."""

from __future__ import annotations

from pydantic import Field

from batchtrial.config.settings import Model


class GrownFrom(Model):
    """The run before one growth. Parts of its items were cut by these settings; those of further items are cut by the config's own."""

    items: int = Field(ge=1, description="Items that it had.")
    lines_per_part: int | None = Field(None, ge=1, description="`submission.lines_per_part` then.")
    parts_per_dataset: int | None = Field(None, ge=1, description="`submission.parts_per_dataset` then.")
