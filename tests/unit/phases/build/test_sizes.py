"""What a wire does not take of an item is told with the item's name, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.config.test_tasks import loaded

from batchtrial.config.expand import arms_of, expand
from batchtrial.errors import ConfigError
from batchtrial.phases.build.sizes import largest_lines, tokens
from batchtrial.providers.base import Setup
from batchtrial.providers.registry import adapter_of
from batchtrial.records import Item


@pytest.mark.parametrize(
    ("backend", "url", "what"),
    [
        ("gemini", "https://e.example/a.png", "item 'p1' of d: Gemini takes pictures as data"),
        ("anthropic", "http://e.example/a.png", "item 'p1' of d: Anthropic does not take an image at an address that is not https"),
        ("anthropic", "data:image/bmp;base64,AAAA", "item 'p1' of d: Anthropic does not take an image of type image/bmp"),
    ],
)
def test_an_image_that_a_wire_does_not_take(tmp_path: Path, backend: str, url: str, what: str) -> None:
    task = {"messages": [{"role": "user", "template": "What is it?\n", "image": "pic"}]}
    arms = arms_of(expand(loaded(tmp_path, task, backend=backend, model_id="m").config, ""))
    item = Item(dataset="d", item_id="p1", kind="closed", question="q", answers=(), columns={"pic": url})
    with pytest.raises(ConfigError) as caught:
        largest_lines(arms, [item], adapter_of(backend, Setup()))
    assert caught.value.what == what


@pytest.mark.parametrize(
    ("text", "n"),
    [("What is the capital?", 5), ("", 0), ("\u65e5\u672c\u306e\u9996\u90fd\u306f", 6), ("na\u00efve caf\u00e9", 4), ("\U0001f600 ok", 2)],
)
def test_a_reserve_counts_a_token_for_each_character_of_other_writing(text: str, n: int) -> None:
    """A budget whose reserves took Japanese for English would be passed by several times over."""
    assert tokens(text) == n
