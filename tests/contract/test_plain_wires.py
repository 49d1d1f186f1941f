"""Mistral, Gemini and xAI: a batch is found on whichever page of the list it lies, and a list in trouble proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.contract.own_host import answering
from tests.contract.wires import KEY, PLAIN, TIMEOUTS

from batchtrial.errors import ProviderError, Unsure
from batchtrial.providers.base import Intent, Setup
from batchtrial.providers.registry import adapter_of

N, SIZE, TOKEN = 250, 20, "feedfeedfeedfeed"
INTENT = Intent(part="p", attempt=1, token=TOKEN, payload_sha256="", n_requests=1, created_at=datetime(2026, 1, 1, tzinfo=UTC), model="m")
Query = Mapping[str, str]
Answer = Callable[[str, Query, int], Any]


def batch(wire: str, number: int, mine: int) -> dict[str, Any]:
    """A batch as its list shows it."""
    token = TOKEN if number == mine else f"other-{number}"
    if wire == "mistral":
        return {"id": f"b{number}", "metadata": {"bt_token": token}, "created_at": 1_764_000_000 - number, "status": "RUNNING"}
    if wire == "xai":
        return {"batch_id": f"b{number}", "name": token, "create_time": "2026-01-01"}
    return {"name": f"batches/b{number}", "metadata": {"displayName": token, "createTime": "2026-01-01T00:00:00Z"}, "done": False}


def page(wire: str, start: int, mine: int, more: str | None, *, is_empty: bool = False) -> dict[str, Any]:
    """A page that begins there. more: what the next one is asked for with."""
    found = [] if is_empty else [batch(wire, number, mine) for number in range(start, min(N, start + SIZE))]
    if wire == "mistral":
        return {"object": "list", "total": N, "data": found}
    if wire == "xai":
        return {"batches": found, "pagination_token": more}
    return {"operations": found} | ({"nextPageToken": more} if more else {})


def place(wire: str, query: Query) -> int:
    """Where the page that is asked for begins; a filter is ignored."""
    if wire == "mistral":
        return int(query["page"]) * SIZE
    return int(query.get("pageToken" if wire == "gemini" else "pagination_token", "0"))


def honest(wire: str, query: Query, mine: int) -> Any:
    start = place(wire, query)
    return page(wire, start, mine, str(start + SIZE) if start + SIZE < N else None)


def later(answer: Answer) -> Answer:
    """The same for every page but the first, which is honest."""
    return lambda wire, query, mine: answer(wire, query, mine) if place(wire, query) else honest(wire, query, mine)


TROUBLES: Mapping[str, Answer] = {
    "an empty page": later(lambda wire, query, mine: page(wire, 0, mine, None, is_empty=True)),
    "an empty page for ever": later(lambda wire, query, mine: page(wire, 0, mine, "9", is_empty=True)),
    "the first page again": lambda wire, query, mine: page(wire, 0, mine, "20"),
    "a page that fails": later(lambda wire, query, mine: None),
    "a page that is no list": later(lambda wire, query, mine: {"object": "list"} if wire != "gemini" else {"error": "no"}),
}


def serving(wire: str, mine: int, answer: Answer = honest) -> AbstractContextManager[str]:
    return answering(lambda path, query: answer(wire, query, mine))


def find(wire: str, url: str) -> tuple[str, ...]:
    provider = adapter_of(wire, Setup(host={"base_url": url, "timeouts": TIMEOUTS, "page_size": SIZE}, key=KEY))
    try:
        return provider.find(INTENT, frozenset())
    finally:
        provider.close()


@pytest.mark.parametrize("mine", [30, 50, N - 1], ids=["page 2", "page 3", "the last"])
@pytest.mark.parametrize("wire", sorted(PLAIN))
def test_ours_is_found_on_whichever_page_it_lies(wire: str, mine: int) -> None:
    with serving(wire, mine) as url:
        assert find(wire, url) == (f"b{mine}",)


@pytest.mark.parametrize("wire", sorted(PLAIN))
def test_a_whole_list_without_ours_proves_its_absence(wire: str) -> None:
    with serving(wire, -1) as url:
        assert find(wire, url) == ()


@pytest.mark.parametrize("mine", [45, 49])
def test_pages_that_are_shorter_than_was_asked_for_are_all_read(mine: int) -> None:
    """A server has its own bound on a page, and counts its pages by that."""
    total, size = 50, SIZE // 4

    def answer(path: str, query: Query) -> Any:
        start = int(query["page"]) * size
        return {"total": total, "data": [batch("mistral", number, mine) for number in range(start, min(total, start + size))]}

    with answering(answer) as url:
        assert find("mistral", url) == (f"b{mine}",)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("wire", sorted(PLAIN))
def test_a_list_in_trouble_never_proves_an_absence(wire: str, trouble: str) -> None:
    with serving(wire, N - 1, TROUBLES[trouble]) as url, pytest.raises(ProviderError) as caught:
        find(wire, url)
    assert caught.value.retryable
    assert isinstance(caught.value, Unsure) or "page that" in trouble
