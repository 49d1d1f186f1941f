"""Max-T: shared signs carry the correlation between endpoints and treatments."""

import numpy as np
import pytest

from batchtrial.errors import DataError
from batchtrial.stats.maxt import MaxT, dunnett, max_t
from batchtrial.stats.multiplicity import holm
from batchtrial.stats.permutation import sign_flip
from batchtrial.stats.scores import paired_t
from batchtrial.stats.special import Floats


def p_values(result: MaxT) -> list[float]:
    return [test.p_value if test.p_value is not None else -1.0 for test in result.tests]


def data(n: int = 80, seed: int = 1) -> Floats:
    rng = np.random.default_rng(seed)
    base = rng.normal(0.25, 1.0, n)
    return np.stack([base, base + 0.05 * rng.normal(size=n), rng.normal(0.2, 1.0, n)], axis=1)


def test_one_endpoint_is_the_plain_sign_flip() -> None:
    d = data()[:, :1]
    assert p_values(max_t(d, seed=3))[0] == pytest.approx(sign_flip(d[:, 0], seed=4).p_value, abs=0.01)


def test_statistic_and_standard_error_are_students() -> None:
    d = data()
    got = max_t(d, seed=1, flips=99)
    for j in range(3):
        want = paired_t(d[:, j])
        assert got.tests[j].statistic == pytest.approx(want.test.statistic)
        assert got.estimates[j].se == pytest.approx(want.estimate.se)


def test_identical_endpoints_cost_nothing_and_holm_pays() -> None:
    d = np.repeat(data()[:, :1], 5, axis=1)
    got = max_t(d, seed=2)
    alone = max_t(d[:, :1], seed=2)
    assert p_values(got) == pytest.approx([p_values(alone)[0]] * 5)
    assert (holm(p_values(alone) * 5)[0] or 0.0) > 4 * p_values(got)[0]
    assert got.critical == pytest.approx(alone.critical)


def test_independent_endpoints_cost_what_sidak_says() -> None:
    d = np.random.default_rng(8).normal(size=(400, 6))
    got = max_t(d, seed=1)
    assert got.critical == pytest.approx(2.635, abs=0.08)  # normal quantile of (1 + 0.95^(1/6)) / 2


def test_adjusted_p_is_monotone_and_never_below_the_smallest_possible() -> None:
    got = max_t(data(), seed=5, flips=199)
    order = sorted(range(3), key=lambda j: -abs(got.tests[j].statistic or 0.0))
    assert [p_values(got)[j] for j in order] == sorted(p_values(got))
    assert min(p_values(got)) >= 1 / 200


def test_few_patterns_and_many_give_the_same_law() -> None:
    rng = np.random.default_rng(3)
    d = rng.choice([-1.0, 0.0, 1.0], p=[0.12, 0.7, 0.18], size=(600, 2))
    compressed = max_t(d, seed=1)
    literal = max_t(d + rng.normal(0.0, 1e-6, d.shape), seed=1)
    assert p_values(compressed) == pytest.approx(p_values(literal), abs=0.02)
    assert compressed.critical == pytest.approx(literal.critical, abs=0.06)


def test_clusters_flip_together() -> None:
    rng = np.random.default_rng(6)
    cluster = np.repeat(np.arange(25), 8)
    d = (rng.normal(0.15, 1.0, 25)[cluster] + 0.2 * rng.normal(size=200))[:, None]
    apart, together = max_t(d, seed=1), max_t(d, seed=1, clusters=cluster)
    assert p_values(together)[0] > p_values(apart)[0]
    assert (together.estimates[0].se or 0.0) > 2 * (apart.estimates[0].se or 0.0)
    assert together.estimates[0].value == pytest.approx(float(d.mean()))


def test_missing_endpoints_are_dropped_per_endpoint() -> None:
    d = data()
    d[:10, 1] = np.nan
    d[:, 2] = np.nan
    got = max_t(d, seed=1)
    assert [t.n for t in got.tests] == [80, 70, 0]
    assert [t.dropped for t in got.tests] == [0, 10, 80]
    assert got.tests[2].reason == "there are no complete pairs"
    assert got.estimates[2].value is None


def test_endpoints_that_do_not_vary() -> None:
    d = np.stack([np.zeros(30), np.ones(30), np.r_[np.ones(15), -np.ones(15)]], axis=1)
    got = max_t(d, seed=1, flips=999)
    assert [t.p_value for t in got.tests] == [1.0, 1 / 1000, 1.0]
    assert got.tests[1].statistic is None
    assert "sign patterns" in got.tests[1].warnings[0]
    assert (got.estimates[1].value, got.estimates[1].ci_low) == (1.0, None)
    assert got.estimates[2].ci_low == pytest.approx(-(got.estimates[2].ci_high or 0.0))
    assert max_t(np.zeros((5, 2)), seed=1).critical is None


def test_several_treatments_share_one_control() -> None:
    rng = np.random.default_rng(2)
    control = rng.normal(0, 2.0, 150)
    treatments = rng.normal([0.5, 0.0, 0.1], 0.5, size=(150, 3))
    shared = dunnett(treatments, control, seed=1)
    independent = max_t(rng.normal(size=(150, 3)), seed=1)
    assert shared.critical is not None
    assert independent.critical is not None
    # differences from one noisy control move together, so less correction is needed
    assert shared.critical < independent.critical - 0.1
    assert [e.value for e in shared.estimates] == pytest.approx((treatments - control[:, None]).mean(axis=0).tolist())


def test_family_wise_error_is_held_under_a_shared_control() -> None:
    rng = np.random.default_rng(7)
    false = 0
    for run in range(300):
        control = rng.normal(size=30)
        treatments = rng.normal(size=(30, 3))
        false += min(p_values(dunnett(treatments, control, seed=run, flips=199))) <= 0.05
    assert false / 300 <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_same_seed_same_result() -> None:
    assert max_t(data(), seed=9) == max_t(data(), seed=9)


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="shape"):
        max_t([1.0, 2.0], seed=1)
    with pytest.raises(DataError, match="flip"):
        max_t(data(), seed=1, flips=0)
    with pytest.raises(DataError, match="labels"):
        max_t(data(), seed=1, clusters=[1, 2])
    with pytest.raises(DataError, match="beyond"):
        max_t([[1e200], [1.0]], seed=1)
    with pytest.raises(DataError, match="do not fit"):
        dunnett([[1.0], [2.0]], [1.0], seed=1)
