"""The official Fireworks SDK alone, against the emulator."""

from __future__ import annotations

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import Emulator, running

fireworks = pytest.importorskip("fireworks")
MODEL = "accounts/fireworks/models/gpt-oss-20b"


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """One emulator for the tests of this file; each has an account of its own."""
    with running(tmp_path_factory.mktemp("sdk"), seed=3) as emulator:
        yield emulator


ACCOUNTS = itertools.count(1)


def make_client(emu: Emulator, key: str = "any") -> Any:
    return fireworks.Fireworks(api_key=key, account_id=f"test{next(ACCOUNTS)}", base_url=emu.fireworks_base_url, max_retries=0)


def bill_of(emu: Emulator, client: Any, job_id: str) -> dict[str, Any]:
    name = f"accounts/{client.account_id}/batchInferenceJobs/{job_id}"
    return next(batch for batch in emu.ledger()["batches"] if batch["id"] == name)


@pytest.fixture
def client(emu: Emulator) -> Iterator[Any]:
    with make_client(emu) as found:
        yield found


def lines(n: int, **body: Any) -> bytes:
    rows = (
        {"custom_id": f"r{i}", "body": {"messages": [{"role": "user", "content": f"What is number {i}?"}], "max_tokens": 64, **body}}
        for i in range(n)
    )
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as response:
        return bytes(response.read())


def put(url: str, data: bytes, **headers: str) -> int:
    sent = {"Content-Type": "application/octet-stream", "x-goog-content-length-range": f"{len(data)},{len(data)}", **headers}
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method="PUT", headers=sent), timeout=30) as response:
        return int(response.status)


def upload(client: Any, dataset_id: str, data: bytes) -> None:
    client.datasets.create(dataset_id=dataset_id, dataset={"user_uploaded": {}, "example_count": str(data.count(b"\n"))})
    client.datasets.upload(dataset_id, file=("in.jsonl", data))


def create_job(client: Any, job_id: str, dataset_id: str, **more: Any) -> Any:
    return client.batch_inference_jobs.create(
        batch_inference_job_id=job_id,
        model=MODEL,
        input_dataset_id=f"accounts/{client.account_id}/datasets/{dataset_id}",
        output_dataset_id=f"accounts/{client.account_id}/datasets/{job_id}-out",
        **more,
    )


def results(client: Any, job_id: str) -> dict[str, Any]:
    urls = client.datasets.get_download_endpoint(f"{job_id}-out").filename_to_signed_urls
    found = [json.loads(line) for url in urls.values() for line in fetch(url).splitlines()]
    return {row["custom_id"]: row for row in found}


def test_small_upload_then_job_to_the_end(emu: Emulator, client: Any) -> None:
    upload(client, "in-1", lines(5))
    assert client.datasets.get("in-1").state == "READY"
    job = create_job(client, "job-1", "in-1", display_name="first", inference_parameters={"max_tokens": 32, "temperature": 0.5})
    assert job.name == f"accounts/{client.account_id}/batchInferenceJobs/job-1"
    states = [job.state]
    for _ in range(30):
        emu.advance(1)
        job = client.batch_inference_jobs.get("job-1")
        if job.state != states[-1]:
            states.append(job.state)
    order = ["VALIDATING", "PENDING", "CREATING", "RUNNING", "WRITING_RESULTS", "COMPLETED"]
    assert states == [f"JOB_STATE_{name}" for name in order]
    assert job.job_progress.total_input_requests == 5
    rows = results(client, "job-1")
    assert sorted(rows) == [f"r{i}" for i in range(5)]
    assert all(row["response"]["choices"][0]["message"]["content"] for row in rows.values())
    assert all(row["response"]["model"] == MODEL for row in rows.values())
    bill = bill_of(emu, client, "job-1")
    assert (bill["n_requests"], bill["n_answered"], bill["label"]) == (5, 5, "first")
    received = emu.requests("r3")[-1:]
    assert received[0]["parameters"]["temperature"] == 0.5
    assert received[0]["parameters"]["max_tokens"] == 64  # the line wins over the job


