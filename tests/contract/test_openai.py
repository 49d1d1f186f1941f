"""What differs between hosts that speak OpenAI's batch API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.contract.own_host import served
from tests.contract.wires import KEY, TIMEOUTS, WIRES, World
from tests.emulator_process import Emulator

from batchtrial.errors import Ambiguous, NotFound, Unsure
from batchtrial.providers.base import BatchState, Intent
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.openai.quirks import Quirks


@pytest.fixture
def world(emulator: Emulator, tmp_path: Path) -> Iterator[World]:
    wire = WIRES["openai-chat"]
    provider = wire.make(emulator, KEY, {})
    emulator.remove_faults()
    yield World(wire, emulator, provider, tmp_path)
    emulator.remove_faults()
    provider.close()


def test_the_batch_carries_token_part_attempt_and_run(world: World) -> None:
    payload = world.payload(world.requests(2))
    intent = world.intent(payload)
    world.provider.submit(intent, payload, lambda file_id: None)
    assert world.batches()[-1]["wire"]["metadata"] == {
        "bt_token": intent.token,
        "bt_part": intent.part,
        "bt_attempt": "1",
        "bt_run": "run r1, part 1",
    }


def test_a_host_without_labels_is_searched_by_the_input_file(world: World) -> None:
    world.provider = world.wire.make(world.emu, KEY, {"quirks": Quirks(has_labels=False)})
    payload = world.payload(world.requests(2))
    intent = world.intent(payload)
    files: list[str] = []
    assert world.provider.find(intent, frozenset()) == ()
    batch_id = world.provider.submit(intent, payload, files.append)
    world.submit(2)
    assert not world.batches()[0]["wire"].get("metadata")
    noted = Intent(**{name: getattr(intent, name) for name in Intent.__dataclass_fields__} | {"file_id": files[0]})
    assert world.provider.find(noted, frozenset()) == (batch_id,)
    world.provider.close()


def test_a_quota_overflow_may_be_accepted_later(world: World) -> None:
    world.fault("create", {"token_limit_exceeded": True})
    batch_id = world.submit(2)
    world.finish()
    status = world.provider.check(batch_id)
    assert (status.state, status.retryable) == (BatchState.FAILED, True)
    assert "token_limit_exceeded" in (status.reason or "")


def test_an_error_file_that_is_gone_is_not_taken_for_no_errors(world: World) -> None:
    world.fault("create", {"rows": {"errored": 1}})
    batch_id = world.submit(3)
    world.finish()
    world.fault("download_error", {"file_gone": True})
    world.fault("download", {"file_gone": True}, on=[2])
    with pytest.raises(NotFound):
        list(world.provider.fetch(batch_id))


class Host(BaseHTTPRequestHandler):
    """A host whose pages of batches are asked for by the number of batches seen; `batches` is set on the class."""

    batches: tuple[dict[str, Any], ...] = ()
    answer_to_create: Any = None
    n_lists = 0

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        start, limit = int(query.get("after", ["0"])[0]), int(query["limit"][0])
        type(self).n_lists += 1
        page = self.batches[start : start + limit]
        self._answer({"object": "list", "data": page, "has_more": start + limit < len(self.batches)})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self._answer(self.answer_to_create if self.path.endswith("/batches") else {"id": "file-1", "object": "file"})

    def _answer(self, value: Any) -> None:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "text/html" if isinstance(value, bytes) else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@contextmanager
def host(batches: tuple[dict[str, Any], ...] = (), answer_to_create: Any = None) -> Iterator[tuple[type[Host], str]]:
    """A running host of the test's own."""
    handler = type("ThisHost", (Host,), {"batches": batches, "answer_to_create": answer_to_create})
    with served(handler) as url:
        yield handler, f"{url}/v1"


def listed(number: int, token: str) -> dict[str, Any]:
    return {"id": f"batch_{number}", "object": "batch", "created_at": 1764000000 - number, "metadata": {"bt_token": token}, "input_file_id": "f"}


