"""Fireworks lists: filter, order, read mask and pages, as far as clients of batches use them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from starlette.requests import Request

from batchtrial.emulator.serve.exchange import WireError

T = TypeVar("T")
PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
_TERM: Final = re.compile(r"""\s*([A-Za-z_.]+)\s*(!=|>=|<=|=|>|<|:)\s*("(?:[^"\\]|\\.)*"|'[^']*'|[^\s"']+)\s*""")
_BY_CREATION: Final = re.compile(r"(?:createTime|create_time|created_time|createdTime)(?: asc| desc)?")
_COMPARE: Final[dict[str, Callable[[str, str], bool]]] = {
    "=": lambda have, want: have == want,
    "!=": lambda have, want: have != want,
    ":": lambda have, want: want in have,
    ">": lambda have, want: have > want,
    "<": lambda have, want: have < want,
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
}


def _camel(field: str) -> str:
    head, *rest = field.split("_")
    return head + "".join(part.capitalize() for part in rest)


def filter_of(text: str) -> Callable[[dict[str, Any]], bool]:
    """A filter in AIP-160's simplest form: `field op value` joined by AND. Raises WireError for anything else."""
    terms = []
    for term in re.split(r"\s+AND\s+", text.strip()) if text.strip() else []:
        match = _TERM.fullmatch(term)
        if match is None:
            raise WireError(400, f"invalid filter: {term!r}")
        field, op, value = match.groups()
        if value[0] in "\"'":
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        terms.append((_camel(field), _COMPARE[op], value))
    return lambda shown: all(compare(str(shown.get(field, "")), value) for field, compare, value in terms)


def _page_size(request: Request) -> int:
    text = request.query_params.get("pageSize", str(PAGE_SIZE))
    if not text.isdigit() or len(text) > 9:
        raise WireError(400, "pageSize: expected a positive integer")
    return min(int(text) or PAGE_SIZE, MAX_PAGE_SIZE)


def _start(request: Request) -> int:
    text = request.query_params.get("pageToken", "")
    if not text:
        return 0
    try:
        return int(base64.urlsafe_b64decode(text.encode()).decode("ascii").removeprefix("from:"))
    except (binascii.Error, ValueError):
        raise WireError(400, "invalid pageToken") from None


def _field(field: str, shown: dict[str, Any]) -> str:
    return str(shown.get(field, ""))


def ordered(request: Request, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ascending by creation unless `orderBy` says otherwise. Raises WireError for a field that is not there."""
    text = request.query_params.get("orderBy", "")
    for clause in reversed([each.split() for each in text.split(",") if each.strip()]):
        if len(clause) > 2 or clause[1:] not in ([], ["asc"], ["desc"]):
            raise WireError(400, f"invalid orderBy: {text!r}")
        field, is_descending = _camel(clause[0]), clause[1:] == ["desc"]
        if field in ("createTime", "createdTime"):
            field = "createTime"
            # Jobs of the same moment still have an order of creation.
            shown = shown[::-1] if is_descending else shown
        shown = sorted(shown, key=partial(_field, field), reverse=is_descending)
    return shown


def masked(request: Request, shown: dict[str, Any]) -> dict[str, Any]:
    """Only the fields of `readMask`, when there is one."""
    mask = request.query_params.get("readMask", "")
    if mask in ("", "*"):
        return shown
    wanted = {_camel(field.strip()) for field in mask.split(",")}
    return {key: value for key, value in shown.items() if key in wanted}


def page(request: Request, key: str, found: Sequence[T], show: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """One page of a list given oldest first; only what is on the page is shown, unless a filter or an order asks for all."""
    fits, order = filter_of(request.query_params.get("filter", "")), request.query_params.get("orderBy", "").split()
    start, size = _start(request), _page_size(request)
    end = start + size
    if not request.query_params.get("filter") and (not order or _BY_CREATION.fullmatch(" ".join(order))):
        n_found = len(found)
        in_order = found[::-1] if order[-1:] == ["desc"] else found
        shown = [show(each) for each in in_order[start:end]]
    else:
        everything = ordered(request, [each for each in map(show, found) if fits(each)])
        n_found, shown = len(everything), everything[start:end]
    following = base64.urlsafe_b64encode(f"from:{end}".encode()).decode() if end < n_found else ""
    return {key: [masked(request, each) for each in shown], "nextPageToken": following, "totalSize": n_found}
