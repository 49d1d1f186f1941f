"""Faults as data: which request, which occurrence, what happens.

A rule counts the requests that it matches, and the count is kept in the world: a restarted server does not start counting again.
"""

from __future__ import annotations

import difflib
import json
import re
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from batchtrial.emulator.world.draws import token
from batchtrial.emulator.world.effects import EFFECT_NAMES, Effects, Strict, merged, valid_pattern

MAX_WAIT_SECONDS: Final = 120.0  # no fault may hold a connection longer than this
OPS: Final = (
    "any", "upload", "create", "get", "list", "cancel", "delete", "download", "download_error", "results",
    "get_upload_endpoint", "put_signed", "validate_upload", "get_download_endpoint",
    "dataset_create", "dataset_get", "dataset_list", "dataset_delete",
    "file_get", "file_list", "file_delete", "upload_create", "upload_part", "upload_complete", "upload_cancel",
    "models", "answer",
)  # fmt: skip


class FaultFileError(ValueError):
    """A fault list that cannot be used; the text says which rule and which key."""


class Match(Strict):
    """Which requests; a condition left out matches all."""

    provider: str | None = Field(None, description="A wire, or a host by its name; docs/emulator.md lists them.")
    op: str | None = Field(None, description="One of the operations listed in docs/emulator.md.")
    path: str | None = Field(None, description="Regular expression searched in the URL path.")
    part: str | None = Field(None, description="Regular expression searched in the client's id or file name.")

    @field_validator("op")
    @classmethod
    def _known(cls, op: str | None) -> str | None:
        if op is not None and op not in OPS:
            raise ValueError(f"unknown op {op!r}; one of {', '.join(OPS)}")
        return op

    @field_validator("path", "part")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        return valid_pattern(pattern)


class First(Strict):
    """The first n occurrences."""

    first: int = Field(ge=1)


class Hang(Strict):
    """No answer for that long, then the connection is closed."""

    seconds: float = Field(30.0, gt=0.0, le=MAX_WAIT_SECONDS)


class Truncate(Strict):
    """The body stops early."""

    bytes: int = Field(ge=0, description="Body bytes that arrive.")
    clean: bool = Field(False, description="End the body properly, so that only its content shows the loss.")


class Slow(Strict):
    """The body trickles."""

    bytes_per_second: float = Field(gt=0.0)
    cap_seconds: float = Field(30.0, gt=0.0, le=MAX_WAIT_SECONDS, description="Then the rest comes at once.")


class Do(Effects):
    """What happens: to the exchange (below), or to the batch that the request creates (the fields of Effects)."""

    status: int | None = Field(None, ge=400, le=599, description="Answer with this HTTP status in the wire's envelope.")
    code: str | None = Field(None, description="Error code or type in that envelope.")
    message: str | None = Field(None, description="Error message in that envelope.")
    retry_after: float | str | None = Field(None, description="`retry-after` header: seconds or an HTTP date.")
    retry_after_ms: float | None = Field(None, description="`retry-after-ms` header.")
    x_should_retry: bool | None = Field(None, description="`x-should-retry` header.")
    after_commit: bool = Field(False, description="Carry the request out first, then answer with the status.")
    spend_cap: bool = Field(False, description="429 of a spend cap: no retry-after, waiting does not help.")
    close_before_commit: bool = Field(False, description="Drop the connection, nothing carried out.")
    close_after_commit: bool = Field(False, description="Carry the request out, then drop the connection.")
    delay: float = Field(0.0, ge=0.0, le=MAX_WAIT_SECONDS, description="Real seconds before anything happens.")
    hang: bool | float | Hang = Field(False, description="No answer, then the connection is closed.")
    truncate_body: int | Truncate | None = None
    slow_body: float | Slow | None = None
    file_gone: bool = Field(False, description="The file is not there (404).")
    stream: bool = Field(False, description="Synchronous endpoints: a stream of events that nobody asked for.")
    service_tier: str | None = Field(None, description="Synchronous endpoints: the tier that the answer says it was served at.")

    @property
    def hang_seconds(self) -> float:
        """How long to stay silent; 0 for not at all."""
        if isinstance(self.hang, Hang):
            return self.hang.seconds
        return 30.0 if self.hang is True else min(float(self.hang), MAX_WAIT_SECONDS)

    @property
    def truncation(self) -> Truncate | None:
        return Truncate(bytes=self.truncate_body) if isinstance(self.truncate_body, int) else self.truncate_body

    @property
    def slowness(self) -> Slow | None:
        return Slow(bytes_per_second=self.slow_body) if isinstance(self.slow_body, float | int) else self.slow_body

    def effects(self) -> Effects:
        """The part of it that concerns a batch."""
        return Effects.model_validate(self.model_dump(include=set(EFFECT_NAMES), exclude_unset=True))


