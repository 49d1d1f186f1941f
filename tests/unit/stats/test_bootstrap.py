"""Bootstrap intervals: the computed laws against brute force, the simulated ones against the computed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.bootstrap import (
    BootstrapEstimate,
    bca_tails,
    bootstrap_cells,
    bootstrap_delta,
    bootstrap_mean,
    median_of,
)
from batchtrial.stats.distributions import norm_cdf
from batchtrial.stats.special import Floats

MOUSE = [94, 197, 16, 38, 99, 141, 23]  # Efron & Tibshirani 1993, table 2.1


def ends(estimate: BootstrapEstimate) -> tuple[float, float]:
    assert estimate.ci_low is not None
    assert estimate.ci_high is not None
    return estimate.ci_low, estimate.ci_high


def test_published_standard_error() -> None:
    got = bootstrap_mean(MOUSE, seed=1, method="percentile")
    assert got.value == pytest.approx(86.857, abs=1e-3)
    assert got.se == pytest.approx(23.3635, abs=1e-4)
    assert (got.replicates, got.seed) == (None, None)
    assert "only 7 pairs" in got.warnings[0]


def test_law_of_a_binary_difference_needs_no_replicates() -> None:
    exact = bootstrap_delta(40, 20, 160, seed=1)
    assert ends(exact) == pytest.approx((0.03125, 0.21875))
    assert exact.se == pytest.approx(math.sqrt(60 - 400 / 160) / 160)
    drawn = bootstrap_delta(40, 20, 160, seed=1, replicates=10_000)
    assert (drawn.replicates, drawn.seed) == (10_000, 1)
    assert ends(drawn) == pytest.approx(ends(exact), abs=1.01 / 160)


def test_routes_to_the_mean_agree() -> None:
    rng = np.random.default_rng(12)
    on_grid = np.round(rng.gamma(2.0, 0.2, 1500) - 0.3, 2)
    nudged = on_grid + rng.normal(0.0, 1e-9, on_grid.size)
    exact = bootstrap_mean(on_grid, seed=1, method="percentile")
    expanded = bootstrap_mean(nudged, seed=1, method="percentile")
    simulated = bootstrap_mean(nudged[:900], seed=1, method="percentile")
    part = bootstrap_mean(on_grid[:900], seed=1, method="percentile")
    assert (exact.replicates, expanded.replicates, simulated.replicates) == (None, None, 9_999)
    assert exact.se is not None
    assert part.se is not None
    assert ends(expanded) == pytest.approx(ends(exact), abs=0.01 * exact.se)
    assert ends(simulated) == pytest.approx(ends(part), abs=0.08 * part.se)


def test_bootstrap_t_routes_agree_and_lean_towards_the_long_tail() -> None:
    rng = np.random.default_rng(3)
    d = rng.exponential(size=2_500)
    many = bootstrap_mean(d, seed=1)  # expanded
    drawn = bootstrap_mean(d, seed=1, replicates=4_000)
    assert (many.replicates, drawn.replicates) == (None, 4_000)
    assert many.se is not None
    assert many.value is not None
    assert ends(many) == pytest.approx(ends(drawn), abs=0.12 * many.se)
    low, high = ends(many)
    assert high - many.value > many.value - low


def test_extreme_values_are_drawn_and_the_bulk_is_normal() -> None:
    rng = np.random.default_rng(5)
    d = np.concatenate([rng.normal(0.0, 0.1, 12_000), rng.pareto(1.2, 20) * 20])
    got = bootstrap_mean(d, seed=2, method="percentile", replicates=4_000)
    chunks = [rng.choice(d, size=(50, d.size)).mean(axis=1) for _ in range(40)]
    want = np.quantile(np.concatenate(chunks), [0.025, 0.975])
    assert got.replicates == 4_000
    assert got.se is not None
    assert ends(got) == pytest.approx(tuple(want), abs=0.3 * got.se)


def test_degenerate_data_have_no_interval() -> None:
    for method in ("t", "percentile"):
        for d in ([], [0.4], [0.25] * 30, [0.0] * 9):
            got = bootstrap_mean(d, seed=1, method=method)
            assert got.ci_low is None
            assert got.reason
    assert bootstrap_delta(0, 0, 20, seed=1).ci_low is None
    assert bootstrap_mean([1.0, 0.0], seed=1, method="t").reason == "too many resamples have no spread"


def test_agrees_with_scipy_bca_on_mean_and_median() -> None:
    bootstrap = pytest.importorskip("scipy.stats").bootstrap
    rng = np.random.default_rng(7)
    x = rng.normal(0.3, 1.0, 60) + rng.exponential(size=60)
    values, counts = np.unique(x, return_counts=True)

    def mean(cells: Floats) -> Floats:
        return np.asarray(cells @ values / cells.sum(axis=1))

    for statistic, theirs in ((mean, np.mean), (median_of(values), np.median)):
        got = bootstrap_cells(counts, statistic, seed=1)
        want = bootstrap((x,), theirs, method="BCa", n_resamples=9_999, rng=1).confidence_interval
        assert got.value == pytest.approx(float(theirs(x)))
        assert got.se is not None
        assert ends(got) == pytest.approx((want.low, want.high), abs=0.25 * got.se)


def ratio(cells: Floats) -> Floats:
    """Wrong among answered in the treatment minus in the control, from nine cells of answered x right."""
    t_answered, c_answered = cells[:, :6].sum(axis=1), cells[:, [0, 1, 3, 4, 6, 7]].sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(cells[:, 3:6].sum(axis=1) / t_answered - cells[:, [1, 4, 7]].sum(axis=1) / c_answered)


def test_ratio_of_nine_cells() -> None:
    cells = [30, 6, 4, 3, 8, 2, 5, 1, 3]
    got = bootstrap_cells(cells, ratio, seed=4, dropped=2)
    assert (got.n, got.dropped, got.method) == (62, 2, "bootstrap_bca")
    assert got.value == pytest.approx(13 / 53 - 15 / 53)
    low, high = ends(got)
    assert low < got.value < high  # type: ignore[operator]
    assert ends(bootstrap_cells(cells, ratio, seed=4)) == (low, high)


def test_replicates_without_a_value_are_left_out_or_refused() -> None:
    rare = bootstrap_cells([0, 0, 0, 0, 3, 0, 0, 0, 400], ratio, seed=1, method="percentile")
    assert rare.ci_low is None
    scarce = bootstrap_cells([2, 2, 0, 2, 3, 0, 0, 0, 90], ratio, seed=1, method="percentile")
    assert scarce.ci_low is not None or "too many" in (scarce.reason or "")
    nothing = bootstrap_cells([0] * 8 + [50], ratio, seed=1)
    assert (nothing.value, nothing.reason) == (None, "the statistic is undefined on these data")
    assert bootstrap_cells([0] * 9, ratio, seed=1).reason == "there are no complete pairs"
    assert bootstrap_cells([0, 0, 0, 0, 1, 0, 0, 0, 0], ratio, seed=1).ci_low is None


def test_statistic_that_never_varies_has_no_interval() -> None:
    got = bootstrap_cells([10, 10], lambda cells: np.ones(cells.shape[0]), seed=1)
    assert (got.value, got.ci_low) == (1.0, None)


def test_bca_without_bias_and_skewness_is_the_percentile_interval() -> None:
    assert bca_tails(0.5, 0.0, 0.95) == pytest.approx((0.025, 0.975))
    low, high = bca_tails(norm_cdf(0.1), 0.05, 0.9)
    assert low == pytest.approx(norm_cdf(0.1 + (0.1 - 1.6448536269514722) / (1 - 0.05 * (0.1 - 1.6448536269514722))))
    assert high > 0.95
    assert bca_tails(1.0, 0.3, 0.95)[1] == 1.0


@pytest.mark.parametrize("cells", [[], [-1, 2], [1.5], [[1, 2]]])
def test_impossible_cells_are_refused(cells: list[float]) -> None:
    with pytest.raises(DataError, match="cell counts"):
        bootstrap_cells(cells, ratio, seed=1)


def test_bad_options_are_refused() -> None:
    with pytest.raises(DataError, match="jackknife"):
        bootstrap_mean([1.0, 2.0], seed=1, method="jackknife")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="studentized"):
        bootstrap_cells([1, 2], ratio, seed=1, method="studentized")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="replicate"):
        bootstrap_mean([1.0, 2.0, 4.0], seed=1, replicates=0)
    with pytest.raises(DataError, match="changed items"):
        bootstrap_delta(3, 3, 5, seed=1)
    with pytest.raises(DataError, match="ascend"):
        median_of([2.0, 1.0])


def test_median_of_cells() -> None:
    statistic = median_of([1.0, 2.0, 5.0])
    got = statistic(np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 2.0], [0.0, 0.0, 3.0], [1.0, 2.0, 1.0]]))
    assert got.tolist() == [2.0, 3.0, 5.0, 2.0]


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.lists(st.sampled_from([-1.0, -0.4, 0.0, 0.2, 0.6, 1.0]), min_size=3, max_size=40))
def test_swap_mirrors_and_order_does_not_matter(d: list[float]) -> None:
    one = bootstrap_mean(d, seed=1, method="percentile")
    other = bootstrap_mean([-x for x in d], seed=1, method="percentile")
    again = bootstrap_mean(d[::-1], seed=1, method="percentile")
    assert ends_or_none(one) == ends_or_none(again)
    if one.ci_low is not None and one.ci_high is not None:
        assert ends(other) == pytest.approx((-one.ci_high, -one.ci_low), abs=1e-12)


def ends_or_none(estimate: BootstrapEstimate) -> tuple[float | None, float | None]:
    return estimate.ci_low, estimate.ci_high
