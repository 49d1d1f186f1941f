"""What can go wrong inside a batch: effects chosen when it is created and kept with it.

Everything here is data with one meaning, so that a batch in trouble can be worked out again at any time from its record.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from batchtrial.emulator.world.draws import Shuffle


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    # Built at first use: a server without faults starts in half the time.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Rows(Strict):
    """Which rows of a batch: the first `count` or `fraction` in a fixed shuffled order, or listed, or by custom_id."""

    count: int | None = Field(None, ge=0, description="That many rows, scattered over the batch.")
    fraction: float | None = Field(None, ge=0.0, le=1.0, description="That share of the rows, rounded down.")
    rows: tuple[int, ...] | None = Field(None, description="Row numbers, from 0.")
    ids: tuple[str, ...] | None = Field(None, description="custom_ids.")
    match: str | None = Field(None, description="Regular expression searched in the custom_id.")

    @field_validator("match")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return valid_pattern(pattern)

    def choose(self, row: int, custom_id: str, n_rows: int, salt: object) -> bool:
        """Whether a row is meant. `salt` keeps the choices of different faults apart."""
        if self.rows is not None:
            return row in self.rows
        if self.ids is not None:
            return custom_id in self.ids
        if self.match is not None:
            return re.search(self.match, custom_id) is not None
        wanted = self.count if self.count is not None else int((self.fraction or 0.0) * n_rows)
        return Shuffle(n_rows, "rows", salt)(row) < wanted


def valid_pattern(pattern: str | None) -> str | None:
    """The pattern itself. Raises ValueError when it is not a regular expression."""
    if pattern is not None:
        try:
            re.compile(pattern)
        except re.error as err:
            raise ValueError(f"not a regular expression: {err}") from None
    return pattern


def _rows_shorthand(value: Any) -> Any:
    """`2`, `0.5`, `[0, 3]`, `["a", "b"]` and `"regex"` for the long form; a mapping passes."""
    if value is True:
        return {"fraction": 1.0}
    if isinstance(value, int):
        return {"count": value}
    if isinstance(value, float):
        return {"fraction": value}
    if isinstance(value, str):
        return {"match": value}
    if isinstance(value, list):
        return {"rows": value} if all(isinstance(each, int) for each in value) else {"ids": value}
    return value


class MissingRows(Rows):
    """Rows without a line in any result file."""

    billed: bool = Field(False, description="Whether they are on the bill all the same.")


class HugeRows(Rows):
    """Rows whose answer text is padded."""

    bytes: int = Field(10_000_000, ge=1, le=200_000_000, description="Length of the answer text.")


class ErroredRows(Rows):
    """Rows that come back as an error."""

    status: int = Field(400, ge=400, le=599, description="HTTP status of the row.")
    code: str | None = Field(None, description="Error code; the wire's own for the status when left out.")
    message: str = Field("The emulator was told to fail this request.", description="Error message.")
    body: dict[str, Any] | None = Field(None, description="Whole error body instead of the wire's own.")


class SpoiledRows(Rows):
    """Rows whose answer is none, although the row succeeds."""

    form: Literal["cut", "half", "refused", "filtered", "tool_call", "empty", "thinking", "marks", "unclosed", "unreadable"] = Field(
        "cut", description="What comes in the place of the answer."
    )


class RowFaults(Strict):
    """Faults of single result lines."""

    missing: Annotated[MissingRows | None, BeforeValidator(_rows_shorthand)] = None
    duplicated: Annotated[Rows | None, BeforeValidator(_rows_shorthand)] = None
    malformed: Annotated[Rows | None, BeforeValidator(_rows_shorthand)] = None
    huge: Annotated[HugeRows | None, BeforeValidator(_rows_shorthand)] = None
    errored: Annotated[ErroredRows | None, BeforeValidator(_rows_shorthand)] = None
    answers: Annotated[SpoiledRows | None, BeforeValidator(_rows_shorthand)] = None
    invalid_utf8: Annotated[Rows | None, BeforeValidator(_rows_shorthand)] = None
    raw_unicode: Annotated[Rows | None, BeforeValidator(_rows_shorthand)] = None
    unknown_id: int = Field(0, ge=0, le=1000, description="Extra lines whose custom_id nobody sent.")
    reordered: bool | Literal["input", "reversed", "shuffled"] = Field(
        "shuffled", description="Order of the result lines; `true` means reversed, `false` input order."
    )

    @property
    def order(self) -> str:
        """`input`, `reversed` or `shuffled`."""
        if isinstance(self.reordered, str):
            return self.reordered
        return "reversed" if self.reordered else "input"


class ExpireAfter(Strict):
    """The window closes with part of the rows finished."""

    fraction: float = Field(0.5, ge=0.0, le=1.0, description="Share of the rows finished, rounded down.")
    seconds: float | None = Field(None, gt=0.0, description="Length of the window; the usual life of a batch if left out.")


class ListLag(Strict):
    """The new batch does not show in lists at first."""

    calls: int = Field(0, ge=0, description="Invisible for that many list calls (further pages do not count).")
    seconds: float = Field(0.0, ge=0.0, description="Invisible for that many virtual seconds.")


class UnknownState(Strict):
    """A state name that no documentation has, for some polls."""

    state: str = Field("JOB_STATE_REBALANCING", min_length=1, description="The name shown.")
    polls: int = Field(2, ge=1, description="For that many times asking.")


def _number_as(key: str) -> Any:
    def longer(value: Any) -> Any:
        if isinstance(value, bool):
            return {} if value else None
        return {key: value} if isinstance(value, int | float | str) else value

    return longer


class Effects(Strict):
    """What happens to one batch. Everything is optional; nothing means a normal life."""

    validation_failure: bool | str = Field(False, description="The batch fails validation; a text is the message.")
    token_limit_exceeded: bool = Field(False, description="The batch fails because of the enqueued-token quota.")
    expire_after: Annotated[ExpireAfter | None, BeforeValidator(_number_as("fraction"))] = None
    cancelled_half_way: bool | float = Field(False, description="Cancelled by somebody else; a number is the share done.")
    all_failed: bool = Field(False, description="Every row comes back as an error: no output file.")
    rows: RowFaults | None = None
    list_lag: Annotated[ListLag | None, BeforeValidator(_number_as("calls"))] = None
    unknown_state: Annotated[UnknownState | None, BeforeValidator(_number_as("state"))] = None
    stuck: bool | str = Field(False, description="Never moves on; a text is the state to be stuck in.")

    @property
    def cancelled_fraction(self) -> float | None:
        """Share of rows done when somebody else cancels, or None."""
        if self.cancelled_half_way is False:
            return None
        return 0.5 if self.cancelled_half_way is True else min(1.0, max(0.0, float(self.cancelled_half_way)))


NO_EFFECTS: Final = Effects.model_construct()
EFFECT_NAMES: Final = frozenset(Effects.model_fields)


def encoded(effects: Effects) -> str:
    """Effects as JSON text; `{}` for none."""
    return effects.model_dump_json(exclude_unset=True) if effects.model_fields_set else "{}"


def decoded(text: str) -> Effects:
    """The effects that `encoded` wrote."""
    return NO_EFFECTS if text == "{}" else Effects.model_validate_json(text)


def merged(effects: list[Effects]) -> Effects:
    """One record of several: a later fault wins over an earlier one of the same name, row faults are joined name by name."""
    if not effects:
        return NO_EFFECTS
    whole: dict[str, Any] = {}
    for each in effects:
        found = each.model_dump(exclude_unset=True)
        if "rows" in found and "rows" in whole and found["rows"] and whole["rows"]:
            found["rows"] = {**whole["rows"], **found["rows"]}
        whole.update(found)
    return Effects.model_validate(whole)
