"""What further endpoints answer, and answers in the form that a request wants, by batch and one by one."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from math import isclose
from typing import Any

import pytest
from tests.emulator_process import Emulator, running
from tests.wire.plain import Plain, multipart

SCHEMA = {"type": "object", "properties": {"answer": {"type": "string"}, "n": {"type": "integer"}}, "required": ["answer", "n"]}
TOOL = {"name": "look_up", "description": "d"}
KEY = "AIza-any"


@pytest.fixture(scope="module")
def emu(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("endpoints"), arguments=["--answer", "echo"]) as emulator:
        yield emulator


def rows_of(emu: Emulator, endpoint: str, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Answer bodies of a batch, in the order of its rows."""
    client = Plain(emu, "openai")
    lines = [{"custom_id": f"r{i}", "method": "POST", "url": endpoint, "body": {"model": "m-1", **body}} for i, body in enumerate(bodies)]
    body, kind = multipart("file", "in.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines), purpose="batch")
    file = client.ok("POST", "/v1/files", body, content_type=kind)["id"]
    batch = client.ok("POST", "/v1/batches", {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"})["id"]
    emu.advance(30)
    output = client.ok("GET", f"/v1/batches/{batch}")["output_file_id"]
    found = {
        row["custom_id"]: row["response"]["body"] for row in map(json.loads, client.call("GET", f"/v1/files/{output}/content").body.splitlines())
    }
    return [found[f"r{i}"] for i in range(len(bodies))]


def test_embeddings_by_batch_and_at_once(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    asked: list[dict[str, Any]] = [{"input": "salt", "dimensions": 8}, {"input": ["salt", "iron"], "dimensions": 8}, {"input": [1, 2, 3]}]
    one, two, tokens = rows_of(emu, "/v1/embeddings", asked)
    assert client.ok("POST", "/v1/embeddings", {"model": "m-1", **asked[0]}) == one
    vector = one["data"][0]["embedding"]
    assert vector == two["data"][0]["embedding"] != two["data"][1]["embedding"]
    assert isclose(sum(each * each for each in vector), 1.0, rel_tol=1e-6)
    assert (len(tokens["data"][0]["embedding"]), tokens["usage"]) == (1536, {"prompt_tokens": 3, "total_tokens": 3})
    packed = client.ok("POST", "/v1/embeddings", {"model": "m-1", **asked[0], "encoding_format": "base64"})["data"][0]["embedding"]
    assert [round(each, 6) for each in struct.unpack("<8f", base64.b64decode(packed))] == [round(each, 6) for each in vector]


@pytest.mark.parametrize("body", [{"input": ""}, {"input": []}, {"input": 3}, {"input": ["a", 1]}, {"input": "a", "dimensions": 0}, {}])
def test_embeddings_of_nothing_are_refused(emu: Emulator, body: dict[str, Any]) -> None:
    reply = Plain(emu, "openai").call("POST", "/v1/embeddings", {"model": "m-1", **body})
    assert (reply.status, reply.json()["error"]["param"]) == (400, "dimensions" if "dimensions" in body else "input")


def test_completions_by_batch_and_at_once(emu: Emulator) -> None:
    client = Plain(emu, "openai")
    asked = {"prompt": "Once upon a time", "max_tokens": 2}
    (found,) = rows_of(emu, "/v1/completions", [asked])
    assert (found["object"], found["choices"][0]["text"], found["choices"][0]["finish_reason"]) == ("text_completion", "Once upo", "length")
    assert client.ok("POST", "/v1/completions", {"model": "m-1", **asked}, x_custom_id="r0") == found
    assert client.call("POST", "/v1/completions", {"model": "m-1", "prompt": ["a", "b"]}).status == 400


def test_json_where_it_is_wanted(emu: Emulator) -> None:
    said = {"messages": [{"role": "user", "content": "salt"}]}
    formats = [{"type": "json_object"}, {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}]
    plain, free, shaped = rows_of(emu, "/v1/chat/completions", [said, *({**said, "response_format": one} for one in formats)])
    texts = [body["choices"][0]["message"]["content"] for body in (plain, free, shaped)]
    assert (texts[0], json.loads(texts[1])) == ("salt", {"answer": "salt"})
    made = json.loads(texts[2])
    assert (made["answer"], set(made), isinstance(made["n"], int)) == ("salt", {"answer", "n"}, True)
    (response,) = rows_of(emu, "/v1/responses", [{"input": "salt", "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}}])
    assert json.loads(response["output"][0]["content"][0]["text"])["answer"] == "salt"


def test_a_tool_that_has_to_be_called_is_called(emu: Emulator) -> None:
    said = {"messages": [{"role": "user", "content": "salt"}]}
    chat = {**said, "tools": [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}], "tool_choice": "required"}
    (found,) = rows_of(emu, "/v1/chat/completions", [chat])
    choice = found["choices"][0]
    call = choice["message"]["tool_calls"][0]["function"]
    assert (choice["finish_reason"], choice["message"]["content"], call["name"]) == ("tool_calls", None, "look_up")
    assert json.loads(call["arguments"])["answer"] == "salt"
    asked = {"input": "salt", "tools": [{"type": "function", **TOOL, "parameters": SCHEMA}], "tool_choice": {"type": "function", "name": "look_up"}}
    (response,) = rows_of(emu, "/v1/responses", [asked])
    assert [(one["type"], one["name"], json.loads(one["arguments"])["answer"]) for one in response["output"]] == [
        ("function_call", "look_up", "salt")
    ]
    message = Plain(emu, "anthropic").ok(
        "POST",
        "/v1/messages",
        {"model": "m-1", "max_tokens": 50, **said, "tools": [{**TOOL, "input_schema": SCHEMA}], "tool_choice": {"type": "any"}},
    )
    block = message["content"][0]
    assert (message["stop_reason"], block["type"], block["name"], block["input"]["answer"]) == ("tool_use", "tool_use", "look_up", "salt")


def gemini(emu: Emulator, model: str = "gemini-x", **body: Any) -> Any:
    client = Plain(emu, "openai")
    contents = [{"role": "user", "parts": [{"text": "salt"}]}]
    return client.call("POST", f"/gemini/v1beta/models/{model}:generateContent", {"contents": contents, **body}, x_goog_api_key=KEY)


def test_gemini_answers_at_once(emu: Emulator) -> None:
    found = gemini(emu).json()
    assert found["candidates"][0]["content"] == {"role": "model", "parts": [{"text": "salt"}]}
    assert (found["modelVersion"], found["candidates"][0]["finishReason"]) == ("gemini-x", "STOP")
    shaped = gemini(emu, generationConfig={"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}).json()
    assert json.loads(shaped["candidates"][0]["content"]["parts"][0]["text"])["answer"] == "salt"
    tools = [{"functionDeclarations": [{**TOOL, "parametersJsonSchema": SCHEMA}]}]
    called = gemini(emu, tools=tools, toolConfig={"functionCallingConfig": {"mode": "ANY"}}).json()
    assert called["candidates"][0]["content"]["parts"][0]["functionCall"]["args"]["answer"] == "salt"
    log = emu.call("GET", "/_emulator/direct")["requests"][-1]
    assert (log["path"], log["input_tokens"] > 0, log["output_tokens"] > 0) == ("/gemini/v1beta/models/gemini-x:generateContent", True, True)


def test_gemini_refuses_in_its_own_words(emu: Emulator) -> None:
    strict = {"type": "object", "properties": {"order": {"type": "object", "additionalProperties": False}}}
    told = gemini(emu, tools=[{"functionDeclarations": [{**TOOL, "parameters": strict}]}]).json()["error"]["message"]
    assert "Unknown name \"additionalProperties\" at 'tools[0].function_declarations[0].parameters.properties[order]'" in told
    assert gemini(emu, contents=[]).json()["error"]["status"] == "INVALID_ARGUMENT"
    assert gemini(emu, model="no-such-model").json()["error"]["status"] == "NOT_FOUND"
    emu.add_faults([{"match": {"provider": "gemini", "op": "answer"}, "do": {"status": 429}}])
    assert gemini(emu).json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert gemini(emu).status == 200
