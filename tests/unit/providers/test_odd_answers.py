"""Looks at a batch whose fields have shapes that nobody documented: they are read as far as they go, and end no run."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from batchtrial.errors import ProviderError
from batchtrial.providers.anthropic.adapter import stamp
from batchtrial.providers.base import BatchState, BatchStatus, Setup
from batchtrial.providers.gemini.adapter import GeminiProvider
from batchtrial.providers.mistral.adapter import MistralProvider
from batchtrial.providers.openai.adapter import status_of
from batchtrial.providers.registry import adapter_of
from batchtrial.providers.sdk.plain_wire import way_on


@pytest.mark.parametrize(
    ("told", "reason", "retryable"),
    [
        (None, None, True),
        (SimpleNamespace(data=None), None, True),
        (SimpleNamespace(data=[SimpleNamespace(code="url_mismatch", message="no", line=2)]), "url_mismatch: no (line 2)", False),
        ([{"code": "server_error", "message": "soon"}], "server_error: soon", True),
        ("the file is empty", "error: the file is empty", False),
        (["the file is empty"], "error: the file is empty", False),
        ({"message": "the file is empty"}, "error: the file is empty", False),
        (SimpleNamespace(data=1e30), "error: 1e+30", False),
        ([{"code": [1], "message": "no"}], "[1]: no", False),
    ],
)
def test_reasons_of_a_refused_batch(told: Any, reason: str | None, retryable: bool) -> None:
    status = status_of(SimpleNamespace(status="failed", errors=told))
    assert (status.state, status.reason, status.retryable) == (BatchState.FAILED, reason, retryable)


def look(name: str, batch: dict[str, Any]) -> BatchStatus:
    provider = adapter_of(name, Setup())
    assert isinstance(provider, GeminiProvider | MistralProvider)
    return provider._status(batch)


def test_fields_of_other_types() -> None:
    assert look("mistral", {"id": "b", "status": "SUCCESS", "input_files": 5}).state is BatchState.COMPLETED
    assert look("gemini", {"id": "b", "error": {"code": [3], "message": "no"}}).retryable is False
    assert look("gemini", {"id": "b", "error": {"code": 8, "message": "full"}}).is_queue_full


def test_a_batch_that_does_not_say_when_it_was_made_is_not_taken_for_an_old_one() -> None:
    assert stamp(SimpleNamespace(created_at=None)) > datetime.now(UTC)
    assert stamp(SimpleNamespace(created_at="soon")) > datetime.now(UTC)
    assert stamp(SimpleNamespace(created_at=datetime(2026, 1, 1))) == datetime(2026, 1, 1, tzinfo=UTC)


def test_what_the_next_page_is_asked_for_with() -> None:
    assert way_on({}, "token") is way_on({"token": ""}, "token") is way_on({"token": None}, "token") is None
    assert way_on({"token": "p2"}, "token") == "p2"
    assert way_on({"token": 2}, "token") == "2"
    with pytest.raises(ProviderError, match="in known words") as caught:
        way_on({"token": ["p2"]}, "token")
    assert caught.value.retryable
