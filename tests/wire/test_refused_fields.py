"""Rows with a field that the model refuses come back as HTTP 400, as from the services, and only those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.config.configs import tree, write

from batchtrial.config.families import Sampling, refused
from batchtrial.emulator.answers.refusing import refused_by_anthropic, refused_by_openai

OPENAI: list[tuple[str, dict[str, Any], str | None]] = [
    ("gpt-5-mini", {"temperature": 0.0}, "unsupported_value"),
    ("gpt-5-mini", {"temperature": 1}, None),
    ("gpt-5-mini", {"top_p": 0.9}, "unsupported_parameter"),
    ("gpt-5-mini", {"stop": ["x"]}, "unsupported_parameter"),
    ("gpt-5-mini", {"max_tokens": 5}, "unsupported_parameter"),
    ("gpt-5-mini", {"max_completion_tokens": 5}, None),
    ("o3-mini", {"temperature": 0.7}, "unsupported_value"),
    ("o4-mini-2025-04-16", {"temperature": 0}, "unsupported_value"),
    ("gpt-5.6-sol", {"temperature": 0}, "unsupported_value"),
    ("gpt-5.4-mini", {"temperature": 0}, None),
    ("gpt-5.4-mini", {"temperature": 0, "reasoning": {"effort": "none"}}, None),
    ("gpt-5.4-mini", {"temperature": 0, "reasoning": {"effort": "high"}}, "unsupported_value"),
    ("gpt-5.4-mini", {"temperature": 0, "reasoning_effort": "high"}, "unsupported_value"),
    ("gpt-4o", {"temperature": 0, "top_p": 0.1, "max_tokens": 5, "stop": ["x"]}, None),
    ("gpt-5-chat-latest", {"temperature": 0}, None),
    ("gpt-4o", {"stop": list("abcd")}, None),
    ("gpt-oss-20b", {"stop": list("abcde")}, None),
    ("simulated-small", {"temperature": 0}, None),
]
SAMPLING = [case for case in OPENAI if "max_tokens" not in case[1] or "top_p" in case[1]]
ANTHROPIC = [("claude-opus-5", True), ("claude-sonnet-5", True), ("claude-opus-4-7", True), ("claude-haiku-4-5", False), ("claude-sonnet-4-6", False)]


@pytest.mark.parametrize(("model", "fields", "code"), OPENAI)
def test_openai_s_models_refuse_in_their_words(model: str, fields: dict[str, Any], code: str | None) -> None:
    problem = refused_by_openai({"model": model, **fields})
    assert (problem and problem.code) == code
    assert problem is None or (problem.status == 400 and problem.param in fields)


def test_stop_sequences_that_no_model_takes() -> None:
    problem = refused_by_openai({"model": "gpt-4o", "stop": list("abcde")})
    assert (problem and problem.code) == "array_above_max_length"
    problem = refused_by_anthropic({"model": "claude-haiku-4-5", "stop_sequences": ["END", "\n"]})
    assert problem is not None
    assert "must contain non-whitespace" in problem.message
    assert refused_by_anthropic({"model": "claude-haiku-4-5", "stop_sequences": ["END", "\n\nHuman:"]}) is None


@pytest.mark.parametrize(("model", "is_refused"), ANTHROPIC)
@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
def test_claude_refuses_in_its_words(model: str, is_refused: bool, field: str) -> None:
    problem = refused_by_anthropic({"model": model, field: 1})
    assert (problem is not None) == is_refused
    assert problem is None or problem.message == f"`{field}` is deprecated for this model."


THINKING = {"type": "enabled", "budget_tokens": 1024}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"temperature": 0, "top_p": 0.9}, "cannot both be specified"),
        ({"temperature": 0}, ""),
        ({"top_p": 0.9}, ""),
        ({"temperature": 0, "thinking": THINKING, "max_tokens": 4096}, "only be set to 1"),
        ({"temperature": 1, "top_k": 5, "thinking": THINKING, "max_tokens": 4096}, "must be unset"),
        ({"temperature": 1, "thinking": THINKING, "max_tokens": 1024}, "must be greater"),
        ({"temperature": 1, "thinking": THINKING, "max_tokens": 4096}, ""),
        ({"temperature": 0, "thinking": {"type": "disabled"}}, ""),
    ],
)
def test_claude_refuses_fields_beside_others(fields: dict[str, Any], told: str) -> None:
    problem = refused_by_anthropic({"model": "claude-sonnet-4-5", **fields})
    assert (told in problem.message) if problem is not None and told else (problem is None and not told)


@pytest.mark.parametrize(("model", "fields", "code"), SAMPLING)
def test_both_tables_agree(model: str, fields: dict[str, Any], code: str | None) -> None:
    """They are written apart, each from its side."""
    temps = tuple(value for name, value in fields.items() if name == "temperature")
    asked = Sampling(temps=temps, top_p=fields.get("top_p"), stop=tuple(fields.get("stop", ())), extra=fields)
    assert bool(list(refused(model, asked))) == (code is not None)


@pytest.mark.parametrize(("backend", "model"), [("openai", "gpt-5-mini"), ("anthropic", "claude-sonnet-5")])
def test_a_dry_run_that_overrules_the_table_wrongly_sees_what_a_live_one_would(
    tmp_path: Path, backend: str, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    from batchtrial.cli.commands.run import main

    pytest.importorskip(backend)
    settings = tree() | {"backend": backend, "model_id": model, "limit_items": 2, "submission": {"max_attempts": 1}}
    monkeypatch.chdir(tmp_path)
    for provider, wanted in (({"accepts": ["temperature"]}, "0 succeeded, 4 errored"), ({"sampling": "omit"}, "4 succeeded, 0 errored")):
        write(tmp_path, yaml.safe_dump(settings | {"provider": provider}))
        main(["--config", "config.yaml", "--dry_run", "--run_id", next(iter(provider))])
        assert wanted in capsys.readouterr().out
