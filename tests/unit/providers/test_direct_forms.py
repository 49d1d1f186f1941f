"""Lines of every wire's request files become rows, and answers become result lines that the wire's own codec reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from batchtrial.direct.records import Answer
from batchtrial.errors import ConfigError
from batchtrial.keys import custom_id
from batchtrial.providers.base import Setup
from batchtrial.providers.direct.forms import FORMS, WithTiers, form_of
from batchtrial.providers.registry import adapter_of
from batchtrial.records import Outcome, Request

ID = custom_id("a" * 12, "b" * 12, 0)
CHOICE = {"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}
CHAT = {"id": "c", "choices": [CHOICE], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
ANSWERS: dict[str, dict[str, Any]] = {
    "anthropic": {"id": "m", "type": "message", "content": [{"type": "text", "text": "yes"}], "stop_reason": "end_turn",
                  "usage": {"input_tokens": 3, "output_tokens": 1, "service_tier": "standard"}},
    "gemini": {"responseId": "g", "candidates": [{"content": {"parts": [{"text": "yes"}]}, "finishReason": "STOP"}],
               "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 1}},
}  # fmt: skip
WIRES = sorted({name for name, _ in FORMS})


def request(model: str = "some-model") -> Request:
    return Request(custom_id=ID, model=model, system="Be brief.", user="Is it?", max_tokens=8, temperature=0.0)


@pytest.mark.parametrize("name", WIRES)
def test_a_line_is_asked_and_its_answer_is_read(name: str) -> None:
    codec = WithTiers(adapter_of(name, Setup(endpoint="/v1/chat/completions")))
    form = form_of(name, "/v1/chat/completions")
    row = form.row(4, codec.encode(request()), "some-model", "" if name in ANSWERS else "flex")
    body = json.loads(row.body)
    assert (row.number, row.name) == (4, ID)
    assert "some-model" in (row.path if name == "gemini" else body["model"])
    assert body.get("service_tier") == (None if name in ANSWERS else "flex")
    told = {**ANSWERS.get(name, CHAT)} | ({} if name in ANSWERS else {"service_tier": "flex"})
    good = codec.decode(form.line(ID, Answer(200, json.dumps(told).encode())))
    assert (good.custom_id, good.outcome, good.text) == (ID, Outcome.SUCCEEDED, "yes")
    assert good.usage is not None
    assert (good.usage.input_tokens, good.usage.output_tokens) == (3, 1)
    for status, is_passing in ((400, False), (404, False), (429, True), (500, True), (502, True)):
        bad = codec.decode(form.line(ID, Answer(status, b'{"error":{"message":"no luck"}}')))
        assert (bad.custom_id, bad.outcome) == (ID, Outcome.ERRORED)
        if name != "anthropic":  # its errors have types and no status
            assert bad.retryable is is_passing, status
        assert "no luck" in (bad.error or "")


def test_a_tier_of_the_line_stays() -> None:
    codec = adapter_of("openai", Setup(endpoint="/v1/chat/completions"))
    line = json.dumps({**json.loads(codec.encode(request())), "body": {"model": "m", "service_tier": "priority"}}).encode()
    assert json.loads(form_of("openai", "/v1/chat/completions").row(0, line, "m", "flex").body)["service_tier"] == "priority"


def test_a_wire_without_a_synchronous_form_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot be asked one by one"):
        form_of("telegraph")
