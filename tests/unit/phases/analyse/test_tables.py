"""Items come in the order of their keys, whatever the keys are made of."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchtrial.config.judges import JudgeSpec
from batchtrial.config.settings import Text
from batchtrial.phases.analyse.losses import Losses
from batchtrial.phases.analyse.tables import Cell, Table, order_of
from batchtrial.scoring.metrics.named import metrics_of

KEYS = st.lists(st.one_of(st.text("ab|0é", max_size=12), st.text(min_size=1, max_size=70)), unique=True, min_size=1, max_size=20)


@settings(deadline=None)  # the first look starts polars
@given(KEYS.map(lambda keys: [key.replace("\0", "x") + f"|{n}" for n, key in enumerate(keys)]))
@example(["b|1", "a|10", "a|1", "a|", "a"])
@example([""])
@example(["é", "z", "zz"])
@example(["x" * 65, "y"])
def test_keys_are_ordered_by_their_bytes(keys: list[str]) -> None:
    assert order_of(pl.Series(keys)).tolist() == sorted(range(len(keys)), key=lambda place: keys[place].encode())


NAN = float("nan")


FAIR = SimpleNamespace(
    judged=SimpleNamespace(unjudged=(np.array([0.0, 1, 1, 1]), np.array([0.0, 1, 1, 0])), judge=SimpleNamespace(is_pairwise=False))
)


def table(scores: dict[str, tuple[list[float], list[float]]], judges: Any = None) -> Table:
    n = len(scores["n_lost"][0])
    return Table(
        keys=pl.Series([f"i{k}" for k in range(n)]),
        scores={name: (np.array(one), np.array(other)) for name, (one, other) in scores.items()},
        is_open=np.ones(n, dtype=np.bool_),
        datasets=np.zeros(n, dtype=np.int64),
        dataset_names=("d",),
        clusters=None,
        samples=1,
        metrics=tuple(scores),
        scales={},
        judges=judges or {},
    )


@pytest.mark.parametrize(
    ("samples", "metric", "counted"),
    [
        (1, "words", {}),
        (1, "output_tokens", {"control": {"cut": 1}}),
        (1, "refusal", {"treatment": {"refused": 1}}),
        (3, "words", {}),
        (3, "output_tokens", {"control": {"cut": 1}, "treatment": {"refused": 1}}),
        (3, "refusal", {"treatment": {"refused": 1}}),
    ],
)
def test_a_lost_answer_is_counted_all_the_same_where_the_metric_has_a_number_of_it(samples: int, metric: str, counted: Any) -> None:
    """An item of several samples has a number of those that came, which says nothing of the others."""
    gone = NAN if samples == 1 else 3.0
    arms: dict[str, tuple[list[float], list[float]]] = {
        "n_lost": ([1, 1], [1, 1]),
        "words": ([gone, gone], [gone, gone]),
        "output_tokens": ([64, NAN], [5 if samples > 1 else NAN, NAN]),
        "refusal": ([gone, gone], [1, gone]),
    }
    states = {column: one.counts for one in metrics_of(("output_tokens", "refusal")) for column in one.columns}
    one = replace(table(arms), samples=samples, counts=states)
    rows = [("i0", "control", "cut:1"), ("i1", "control", "errored:1"), ("i0", "treatment", "refused:1"), ("i1", "treatment", "errored:1")]
    losses = Losses(pl.DataFrame(rows, schema=["item_key", "condition", "lost_to"], orient="row"))
    assert losses.counted(one, Cell(metric=metric, kind="all", temp=0.0)) == counted


@pytest.mark.parametrize(("judges", "n_pairs"), [({"fair": FAIR}, 4), ({}, 2)])
def test_an_item_without_a_verdict_in_either_arm_is_a_lost_pair_of_the_judge(judges: Any, n_pairs: int) -> None:
    """A metric of one's own may not be about every item; a judge is asked about each, and what it says may be no verdict."""
    one = table({"n_lost": ([0] * 4, [0] * 4), "fair": ([1, NAN, NAN, NAN], [0, NAN, NAN, 1])}, judges)
    picked = one.pick(Cell(metric="fair", kind="all", temp=0.0))
    assert picked is not None
    assert picked.control.size == n_pairs
    assert picked.kept().control.size == 1


@pytest.mark.parametrize(
    ("judge", "limits"),
    [
        ({"kind": "score"}, (1.0, 5.0)),
        ({"kind": "score", "scale": (0, 10)}, (0.0, 10.0)),
        ({"kind": "choice", "choices": {"good": 2.0, "bad": -1.0}}, (-1.0, 2.0)),
        ({"kind": "choice", "choices": {"a": 1.0, "b": 1.0}}, None),
        ({"kind": "pairwise"}, (0.0, 1.0)),
    ],
)
def test_a_judge_says_how_far_its_verdicts_reach(judge: Any, limits: tuple[float, float] | None) -> None:
    assert JudgeSpec(name="fair", rubric=Text(path="r", text="Which is better?"), **judge).limits == limits


def test_a_pair_without_a_verdict_is_lost_by_the_arm_that_has_no_answer_else_by_both() -> None:
    """Items: both answered and judged; the treatment's answer lost; the control's; both; both there, and the judge's reply lost."""
    gone = np.array([0.0, 1, 1, 1, 1])
    better = SimpleNamespace(judged=SimpleNamespace(unjudged=(gone, gone), judge=SimpleNamespace(is_pairwise=True)))
    said = ([0.0, NAN, NAN, NAN, NAN], [1.0, NAN, NAN, NAN, NAN])
    one = table({"n_lost": ([0, 0, 1, 1, 0], [0, 1, 0, 1, 0]), "better": said}, {"better": better})
    picked = one.pick(Cell(metric="better", kind="all", temp=0.0))
    assert picked is not None
    assert picked.blamed is not None
    assert [values.tolist() for values in picked.blamed] == [[0, 1, 0, 1, 1], [0, 0, 1, 1, 1]]
    treatment, control = (np.isnan(values).tolist() for values in picked.seen)
    assert treatment == [False, True, False, True, True]
    assert control == [False, False, True, True, True]
    assert [values.tolist() for values in one.left_by_judge("better")] == [[0, 0, 0, 0, 1]] * 2