def test_signed_upload_needs_its_headers_and_no_key(emu: Emulator, client: Any) -> None:
    data = lines(3)
    client.datasets.create(dataset_id="in-2", dataset={"user_uploaded": {}, "example_count": "3"})
    assert client.datasets.get("in-2").state == "UPLOADING"
    sizes = {"in.jsonl": str(len(data))}
    url = client.datasets.get_upload_endpoint("in-2", filename_to_size=sizes).filename_to_signed_urls["in.jsonl"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        put(url, data, **{"x-goog-content-length-range": "1,2"})
    assert refused.value.code == 403
    refused.value.close()
    with pytest.raises(urllib.error.HTTPError) as leaked:
        put(url, data, Authorization="Bearer any")
    assert leaked.value.code == 400
    leaked.value.close()
    with pytest.raises(fireworks.BadRequestError):
        client.datasets.validate_upload("in-2", body={})
    assert put(url, data) == 200
    client.datasets.validate_upload("in-2", body={})
    assert client.datasets.get("in-2").state == "READY"
    create_job(client, "job-2", "in-2")
    emu.advance(30)
    assert len(results(client, "job-2")) == 3


def test_ids_taken_are_conflicts(emu: Emulator, client: Any) -> None:
    upload(client, "in-1", lines(1))
    with pytest.raises(fireworks.ConflictError) as again:
        upload(client, "in-1", lines(1))
    assert again.value.body["code"] == 6
    create_job(client, "job-1", "in-1")
    with pytest.raises(fireworks.ConflictError):
        create_job(client, "job-1", "in-1")
    assert len([batch for batch in emu.batches() if batch["id"].startswith(f"accounts/{client.account_id}/")]) == 1


def test_list_is_oldest_first_and_pages(emu: Emulator, client: Any) -> None:
    upload(client, "in-1", lines(1))
    for i in range(5):
        create_job(client, f"job-{i}", "in-1", display_name=f"n{i}")
        emu.advance(1)
    names = [job.display_name for job in client.batch_inference_jobs.list(page_size=2)]
    assert names == ["n0", "n1", "n2", "n3", "n4"]
    newest = client.batch_inference_jobs.list(order_by="createTime desc", page_size=1)
    assert newest.batch_inference_jobs[0].display_name == "n4"
    found = client.batch_inference_jobs.list(filter='displayName="n3"')
    assert [job.display_name for job in found] == ["n3"]
    with pytest.raises(fireworks.BadRequestError):
        client.batch_inference_jobs.list(filter="displayName ~ 3")


def test_delete_cancels_then_the_job_is_gone(emu: Emulator, client: Any) -> None:
    upload(client, "in-1", lines(10))
    create_job(client, "job-1", "in-1")
    emu.advance(16.5)
    client.batch_inference_jobs.delete("job-1")
    assert client.batch_inference_jobs.get("job-1").state == "JOB_STATE_DELETING"
    emu.advance(3)
    with pytest.raises(fireworks.NotFoundError):
        client.batch_inference_jobs.get("job-1")
    assert bill_of(emu, client, "job-1")["n_answered"] == 5  # half of the running time had passed


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b'{"custom_id": "r0", "body": {"messages": []}}\n', "messages"),
        (b"not json\n", "invalid JSON"),
        (lines(1) * 2, "duplicate custom_id"),
        (b'{"custom_id": "r0"}\n', "body"),
    ],
)
def test_one_bad_row_fails_the_whole_job(emu: Emulator, client: Any, bad: bytes, why: str) -> None:
    upload(client, "in-1", lines(2).replace(b'"r', b'"x') + bad)
    create_job(client, "job-1", "in-1")
    emu.advance(30)
    job = client.batch_inference_jobs.get("job-1")
    assert job.state == "JOB_STATE_FAILED"
    assert job.status.code == "INVALID_ARGUMENT"
    assert why in job.status.message
    with pytest.raises(fireworks.NotFoundError):
        client.datasets.get("job-1-out")
    assert bill_of(emu, client, "job-1")["n_answered"] == 0


def test_download_urls_expire(emu: Emulator, client: Any) -> None:
    upload(client, "in-1", lines(1))
    create_job(client, "job-1", "in-1")
    emu.advance(30)
    url = client.datasets.get_download_endpoint("job-1-out").filename_to_signed_urls["dataset/job-1-out/BIJOutputSet.jsonl"]
    assert fetch(url)
    emu.advance(600)
    with pytest.raises(urllib.error.HTTPError) as late:
        fetch(url)
    assert late.value.code == 400
    late.value.close()


@pytest.mark.parametrize("key", ["bad", "fw_invalid_1"])
def test_wrong_key_is_403(emu: Emulator, key: str) -> None:
    with make_client(emu, key) as client, pytest.raises(fireworks.PermissionDeniedError) as refused:
        client.datasets.get("in-1")
    assert refused.value.body["error"]["code"] == "UNAUTHORIZED"


def test_unknown_model_and_missing_example_count(emu: Emulator, client: Any) -> None:
    with pytest.raises(fireworks.BadRequestError):
        client.datasets.create(dataset_id="in-0", dataset={"user_uploaded": {}})
    upload(client, "in-1", lines(1))
    with pytest.raises(fireworks.NotFoundError):
        client.batch_inference_jobs.create(
            batch_inference_job_id="j",
            model="accounts/fireworks/models/no-such-model",
            input_dataset_id=f"accounts/{client.account_id}/datasets/in-1",
        )


def test_expired_job_is_continued_for_the_rest(tmp_path: Path) -> None:
    with running(tmp_path, faults=[{"do": {"expire_after": 0.6}}]) as emu, make_client(emu) as client:
        upload(client, "in-1", lines(10))
        first = create_job(client, "job-1", "in-1")
        emu.advance(30)
        assert client.batch_inference_jobs.get("job-1").state == "JOB_STATE_EXPIRED"
        done = results(client, "job-1")
        assert len(done) == 6
        client.batch_inference_jobs.create(
            batch_inference_job_id="job-2",
            continued_from_job_name=first.name,
            output_dataset_id=f"accounts/{client.account_id}/datasets/job-2-out",
        )
        emu.advance(30)
        rest = results(client, "job-2")
        assert set(done) | set(rest) == {f"r{i}" for i in range(10)}
        assert not set(done) & set(rest)
        chain = client.datasets.get_download_endpoint("job-2-out", download_lineage=True).filename_to_signed_urls
        assert len(chain) == 2
        assert emu.ledger()["answered_by_custom_id_max"] == 1


