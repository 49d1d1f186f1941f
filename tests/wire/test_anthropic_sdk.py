"""The official Anthropic SDK alone, against the emulator. Runs under anthropic 0.125 (old version header) and 2.x (new)."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running

anthropic = pytest.importorskip("anthropic")
OLD, NEW = "2023-06-01", "2026-10-21"


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for the tests of this file; they look at their own batches only."""
    with running(tmp_path_factory.mktemp("sdk"), seed=5) as emulator:
        yield emulator


def n_billed(emu: Emulator, batch: Any) -> int:
    return int(next(each["n_answered"] for each in emu.ledger()["batches"] if each["id"] == batch.id))


def make_client(emu: Emulator, key: str = "any", **more: Any) -> Any:
    return anthropic.Anthropic(api_key=key, base_url=emu.anthropic_base_url, max_retries=0, **more)


@pytest.fixture
def client(emu: Emulator) -> Iterator[Any]:
    with make_client(emu) as found:
        yield found


def request(custom_id: str, **params: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"Question of {custom_id}?"}]
    return {"custom_id": custom_id, "params": {"model": "claude-test", "max_tokens": 64, "messages": messages, **params}}


def requests(n: int, **params: Any) -> list[dict[str, Any]]:
    return [request(f"r{i}", **params) for i in range(n)]


def create(client: Any, asked: list[dict[str, Any]]) -> Any:
    return client.messages.batches.create(requests=asked)


def results(client: Any, batch_id: str) -> dict[str, Any]:
    found = list(client.messages.batches.results(batch_id))
    assert len({each.custom_id for each in found}) == len(found)
    return {each.custom_id: each.result for each in found}


def test_life_of_a_batch(emu: Emulator, client: Any) -> None:
    batch = create(client, requests(5, system="Be brief."))
    assert (batch.processing_status, batch.results_url) == ("in_progress", None)
    with pytest.raises(anthropic.AnthropicError):
        client.messages.batches.results(batch.id)
    emu.advance(15)
    counts = client.messages.batches.retrieve(batch.id).request_counts
    assert (counts.processing, counts.succeeded) == (5, 0)  # nothing shows before all is over
    emu.advance(15)
    batch = client.messages.batches.retrieve(batch.id)
    assert batch.processing_status == "ended"
    assert batch.ended_at > batch.created_at
    assert (batch.request_counts.processing, batch.request_counts.succeeded) == (0, 5)
    assert batch.results_url.startswith(emu.url)
    found = results(client, batch.id)
    assert set(found) == {f"r{i}" for i in range(5)}
    for each in found.values():
        assert each.type == "succeeded"
        assert each.message.content[0].text
        assert each.message.usage.input_tokens > 0
        assert each.message.usage.service_tier == "batch"
    assert n_billed(emu, batch) == 5
    assert emu.batches()[-1]["wire"]["anthropic_version"] in (OLD, NEW)


@pytest.mark.parametrize(("version", "kind"), [(OLD, "succeeded"), (NEW, "errored")])
def test_sampling_parameters_by_version(emu: Emulator, version: str, kind: str) -> None:
    with make_client(emu, default_headers={"anthropic-version": version}) as client:
        batch = create(client, [request("plain"), request("warm", temperature=1.0)])
        emu.advance(30)
        found = results(client, batch.id)
    assert (found["plain"].type, found["warm"].type) == ("succeeded", kind)
    if kind == "errored":
        assert found["warm"].error.error.type == "invalid_request_error"
        assert found["warm"].error.request_id
    else:
        assert emu.requests("warm")[-1]["parameters"]["temperature"] == 1.0


def test_parameters_are_only_looked_at_later(emu: Emulator, client: Any) -> None:
    bad = request("empty")
    bad["params"]["messages"] = []
    batch = create(client, [request("good"), bad, request("streamed", stream=True), request("unknown", model="no-such-model")])
    emu.advance(30)
    found = results(client, batch.id)
    assert found["good"].type == "succeeded"
    kinds = {name: found[name].error.error.type for name in ("empty", "streamed", "unknown")}
    assert kinds == {"empty": "invalid_request_error", "streamed": "invalid_request_error", "unknown": "not_found_error"}
    assert n_billed(emu, batch) == 1


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ([], "at least 1"),
        ([request("a b")], "pattern"),
        ([request("x" * 65)], "pattern"),
        ([request("a"), request("a")], "more than once"),
        ([{"custom_id": "a"}], "params"),
        ([{**request("a"), "metadata": {}}], "Extra inputs"),
    ],
)
def test_shape_is_checked_at_once(emu: Emulator, client: Any, asked: list[dict[str, Any]], why: str) -> None:
    n_batches = len(emu.batches())
    with pytest.raises(anthropic.BadRequestError, match=why) as refused:
        create(client, asked)
    assert refused.value.body["error"]["type"] == "invalid_request_error"
    assert refused.value.request_id == refused.value.body["request_id"]
    assert len(emu.batches()) == n_batches


