"""A host that speaks OpenAI's batch API in its own way. Any other wire is a class with the verbs of `batchtrial.providers.base.Provider`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchtrial.providers.base import Setup
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.openai.quirks import Quirks, recorded_quirks
from batchtrial.providers.registry import Row

ROW = Row(
    name="example",
    title="Example",
    adapter="batchtrial_example.provider",
    speaks="example",
    key_variable="EXAMPLE_API_KEY",
    base_url="https://batches.example/v1",
    prices="example",
    emulated_at="/v1",
    docs="https://batches.example/docs",
)
QUIRKS = Quirks(chat_tokens_field="max_tokens", is_newest_first=False, max_requests=10_000)


class ExampleProvider(OpenAIProvider):
    """Its batches are OpenAI's; recordings carry its own name."""

    name = "example"


def make(row: Row, setup: Setup) -> ExampleProvider:
    """The adapter of a lane."""
    named: Mapping[str, Any] = {"title": row.title, "key_variable": row.key_variable, **setup.host}
    settings = OpenAISettings(**named, endpoint="/v1/chat/completions", quirks=QUIRKS, sampling=setup.sampling)
    return ExampleProvider(settings, setup.key, **setup.given(now=setup.now))


def of_recording(settings: Mapping[str, Any]) -> ExampleProvider:
    """One that encodes as the recorded one did."""
    quirks = recorded_quirks(settings["quirks"]) if "quirks" in settings else QUIRKS
    return ExampleProvider(OpenAISettings(**{"endpoint": "/v1/chat/completions", **settings, "quirks": quirks}), None)
