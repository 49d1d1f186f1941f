"""The provider keeps the contract that its batches are bought under."""

from __future__ import annotations

from batchtrial.providers.base import Provider, Setup
from batchtrial.providers.registry import adapter_of
from batchtrial.testing import ProviderContract


class TestExample(ProviderContract):
    """The emulator speaks OpenAI's wire, and so does this host."""

    wire = "openai"
    model = "gpt-4.1"

    def adapter(self, url: str, key: str) -> Provider:
        return adapter_of("example", Setup(host={"base_url": f"{url}/v1"}, key=key))
