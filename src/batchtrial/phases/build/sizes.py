"""How large an item's requests are under tasks: every one is rendered, so that what cannot be is told before anything is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from batchtrial.config.expand import Arm
from batchtrial.errors import ConfigError
from batchtrial.providers.base import Provider, codec_of
from batchtrial.records import Item, Request

CHARS_PER_TOKEN = 4
"""The usual rule of thumb for English; see `weight` for other writing. Only estimates and reserves depend on it, never a bill."""
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 1000
"""Of a picture of a million pixels; what it is told depends on model and size."""
HASH = "0" * 16
HIGHEST_SAMPLE = 10**6


def largest_lines(arms: Sequence[Arm], items: Iterable[Item], provider: Provider, check: Callable[[], None] = lambda: None) -> list[int]:
    """Bytes of the longest line about each item under the arms' tasks. check: is called at each item, and may raise.

    Raises ConfigError naming file, line and item where a template cannot be filled in.
    """
    found = []
    for item in items:
        check()
        found.append(max(len(line_about(arm, item, provider)) for arm in arms))
    return found


def line_about(arm: Arm, item: Item, provider: Provider) -> bytes:
    """A request line about the item, as long as any of the arm's. Raises ConfigError, naming the item where the wire does not take what it holds."""
    request = arm.request(item, arm.custom_id(HASH, HIGHEST_SAMPLE))
    try:
        return codec_of(provider, arm.backend).encode(request)
    except ConfigError as error:
        if error.where != f"request {request.custom_id}":
            raise
        raise ConfigError(f"item {item.item_id!r} of {item.dataset}: {error.what}", where="task", hint=error.hint) from None


def weight(text: str) -> int:
    """Its characters as tokens are estimated from them: one that is not ASCII counts as a whole token, since few tokens hold several of these."""
    return len(text) if text.isascii() else len(text) + (CHARS_PER_TOKEN - 1) * (len(text) - len(text.encode("ascii", "ignore")))


def tokens(text: str) -> int:
    """Estimated tokens of a text, rounded up."""
    return -(-weight(text) // CHARS_PER_TOKEN)


def tokens_of(request: Request) -> int:
    """Estimated prompt tokens of a request, of its tools and its response format too."""
    turns = sum(tokens(turn.text) + TOKENS_PER_MESSAGE + TOKENS_PER_IMAGE * len(turn.images) for turn in request.turns)
    forms = sum(tokens(repr(form)) for form in (request.response_format, *request.tools) if form is not None)
    return tokens(request.system) + TOKENS_PER_MESSAGE + turns + forms
