"""The distributions agree with SciPy to 1e-10 and with published tables without it."""

import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.stats import distributions as dist

RELATIVE = 1e-10
SHAPES = (0.01, 0.5, 1.0, 1.5, 3.0, 10.0, 29.0, 31.0, 100.0, 1e3, 1e4, 1e6)
DEGREES = (0.5, 1.0, 2.0, 3.3, 9.0, 30.0, 100.0, 1e4, 1.9e5, 2.1e5, 1e6, 1e9)


def agree(ours: float, theirs: float) -> bool:
    """Equal to 1e-10 relative; below 1e-290 both only have to be that small."""
    return abs(ours - theirs) <= RELATIVE * abs(theirs) or (abs(ours) < 1e-289 and abs(theirs) < 1e-290)


def test_values_printed_in_tables() -> None:
    assert dist.z_two_sided(0.95) == pytest.approx(1.959963984540054, rel=1e-14)
    assert dist.t_two_sided(0.95, 9) == pytest.approx(2.2621571627982049, rel=1e-12)
    assert dist.t_sf(2.1479874613311205, 14) * 2 == pytest.approx(0.049702944021800866, rel=1e-10)
    assert dist.chi2_sf(3.841458820694124, 1) == pytest.approx(0.05, rel=1e-12)
    assert dist.beta_ppf(0.025, 10, 1) == pytest.approx(0.025**0.1, rel=1e-12)
    assert dist.binom_cdf(3, 12, 0.5) == pytest.approx(299 / 4096, rel=1e-13)
    assert dist.f_sf(4.964602743730711, 1, 10) == pytest.approx(0.05, rel=1e-10)


def test_normal_agrees_with_scipy_in_both_tails() -> None:
    norm = pytest.importorskip("scipy.stats").norm
    for z in np.linspace(-37, 37, 75).tolist():
        assert agree(dist.norm_sf(z), norm.sf(z))
        assert agree(dist.norm_cdf(z), norm.cdf(z))
    for p in (1e-300, 1e-20, 1e-5, 0.025, 0.3, 0.5, 0.9, 1 - 1e-10):
        assert agree(dist.norm_isf(p), norm.isf(p))
        assert agree(dist.norm_ppf(p), norm.ppf(p))


def test_beta_agrees_with_scipy_in_both_tails() -> None:
    special = pytest.importorskip("scipy.special")
    for a, b in product(SHAPES, SHAPES):
        for x in (1e-8, 0.001, 0.05, 0.3, 0.5, 0.7, 0.95, 0.999, a / (a + b)):
            assert agree(dist.beta_cdf(x, a, b), special.betainc(a, b, x)), (x, a, b)
            assert agree(dist.beta_sf(x, a, b), special.betaincc(a, b, x)), (x, a, b)


def test_beta_quantile_inverts_scipys_beta() -> None:
    # SciPy's own inverse is off by 3e-9 at a = 1e3, b = 1e6, so its forward function is the reference.
    special = pytest.importorskip("scipy.special")
    for a, b in product(SHAPES[1:], SHAPES[1:]):
        for p in (1e-8, 0.025, 0.3, 0.5, 0.975, 0.99999):
            x = dist.beta_ppf(p, a, b)
            # one last digit of x moves p by this much
            step = math.exp(a * math.log(x) + (b - 1) * math.log1p(-x) - special.betaln(a, b)) * 2e-16 if x < 1 else 1e-15
            assert abs(special.betainc(a, b, x) - p) <= RELATIVE * min(p, 1 - p) + step, (p, a, b)


def test_student_agrees_with_scipy_in_both_tails() -> None:
    t = pytest.importorskip("scipy.stats").t
    for x, df in product((-50.0, -3.0, -0.01, 0.0, 0.1, 1.0, 2.0, 5.0, 20.0, 100.0, 1e4), DEGREES):
        assert agree(dist.t_sf(x, df), t.sf(x, df)), (x, df)
        assert agree(dist.t_cdf(x, df), t.cdf(x, df)), (x, df)
    for p, df in product((1e-12, 1e-4, 0.025, 0.3, 0.4999, 0.6, 0.99), DEGREES[:-1]):
        assert agree(dist.t_isf(p, df), t.isf(p, df)), (p, df)


def test_student_near_zero_keeps_its_digits() -> None:
    # P(T > t) = 1/2 - atan(t)/pi for one degree of freedom
    assert dist.t_sf(1e-9, 1.0) == pytest.approx(0.5 - 1e-9 / math.pi, rel=1e-15)
    assert dist.t_sf(3.0, math.inf) == dist.norm_sf(3.0)


def test_chi_square_and_f_agree_with_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    for df in (0.5, 1.0, 2.0, 5.0, 29.0, 31.0, 100.0, 1e3, 1e5):
        for x in (1e-6, 0.1, 1.0, 5.0, 30.0, 100.0, 600.0, df, 1.1 * df, 0.9 * df):
            assert agree(dist.chi2_sf(x, df), stats.chi2.sf(x, df)), (x, df)
            assert agree(dist.chi2_cdf(x, df), stats.chi2.cdf(x, df)), (x, df)
        for p in (1e-10, 0.001, 0.025, 0.5, 0.7, 0.975, 0.999999):
            assert agree(dist.chi2_ppf(p, df), stats.chi2.ppf(p, df)), (p, df)
            assert agree(dist.chi2_isf(p, df), stats.chi2.isf(p, df)), (p, df)
    for x, df1, df2 in product((1e-6, 0.1, 1.0, 5.0, 30.0), (1.0, 2.0, 5.0, 100.0), (1.0, 4.0, 30.0, 1e4)):
        assert agree(dist.f_sf(x, df1, df2), stats.f.sf(x, df1, df2)), (x, df1, df2)


