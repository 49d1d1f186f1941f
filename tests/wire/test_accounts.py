"""One account's batches, files and results are nobody else's; two keys of one account are one account."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.emulator_process import Emulator, running
from tests.wire.plain import PROVIDERS, Plain, multipart, rows

REFUSED = {"fireworks": 403, "openai": 404, "anthropic": 404}


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("accounts")) as emu:
        yield emu


@pytest.mark.parametrize("provider", PROVIDERS)
def test_another_account_sees_neither_batch_nor_list_nor_results(emu: Emulator, provider: str) -> None:
    ours, theirs = Plain(emu, provider, f"k@{provider}"), Plain(emu, provider, f"k@{provider}-other")
    batch_id = ours.submit(rows(2), label=f"{provider}-own")
    emu.advance(3600)
    urls = list(ours.result_urls(batch_id).values())
    assert theirs.call("GET", theirs._path(batch_id)).status == REFUSED[provider]
    assert ours.listed() == [batch_id]
    if provider == "fireworks":
        assert theirs.call("GET", "/v1/accounts/t/batchInferenceJobs").status == 403
    else:
        assert theirs.listed() == []
        assert [theirs.fetch(url).status for url in urls if url] == [404] * len([url for url in urls if url])
        assert theirs.call("POST", theirs._path(batch_id) + "/cancel").status == 404
    assert len(ours.lines(batch_id)["output"]) == 2


def test_accounts_of_the_further_wires_are_apart_too(emu: Emulator) -> None:
    ours, theirs = Plain(emu, "openai", "k@further"), Plain(emu, "openai", "k@further-other")
    requests = [{"custom_id": name, "body": body} for name, body in rows(2)]
    job = ours.ok("POST", "/mistral/v1/batch/jobs", {"endpoint": "/v1/chat/completions", "model": "m-1", "requests": requests})["id"]
    lines = [{"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": {"model": "m-1", **body}} for name, body in rows(2)]
    body, kind = multipart("file", "in.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines), purpose="batch")
    file = ours.ok("POST", "/xai/v1/files", body, content_type=kind)["id"]
    assert theirs.call("POST", "/xai/v1/batches", {"name": "b", "input_file_id": file}).status == 404
    batch = ours.ok("POST", "/xai/v1/batches", {"name": "b", "input_file_id": file})["batch_id"]
    emu.advance(3600)
    output = ours.ok("GET", f"/mistral/v1/batch/jobs/{job}")["output_file"]
    paths = [f"/mistral/v1/batch/jobs/{job}", f"/mistral/v1/files/{output}/content", f"/xai/v1/batches/{batch}", f"/xai/v1/batches/{batch}/results"]
    assert [theirs.call("GET", path).status for path in paths] == [404] * len(paths)
    assert [ours.call("GET", path).status for path in paths] == [200] * len(paths)
    assert (theirs.ok("GET", "/mistral/v1/batch/jobs")["data"], theirs.ok("GET", "/xai/v1/batches")["batches"]) == ([], [])


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_new_key_of_the_same_account_sees_everything(emu: Emulator, provider: str) -> None:
    batch_id = Plain(emu, provider, f"k@{provider}").submit(rows(1), label=f"{provider}-rotated")
    assert batch_id in Plain(emu, provider, f"quite-another@{provider}").listed()


def test_a_file_of_another_account_cannot_be_used(emu: Emulator) -> None:
    ours, theirs = Plain(emu, "openai", "k@files"), Plain(emu, "openai", "k@files-other")
    file_id = ours.upload(rows(1))
    assert theirs.create(file_id).status == 404
    assert theirs.call("GET", f"/v1/files/{file_id}").status == 404
    assert theirs.call("DELETE", f"/v1/files/{file_id}").status == 404
    assert file_id not in [each["id"] for each in theirs.ok("GET", "/v1/files")["data"]]
    assert ours.create(file_id).status == 200


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_answer_names_the_organisation_and_not_the_workspace(emu: Emulator, provider: str) -> None:
    path = {"openai": "/v1/batches", "anthropic": "/v1/messages/batches"}[provider]
    header = {"openai": "openai-organization", "anthropic": "anthropic-organization-id"}[provider]
    told = [Plain(emu, provider, key).call("GET", path).headers[header] for key in ("a@acme/one", "b@acme/two", "c@other")]
    assert told[0] == told[1] != told[2]


def test_the_bill_counts_over_all_accounts_and_by_account(tmp_path: Path) -> None:
    with running(tmp_path) as emu:
        for key, n in (("a@x", 1), ("b@x", 2), ("c@y", 4)):
            Plain(emu, "openai", key).submit(rows(n))
        bill = emu.call("GET", "/_emulator/ledger?at=end")
    assert bill["answered_requests"] == 7
    assert [list(one.values()) for one in bill["accounts"].values()] == [[2, 3, 3], [1, 4, 4]]


def test_a_world_from_before_accounts_is_everybodys(tmp_path: Path) -> None:
    with running(tmp_path) as emu:
        batch_id = Plain(emu, "openai", "k@old").submit(rows(1))
        emu.kill()
        for path in tmp_path.rglob("world.sqlite"):
            with sqlite3.connect(path) as db:
                for table in ("batches", "files", "uploads"):
                    db.execute(f"ALTER TABLE {table} DROP COLUMN account")
        emu.restart()
        assert Plain(emu, "openai", "k@new").listed() == [batch_id]