def test_models_are_listed_in_its_own_form_beside_openai_s(emu: Emulator, client: Any) -> None:
    """Both APIs have the path; OpenAI's form has neither a `type`, a `display_name` nor a date that this SDK reads."""
    listed = list(client.models.list(limit=1))
    assert {(one.type, one.display_name, one.created_at.year) for one in listed} == {("model", one.id, 2026) for one in listed}
    assert client.models.retrieve("claude-haiku-4-5").type == "model"
    with pytest.raises(anthropic.NotFoundError, match="no-such-model"):
        client.models.retrieve("no-such-model")


def test_cancel_then_delete(emu: Emulator, client: Any) -> None:
    batch = create(client, requests(10))
    emu.advance(15)
    with pytest.raises(anthropic.BadRequestError):
        client.messages.batches.delete(batch.id)
    batch = client.messages.batches.cancel(batch.id)
    assert batch.processing_status == "canceling"
    assert batch.cancel_initiated_at is not None
    emu.advance(5)
    batch = client.messages.batches.retrieve(batch.id)
    assert (batch.processing_status, batch.request_counts.succeeded, batch.request_counts.canceled) == ("ended", 5, 5)
    assert sorted(each.type for each in results(client, batch.id).values()) == ["canceled"] * 5 + ["succeeded"] * 5
    assert client.messages.batches.delete(batch.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(batch.id)
    assert n_billed(emu, batch) == 5


def test_expiry_mixes_succeeded_and_expired(tmp_path: Path) -> None:
    with running(tmp_path, faults=[{"do": {"expire_after": {"fraction": 0.3}}}]) as emu, make_client(emu) as client:
        batch = create(client, requests(10))
        emu.advance(30)
        batch = client.messages.batches.retrieve(batch.id)
        assert (batch.request_counts.succeeded, batch.request_counts.expired) == (3, 7)
        assert batch.ended_at == batch.expires_at
        assert sum(each.type == "expired" for each in results(client, batch.id).values()) == 7


def test_list_is_newest_first_and_pages_both_ways(emu: Emulator, client: Any) -> None:
    ids = []
    for i in range(5):
        ids.append(create(client, requests(1 + i)).id)
        emu.advance(1)
    assert [batch.id for batch in client.messages.batches.list(limit=2)][:5] == ids[::-1]
    newer = client.messages.batches.list(limit=2, before_id=ids[0])
    assert [batch.id for batch in newer.data] == [ids[2], ids[1]]
    assert newer.has_more


def test_results_are_gone_after_29_days(emu: Emulator, client: Any) -> None:
    batch = create(client, requests(1))
    emu.advance(29 * 86_400)
    batch = client.messages.batches.retrieve(batch.id)
    assert batch.results_url is None
    assert batch.archived_at is not None


@pytest.mark.parametrize("key", ["bad", "sk-ant-invalid"])
def test_wrong_key(emu: Emulator, key: str) -> None:
    with make_client(emu, key) as client, pytest.raises(anthropic.AuthenticationError) as refused:
        client.messages.batches.list()
    assert refused.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize("header", [{"x-api-key": "any"}, {"authorization": "Bearer any"}])
@pytest.mark.parametrize("version", [OLD, NEW])
def test_both_headers_and_both_versions_are_good(emu: Emulator, header: dict[str, str], version: str) -> None:
    asked = urllib.request.Request(f"{emu.url}/v1/messages/batches", headers={**header, "anthropic-version": version})
    with urllib.request.urlopen(asked, timeout=30) as response:
        assert isinstance(json.load(response)["data"], list)
        assert response.headers["request-id"]


def test_a_body_too_large_is_413_before_it_is_parsed(emu: Emulator) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(257):
            yield b"x" * 1_000_000  # not JSON: parsing it would be a 400

    headers = {"x-api-key": "any", "anthropic-version": OLD, "content-length": "257000000"}
    asked = urllib.request.Request(f"{emu.url}/v1/messages/batches", data=pieces(), headers=headers, method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked, timeout=60)
    assert refused.value.code == 413
    assert json.load(refused.value)["error"]["type"] == "request_too_large"
    refused.value.close()


def test_spend_cap_is_a_429_that_waiting_does_not_lift(tmp_path: Path) -> None:
    with running(tmp_path, faults=[{"match": {"op": "create"}, "do": {"spend_cap": True}}]) as emu, make_client(emu) as client:
        with pytest.raises(anthropic.RateLimitError) as refused:
            create(client, requests(1))
        assert "retry-after" not in refused.value.response.headers
        assert refused.value.body["error"]["details"]["error_code"] == "enforced_spend_limit_reached"
