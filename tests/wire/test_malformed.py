"""Whatever is sent, the answer is the wire's own 4xx and the log stays clean."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.emulator_process import Emulator, running
from tests.wire.plain import Plain, Reply, multipart, rows, send

POSTS = {
    "fireworks": ["/v1/accounts/t/datasets", "/v1/accounts/t/batchInferenceJobs?batchInferenceJobId=x", "/v1/accounts/t/datasets/none:upload",
                  "/v1/accounts/t/datasets/there:getUploadEndpoint", "/v1/accounts/t/datasets/there:validateUpload",
                  "/inference/v1/chat/completions"],
    "openai": ["/v1/files", "/v1/batches", "/v1/uploads", "/v1/uploads/u/parts", "/v1/uploads/u/complete", "/v1/batches/b/cancel",
               "/v1/chat/completions", "/v1/responses"],
    "anthropic": ["/v1/messages/batches", "/v1/messages/batches/b/cancel", "/v1/messages"],
}  # fmt: skip
PATHS = [(provider, path) for provider, paths in POSTS.items() for path in paths]
QUERIES = {
    "fireworks": ["/v1/accounts/t/batchInferenceJobs?pageSize=-1", "/v1/accounts/t/batchInferenceJobs?pageToken=%ff",
                  "/v1/accounts/t/batchInferenceJobs?orderBy=a%20b%20c", "/v1/accounts/t/batchInferenceJobs?filter=%22", "/v1/accounts/t/nothing",
                  "/v1/accounts/t/datasets/none", "/v1/accounts/t/datasets/none:getDownloadEndpoint", "/v1/accounts/t/datasets/none:explode"],
    "openai": ["/v1/batches?limit=0", "/v1/batches?limit=x", "/v1/batches?limit=%C2%B2", "/v1/batches?after=b", "/v1/files?order=up", "/v1/files/f",
               "/v1/files/f/content", "/v1/batches/b", "/v1/files?limit=99999999999999", "/v1/no/route"],
    "anthropic": ["/v1/messages/batches?limit=1001", "/v1/messages/batches?after_id=x", "/v1/messages/batches?after_id=x&before_id=y",
                  "/v1/messages/batches/b", "/v1/messages/batches/b/results"],
}  # fmt: skip
BODIES = [
    b"", b"{", b"[]", b"null", b"1", b'"x"', b"\xff\xfe", b"{}" * 2, b'{"a": NaN}', b'{"requests": 3}', b'{"requests": [3]}', b'{"requests": [',
    b'{"requests": [{"custom_id": 1}]}', b'{"requests": [], "requests": []}', b'{"metadata": {}, "requests": []}', b'{"requests":[]}x',
    b"[" * 100_000, b'{"a":' * 50_000, b'{"requests": [' + b"[" * 100_000, b'{"model": "m", "messages": "x"}', b'{"model": 1, "messages": []}',
    b'{"model": "m", "messages": [{"role": "wizard", "content": "x"}]}', b'{"model": "m", "messages": [{"content": {"a": 1}}]}',
    b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}', b'{"input_file_id": 3, "endpoint": []}',
    b'{"datasetId": 4, "dataset": 3}', b'{"datasetId": "a/../b", "dataset": {"exampleCount": "1"}}', b'{"filenameToSize": {"../x": "1"}}',
    b'{"filenameToSize": {"x": "-1"}}', b'{"bytes": true, "purpose": "batch"}', b'{"part_ids": [1]}', b'{"model": "m", "n": 1e400, "messages": []}',
    b'{"a": ' + b"9" * 5000 + b"}",
]  # fmt: skip


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("malformed")) as emulator:
        client = Plain(emulator, "fireworks")
        client.ok("POST", "/v1/accounts/t/datasets", {"datasetId": "there", "dataset": {"exampleCount": "1"}})
        yield emulator
        assert "Traceback" not in emulator.log()
        assert "Exception" not in emulator.log()


def assert_refused(provider: str, reply: Reply) -> None:
    """A 4xx in the provider's own envelope."""
    assert 400 <= reply.status < 500, (reply.status, reply.body[:300])
    shown = json.loads(reply.body)
    if provider == "fireworks":
        assert set(shown) == {"code", "message", "details"}
    elif provider == "openai":
        assert set(shown) == {"error"}
        assert set(shown["error"]) == {"message", "type", "param", "code"}
        assert reply.headers["x-request-id"]
    else:
        assert (shown["type"], shown["request_id"]) == ("error", reply.headers["request-id"])


