"""How hosts that speak OpenAI's batch API differ from it, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from batchtrial.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """One host.

    paging: how the next page of batches is asked for: by the last id, by the number of batches seen, or not at all.
    has_labels: a batch keeps `metadata`; without it a batch is known by its input file, which no other batch has.
    wrapper: result lines as OpenAI wraps them, or flat. request_line: whether request lines carry method and url.
    """

    paging: Literal["after_id", "offset", "none"] = "after_id"
    page_size: int = 100
    has_labels: bool = True
    wrapper: Literal["openai", "flat"] = "openai"
    request_line: Literal["full", "bare"] = "full"
    upload_purpose: str = "batch"
    window: str = "24h"
    chat_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    takes_top_k: bool = False
    max_requests: int = 50_000
    max_bytes: int = 200 * 10**6


TABLE: Mapping[str, Quirks] = MappingProxyType(
    {
        "openai": Quirks(),
        "azure": Quirks(),
        "groq": Quirks(paging="none", chat_tokens_field="max_tokens"),
        "litellm": Quirks(chat_tokens_field="max_tokens", takes_top_k=True),
        "morph": Quirks(paging="offset", chat_tokens_field="max_tokens"),
        "openrouter": Quirks(chat_tokens_field="max_tokens", takes_top_k=True),
        "perplexity": Quirks(chat_tokens_field="max_tokens", takes_top_k=True),
        "together": Quirks(
            paging="none", has_labels=False, upload_purpose="batch-api", chat_tokens_field="max_tokens", takes_top_k=True, max_bytes=100 * 10**6
        ),
        # A host nobody described: what every one of them understands, and no label to rely on.
        "compatible": Quirks(has_labels=False, chat_tokens_field="max_tokens", takes_top_k=True, max_bytes=100 * 10**6),
    }
)


GONE = frozenset({"creates_per_hour"})
"""What recordings of earlier versions name and nothing ever read."""


def recorded_quirks(told: Mapping[str, Any]) -> Quirks:
    """The host as a recording describes it. Raises TypeError for a field that there never was."""
    return Quirks(**{name: value for name, value in told.items() if name not in GONE})


def quirks_of(name: str) -> Quirks:
    """The host's row of the table. Raises ConfigError listing the names there are."""
    if name not in TABLE:
        raise ConfigError(
            f"no host {name!r} in the table of OpenAI-compatible hosts", where="provider.quirks", hint=f"one of {', '.join(sorted(TABLE))}"
        )
    return TABLE[name]
