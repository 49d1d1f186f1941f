"""Hosts that speak OpenAI's batch API in their own way: an accepted batch is found on whichever page it lies, or nothing is said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.contract.own_host import answering
from tests.contract.test_find import new_sender
from tests.contract.wires import HOSTS, KEY, TIMEOUTS, World
from tests.emulator_process import Emulator

from batchtrial.errors import ConfigError, NotFound, ProviderError, Unsure
from batchtrial.providers.base import BatchState, Intent, Setup
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.openai.quirks import TABLE, Quirks
from batchtrial.providers.registry import ROWS, adapter_of
from batchtrial.records import Outcome


@pytest.fixture(params=sorted(HOSTS))
def world(request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    """Every host in turn, at its own address below the emulator's."""
    wire = HOSTS[request.param]
    provider = wire.make(emulator, KEY, {})
    emulator.remove_faults()
    yield World(wire, emulator, provider, tmp_path)
    emulator.remove_faults()
    provider.close()


def test_a_batch_lives_and_brings_its_answers_and_its_errors(world: World) -> None:
    world.fault("create", {"rows": {"errored": {"count": 1, "status": 500}}})
    batch_id = world.submit(3)
    assert world.provider.check(batch_id).state is BatchState.RUNNING
    world.finish()
    assert world.provider.check(batch_id).state is BatchState.COMPLETED
    found = [world.provider.decode(line) for line in world.provider.fetch(batch_id)]
    assert sorted(one.outcome for one in found) == [Outcome.ERRORED, Outcome.SUCCEEDED, Outcome.SUCCEEDED]


def test_an_accepted_batch_is_found_and_another_attempt_is_not(world: World) -> None:
    ours, other = new_sender(world, n=2), new_sender(world, n=2)
    batch_id = ours.submit()
    assert world.provider.find(ours.intent, frozenset()) == (batch_id,)
    assert world.provider.find(other.intent, frozenset()) == ()


def test_a_batch_whose_input_file_the_ledger_lost_is_found(world: World) -> None:
    """A power cut may have taken the line of the upload: the token stands in the labels, or in the name of the file."""
    sender = new_sender(world, n=2)
    batch_id = sender.submit()
    assert world.provider.find(replace(sender.intent, file_id=None), frozenset()) == (batch_id,)


def test_a_file_that_is_refused_is_not_sent_again(world: World) -> None:
    world.fault("create", {"validation_failure": "a row is too long"})
    batch_id = world.submit(2)
    world.finish()
    status = world.provider.check(batch_id)
    assert (status.state, status.retryable) == (BatchState.FAILED, False)
    assert "a row is too long" in (status.reason or "")


# The list, page by page, at a host of the test's own


def listed(number: int, label: str, mine: int) -> dict[str, Any]:
    is_mine = number == mine
    return {
        "id": f"batch_{number}",
        "object": "batch",
        "created_at": 1764000000 - number,
        "metadata": {label: "feed" if is_mine else "other"},
        "input_file_id": "file-mine" if is_mine else f"file-{number}",
    }


Answer = Callable[[str, Mapping[str, str], list[dict[str, Any]]], Any]
N, PAGE = 250, 20


def honest(paging: str, query: Mapping[str, str], batches: list[dict[str, Any]]) -> Any:
    """What the host answers when nothing is wrong."""
    if paging == "none":
        return batches
    if paging == "cursor":
        start = int(query.get("cursor", "0"))
        more = {"paging": {"next_cursor": str(start + PAGE)}} if start + PAGE < len(batches) else {}
        return {"object": "list", "data": batches[start : start + PAGE], **more}
    after, limit = query.get("after"), int(query["limit"])
    places = {one["id"]: place + 1 for place, one in enumerate(batches)}
    start = int(after or 0) if paging == "offset" else places.get(after or "", 0)
    return {"object": "list", "data": batches[start : start + limit], "has_more": start + limit < len(batches)}


@contextmanager
def serving(paging: str, batches: list[dict[str, Any]], answer: Answer = honest) -> Iterator[str]:
    def told(path: str, query: Mapping[str, str]) -> Any:
        return answer(paging, query, batches) if path.endswith("/batches") else {"id": path.rsplit("/", 1)[-1], "object": "file"}

    with answering(told) as url:
        yield f"{url}/v1"


INTENT = Intent(
    part="p", attempt=1, token="feed", payload_sha256="", n_requests=1, created_at=datetime(2020, 1, 1, tzinfo=UTC), model="m", file_id="file-mine"
)
NAMED = sorted(name for name, quirks in TABLE.items() if not quirks.refuses)


def find(quirks: Quirks, url: str) -> tuple[str, ...]:
    provider = OpenAIProvider(OpenAISettings(base_url=url, quirks=quirks, timeouts=TIMEOUTS), KEY)
    try:
        return provider.find(INTENT, frozenset())
    finally:
        provider.close()


@pytest.mark.parametrize("mine", [30, 50, N - 1], ids=["page 2", "page 3", "the last"])
@pytest.mark.parametrize("name", NAMED)
def test_ours_is_found_on_whichever_page_it_lies(name: str, mine: int) -> None:
    quirks = replace(TABLE[name], page_size=PAGE)
    with serving(quirks.paging, [listed(number, quirks.label, mine) for number in range(N)]) as url:
        assert find(quirks, url) == (f"batch_{mine}",)