@pytest.mark.parametrize(("provider", "path"), PATHS)
def test_bad_bodies(emu: Emulator, provider: str, path: str) -> None:
    for body in BODIES:
        if path.endswith(":validateUpload") and body in (b"", b"{}"):
            continue
        assert_refused(provider, Plain(emu, provider).call("POST", path, body))


@pytest.mark.parametrize(("provider", "path"), [(provider, path) for provider, paths in QUERIES.items() for path in paths])
def test_bad_queries_and_unknown_paths(emu: Emulator, provider: str, path: str) -> None:
    assert_refused(provider, Plain(emu, provider).call("GET", path))


@pytest.mark.parametrize(("provider", "path"), [("openai", "/v1/files"), ("fireworks", "/v1/accounts/t/datasets/there:upload")])
def test_bad_forms(emu: Emulator, provider: str, path: str) -> None:
    client = Plain(emu, provider)
    good, kind = multipart("file", "a.jsonl", b"x", purpose="batch")
    forms = [
        (b"", "multipart/form-data"), (good, "multipart/form-data"), (good, "multipart/form-data; boundary=other"), (good[:50], kind),
        (b"file=x", "application/x-www-form-urlencoded"), (multipart("other", "a", b"x")[0], kind), (multipart("file", "a", b"")[0], kind),
        (b"\xff" * 100, kind),
    ]  # fmt: skip
    for body, content_type in forms:
        assert_refused(provider, client.call("POST", path, body, content_type=content_type))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["requests", "custom_id", "params", "messages", "model", "content", "role", "input", "endpoint", "dataset", "datasetId"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    ),
    target=st.sampled_from(PATHS),
)
def test_random_json(emu: Emulator, body: object, target: tuple[str, str]) -> None:
    provider, path = target
    reply = Plain(emu, provider).call("POST", path, json.dumps(body).encode())
    if reply.status != 200:
        assert_refused(provider, reply)


@pytest.mark.parametrize("path", ["/_emulator/clock", "/_emulator/faults", "/_emulator/batches/1"])
def test_the_emulators_own_routes_refuse_nonsense_too(emu: Emulator, path: str) -> None:
    for body in BODIES:
        if path == "/_emulator/faults" and body in (b"[]", b"null"):
            continue
        reply = send(emu, "POST", path, body)
        assert reply.status in (400, 404), body
        assert json.loads(reply.body)["error"]


@pytest.mark.parametrize("query", ["limit=-1", "batch=x", "offset=1e3"])
def test_requests_with_nonsense_in_the_query(emu: Emulator, query: str) -> None:
    assert send(emu, "GET", f"/_emulator/requests?{query}").status == 400


def test_clients_that_go_away_in_the_middle(emu: Emulator) -> None:
    host, port = emu.url.removeprefix("http://").split(":")
    head = b"POST /v1/messages/batches HTTP/1.1\r\nHost: x\r\nx-api-key: any\r\nanthropic-version: 2023-06-01\r\nContent-Length: 1000\r\n\r\n"
    for sent in (head + b'{"requests": [', head[:40], b"\x00\x01nonsense\r\n\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(sent)
    client = Plain(emu, "anthropic")
    for _ in range(2000):  # the server hears of a closed connection a moment after it was closed, and answers others meanwhile
        assert client.ok("GET", "/v1/messages/batches")["data"] is not None
        if not (drafts := list((emu.root / "world" / "blobs").glob("*.tmp"))):
            break
    assert drafts == []


def test_ids_that_are_hard_to_carry(emu: Emulator) -> None:
    """NUL, quotes, astral characters and a line separator in custom_ids come back as they were sent."""
    ids = ["a\x00b", 'quo"te', "\U0001f600", "line\u2028sep", "x" * 5000, "new\nline"]
    client = Plain(emu, "openai")
    batch_id = client.submit([(custom_id, rows(1)[0][1]) for custom_id in ids])
    emu.advance(30)
    found = [json.loads(line)["custom_id"] for line in client.fetch(client.result_urls(batch_id)["output"]).body.split(b"\n") if line]
    assert sorted(found) == sorted(ids)
    assert emu.ledger()["answered_by_custom_id_max"] == 1
