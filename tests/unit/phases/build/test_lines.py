"""Lines put together from pieces are those that the codec makes of each request alone, whatever stands in the texts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.memory import Memory
from tests.unit.phases.world import config
from tests.unit.rig import Rig

from batchtrial.config.expand import Arm, arms_of, expand, user_turn
from batchtrial.phases.build.lines import Pieces, plain_lines
from batchtrial.phases.build.rows import escaped, in_json, lines_between, rows_of, text_bytes, texts_of
from batchtrial.phases.build.sizes import weight
from batchtrial.phases.prepare.items import encode_item, load_prepared, place
from batchtrial.providers.anthropic.adapter import AnthropicProvider, AnthropicSettings
from batchtrial.providers.base import Provider
from batchtrial.providers.fireworks.adapter import FireworksProvider, FireworksSettings
from batchtrial.providers.openai.adapter import OpenAIProvider, OpenAISettings
from batchtrial.providers.openai.quirks import Quirks
from batchtrial.records import Item, Kind, Request
from batchtrial.state.layout import RunLayout

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


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.tuples(TEXTS, TEXTS, st.booleans()), max_size=5))
def test_pieces_make_the_lines_that_the_codec_makes(codec: str, texts: list[tuple[str, str, bool]]) -> None:
    """Of items as they stand in prepared files, whichever of them holds which."""
    items = [
        Item(dataset="s", item_id=str(n), kind="open" if is_open else "closed", question=question, context=context if is_open else None, answers=())
        for n, (question, context, is_open) in enumerate(texts)
    ]
    with TemporaryDirectory() as folder:
        layout, rows = RunLayout(Path(folder)), []
        layout.prepared.mkdir()
        books: tuple[tuple[Kind, Path], ...] = (("open", layout.open_book), ("closed", layout.closed_book))
        for kind, path in books:
            lines = [encode_item(item) for item in items if item.kind == kind]
            path.write_bytes(b"".join(lines))
            rows.append(rows_of(lines, list(map(in_json, lines)), kind, 0))
        found = pl.concat(rows)
        in_order = found[[found["item_id"].to_list().index(item.item_id) for item in items]] if items else found
        asked = escaped(layout, in_order)
    assert in_order["n_bytes"].to_list() == [text_bytes(item.question, item.context or "") for item in items]
    assert in_order["n_chars"].to_list() == [weight(item.question) + weight(item.context or "") for item in items]
    for arm in arms():
        pieces = Pieces.of(arm, CODECS[codec])
        assert pieces is not None
        assert b"".join(piece for block in pieces.blocks(asked) for piece in block()) == b"".join(plain_lines(arm, items, CODECS[codec]))


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
    table = pl.read_parquet(rig.layout.items)
    names = table.select("dataset", "item_id", "kind", pl.col("cluster").fill_null("")).rows()
    assert names == [(i.dataset, i.item_id, i.kind, i.cluster or "") for i in items]
    assert list(zip(table["question"], map(tuple, table["references"]), strict=True)) == [(item.question, item.answers) for item in items]
    rows = table.select("kind", at="byte", size="length")
    assert [(one.question, one.context) for one in texts_of(rig.layout, rows)] == [(item.question, item.context) for item in items]


@given(st.lists(st.binary(max_size=9).map(lambda line: line.replace(b"\n", b".") + b"\n"), max_size=12), st.integers(1, 30))
def test_every_line_of_a_file_is_read_in_one_stretch(lines: list[bytes], size: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        path.write_bytes(b"".join(lines))
        found = [lines_between(path, begin, begin + size) for begin in range(0, max(1, path.stat().st_size), size)]
    assert [line for _, some in found for line in some] == lines
    begins = [sum(map(len, lines[:place])) for place in range(len(lines))]
    assert all(at == begins[lines_before] for (at, some), lines_before in zip(found, _before(found), strict=True) if some)


def _before(found: list[tuple[int, list[bytes]]]) -> list[int]:
    return [sum(len(some) for _, some in found[:place]) for place in range(len(found))]


@given(TEXTS, TEXTS)
def test_the_bytes_of_texts_are_no_less_than_any_codec_makes_of_them(question: str, context: str) -> None:
    for text in (question, context):
        assert len(json.dumps(text)) >= len(json.dumps(text, ensure_ascii=False).encode())
    assert text_bytes(question, context) == len(json.dumps(question)) + len(json.dumps(context))
