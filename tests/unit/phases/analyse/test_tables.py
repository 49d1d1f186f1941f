"""Items come in the order of their keys, whatever the keys are made of."""

from __future__ import annotations

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchtrial.phases.analyse.tables import _order

KEYS = st.lists(st.one_of(st.text("ab|0é", max_size=12), st.text(min_size=1, max_size=70)), unique=True, min_size=1, max_size=20)


@settings(deadline=None)  # the first look starts polars
@given(KEYS.map(lambda keys: [key.replace("\0", "x") + f"|{n}" for n, key in enumerate(keys)]))
@example(["b|1", "a|10", "a|1", "a|", "a"])
@example([""])
@example(["é", "z", "zz"])
@example(["x" * 65, "y"])
def test_keys_are_ordered_by_their_bytes(keys: list[str]) -> None:
    assert _order(pl.Series(keys)).tolist() == sorted(range(len(keys)), key=lambda place: keys[place].encode())