INTENT = Intent(part="p", attempt=1, token="feed", payload_sha256="", n_requests=1, created_at=datetime(2020, 1, 1, tzinfo=UTC), model="m")


def test_a_host_that_pages_by_offset_is_read_to_its_end() -> None:
    with host(tuple(listed(n, "feed" if n == 230 else "other") for n in range(250))) as (seen, url):
        provider = OpenAIProvider(OpenAISettings(base_url=url, quirks=Quirks(paging="offset"), timeouts=TIMEOUTS), KEY)
        assert provider.find(INTENT, frozenset()) == ("batch_230",)
        assert seen.n_lists == 3
        provider.close()


def test_a_host_without_pages_is_asked_once() -> None:
    with host(tuple(listed(n, "feed" if n == 7 else "other") for n in range(150))) as (seen, url):
        provider = OpenAIProvider(OpenAISettings(base_url=url, quirks=Quirks(paging="none"), timeouts=TIMEOUTS), KEY)
        assert provider.find(INTENT, frozenset()) == ("batch_7",)
        assert seen.n_lists == 1
        provider.close()


def test_a_host_that_lists_a_bare_array_is_read_too() -> None:
    with host(tuple(listed(n, "feed" if n == 7 else "other") for n in range(20))) as (seen, url):
        provider = OpenAIProvider(OpenAISettings(base_url=url, quirks=Quirks(paging="none"), timeouts=TIMEOUTS), KEY)
        seen.do_GET = lambda self: self._answer(list(self.batches))  # type: ignore[method-assign]
        assert provider.find(INTENT, frozenset()) == ("batch_7",)
        provider.close()


def test_a_host_that_gives_the_same_page_for_ever_does_not_hold_us() -> None:
    with host(tuple(listed(n, "other") for n in range(250))) as (seen, url):
        provider = OpenAIProvider(OpenAISettings(base_url=url, quirks=Quirks(paging="after_id"), timeouts=TIMEOUTS), KEY)
        seen.do_GET = lambda self: self._answer({"object": "list", "data": self.batches[:100], "has_more": True})  # type: ignore[method-assign]
        with pytest.raises(Unsure, match="gives a page again"):
            provider.find(INTENT, frozenset())
        provider.close()


@pytest.mark.parametrize("answer", [b"<html>hello</html>", {}, {"id": None}, [], {"object": "batch"}])
def test_an_answer_to_the_create_that_names_no_batch_is_ambiguous(tmp_path: Path, answer: Any) -> None:
    with host(answer_to_create=answer) as (_, url):
        provider = OpenAIProvider(OpenAISettings(base_url=url, timeouts=TIMEOUTS), KEY)
        payload = tmp_path / "part.jsonl"
        payload.write_bytes(b"{}\n")
        with pytest.raises(Ambiguous):
            provider.submit(INTENT, payload, lambda file_id: None)
        provider.close()


def failed_rows(n: int) -> list[bytes]:
    row = {"response": None, "error": {"code": "model_not_found", "message": "no such model"}}
    return [json.dumps({"custom_id": f"row-{number}", **row}).encode() + b"\n" for number in range(n)]


@pytest.mark.parametrize(("n_lines", "is_whole"), [(3, True), (2, False), (0, False)])
def test_a_host_that_counts_failed_rows_as_done_names_no_output_file(n_lines: int, is_whole: bool) -> None:
    """Its error file tells what became of every row; one that does not hold them all leaves answers that were paid for unread."""
    lines = failed_rows(n_lines)
    batch = listed(1, "feed") | {"status": "completed", "request_counts": {"total": 3, "completed": 3, "failed": 0}, "error_file_id": "file-e"}
    with host() as (seen, url):
        provider = OpenAIProvider(OpenAISettings(base_url=url, timeouts=TIMEOUTS), KEY)
        seen.do_GET = lambda self: self._answer(b"".join(lines) if "/files/" in self.path else batch)  # type: ignore[method-assign]
        got = provider.fetch("batch_1")
        if is_whole:
            assert list(got) == lines
        else:
            with pytest.raises(NotFound, match="finished 3 rows and names no output file"):
                list(got)
        provider.close()
