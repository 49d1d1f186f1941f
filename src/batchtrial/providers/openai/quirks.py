"""How hosts that speak OpenAI's batch API differ from it, as data; where they lie and whose key they take stands in the registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, Literal

from batchtrial.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """One host.

    paging: how the next page of batches is asked for: by the last id, by the number of batches seen, by a cursor that the page brings, or not at all.
    is_newest_first: the list is documented to be, so that a page of old batches ends a search; else the whole list is read. has_labels: a batch
    keeps `metadata`; without it a batch is known by its input file, which no other batch has. label: the metadata's key that holds our token.
    wrapper: result lines as OpenAI wraps them, or flat. request_line: whether request lines carry method and url. refuses: why nothing is sent to
    a host that earlier versions had a row for.
    """

    paging: Literal["after_id", "offset", "cursor", "none"] = "after_id"
    is_newest_first: bool = True
    page_size: int = 100
    has_labels: bool = True
    label: str = "bt_token"
    wrapper: Literal["openai", "flat"] = "openai"
    request_line: Literal["full", "bare"] = "full"
    upload_purpose: str = "batch"
    window: str = "24h"
    chat_tokens_field: Literal["max_completion_tokens", "max_tokens"] = "max_completion_tokens"
    takes_top_k: bool = False
    max_requests: int = 50_000
    max_bytes: int = 200 * 10**6
    least_poll_seconds: float = 0.0
    refuses: str = ""

    @property
    def least_of_responses(self) -> int:
        """The lowest `max_output_tokens` that /v1/responses takes: OpenAI's own service, which has the newer name in chats, refuses less than 16."""
        return 16 if self.chat_tokens_field == "max_completion_tokens" else 1

    @property
    def most_stops(self) -> int | None:
        """How many stop sequences OpenAI's own service takes at most; None elsewhere, where it is not known."""
        return 4 if self.chat_tokens_field == "max_completion_tokens" else None


MB: Final = 10**6
_plain: Final = partial(Quirks, is_newest_first=False, chat_tokens_field="max_tokens")
"""A host whose list is in no documented order."""

TABLE: Mapping[str, Quirks] = MappingProxyType(
    {
        "openai": Quirks(),
        "azure": Quirks(max_requests=100_000, least_poll_seconds=60.0),
        "groq": _plain(paging="cursor", max_bytes=100 * MB, chat_tokens_field="max_completion_tokens"),
        "deepinfra": _plain(takes_top_k=True),
        "nebius": _plain(takes_top_k=True, max_requests=5_000_000, max_bytes=10_000 * MB),
        "parasail": _plain(takes_top_k=True, has_labels=False, max_bytes=100 * MB),
        "alibaba": _plain(takes_top_k=True, label="ds_name", max_bytes=500 * MB),
        "together": _plain(paging="none", has_labels=False, upload_purpose="batch-api", takes_top_k=True, max_bytes=100 * MB),
        "litellm": _plain(takes_top_k=True),
        "morph": _plain(paging="offset"),
        "perplexity": _plain(takes_top_k=True),
        "openrouter": _plain(
            takes_top_k=True,
            refuses="its batch API takes no files and keeps no labels: a call whose answer is lost could never be looked up",
        ),
        # A host nobody described: what every one of them understands, and no label to rely on.
        "compatible": _plain(has_labels=False, takes_top_k=True, max_bytes=100 * MB),
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
            f"no host {name!r} in the table of OpenAI-compatible hosts",
            where="provider.quirks",
            hint=f"one of {', '.join(sorted(each for each, host in TABLE.items() if not host.refuses))}",
        )
    return TABLE[name]
