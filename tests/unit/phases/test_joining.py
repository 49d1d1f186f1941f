"""Ids find their places and rows their order, for any ids and any rows."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from batchtrial.phases.joining import Pile, places

IDS = st.lists(st.text("abc-0", min_size=9, max_size=9), unique=True, min_size=1, max_size=30)


@given(IDS, st.randoms())
def test_every_id_finds_its_place(ids: list[str], draw: random.Random) -> None:
    shuffled = draw.sample(ids, len(ids))
    found = places(ids, shuffled)
    assert found is not None
    assert [shuffled[place] for place in found] == ids


@given(IDS, st.randoms(), st.sampled_from(["abc-0abcX", "abc-0abcé", "abc", ""]))
def test_other_ids_have_no_places(ids: list[str], draw: random.Random, other: str) -> None:
    assert places(ids, [*ids[1:], other]) is None
    assert places(ids, [*ids[1:], ids[0], ids[0]]) is None
    assert places(ids, ids[1:]) is None
    if len(ids) > 1:
        assert places(ids, [*ids[1:], ids[1]]) is None


def test_no_ids_have_no_places() -> None:
    assert places([], []) is None


@given(st.lists(st.lists(st.text(max_size=40), min_size=1, max_size=5), min_size=1, max_size=5), st.randoms())
def test_rows_are_taken_up_in_any_order_and_memory_is_used_again(blocks: list[list[str]], draw: random.Random) -> None:
    pile = Pile()
    for blocks_now in (blocks, blocks[::-1], blocks[:1]):
        pile.clear()
        for block in blocks_now:
            pile.put(block)
        rows = [row.encode() for block in blocks_now for row in block]
        order = draw.sample(range(len(rows)), len(rows))
        taken = pile.take(np.array(order))
        assert len(pile) == len(taken) == len(rows)
        assert taken[:] == [rows[place] for place in order]
        assert list(taken) == taken[:]