def test_datasets_are_listed_deleted_and_downloaded(emu: Emulator, client: Any) -> None:
    for name in ("in-1", "in-2"):
        upload(client, name, lines(2))
    assert [dataset.name.rpartition("/")[2] for dataset in client.datasets.list(page_size=1)] == ["in-1", "in-2"]
    (url,) = client.datasets.get_download_endpoint("in-1").filename_to_signed_urls.values()
    assert fetch(url) == lines(2)
    client.datasets.delete("in-1")
    with pytest.raises(fireworks.NotFoundError):
        client.datasets.get("in-1")
    with pytest.raises(fireworks.NotFoundError):
        client.datasets.delete("in-1")
    upload(client, "in-1", lines(1))  # a deleted id is free again


def test_a_dataset_of_several_files_is_one_input(emu: Emulator, client: Any) -> None:
    pieces = {"a.jsonl": lines(2), "b.jsonl": lines(5).split(b"\n", 2)[2]}
    client.datasets.create(dataset_id="in-1", dataset={"user_uploaded": {}, "example_count": "5"})
    asked = {name: str(len(data)) for name, data in pieces.items()}
    stale = client.datasets.get_upload_endpoint("in-1", filename_to_size={"old.jsonl": "3"}).filename_to_signed_urls["old.jsonl"]
    urls = client.datasets.get_upload_endpoint("in-1", filename_to_size=asked).filename_to_signed_urls
    with pytest.raises(urllib.error.HTTPError) as replaced:
        put(stale, b"old")
    assert replaced.value.code == 404
    replaced.value.close()
    for name, data in pieces.items():
        put(urls[name], data)
    client.datasets.validate_upload("in-1", body={})
    create_job(client, "job-1", "in-1")
    emu.advance(30)
    assert sorted(results(client, "job-1")) == [f"r{i}" for i in range(5)]


@pytest.mark.parametrize(("part", "other"), [("Signature=", "Signature=0"), ("/upload/", "/download/"), ("in.jsonl", "on.jsonl")])
def test_a_signed_url_is_good_for_what_was_signed_only(emu: Emulator, client: Any, part: str, other: str) -> None:
    client.datasets.create(dataset_id="in-1", dataset={"user_uploaded": {}, "example_count": "1"})
    url = client.datasets.get_upload_endpoint("in-1", filename_to_size={"in.jsonl": "4"}).filename_to_signed_urls["in.jsonl"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        put(url.replace(part, other), b"abcd")
    assert refused.value.code in (403, 404)
    refused.value.close()


def test_a_job_needs_a_ready_dataset_and_a_free_output(emu: Emulator, client: Any) -> None:
    client.datasets.create(dataset_id="in-1", dataset={"user_uploaded": {}, "example_count": "1"})
    with pytest.raises(fireworks.BadRequestError):
        create_job(client, "job-1", "in-1")
    with pytest.raises(fireworks.NotFoundError):
        create_job(client, "job-1", "in-none")
    upload(client, "in-2", lines(1))
    upload(client, "job-2-out", lines(1))
    with pytest.raises(fireworks.ConflictError):
        create_job(client, "job-2", "in-2")
    job = client.batch_inference_jobs.create(model=MODEL, input_dataset_id=f"accounts/{client.account_id}/datasets/in-2")
    emu.advance(30)
    assert client.batch_inference_jobs.get(job.name.rpartition("/")[2]).state == "JOB_STATE_COMPLETED"
    assert client.datasets.get(job.output_dataset_id.rpartition("/")[2]).source_job_name == job.name


def test_job_parameters_are_defaults_for_every_line(emu: Emulator, client: Any) -> None:
    upload(client, "in-1", lines(1).replace(b'"r0"', b'"solo"').replace(b', "max_tokens": 64', b""))
    parameters = {"max_tokens": 7, "temperature": 0.2, "top_p": 0.9, "top_k": 3, "extra_body": '{"stop": ["!"]}'}
    create_job(client, "job-1", "in-1", inference_parameters=parameters, extra_body={"systemPrompt": "Be kind.", "maxJobDuration": "24h"})
    received = emu.requests("solo")[0]["parameters"]
    assert {key: received[key] for key in ("max_tokens", "temperature", "top_p", "top_k", "stop")} == {
        "max_tokens": 7,
        "temperature": 0.2,
        "top_p": 0.9,
        "top_k": 3,
        "stop": ["!"],
    }
    assert emu.batches()[-1]["wire"]["systemPrompt"] == "Be kind."
    with pytest.raises(fireworks.BadRequestError):
        create_job(client, "job-2", "in-1", inference_parameters={"extra_body": "{"})
