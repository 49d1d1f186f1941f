"""Hosts that speak OpenAI's batch API in their own way, as data: one emulated host a row, below `/hosts/NAME`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from batchtrial.emulator.serve.exchange import WireError
from batchtrial.emulator.wires.openai.files import envelope

DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One host.

    paging: how its list goes on (`array`: it does not, the answer is a bare array). page: batches a page at most, and when nothing is asked.
    has_labels: `metadata` is kept. is_wrapped: the answer to a create is `{"job": {...}}`. errors: how the reasons of a failed batch are listed.
    is_loud: states are upper case and times are texts. has_counts: rows are counted. has_bare_errors: lines of the error file have no `response`.
    has_empty_error_file: an error file is named where nothing went wrong. has_escapes: result lines are ASCII. hours: the windows that it takes.
    has_redirect: its own package uploads by a redirect. usual_window: where a create names none. further_fields: what else a create may say; nothing
    comes of it. further_root: where its own package looks.
    """

    name: str
    paging: Literal["after", "cursor", "array"] = "after"
    page: int = 100
    has_labels: bool = True
    purpose: str = "batch"
    is_wrapped: bool = False
    errors: Literal["object", "array"] = "object"
    is_loud: bool = False
    has_counts: bool = True
    has_bare_errors: bool = False
    has_empty_error_file: bool = False
    has_escapes: bool = False
    hours: tuple[int, int] = (24, 24)
    max_rows: int = 50_000
    max_bytes: int = 200 * 1024 * 1024
    has_redirect: bool = False
    usual_window: str | None = None
    further_fields: tuple[str, ...] = ()
    further_root: str = ""

    @property
    def roots(self) -> tuple[str, ...]:
        """What stands before `/batches` and `/files`, below the emulator's address."""
        own = "/v1" if self.name == "openai" else f"/hosts/{self.name}/v1"
        return (own, f"/hosts/{self.name}{self.further_root}") if self.further_root else (own,)


OPENAI: Final = Dialect(name="openai", has_escapes=True)
HOSTS: Final = (
    Dialect(name="azure", further_root="/openai", has_empty_error_file=True, has_escapes=True, max_rows=100_000),
    Dialect(name="groq", further_root="/openai/v1", paging="cursor", page=20, errors="array", hours=(24, 168)),
    Dialect(
        name="together",
        paging="array",
        has_labels=False,
        purpose="batch-api",
        is_wrapped=True,
        is_loud=True,
        has_counts=False,
        has_bare_errors=True,
        has_redirect=True,
        usual_window="24h",
        further_fields=("model_id", "priority"),
        max_bytes=100 * 1024 * 1024,
    ),
    Dialect(name="deepinfra"),
    Dialect(name="nebius", max_rows=5_000_000, max_bytes=10 * 1024**3),
    Dialect(name="alibaba", hours=(24, 336), max_bytes=500 * 1024 * 1024),
    Dialect(name="parasail", has_labels=False, max_bytes=100 * 1024 * 1024),
)


def page_of(dialect: Dialect, listed: list[dict[str, Any]], query: Any, limit: int) -> dict[str, Any]:
    """One page of a list in the host's own form; `data` are the rows of `listed` that are on it. Raises WireError."""
    if dialect.paging == "array":
        return {"data": listed}
    if dialect.paging == "after":
        return envelope(listed, query.get("after"), limit)
    cursor = query.get("cursor") or "c0"
    start = int(cursor[1:]) if cursor[:1] == "c" and cursor[1:].isdigit() else -1
    if not 0 <= start <= len(listed):
        raise WireError(400, f"Invalid cursor: {cursor}", param="cursor")
    found: dict[str, Any] = {"object": "list", "data": listed[start : start + limit]}
    return found | ({"paging": {"next_cursor": f"c{start + limit}"}} if start + limit < len(listed) else {})


def hours_of(dialect: Dialect, window: str) -> int:
    """Length of a window that the host takes. Raises WireError."""
    low, high = dialect.hours
    told = re.fullmatch(r"([0-9]{1,3})([hd])", window, re.ASCII)
    hours = int(told[1]) * (24 if told[2] == "d" else 1) if told else 0
    if not low <= hours <= high:
        raise WireError(400, f"Invalid completion_window '{window}': from {low}h to {high}h.", param="completion_window")
    return hours


def in_dialect(dialect: Dialect, shown: dict[str, Any]) -> dict[str, Any]:
    """A batch as OpenAI shows it, as this host does."""
    if dialect.errors == "array" and shown["errors"] is not None:
        shown["errors"] = shown["errors"]["data"]
    if not dialect.has_labels:
        shown.pop("metadata")
    if not dialect.has_counts:
        shown.pop("request_counts")
        shown["progress"] = 100 if shown["completed_at"] else 0
    if dialect.is_loud:
        shown["status"] = shown["status"].upper()
        for name in [name for name in shown if name.endswith("_at")]:
            shown[name] = shown[name] and datetime.fromtimestamp(shown[name], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        shown |= {"job_deadline": shown.pop("expires_at")}
    return shown
