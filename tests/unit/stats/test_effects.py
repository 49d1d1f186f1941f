"""Standardised effect sizes, each labelled by what it divides by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.stats.effects import cliffs_delta, cohen_dav, cohen_dz, hedges_correction, hedges_gz

TREATMENT = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
CONTROL = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
SLEEP = [t - c for t, c in zip(TREATMENT, CONTROL, strict=True)]


def test_sleep_data() -> None:
    assert cohen_dz(SLEEP).value == pytest.approx(-1.2845575625910546)
    assert cohen_dav(TREATMENT, CONTROL).value == pytest.approx(-0.8321810813495397)
    assert hedges_gz(SLEEP).value == pytest.approx(-1.1739249035142048)
    assert hedges_correction(9.0) == pytest.approx(0.9138748917925523)


def test_interval_of_dz_inverts_the_noncentral_t() -> None:
    nct = pytest.importorskip("scipy.stats").nct
    got = cohen_dz(SLEEP)
    assert got.value is not None
    assert got.ci_low is not None
    assert got.ci_high is not None
    root = 10**0.5
    assert nct.sf(got.value * root, 9, got.ci_low * root) == pytest.approx(0.025, rel=1e-6)
    assert nct.cdf(got.value * root, 9, got.ci_high * root) == pytest.approx(0.025, rel=1e-6)


def test_no_spread_gives_zero_or_nothing_but_never_infinity() -> None:
    for effect in (cohen_dz, hedges_gz):
        assert effect([0.0] * 5).value == 0.0
        assert effect([0.3] * 5).value is None
        assert effect([0.3]).value is None
    assert cohen_dav([1.0, 1.0], [1.0, 1.0]).value == 0.0
    assert cohen_dav([1.0, 1.0], [0.0, 0.0]).value is None
    assert cohen_dav([1.0], [0.0]).value is None


def test_incomplete_pairs_are_dropped() -> None:
    got = cohen_dav([1.0, 0.0, None, 0.5], [0.0, 0.5, 1.0, None])
    assert (got.n, got.dropped) == (2, 2)
    assert got.value is not None
    assert got.reason == "no interval is computed for this effect size"


def test_two_pairs_have_no_small_sample_factor() -> None:
    assert hedges_gz([0.1, 0.4]).value == pytest.approx(cohen_dz([0.1, 0.4]).value)
    with pytest.raises(ValueError, match="degree"):
        hedges_correction(1.0)


def test_published_cliffs_delta() -> None:
    # R effsize ?cliff.delta
    got = cliffs_delta([10, 10, 20, 20, 20, 30, 30, 30, 40, 50], [10, 20, 30, 40, 40, 50])
    assert got.value == pytest.approx(-0.25)


def test_cliffs_delta_and_its_variance_from_the_definition() -> None:
    rng = np.random.default_rng(1)
    t, c = rng.integers(0, 6, 23).astype(float), rng.integers(0, 6, 17).astype(float)
    d = np.sign(t[:, None] - c[None, :])
    delta = float(d.mean())
    rows, columns = d.mean(axis=1) - delta, d.mean(axis=0) - delta
    total = 17**2 * np.sum(rows**2) + 23**2 * np.sum(columns**2) - np.sum((d - delta) ** 2)
    got = cliffs_delta(t, c)
    assert got.value == pytest.approx(delta)
    assert got.se == pytest.approx(np.sqrt(total / (23 * 17 * 22 * 16)))


def test_cliffs_delta_agrees_with_mann_whitney() -> None:
    mannwhitneyu = pytest.importorskip("scipy.stats").mannwhitneyu
    rng = np.random.default_rng(2)
    t, c = rng.normal(0.3, 1, 40), rng.normal(0, 1, 55)
    u = mannwhitneyu(t, c).statistic
    assert cliffs_delta(t, c).value == pytest.approx(2 * u / (40 * 55) - 1)


def test_cliffs_delta_at_the_edges() -> None:
    assert cliffs_delta([], [1.0]).value is None
    apart = cliffs_delta([2.0, 3.0], [0.0, 1.0])
    assert (apart.value, apart.ci_low) == (1.0, None)
    assert cliffs_delta([None, 1.0, 2.0], [1.0, 2.0]).dropped == 1


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=20), st.lists(st.integers(0, 5), min_size=2, max_size=20))
def test_swapping_the_groups_mirrors_cliffs_delta(t: list[float], c: list[float]) -> None:
    one, other = cliffs_delta(t, c), cliffs_delta(c, t)
    assert one.value == pytest.approx(-(other.value or 0.0))
    if one.ci_low is not None and other.ci_high is not None:
        assert one.ci_low == pytest.approx(-other.ci_high, abs=1e-12)
        assert one.ci_low >= -1.0