_DOWNLOAD_FAULTS: Final = frozenset({"truncate_body", "slow_body", "file_gone"})
DOWNLOAD_OPS: Final = frozenset({"download", "download_error", "results"})


class Rule(Strict):
    """One fault rule."""

    match: Match = Match.model_construct()
    on: tuple[int, ...] | Literal["every"] | First = Field((1,), description="Occurrences, counted from 1 per rule.")
    do: Do

    @field_validator("on", mode="before")
    @classmethod
    def _one_or_many(cls, on: Any) -> Any:
        return (on,) if isinstance(on, int) else on

    @field_validator("on")
    @classmethod
    def _from_one(cls, on: Any) -> Any:
        if isinstance(on, tuple) and any(number < 1 for number in on):
            raise ValueError("occurrences are counted from 1")
        return on

    @model_validator(mode="after")
    def _does_something(self) -> Rule:
        if not self.do.model_fields_set:
            raise ValueError("`do` is empty")
        return self

    def matches(self, provider: str, op: str, path: str, part: str) -> bool:
        """Whether a request is counted by this rule."""
        want = self.match
        if want.provider is not None and want.provider != provider:
            return False
        if not self._op_matches(op):
            return False
        if want.path is not None and re.search(want.path, path) is None:
            return False
        return want.part is None or re.search(want.part, part) is not None

    def _op_matches(self, op: str) -> bool:
        """Without an op, what can only happen to a batch waits for a create, and what concerns a body for a download."""
        if self.match.op is not None:
            return self.match.op in ("any", op) or (self.match.op == "download" and op == "results")
        asked = self.do.model_fields_set
        if asked & EFFECT_NAMES:
            return op == "create"
        if asked & _DOWNLOAD_FAULTS:
            return op in DOWNLOAD_OPS
        return True

    def fires(self, occurrence: int) -> bool:
        """Whether the n-th matching request, counted from 1, is hit."""
        if self.on == "every":
            return True
        if isinstance(self.on, First):
            return occurrence <= self.on.first
        return occurrence in self.on


def decode_rules(data: Any) -> tuple[Rule, ...]:
    """Rules from decoded JSON or YAML: a list, or one mapping. Raises FaultFileError."""
    try:
        return TypeAdapter(tuple[Rule, ...]).validate_python([data] if isinstance(data, dict) else data or [])
    except ValidationError as err:
        raise FaultFileError(_told(err.errors()[0])) from None


_FORMS: Final = {
    "on": '[1] or any list of numbers from 1, {"first": n}, or "every"',
    "hang": "true, seconds, or {seconds: n}",
    "truncate_body": "a number of bytes, or {bytes: n, clean: true}",
    "slow_body": "bytes a second, or {bytes_per_second: n, cap_seconds: n}",
    "retry_after": "seconds or a date",
}
"""What the keys are that take several forms: the library would name its own type for the first of them."""


def _told(error: ErrorDetails) -> str:
    """What is wrong with a list of rules, in words."""
    steps = [str(step) for step in error["loc"]]
    if not steps:
        return "fault rules are a list, each with `do`, and `match` and `on` where they are wanted"
    place, key = f"fault rule {steps[0]}", next((step for step in steps[1:] if step in _FORMS), None)
    if error["type"] == "extra_forbidden" and key is None:
        keys = (Do if steps[1:2] == ["do"] else Match if steps[1:2] == ["match"] else Rule).model_fields
        close = difflib.get_close_matches(steps[-1], keys, 1, cutoff=0.5)
        return f"{place}: there is no key {steps[-1]!r}; " + (f"did you mean {close[0]}?" if close else f"there are {', '.join(keys)}")
    if key is not None:
        return f"{place}: `{key}` is {_FORMS[key]}: {error['msg']}" if error["type"] == "value_error" else f"{place}: `{key}` is {_FORMS[key]}"
    return f"{'.'.join([place, *steps[1:]])}: {error['msg']}"


def load_rules(path: Path) -> tuple[Rule, ...]:
    """Rules from a JSON or YAML file. Raises FaultFileError."""
    import yaml  # most servers start without a fault file

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise FaultFileError(f"cannot read faults from {path}: {err}") from None
    return decode_rules(_with_on(data))


def _with_on(data: Any) -> Any:
    """YAML 1.1 reads the key `on` as the truth value; here it is a word."""
    if isinstance(data, list):
        return [_with_on(each) for each in data]
    if isinstance(data, dict) and True in data:
        return {"on" if key is True else key: value for key, value in data.items()}
    return data


def rule_id(origin: str, position: int, rule: Rule) -> str:
    """Stable name: the same rule at the same place keeps its count over a restart."""
    return token(f"{origin}-{position}-", json.dumps(rule.model_dump(mode="json"), sort_keys=True), length=8)


def effects_of(fired: list[Do]) -> Effects:
    """What the faults that fired do to the batch being created."""
    return merged([each.effects() for each in fired])
