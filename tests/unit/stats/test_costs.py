"""Cost-effectiveness: hand-made trades, prices that do not exist, and net benefit that always does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.stats.costs import Trade, cost_effectiveness
from batchtrial.stats.intervals import tango
from batchtrial.stats.scores import paired_t

Floats = NDArray[np.float64]


def trial(n: int, gain: float, extra_usd: float, seed: int = 1) -> tuple[Floats, Floats, Floats, Floats]:
    rng = np.random.default_rng(seed)
    right_c = (rng.random(n) < 0.4).astype(float)
    turned = rng.random(n) < abs(gain) * 1.2
    right_t = np.where(turned, 1.0 if gain > 0 else 0.0, right_c)
    cost_c = rng.uniform(0.001, 0.002, n)
    return cost_c + extra_usd * rng.uniform(0.8, 1.2, n), cost_c, right_t, right_c


def test_price_is_extra_dollars_over_extra_right_answers() -> None:
    cost_t, cost_c, right_t, right_c = trial(400, 0.3, 0.004)
    got = cost_effectiveness(cost_t, cost_c, right_t, right_c)
    price = got.usd_per_additional_correct
    assert price.value == pytest.approx((cost_t - cost_c).sum() / (right_t - right_c).sum())
    assert price.is_defined
    assert (got.trade, got.is_clear) == ("pays_for_gain", True)
    assert got.usd_per_correct_control.value == pytest.approx(cost_c.sum() / right_c.sum())


@pytest.mark.parametrize(
    ("gain", "extra", "trade"),
    [
        (0.3, 0.004, "pays_for_gain"),
        (0.3, -0.0004, "saves_and_gains"),
        (-0.3, -0.0004, "saves_for_loss"),
        (-0.3, 0.004, "pays_and_loses"),
    ],
)
def test_only_trades_have_a_price(gain: float, extra: float, trade: Trade) -> None:
    got = cost_effectiveness(*trial(400, gain, extra))
    assert got.trade == trade
    assert (got.usd_per_additional_correct.value is not None) == (trade in ("pays_for_gain", "saves_for_loss"))
    assert got.usd_per_additional_correct.is_defined or got.usd_per_additional_correct.reason


@pytest.mark.parametrize(("n_gained", "extra", "said"), [(2, -0.0004, "includes zero"), (30, 0.0, "right more often and costs no more")])
def test_a_gain_that_may_be_chance_is_not_called_one(n_gained: int, extra: float, said: str) -> None:
    """Two of sixty, and a little cheaper, is no "cheaper and better"; nor is what costs the same cheaper."""
    right_c, cost_c = np.zeros(60), np.linspace(0.001, 0.002, 60)
    got = cost_effectiveness(cost_c + extra, cost_c, np.arange(60) < n_gained, right_c)
    assert got.trade == "saves_and_gains"
    assert said in (got.usd_per_additional_correct.reason or "")


def test_an_effect_that_may_be_zero_has_no_price_interval() -> None:
    cost_t, cost_c, _, right_c = trial(60, 0.3, 0.004)
    right_t = right_c.copy()
    right_t[np.flatnonzero(right_c == 0)[:2]] = 1.0
    got = cost_effectiveness(cost_t, cost_c, right_t, right_c, worth_usd=[0.0, 0.1, 10.0])
    assert got.usd_per_additional_correct.value is not None
    assert got.usd_per_additional_correct.ci_low is None
    assert "includes zero" in (got.usd_per_additional_correct.reason or "")
    assert not got.is_clear
    benefits = [benefit.value for _, benefit in got.net_benefit]
    assert benefits[0] == pytest.approx(-(cost_t - cost_c).mean())
    assert all(benefit.is_defined for _, benefit in got.net_benefit)


def test_the_headline_interval_decides_whether_zero_is_excluded() -> None:
    right_c = np.zeros(40)
    right_t = np.repeat([1.0, 0.0], [5, 35])
    cost_t, cost_c = np.full(40, 0.002), np.linspace(0.001, 0.0011, 40)
    student = cost_effectiveness(cost_t, cost_c, right_t, right_c)
    assert student.usd_per_additional_correct.is_defined
    wide = tango(5, 0, 40, level=0.99)
    assert wide.ci_low is not None
    assert wide.ci_low < 0.0
    headline = cost_effectiveness(cost_t, cost_c, right_t, right_c, effect=wide)
    assert headline.usd_per_additional_correct.ci_low is None


def test_net_benefit_crosses_zero_at_the_price() -> None:
    cost_t, cost_c, right_t, right_c = trial(400, 0.3, 0.004)
    price = cost_effectiveness(cost_t, cost_c, right_t, right_c).usd_per_additional_correct
    assert price.value is not None
    assert price.ci_high is not None
    for worth, p in ((price.value, 1.0), (price.ci_high, 0.05)):
        test = paired_t(worth * (right_t - right_c) - (cost_t - cost_c)).test
        assert test.p_value == pytest.approx(p, abs=1e-6)


def test_clusters_widen_every_interval() -> None:
    columns = [np.repeat(x, 4) for x in trial(100, 0.3, 0.004)]
    alone = cost_effectiveness(*columns)
    clustered = cost_effectiveness(*columns, clusters=np.repeat(np.arange(100), 4))
    assert alone.effect.se is not None
    assert clustered.effect.se is not None
    assert clustered.effect.se > 1.9 * alone.effect.se
    pairs = [(getattr(one, name) for one in (alone, clustered)) for name in ("usd_per_correct_treatment", "usd_per_additional_correct")]
    for plain, wide in pairs:
        assert wide.value == pytest.approx(plain.value)
        assert wide.ci_high - wide.ci_low > 1.9 * (plain.ci_high - plain.ci_low)


def test_missing_answers_are_dropped_and_wrong_arguments_refused() -> None:
    got = cost_effectiveness([1.0, 2.0, math.nan], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (got.effect.n, got.effect.dropped) == (2, 1)
    with pytest.raises(DataError):
        cost_effectiveness([1.0], [1.0], [1.0], [])
    with pytest.raises(DataError):
        cost_effectiveness([1.0], [1.0], [1.0], [1.0], worth_usd=[-1.0])


ITEM = st.tuples(*[st.sampled_from([0.0, 0.001, 0.002, math.nan])] * 2, *[st.sampled_from([0.0, 1.0, math.nan])] * 2)


@given(st.lists(ITEM, max_size=20))
def test_any_trial_gives_numbers_or_reasons(rows: list[tuple[float, float, float, float]]) -> None:
    columns = [[row[i] for row in rows] for i in range(4)]
    got = cost_effectiveness(*columns, worth_usd=[0.01])
    for estimate in (got.cost_usd, got.effect, got.usd_per_additional_correct, got.net_benefit[0][1]):
        assert estimate.is_defined or estimate.reason