def paged(answer: Answer) -> Answer:
    """The same for every page but the first, which is honest."""
    return lambda paging, query, batches: answer(paging, query, batches) if query.keys() & {"after", "cursor"} else honest(paging, query, batches)


TROUBLES: Mapping[str, Answer] = {
    "an empty page": paged(lambda paging, query, batches: {"object": "list", "data": [], "has_more": False}),
    "an empty page for ever": paged(lambda paging, query, batches: {"object": "list", "data": [], "has_more": True, "paging": {"next_cursor": "9"}}),
    "the first page again": lambda paging, query, batches: honest(paging, {"limit": str(PAGE)}, batches),
    "a page that fails": paged(lambda paging, query, batches: None),
    "a page that is no list": paged(lambda paging, query, batches: {"object": "list"}),
}


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("name", [name for name in NAMED if TABLE[name].paging != "none"])
def test_a_list_in_trouble_never_proves_an_absence(name: str, trouble: str) -> None:
    quirks = replace(TABLE[name], page_size=PAGE)
    batches = [listed(number, quirks.label, N - 1) for number in range(N)]
    with serving(quirks.paging, batches, TROUBLES[trouble]) as url, pytest.raises(ProviderError) as caught:
        find(quirks, url)
    assert caught.value.retryable
    assert isinstance(caught.value, Unsure) or "page that" in trouble


def test_a_host_that_claims_one_page_and_says_that_there_is_more_proves_nothing() -> None:
    quirks = TABLE["together"]
    more = {"object": "list", "data": [listed(0, "bt_token", 9)], "has_more": True}
    with serving("none", [], lambda paging, query, batches: more) as url, pytest.raises(Unsure, match="not how to ask for it"):
        find(quirks, url)


def test_a_list_without_pages_that_is_as_long_as_was_asked_for_may_have_been_cut() -> None:
    quirks = TABLE["together"]
    cut: Answer = lambda paging, query, batches: batches[: int(query["limit"])]  # noqa: E731
    with serving("none", [listed(number, "bt_token", N - 1) for number in range(N)], cut) as url, pytest.raises(Unsure, match="may have been cut"):
        find(quirks, url)
    with serving("none", [listed(number, "bt_token", -1) for number in range(N)]) as url:
        assert find(quirks, url) == ()  # the limit was passed over, so this is all


@pytest.mark.parametrize("cursor", [20, "20"])
def test_a_cursor_is_followed_whatever_its_type(cursor: object) -> None:
    def answer(paging: str, query: Mapping[str, str], batches: list[dict[str, Any]]) -> Any:
        return honest(paging, query, batches) | ({} if "cursor" in query else {"paging": {"next_cursor": cursor}})

    with serving("cursor", [listed(number, "bt_token", 30) for number in range(2 * PAGE)], answer) as url:
        assert find(TABLE["groq"], url) == ("batch_30",)


@pytest.mark.parametrize("odd", [{"paging": {"next_cursor": {"at": 1}}}, {"has_more": "true"}], ids=str)
def test_a_way_on_that_cannot_be_understood_is_no_end_of_the_list(odd: Mapping[str, Any]) -> None:
    page = {"object": "list", "data": [listed(0, "bt_token", 9)], **odd}
    for name in ("groq", "deepinfra", "together"):
        with serving("none", [], lambda paging, query, batches: page) as url, pytest.raises(ProviderError) as caught:
            find(TABLE[name], url)
        assert caught.value.retryable


def test_batches_whose_time_is_told_in_words_or_not_at_all_are_not_taken_for_old_ones() -> None:
    """A page of a list that is newest first ends the search only when each of its batches says that it is too old."""
    batches = [listed(number, "bt_token", 130) for number in range(N)]
    for number, batch in enumerate(batches):
        batch["created_at"] = "2030-01-01T00:00:00Z" if number % 2 else None
    with serving("after_id", batches) as url:
        assert find(TABLE["openai"], url) == ("batch_130",)


def test_a_list_that_is_oldest_first_is_read_to_its_end() -> None:
    batches = [listed(number, "bt_token", N - 1) | {"created_at": 1_000_000_000 + number} for number in range(N)]
    with serving("after_id", batches) as url:
        assert find(TABLE["deepinfra"], url) == (f"batch_{N - 1}",)


# Rows


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_a_host_takes_its_own_key_and_says_so(name: str) -> None:
    provider = adapter_of(name, Setup(host={"base_url": "http://127.0.0.1:9"}))
    with pytest.raises(ProviderError) as caught:
        provider.check("b")
    assert caught.value.hint == f"set {ROWS[name].key_variable} in the environment"
    assert ROWS[name].title in caught.value.what


def test_nothing_is_sent_to_a_host_without_files_and_labels(tmp_path: Path) -> None:
    provider = OpenAIProvider(OpenAISettings(base_url="http://127.0.0.1:9", quirks=TABLE["openrouter"]), KEY)
    (tmp_path / "part.jsonl").write_bytes(b"{}\n")
    with pytest.raises(ProviderError, match="nothing is sent to this host") as caught:
        provider.submit(INTENT, tmp_path / "part.jsonl", lambda file_id: None)
    assert not caught.value.retryable
    assert not isinstance(caught.value, NotFound | ConfigError)
