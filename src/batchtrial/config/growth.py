"""What a run was before it grew: written by `batchtrial grow`, so that parts which were cut then are never cut again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from batchtrial.config.settings import Model

if TYPE_CHECKING:
    from batchtrial.config.model import Config


class GrownFrom(Model):
    """The run before one growth. Parts of its items were cut by these settings; those of further items and samples are cut by the config's own."""

    items: int = Field(ge=1, description="Items that it had.")
    lines_per_part: int | None = Field(None, ge=1, description="`submission.lines_per_part` then.")
    parts_per_dataset: int | None = Field(None, ge=1, description="`submission.parts_per_dataset` then.")
    samples_per_item: int | None = Field(None, ge=1, description="`samples_per_item` then; unset where it did not grow.")
    held: dict[str, int] | None = Field(None, description="Items that each question set held then, asked about or not; unset: as many as now.")

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Growths have the bytes that they had before runs could grow by samples, and by questions that were appended."""
        tree: dict[str, Any] = handler(self)
        return {key: value for key, value in tree.items() if value is not None or key not in ("samples_per_item", "held")}


class Stretch(NamedTuple):
    """Items first .. end of the order with the same samples of each, asked for at one time. end_sample: None: all that an arm has."""

    first: int
    end: int
    first_sample: int
    end_sample: int | None
    lines_per_part: int | Literal["auto"] | None
    parts: int | None


def stretches(n_items: int, config: Config) -> Iterator[Stretch]:
    """What was there at first, and what each growth brought: further samples of the items that there were, then further items."""
    ways: list[tuple[int, int | Literal["auto"] | None, int | None]] = [
        (one.items, one.lines_per_part, one.parts_per_dataset) for one in config.grown
    ]
    ways.append((n_items, config.submission.lines_per_part, config.submission.parts_per_dataset))
    samples = _samples(config)
    have, before = 0, samples[0]
    for (items, lines, parts), n in zip(ways, samples, strict=True):
        if have and n is not None and before is not None and n > before:
            yield Stretch(0, have, before, n, lines, parts)
        if have < (end := min(items, n_items)):
            yield Stretch(have, end, 0, n, lines, parts)
            have = end
        before = n


def _samples(config: Config) -> list[int | None]:
    """Samples of each item before each growth, and now; None where they never grew."""
    now = config.samples_per_item
    if not isinstance(now, int) or all(one.samples_per_item is None for one in config.grown):
        return [None] * (len(config.grown) + 1)
    found: list[int | None] = [now]
    for one in reversed(config.grown):
        found.append(found[-1] if one.samples_per_item is None else one.samples_per_item)
    return found[::-1]
