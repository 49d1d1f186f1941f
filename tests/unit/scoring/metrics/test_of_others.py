"""Metrics of other packages: whatever goes wrong in one is told by its name, and what it gives is looked at before it is counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from batchtrial.errors import ConfigError
from batchtrial.records import Item
from batchtrial.scoring import scorer_for
from batchtrial.scoring.metrics.base import Better, Numbers, TextMetric

ITEM = Item(dataset="d", item_id="1", kind="closed", question="Capital of France?", answers=("Paris",))


def died(texts: Sequence[str]) -> Any:
    raise RuntimeError("no such model")


class Foreign(TextMetric):
    id: ClassVar[str] = "foreign"
    better_when: ClassVar[Better] = "higher"
    gives: ClassVar[Callable[[Sequence[str]], Any]]

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        return type(self).gives(texts)  # type: ignore[no-any-return]


def scored(gives: Callable[[Sequence[str]], Any]) -> dict[str, Numbers]:
    Foreign.gives = staticmethod(gives)
    scorer = scorer_for("squad_v2", named=(Foreign(),))
    return scorer.score_named([scorer.prepare_gold(ITEM)] * 3, ["Paris", None, "Rome"])


@pytest.mark.parametrize(
    ("gives", "told"),
    [
        (died, "RuntimeError: no such model"),
        (lambda texts: np.array([1.0]), "1 numbers for 2 answers"),
        (lambda texts: 1.0, "1 numbers for 2 answers"),
        (lambda texts: np.array([0.0, 7.0]), "7.0, which is no share"),
        (lambda texts: np.array([0.0, np.inf]), "inf, which is no share"),
        (lambda texts: ["a", "b"], "ValueError: could not convert"),
    ],
)
def test_it_is_named(gives: Callable[[Sequence[str]], Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scored(gives)
    assert "the metric foreign" in caught.value.what
    assert told in caught.value.what
    assert caught.value.where == "metrics.foreign"


def test_what_is_right_is_kept() -> None:
    assert [None if np.isnan(one) else one for one in scored(lambda texts: [1, float("nan")])["foreign"].tolist()] == [1.0, None, None]
