"""The official OpenAI SDK alone, against the emulator. Runs under openai 1.x and 3.x."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running

openai = pytest.importorskip("openai")
CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for the tests of this file; they look at their own batches only."""
    with running(tmp_path_factory.mktemp("sdk"), seed=5) as emulator:
        yield emulator


def n_billed(emu: Emulator, batch: Any) -> int:
    return int(next(each["n_answered"] for each in emu.ledger()["batches"] if each["id"] == batch.id))


def make_client(emu: Emulator, key: str = "any") -> Any:
    return openai.OpenAI(api_key=key, base_url=emu.openai_base_url, max_retries=0)


@pytest.fixture
def client(emu: Emulator) -> Iterator[Any]:
    with make_client(emu) as found:
        yield found


def line(custom_id: str, endpoint: str = CHAT, **body: Any) -> bytes:
    question = f"Question of {custom_id}: what is it?"
    asked = {"input": question} if endpoint == RESPONSES else {"messages": [{"role": "user", "content": question}]}
    row = {"custom_id": custom_id, "method": "POST", "url": endpoint, "body": {"model": "gpt-test", **asked, **body}}
    return json.dumps(row).encode() + b"\n"


def lines(n: int, endpoint: str = CHAT, **body: Any) -> bytes:
    return b"".join(line(f"r{i}", endpoint, **body) for i in range(n))


def create(client: Any, data: bytes, endpoint: str = CHAT, **more: Any) -> Any:
    file = client.files.create(file=("in.jsonl", data), purpose="batch")
    return client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **more)


def rows(client: Any, file_id: str | None) -> dict[str, Any]:
    if not file_id:
        return {}
    found = [json.loads(each) for each in client.files.content(file_id).content.splitlines()]
    assert len({each["custom_id"] for each in found}) == len(found)
    return {each["custom_id"]: each for each in found}


@pytest.mark.parametrize("endpoint", [CHAT, RESPONSES])
def test_life_of_a_batch(emu: Emulator, client: Any, endpoint: str) -> None:
    batch = create(client, lines(4, endpoint, temperature=0.3), endpoint, metadata={"run_key": "a1"})
    assert (batch.status, batch.request_counts.total, batch.output_file_id) == ("validating", 0, None)
    states = [batch.status]
    for _ in range(30):
        emu.advance(1)
        batch = client.batches.retrieve(batch.id)
        if batch.status != states[-1]:
            states.append(batch.status)
        if batch.status == "in_progress":
            assert batch.request_counts.total == 4
    assert states == ["validating", "in_progress", "finalizing", "completed"]
    assert batch.metadata == {"run_key": "a1"}
    assert (batch.request_counts.completed, batch.request_counts.failed, batch.error_file_id) == (4, 0, None)
    assert batch.in_progress_at < batch.finalizing_at < batch.completed_at
    found = rows(client, batch.output_file_id)
    assert set(found) == {"r0", "r1", "r2", "r3"}
    for each in found.values():
        assert (each["error"], each["response"]["status_code"]) == (None, 200)
        body = each["response"]["body"]
        if endpoint == CHAT:
            assert openai.types.chat.ChatCompletion.model_validate(body).choices[0].message.content
        else:
            assert openai.types.responses.Response.model_validate(body).output_text
    file = client.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.bytes) == ("batch_output", len(client.files.content(batch.output_file_id).content))
    received = emu.requests("r2")[-1]
    assert (received["model"], received["parameters"]["temperature"]) == ("gpt-test", 0.3)
    assert n_billed(emu, batch) == 4


def test_unset_fields_are_null_and_not_left_out(emu: Emulator, client: Any) -> None:
    raw = create(client, lines(1)).to_dict()
    for key in ("errors", "output_file_id", "error_file_id", "finalizing_at", "completed_at", "failed_at", "expired_at", "metadata", "usage"):
        assert key in raw
        assert raw[key] is None


def test_upload_in_parts(emu: Emulator, client: Any) -> None:
    data = lines(6)
    upload = client.uploads.create(bytes=len(data), filename="big.jsonl", mime_type="application/jsonl", purpose="batch")
    parts = [client.uploads.parts.create(upload.id, data=piece).id for piece in (data[:100], data[100:])]
    done = client.uploads.complete(upload.id, part_ids=parts)
    assert (done.status, done.file.bytes, done.file.filename) == ("completed", len(data), "big.jsonl")
    assert client.files.content(done.file.id).content == data
    with pytest.raises(openai.BadRequestError):
        client.uploads.parts.create(upload.id, data=b"late")
    other = client.uploads.create(bytes=5, filename="x.jsonl", mime_type="application/jsonl", purpose="batch")
    assert client.uploads.cancel(other.id).status == "cancelled"


def test_list_is_newest_first_and_pages_to_the_end(emu: Emulator, client: Any) -> None:
    ids = []
    for i in range(5):
        ids.append(create(client, lines(1), metadata={"n": str(i)}).id)
        emu.advance(1)
    assert [batch.id for batch in client.batches.list(limit=2)][:5] == ids[::-1]
    page = client.batches.list(limit=2)
    assert page.has_more
    assert [batch.metadata["n"] for batch in page.data] == ["4", "3"]


