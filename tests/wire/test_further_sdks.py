"""The vendors' own packages against the emulator alone: upload, create, list, get, cancel, results. Each is skipped where it is not installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("emulator"), seed=3) as emu:
        yield emu


def chat_lines(*, is_full: bool = True) -> bytes:
    body = {"messages": [{"role": "user", "content": "Who?"}], "max_tokens": 9} | ({"model": "gpt-4.1"} if is_full else {})
    head = {"method": "POST", "url": "/v1/chat/completions"} if is_full else {}
    return b"".join(json.dumps({"custom_id": f"row-{number}", **head, "body": body}).encode() + b"\n" for number in range(3))


def of_openais_shape(client: Any, emulator: Emulator, model_of_file: Any, **window: str) -> None:
    """What a client made from OpenAI's generator does."""
    file = client.files.create(file=("rows.jsonl", model_of_file), purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", **window)
    twin = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", **window)
    assert client.batches.retrieve(made.id).id == made.id
    assert {made.id, twin.id} <= {batch.id for batch in client.batches.list().data}
    assert client.batches.cancel(twin.id).status in ("cancelling", "cancelled")
    emulator.advance(40)
    done = client.batches.retrieve(made.id)
    assert done.status == "completed"
    told = client.files.content(done.output_file_id)
    lines = (told.content if hasattr(told, "content") else told.read()).splitlines()
    assert sorted(json.loads(line)["custom_id"] for line in lines) == ["row-0", "row-1", "row-2"]


def test_azure(emulator: Emulator) -> None:
    openai = pytest.importorskip("openai")
    address = f"{emulator.url}/hosts/azure"
    with openai.AzureOpenAI(azure_endpoint=address, api_key="any", api_version="2024-10-21", max_retries=0) as client:
        of_openais_shape(client, emulator, chat_lines(), completion_window="24h")


def test_groq(emulator: Emulator) -> None:
    groq = pytest.importorskip("groq")
    with groq.Groq(base_url=f"{emulator.url}/hosts/groq", api_key="any", max_retries=0) as client:
        of_openais_shape(client, emulator, chat_lines(), completion_window="24h")


def test_together(emulator: Emulator, tmp_path: Path) -> None:
    """Its upload is three calls: where to, the file itself, and that it is there."""
    together = pytest.importorskip("together")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(chat_lines())
    with together.Together(base_url=f"{emulator.url}/hosts/together", api_key="any", max_retries=0) as client:
        file = client.files.upload(file=path, purpose="batch-api", check=False)
        assert (file.filename, file.bytes) == ("rows.jsonl", path.stat().st_size)
        assert client.files.retrieve(file.id).id in {one.id for one in client.files.list().data}
        made, twin = (client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions").job for _ in range(2))
        assert {made.id, twin.id} <= {batch.id for batch in client.batches.list()}
        assert client.batches.cancel(twin.id).status in ("CANCELLING", "CANCELLED")
        emulator.advance(40)
        done = client.batches.retrieve(made.id)
        assert (done.status, done.progress) == ("COMPLETED", 100)
        lines = client.files.content(done.output_file_id).read().splitlines()
        assert sorted(json.loads(line)["custom_id"] for line in lines) == ["row-0", "row-1", "row-2"]


def test_together_signs_where_a_file_goes(emulator: Emulator) -> None:
    httpx = pytest.importorskip("httpx")
    key = {"authorization": "Bearer any"}
    with httpx.Client(base_url=f"{emulator.url}/hosts/together") as client:
        form = {"purpose": (None, "batch-api"), "file_name": (None, "rows.jsonl"), "file_type": (None, "jsonl")}
        told = client.post("/v1/files", files=form, headers=key)
        where, file_id = told.headers["location"], told.headers["x-together-file-id"]
        assert told.status_code == 302
        assert client.get(f"/v1/files/{file_id}", headers=key).status_code == 404
        assert client.post(f"/v1/files/{file_id}/preprocess", headers=key).status_code == 400
        assert client.put(where, content=b"{}", headers=key).status_code == 400
        assert client.put(where.replace("signature=", "signature=0"), content=b"{}").status_code == 403
        assert client.put(where, content=chat_lines()).status_code == 200
        assert client.post(f"/v1/files/{file_id}/preprocess", headers=key).json()["bytes"] == len(chat_lines())
        assert client.get(f"/v1/files/{file_id}/content", headers=key).content == chat_lines()
        assert client.put(where, content=b"{}").status_code == 403


def test_mistral(emulator: Emulator) -> None:
    mistral = pytest.importorskip("mistralai.client")
    with mistral.Mistral(api_key="any", server_url=f"{emulator.url}/mistral") as client:
        file = client.files.upload(file={"file_name": "rows.jsonl", "content": chat_lines(is_full=False)}, purpose="batch")
        asked = {"input_files": [file.id], "model": "mistral-small-latest", "endpoint": "/v1/chat/completions"}
        made = client.batch.jobs.create(**asked, metadata={"run_key": "tok"})
        twin = client.batch.jobs.create(**asked)
        assert client.batch.jobs.get(job_id=made.id).id == made.id
        assert [job.id for job in client.batch.jobs.list(metadata={"run_key": "tok"}).data] == [made.id]
        assert str(client.batch.jobs.cancel(job_id=twin.id).status) in ("CANCELLATION_REQUESTED", "CANCELLED")
        emulator.advance(40)
        done = client.batch.jobs.get(job_id=made.id)
        assert (str(done.status), done.succeeded_requests) == ("SUCCESS", 3)
        lines = client.files.download(file_id=done.output_file).read().splitlines()
        assert len(lines) == 3


def test_gemini(emulator: Emulator, tmp_path: Path) -> None:
    genai = pytest.importorskip("google.genai")
    client = genai.Client(api_key="any", http_options={"base_url": f"{emulator.url}/gemini"})
    request = {"contents": [{"parts": [{"text": "Who?"}]}], "generation_config": {"maxOutputTokens": 9}}
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"key": f"row-{number}", "request": request}) + "\n" for number in range(3)))
    file = client.files.upload(file=str(path), config={"display_name": "rows", "mime_type": "jsonl"})
    made = client.batches.create(model="gemini-3.5-flash", src=file.name, config={"display_name": "tok"})
    twin = client.batches.create(model="gemini-3.5-flash", src=file.name, config={"display_name": "other"})
    assert client.batches.get(name=made.name).display_name == "tok"
    assert {made.name, twin.name} <= {batch.name for batch in client.batches.list()}
    client.batches.cancel(name=twin.name)
    emulator.advance(40)
    done = client.batches.get(name=made.name)
    assert done.state.name == "JOB_STATE_SUCCEEDED"
    lines = client.files.download(file=done.dest.file_name).splitlines()
    assert sorted(json.loads(line)["key"] for line in lines) == ["row-0", "row-1", "row-2"]
    client.close()


def test_xai_over_rest(emulator: Emulator) -> None:
    """Its package is gRPC; these are its REST calls."""
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=f"{emulator.url}/xai", headers={"authorization": "Bearer any"}) as client:
        file = client.post("/v1/files", files={"file": ("rows.jsonl", chat_lines())}).json()
        made = client.post("/v1/batches", json={"name": "tok", "input_file_id": file["id"]}).json()
        assert "id" not in made
        assert [batch["name"] for batch in client.get("/v1/batches").json()["batches"]] == ["tok"]
        emulator.advance(40)
        assert client.get(f"/v1/batches/{made['batch_id']}").json()["state"]["num_success"] == 3
        pages = client.get(f"/v1/batches/{made['batch_id']}/results", params={"limit": 2}).json()
        assert (len(pages["results"]), bool(pages["pagination_token"])) == (2, True)
        twin = client.post("/v1/batches", json={"name": "other", "input_file_id": file["id"]}).json()["batch_id"]
        assert client.post(f"/v1/batches/{twin}:cancel").status_code == 200
        emulator.advance(40)
        assert client.get(f"/v1/batches/{twin}").json()["state"]["num_success"] < 3
