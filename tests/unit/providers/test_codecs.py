"""Request lines: the same request gives the same bytes, every field arrives, and what cannot be honoured is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.errors import AuthFailed, ConfigError, MissingExtra
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Provider
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.openai.quirks import TABLE, Quirks, quirks_of
from batchtrial.records import Request

REQUEST = Request(
    custom_id="c-t07-01234567-0123456789abcdef-s0",
    model="some-model",
    system="Be brief.",
    user='Où est la \u2028 gare ?\n"Ici" \U0001f600',
    max_tokens=64,
    temperature=0.7,
)
HERE = [{"role": "system", "content": REQUEST.system}, {"role": "user", "content": REQUEST.user}]


def fireworks() -> Provider:
    return FireworksProvider(FireworksSettings(account_id="a"), None)


def responses(**settings: Any) -> Provider:
    return OpenAIProvider(OpenAISettings(**settings), None)


def chat(**settings: Any) -> Provider:
    return OpenAIProvider(OpenAISettings(endpoint="/v1/chat/completions", **settings), None)


def anthropic(**settings: Any) -> Provider:
    return AnthropicProvider(AnthropicSettings(**settings), None)


ALL: dict[str, Callable[[], Provider]] = {"fireworks": fireworks, "responses": responses, "chat": chat, "anthropic": anthropic}


def encoded(provider: Provider, request: Request) -> dict[str, Any]:
    line = provider.encode(request)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    value: dict[str, Any] = json.loads(line)
    return value


def test_a_fireworks_line_has_all_fields_but_the_model() -> None:
    line = encoded(fireworks(), replace(REQUEST, top_p=0.9, top_k=40, stop=("\n", "END"), extra={"seed": 7}))
    assert line == {
        "custom_id": REQUEST.custom_id,
        "body": {"messages": HERE, "max_tokens": 64, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "stop": ["\n", "END"], "seed": 7},
    }


def test_a_responses_line() -> None:
    line = encoded(responses(), replace(REQUEST, top_p=0.9, extra={"reasoning": {"effort": "low"}}))
    body = {"model": "some-model", "input": HERE, "max_output_tokens": 64, "temperature": 0.7, "top_p": 0.9, "reasoning": {"effort": "low"}}
    assert line == {"custom_id": REQUEST.custom_id, "method": "POST", "url": "/v1/responses", "body": body}


def test_an_answer_shorter_than_responses_takes_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ConfigError, match="at most 15 tokens is refused: /v1/responses takes 16 or more"):
        responses().encode(replace(REQUEST, max_tokens=15))
    assert encoded(responses(), replace(REQUEST, max_tokens=16))["body"]["max_output_tokens"] == 16
    assert encoded(chat(), replace(REQUEST, max_tokens=1))["body"]["max_completion_tokens"] == 1
    assert encoded(responses(quirks=quirks_of("compatible")), replace(REQUEST, max_tokens=1))["body"]["max_output_tokens"] == 1


def test_stop_sequences_that_no_model_takes_are_refused() -> None:
    assert chat().refuses([0.0], stop=list("abcd")) is None
    assert "more than 4" in str(chat().refuses([0.0], stop=list("abcde")))
    assert chat(quirks=quirks_of("compatible")).refuses([0.0], stop=list("abcde")) is None
    assert "nothing but spaces" in str(anthropic().refuses([0.0], stop=["END", "\n"]))
    assert "nothing but spaces" in str(anthropic(sampling="omit").refuses([0.0], stop=[" "]))
    assert anthropic().refuses([0.0], stop=["\nEND"]) is None


def test_a_chat_line() -> None:
    line = encoded(chat(), replace(REQUEST, stop=("END",)))
    body = {"model": "some-model", "messages": HERE, "max_completion_tokens": 64, "temperature": 0.7, "stop": ["END"]}
    assert line == {"custom_id": REQUEST.custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}


def test_a_compatible_host_gets_the_field_names_it_knows() -> None:
    line = encoded(chat(quirks=quirks_of("compatible")), replace(REQUEST, top_k=5))
    assert line["body"]["max_tokens"] == 64
    assert "max_completion_tokens" not in line["body"]
    assert (
        encoded(chat(quirks=quirks_of("groq")), REQUEST)["body"]["max_completion_tokens"] == REQUEST.max_tokens
    )  # the older name is deprecated there
    assert line["body"]["top_k"] == 5
    assert set(encoded(chat(quirks=Quirks(request_line="bare")), REQUEST)) == {"custom_id", "body"}


def test_an_anthropic_line() -> None:
    line = encoded(anthropic(), replace(REQUEST, top_p=0.9, top_k=3, stop=("END",), extra={"metadata": {"user_id": "u"}}))
    params = {
        "model": "some-model",
        "max_tokens": 64,
        "system": "Be brief.",
        "messages": HERE[1:],
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 3,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    }
    assert line == {"custom_id": REQUEST.custom_id, "params": params}


@pytest.mark.parametrize(("life", "marker"), [("5m", {"type": "ephemeral"}), ("1h", {"type": "ephemeral", "ttl": "1h"})])
def test_a_cache_marker_goes_onto_the_system_prompt(life: str, marker: dict[str, str]) -> None:
    line = encoded(anthropic(cache=life), REQUEST)
    assert line["params"]["system"] == [{"type": "text", "text": "Be brief.", "cache_control": marker}]


@pytest.mark.parametrize("name", ALL)
def test_an_empty_system_prompt_is_left_out(name: str) -> None:
    body = next(iter(value for key, value in encoded(ALL[name](), replace(REQUEST, system="")).items() if key in ("body", "params")))
    assert "system" not in body
    assert [turn["role"] for turn in body.get("messages", body.get("input"))] == ["user"]


@pytest.mark.parametrize("name", ALL)
@given(system=st.text(), user=st.text(), max_tokens=st.integers(16, 10**6))
def test_any_text_arrives_unchanged_and_as_plain_utf8(name: str, system: str, user: str, max_tokens: int) -> None:
    provider = ALL[name]()
    request = replace(REQUEST, system=system, user=user, max_tokens=max_tokens)
    line = provider.encode(request)
    assert line == provider.encode(request)
    text = json.dumps(json.loads(line), ensure_ascii=False)
    assert json.dumps(user, ensure_ascii=False) in text
    assert json.dumps(system, ensure_ascii=False) in text or not system
    assert b": " not in line.split(b'"messages"')[0].split(b'"input"')[0].replace(json.dumps(system, ensure_ascii=False)[1:-1].encode(), b"")


@pytest.mark.parametrize(
    ("name", "field"),
    [
        *(("fireworks", field) for field in ("model", "messages", "max_tokens", "temperature", "top_k", "stop", "stream")),
        *(("responses", field) for field in ("model", "input", "instructions", "max_output_tokens", "temperature", "stream")),
        *(("chat", field) for field in ("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "n", "stream")),
        *(("anthropic", field) for field in ("model", "messages", "system", "max_tokens", "temperature", "stop_sequences", "stream", "speed")),
    ],
)
def test_an_extra_field_that_we_set_is_refused_by_name(name: str, field: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ALL[name]().encode(replace(REQUEST, extra={"seed": 1, field: "x"}))
    assert f"'{field}'" in caught.value.what
    assert caught.value.where == f"extra.{field}"


def test_leaving_sampling_out() -> None:
    for provider, body in ((responses(sampling="omit"), "body"), (chat(sampling="omit"), "body"), (anthropic(sampling="omit"), "params")):
        assert not {"temperature", "top_p", "top_k"} & set(encoded(provider, REQUEST)[body])
        assert provider.refuses((0.0,)) is None
        assert "cannot be told apart" in (provider.refuses((0.0, 0.7)) or "")
        assert provider.refuses((0.7,), top_p=0.9) is not None


@pytest.mark.parametrize(
    ("provider", "values", "reason"),
    [
        (fireworks(), {"temps": (0.0, 2.0), "top_p": 0.9, "top_k": 40, "stop": ("a",)}, None),
        (fireworks(), {"temps": (2.1,)}, "range"),
        (responses(), {"temps": (0.0, 1.0), "top_p": 0.5}, None),
        (responses(), {"temps": (0.0,), "stop": ("a",)}, "stop"),
        (responses(), {"temps": (0.0,), "top_k": 4}, "top_k"),
        (responses(), {"temps": (3.0,)}, "range"),
        (chat(), {"temps": (0.0,), "stop": ("a",)}, None),
        (chat(), {"temps": (0.0,), "top_k": 4}, "top_k"),
        (chat(quirks=quirks_of("compatible")), {"temps": (0.0,), "top_k": 4}, None),
        (anthropic(), {"temps": (0.0, 1.0), "top_p": 0.5, "top_k": 3, "stop": ("a",)}, None),
        (anthropic(), {"temps": (1.2,)}, "range"),
        (anthropic(api_version="2026-10-21"), {"temps": (1.0,)}, None),
        (anthropic(api_version="2026-10-21"), {"temps": (0.0,)}, "2026-10-21"),
        (anthropic(api_version="2026-10-21"), {"temps": (0.0, 1.0)}, "2026-10-21"),
        (anthropic(api_version="2026-10-21"), {"temps": (1.0,), "top_p": 0.9}, "2026-10-21"),
        (anthropic(api_version="2026-10-21", sampling="omit"), {"temps": (0.0,)}, None),
    ],
)
def test_sampling_that_cannot_be_honoured_is_told_before_anything_is_sent(provider: Provider, values: dict[str, Any], reason: str | None) -> None:
    refusal = provider.refuses(**values)
    assert (refusal is None) if reason is None else (reason in (refusal or ""))
    request = replace(
        REQUEST, temperature=values["temps"][0], top_p=values.get("top_p"), top_k=values.get("top_k"), stop=tuple(values.get("stop", ()))
    )
    if reason is None:
        provider.encode(request)
    else:
        with pytest.raises(ConfigError):
            provider.encode(request)


def test_the_newer_api_version_sends_no_sampling_parameters_at_all() -> None:
    assert "temperature" not in encoded(anthropic(api_version="2026-10-21"), replace(REQUEST, temperature=1.0))["params"]


def test_a_host_nobody_knows_lists_those_that_are_known() -> None:
    with pytest.raises(ConfigError) as caught:
        quirks_of("nope")
    assert all(name in caught.value.hint for name in TABLE if not TABLE[name].refuses)


def test_limits_follow_the_host_unless_set() -> None:
    assert chat().limits.max_requests == 50_000
    assert chat(quirks=quirks_of("together")).limits.max_bytes == 100_000_000
    assert chat(quirks=quirks_of("azure")).limits.between_looks(5.0) == 60.0
    assert not anthropic().limits.has_labels


@pytest.mark.parametrize("name", ALL)
def test_without_a_key_codecs_work_and_calls_say_which_variable_to_set(name: str) -> None:
    provider = ALL[name]()
    assert provider.encode(REQUEST)
    with pytest.raises(AuthFailed) as caught:
        provider.check("x")
    assert caught.value.hint.endswith("in the environment")
    provider.close()


@pytest.mark.parametrize("name", ALL)
def test_without_the_package_codecs_work_and_calls_name_the_extra(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = ALL[name]()
    monkeypatch.setitem(__import__("sys").modules, provider.name, None)
    assert provider.encode(REQUEST)
    with pytest.raises(MissingExtra) as caught:
        provider.check("x")
    assert f"batchtrial[{provider.name}]" in caught.value.hint
