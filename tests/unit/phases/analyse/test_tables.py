"""Items come in the order of their keys, whatever the keys are made of."""

from __future__ import annotations

import numpy as np
import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchtrial.phases.analyse.tables import Table, order_of

KEYS = st.lists(st.one_of(st.text("ab|0é", max_size=12), st.text(min_size=1, max_size=70)), unique=True, min_size=1, max_size=20)


@settings(deadline=None)  # the first look starts polars
@given(KEYS.map(lambda keys: [key.replace("\0", "x") + f"|{n}" for n, key in enumerate(keys)]))
@example(["b|1", "a|10", "a|1", "a|", "a"])
@example([""])
@example(["é", "z", "zz"])
@example(["x" * 65, "y"])
def test_keys_are_ordered_by_their_bytes(keys: list[str]) -> None:
    assert order_of(pl.Series(keys)).tolist() == sorted(range(len(keys)), key=lambda place: keys[place].encode())


def test_a_metric_that_lost_answers_have_too_is_told_from_one_that_they_lack() -> None:
    nan = float("nan")
    scores = {
        "n_lost": (np.array([0.0, 1.0]), np.array([0.0, 0.0])),
        "words": (np.array([3.0, nan]), np.array([3.0, 4.0])),
        "output_tokens": (np.array([5.0, 64.0]), np.array([5.0, 6.0])),
    }
    table = Table(
        keys=pl.Series(["a", "b"]),
        scores=scores,
        is_open=np.array([True, True]),
        datasets=np.array([0, 0]),
        dataset_names=("d",),
        clusters=None,
        samples=1,
        metrics=("words", "output_tokens"),
        scales={},
    )
    assert (table.scores_lost("words"), table.scores_lost("output_tokens"), table.scores_lost("nothing")) == (False, True, False)
