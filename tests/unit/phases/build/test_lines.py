"""Lines put together from pieces are those that the codec makes of each request alone, whatever stands in the texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.memory import Memory
from tests.unit.phases.world import config
from tests.unit.rig import Rig

from batchtrial.config.expand import Arm, arms_of, expand, user_turn
from batchtrial.keys import item_hash
from batchtrial.phases.build.lines import Escaped, Pieces, plain_lines
from batchtrial.phases.build.rows import Row, rows_in_order, text_bytes, texts_of
from batchtrial.phases.prepare.items import Prepared, load_prepared, place
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Provider
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.openai.quirks import Quirks
from batchtrial.records import Item, Request

CODECS: dict[str, Provider] = {
    "fireworks": FireworksProvider(FireworksSettings(account_id="a"), None),
    "responses": OpenAIProvider(OpenAISettings(), None),
    "chat, bare": OpenAIProvider(OpenAISettings(endpoint="/v1/chat/completions", quirks=Quirks(request_line="bare")), None),
    "anthropic": AnthropicProvider(AnthropicSettings(cache="1h"), None),
}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)


def arms() -> tuple[Arm, ...]:
    sets = [{"name": "x", "source": "file", "path": "x.jsonl"}]
    return arms_of(expand(config(sets, samples_per_item=2), "0" * 64))


def escaped(item: Item) -> Escaped:
    row = Row("", item_hash(item.dataset, item.item_id), item.kind, item.dataset, item.item_id, "", 0, 0, 0, 0)
    return Escaped.of(row, Prepared(dataset=item.dataset, item_id=item.item_id, question=item.question, answers=(), context=item.context))


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=5))
def test_pieces_make_the_lines_that_the_codec_makes(codec: str, texts: list[tuple[str, str, bool]]) -> None:
    items = [
        Item(dataset="s", item_id=str(n), kind="open" if is_open else "closed", question=question, context=context if is_open else None, answers=())
        for n, (question, context, is_open) in enumerate(texts)
    ]
    for arm in arms():
        pieces = Pieces.of(arm, CODECS[codec])
        assert pieces is not None
        assert b"".join(pieces.blocks([escaped(item) for item in items])) == b"".join(plain_lines(arm, items, CODECS[codec]))


@dataclass
class Odd:
    """A codec that says something of each request that does not follow from its pieces."""

    inner: Provider
    how: str

    def encode(self, request: Request) -> bytes:
        body: Any = json.loads(self.inner.encode(request))
        if self.how == "counts":
            body["chars"] = len(request.user)
        if self.how == "repeats":
            body["again"] = request.user
        return json.dumps(body, ensure_ascii=self.how == "escapes").encode() + b"\n"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize("how", ["counts", "repeats", "escapes"])
def test_a_codec_that_pieces_do_not_follow_is_asked_for_each_line(how: str) -> None:
    odd: Any = Odd(CODECS["fireworks"], how)
    assert [Pieces.of(arm, odd) for arm in arms()] == [None, None]


class Counting(Memory):
    """A provider whose lines say how long each question is."""

    def encode(self, request: Request) -> bytes:
        return json.dumps({**json.loads(super().encode(request)), "chars": len(request.user)}).encode() + b"\n"


def test_a_run_with_such_a_codec_has_its_lines(tmp_path: Path) -> None:
    plain, other = Rig(tmp_path / "plain", n_items=12), Rig(tmp_path / "other", n_items=12)
    other.memory = Counting(other.clock)
    for rig in (plain, other):
        rig.run(to_step="build")
    lines = [[json.loads(line) for name in rig.names() for line in rig.layout.part_input(name).read_bytes().splitlines()] for rig in (plain, other)]
    assert {line.pop("chars") for line in lines[1]} == {len(user_turn(item, arms()[0].instructions)) for item in load_prepared(other.layout)}
    assert lines[0] == lines[1]


def test_rows_are_the_prepared_items_in_the_run_s_order(tmp_path: Path) -> None:
    rig = Rig(tmp_path, n_items=9)
    rig.run(to_step="build")
    items = sorted(load_prepared(rig.layout), key=lambda item: place(item, rig.config().seed))
    rows, _ = rows_in_order(rig.layout, rig.config().seed)
    assert [(row.dataset, row.item_id, row.kind, row.cluster) for row in rows] == [(i.dataset, i.item_id, i.kind, i.cluster or "") for i in items]
    assert [(one.question, one.context) for one in texts_of(rig.layout, rows)] == [(item.question, item.context) for item in items]


@given(TEXTS, TEXTS)
def test_the_bytes_of_texts_are_no_less_than_any_codec_makes_of_them(question: str, context: str) -> None:
    for text in (question, context):
        assert len(json.dumps(text)) >= len(json.dumps(text, ensure_ascii=False).encode())
    assert text_bytes(question, context) == len(json.dumps(question)) + len(json.dumps(context))
