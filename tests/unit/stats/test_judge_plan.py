"""Widths that labels buy, against intervals of drawn samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from batchtrial.errors import DataError
from batchtrial.stats.judge import ppi_mean
from batchtrial.stats.judge_plan import label_widths


@pytest.mark.parametrize("accuracy", [0.7, 0.85, 0.95])
def test_planned_widths_are_those_of_samples(accuracy: float) -> None:
    rng = np.random.default_rng(3)
    (planned,) = label_widths(0.3, accuracy, items=1000, labels=[100])
    widths, alone = [], []
    for _ in range(60):
        t, c = rng.random(1000) < 0.5, rng.random(1000) < 0.5
        same = rng.random(1000) < 0.4
        t = np.where(same, c, t)
        d = t.astype(float) - c.astype(float)
        f = [np.where(rng.random(1000) < accuracy, arm, ~arm).astype(float) for arm in (t, c)]
        truth = d.copy()
        truth[100:] = math.nan
        got, by_labels = ppi_mean(truth, f[0] - f[1], unseen=1.0), ppi_mean(truth, f[0] - f[1], weight=0.0, unseen=1.0)
        assert got.ci_low is not None
        assert got.ci_high is not None
        assert by_labels.ci_low is not None
        assert by_labels.ci_high is not None
        widths.append(got.ci_high - got.ci_low)
        alone.append(by_labels.ci_high - by_labels.ci_low)
    assert planned.width_corrected == pytest.approx(np.mean(widths), rel=0.05)
    assert planned.width_alone == pytest.approx(np.mean(alone), rel=0.05)
    assert planned.worth >= 100


def test_a_judge_by_chance_is_worth_nothing_and_a_perfect_one_is_worth_every_item() -> None:
    (chance,) = label_widths(0.3, 0.5, items=1000, labels=[100])
    (perfect,) = label_widths(0.3, 1.0, items=1000, labels=[100])
    assert (chance.worth, perfect.worth) == (100, 1000)


def test_more_labels_than_items_are_no_plan() -> None:
    assert [one.labels for one in label_widths(0.3, 0.8, items=150)] == [30, 50, 100]
    with pytest.raises(DataError, match="chance"):
        list(label_widths(0.3, 0.4, items=100))