def test_files_list_delete_and_expiry(emu: Emulator, client: Any) -> None:
    first = client.files.create(file=("a.jsonl", lines(1)), purpose="batch")
    after = {"anchor": "created_at", "seconds": 3600}
    second = client.files.create(file=("b.jsonl", lines(2)), purpose="batch", extra_body={"expires_after": after})
    assert [file.id for file in client.files.list(purpose="batch", order="asc")][-2:] == [first.id, second.id]
    assert client.files.delete(first.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(first.id)
    assert client.files.retrieve(second.id).expires_at == second.created_at + 3600
    emu.advance(3600)
    with pytest.raises(openai.NotFoundError):
        client.files.content(second.id)


def test_cancel_keeps_what_is_done(emu: Emulator, client: Any) -> None:
    batch = create(client, lines(8))
    emu.advance(15)  # half of the running time
    batch = client.batches.cancel(batch.id)
    assert batch.status == "cancelling"
    emu.advance(5)
    batch = client.batches.retrieve(batch.id)
    counts = batch.request_counts
    assert (batch.status, counts.total, counts.completed, counts.failed) == ("cancelled", 8, 4, 0)
    done, rest = rows(client, batch.output_file_id), rows(client, batch.error_file_id)
    assert set(done) | set(rest) == {f"r{i}" for i in range(8)}
    assert {each["error"]["code"] for each in rest.values()} == {"batch_cancelled"}
    assert n_billed(emu, batch) == len(done) == 4
    assert client.batches.cancel(batch.id).status == "cancelled"


def test_expiry_with_part_of_the_rows(tmp_path: Path) -> None:
    with running(tmp_path, faults=[{"do": {"expire_after": 0.5}}]) as emu, make_client(emu) as client:
        batch = create(client, lines(10))
        emu.advance(30)
        batch = client.batches.retrieve(batch.id)
        assert batch.status == "expired"
        assert batch.expired_at == batch.expires_at
        assert len(rows(client, batch.output_file_id)) == 5
        assert {each["error"]["code"] for each in rows(client, batch.error_file_id).values()} == {"batch_expired"}


@pytest.mark.parametrize(
    ("data", "code", "number"),
    [
        (line("a") + b"not json\n", "invalid_json_line", 2),
        (line("a") + line("a"), "duplicate_custom_id", 2),
        (line("a") + line("b", RESPONSES), "url_mismatch", 2),
        (line("a") + line("b", model="gpt-other"), "model_mismatch", 2),
        (line("a", model="no-such-model"), "model_not_found", 1),
        (line("a", stream=True), "invalid_request", 1),
        (b"\n\n", "empty_file", None),
    ],
)
def test_validation_fails_later_and_says_where(emu: Emulator, client: Any, data: bytes, code: str, number: int | None) -> None:
    batch = create(client, data)
    assert batch.status == "validating"
    emu.advance(5)
    batch = client.batches.retrieve(batch.id)
    assert batch.status == "failed"
    assert (batch.errors.data[0].code, batch.errors.data[0].line) == (code, number)
    assert (batch.output_file_id, batch.error_file_id) == (None, None)
    assert n_billed(emu, batch) == 0


def test_a_bad_request_is_a_line_in_the_error_file(emu: Emulator, client: Any) -> None:
    batch = create(client, line("good") + line("hot", temperature=9))
    emu.advance(30)
    batch = client.batches.retrieve(batch.id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (1, 1)
    failed = rows(client, batch.error_file_id)["hot"]
    assert (failed["response"]["status_code"], failed["error"]) == (400, None)
    assert failed["response"]["body"]["error"]["param"] == "temperature"


def test_every_row_failed_means_no_output_file(tmp_path: Path) -> None:
    with running(tmp_path, faults=[{"do": {"all_failed": True}}]) as emu, make_client(emu) as client:
        batch = create(client, lines(3))
        emu.advance(30)
        batch = client.batches.retrieve(batch.id)
        assert (batch.status, batch.output_file_id, batch.request_counts.completed) == ("completed", None, 0)
        assert len(rows(client, batch.error_file_id)) == 3
        assert n_billed(emu, batch) == 0


def test_token_quota_fails_the_batch_after_it_was_accepted(tmp_path: Path) -> None:
    with running(tmp_path, faults=[{"do": {"token_limit_exceeded": True}}]) as emu, make_client(emu) as client:
        batch = create(client, lines(3))
        emu.advance(5)
        batch = client.batches.retrieve(batch.id)
        assert (batch.status, batch.errors.data[0].code) == ("failed", "token_limit_exceeded")


@pytest.mark.parametrize("key", ["bad", "sk-invalid"])
def test_wrong_key(emu: Emulator, key: str) -> None:
    with make_client(emu, key) as client, pytest.raises(openai.AuthenticationError) as refused:
        client.batches.list()
    assert refused.value.code == "invalid_api_key"


def test_what_is_refused_at_once(emu: Emulator, client: Any) -> None:
    n_creates = emu.ledger()["creates"]
    file = client.files.create(file=("in.jsonl", lines(1)), purpose="batch")
    with pytest.raises(openai.NotFoundError):
        client.batches.create(input_file_id="file-none", endpoint=CHAT, completion_window="24h")
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="48h")
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h", metadata={"k": "x" * 513})
    with pytest.raises(openai.BadRequestError):
        client.batches.create(input_file_id=file.id, endpoint="/v1/chat", completion_window="24h")
    with pytest.raises(openai.NotFoundError):
        client.batches.retrieve("batch_none")
    with pytest.raises(openai.NotFoundError) as lost:
        client.get("/nothing/here", cast_to=object)
    assert lost.value.request_id
    assert emu.ledger()["creates"] == n_creates