def test_gamma_agrees_with_scipy() -> None:
    special = pytest.importorskip("scipy.special")
    for a, x in product((0.05, 0.5, 1.0, 7.5, 14.9, 15.1, 400.0), (1e-5, 0.3, 2.0, 15.0, 90.0, 450.0)):
        assert agree(dist.gamma_p(a, x), special.gammainc(a, x)), (a, x)
        assert agree(dist.gamma_q(a, x), special.gammaincc(a, x)), (a, x)


def test_noncentral_t_agrees_with_scipy() -> None:
    nct = pytest.importorskip("scipy.stats").nct
    for t, df, shift in product((-5.0, -1.0, 0.0, 0.5, 2.0, 5.0, 30.0), (1.0, 2.5, 9.0, 33.4, 200.0, 1e4), (0.0, 0.5, 2.8)):
        for ours, theirs in ((dist.noncentral_t_cdf, nct.cdf), (dist.noncentral_t_sf, nct.sf)):
            want = theirs(t, df, shift)
            if want > 1e-5:  # further out SciPy's series loses relative accuracy itself
                assert agree(ours(t, df, shift), want), (t, df, shift)


def test_noncentral_t_without_shift_is_student() -> None:
    for t, df in product((-40.0, -2.0, 0.0, 1.0, 6.0), (1.0, 4.5, 29.0, 500.0)):
        assert dist.noncentral_t_sf(t, df, 0.0) == pytest.approx(dist.t_sf(t, df), rel=1e-11)


def test_binomial_agrees_with_scipy() -> None:
    binom = pytest.importorskip("scipy.stats").binom
    for n, p in product((1, 5, 16, 50, 300, 10**4, 10**6), (1e-6, 0.01, 0.3, 0.5, 0.9)):
        centre = int(n * p)
        for k in {0, 1, n // 3, n // 2, n - 1, n, centre, min(n, centre + int(3 * math.sqrt(n * p * (1 - p))))}:
            assert agree(float(dist.binom_pmf(k, n, p)), binom.pmf(k, n, p)), (k, n, p)
            assert agree(dist.binom_cdf(k, n, p), binom.cdf(k, n, p)), (k, n, p)
            assert agree(dist.binom_sf(k, n, p), binom.sf(k, n, p)), (k, n, p)


def test_binomial_pmf_takes_arrays_and_knows_its_edges() -> None:
    k = np.arange(-1, 7)
    assert dist.binom_pmf(k, 5, 0.5).tolist() == pytest.approx([0, 1 / 32, 5 / 32, 10 / 32, 10 / 32, 5 / 32, 1 / 32, 0])
    assert dist.binom_pmf([0, 1, 5], 5, 0.0).tolist() == [1.0, 0.0, 0.0]
    assert dist.binom_pmf([0, 4, 5], 5, 1.0).tolist() == [0.0, 0.0, 1.0]
    assert float(dist.binom_pmf(0, 0, 0.3)) == 1.0
    assert float(dist.binom_pmf(np.arange(1001), 1000, 0.137).sum()) == pytest.approx(1.0, rel=1e-13)


def test_each_broadcasts() -> None:
    assert dist.each(dist.norm_cdf, [[0.0], [1.0]]).shape == (2, 1)
    assert dist.each(dist.t_sf, [0.0, 1.0], 1.0).tolist() == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize(
    "call",
    [
        lambda: dist.norm_ppf(1.5),
        lambda: dist.t_sf(1.0, 0.0),
        lambda: dist.t_isf(0.1, -1.0),
        lambda: dist.beta_cdf(0.5, 0.0, 1.0),
        lambda: dist.beta_cdf(2.0, 1.0, 1.0),
        lambda: dist.chi2_sf(1.0, 0.0),
        lambda: dist.binom_cdf(1, -1, 0.5),
        lambda: dist.binom_pmf(1, 3, 1.5),
        lambda: dist.noncentral_t_cdf(1.0, 0.0, 0.0),
    ],
)
def test_outside_the_domain_is_an_error(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        call()


@settings(deadline=None, derandomize=True)
@given(p=st.floats(1e-12, 1 - 1e-12), df=st.floats(0.3, 1e7))
def test_student_quantile_and_tail_are_inverse(p: float, df: float) -> None:
    assert dist.t_sf(dist.t_isf(p, df), df) == pytest.approx(p, rel=1e-9)


@settings(deadline=None, derandomize=True)
@given(p=st.floats(1e-12, 1 - 1e-12), a=st.floats(0.3, 1e5), b=st.floats(0.3, 1e5))
def test_beta_tails_add_to_one_and_the_quantile_inverts(p: float, a: float, b: float) -> None:
    x = dist.beta_ppf(p, a, b)
    assert dist.beta_cdf(x, a, b) + dist.beta_sf(x, a, b) == pytest.approx(1.0, abs=1e-14)
    if x < 1 - 1e-6:  # closer to 1 a double cannot hold the quantile well enough to give p back
        assert dist.beta_cdf(x, a, b) == pytest.approx(p, rel=1e-8)
