"""A host that answers 200 with something else: a login page, half an answer, another program. Nothing of it is taken for an answer.

What a create call was answered leaves it open whether there is a batch; a list that is none proves no absence; a look or a download that brought
nonsense is worth another.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from tests.contract.own_host import served
from tests.contract.wires import KEY, TIMEOUTS, World

from batchtrial.errors import Ambiguous, ProviderError
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Intent, Provider
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings

NONSENSE: dict[str, tuple[str, bytes]] = {
    "a page": ("text/html", b"<html>Sign in to the network</html>"),
    "half an answer": ("application/json", b'{"id": "batch_1", "obj'),
    "nothing": ("application/json", b""),
    "no text": ("application/json", b'{"id": "\xff\xfe"}'),
    "an empty object": ("application/json", b"{}"),
    "an empty list": ("application/json", b"[]"),
    "null": ("application/json", b"null"),
    "a string": ("application/json", b'"hello"'),
    "a number": ("application/json", b"5"),
    "a list that is none": ("application/json", b'{"data": "hello", "has_more": false}'),
    "a list of no batches": ("application/json", b'{"data": [5, null, "x"], "has_more": false}'),
}
INTENT = Intent(
    part="p", attempt=1, token="feed" * 4, payload_sha256="", n_requests=1, created_at=datetime(2020, 1, 1, tzinfo=UTC), model="m", file_id="f"
)


class Host(BaseHTTPRequestHandler):
    """Says the same to everybody."""

    answer: tuple[str, bytes]

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers["content-length"] or 0))
        self.send_response(200)
        self.send_header("content-type", self.answer[0])
        self.send_header("content-length", str(len(self.answer[1])))
        self.end_headers()
        self.wfile.write(self.answer[1])

    do_POST = do_DELETE = do_GET

    def log_message(self, *args: Any) -> None:
        """Quiet."""


@pytest.fixture(params=sorted(NONSENSE))
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with served(type("ThisHost", (Host,), {"answer": NONSENSE[request.param]})) as address:
        yield address


@pytest.fixture(params=["fireworks", "openai", "anthropic"])
def provider(request: pytest.FixtureRequest, url: str) -> Iterator[Provider]:
    made: dict[str, Provider] = {
        "fireworks": FireworksProvider(FireworksSettings(account_id="a", base_url=url, timeouts=TIMEOUTS), KEY, sleep=lambda seconds: None),
        "openai": OpenAIProvider(OpenAISettings(base_url=f"{url}/v1", timeouts=TIMEOUTS), KEY),
        "anthropic": AnthropicProvider(AnthropicSettings(base_url=url, timeouts=TIMEOUTS), KEY),
    }
    yield made[request.param]
    for each in made.values():
        each.close()


def test_a_create_call_that_was_answered_with_nonsense_is_ambiguous(provider: Provider, tmp_path: Path) -> None:
    payload = tmp_path / "part.jsonl"
    payload.write_bytes(b'{"custom_id":"a","params":{}}\n')
    with pytest.raises(Ambiguous):
        provider.submit(INTENT, payload, lambda file_id: None)


def test_nonsense_proves_no_absence(provider: Provider) -> None:
    with pytest.raises(ProviderError) as caught:
        provider.find(INTENT, frozenset())
    assert caught.value.retryable


def test_a_look_and_a_download_are_worth_another(provider: Provider) -> None:
    for verb in (provider.check, lambda batch_id: list(provider.fetch(batch_id))):
        with pytest.raises(ProviderError) as caught:
            verb("batch-1")
        assert caught.value.retryable


@pytest.mark.parametrize("n_bytes", [0, 20])
def test_an_answer_cut_short_after_the_commit_is_settled_like_a_lost_one(world: World, n_bytes: int) -> None:
    payload = world.payload(world.requests(3))
    intent = world.intent(payload)
    world.fault("create", {"truncate_body": {"bytes": n_bytes, "clean": True}}, on=[1])
    with pytest.raises(Ambiguous):
        world.provider.submit(intent, payload, lambda file_id: None)
    assert len(world.batches()) == 1
    assert len(world.settle(intent)) == 1
