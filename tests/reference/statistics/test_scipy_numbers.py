"""Our numbers are SciPy's and statsmodels', whether those are installed or not (made by make_scipy.py beside this file)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from batchtrial.stats.binary import cochran_q, mcnemar_chi2, mcnemar_exact
from batchtrial.stats.distributions import chi2_ppf, noncentral_t_sf, t_ppf
from batchtrial.stats.effects import cliffs_delta
from batchtrial.stats.intervals import clopper_pearson, jeffreys, wilson
from batchtrial.stats.multiplicity import adjust
from batchtrial.stats.pairing import paired_scores
from batchtrial.stats.permutation import sign_flip
from batchtrial.stats.ranks import wilcoxon
from batchtrial.stats.results import Estimate
from batchtrial.stats.scores import paired_t
from batchtrial.stats.special import Floats

REFERENCE: dict[str, Any] = json.loads((Path(__file__).parent / "scipy.json").read_text(encoding="utf-8"))
CLOSE = 1e-10


def differences() -> Floats:
    return paired_scores(REFERENCE["paired_t"]["treatment"], REFERENCE["paired_t"]["control"]).differences


def ends(estimate: Estimate) -> list[float | None]:
    return [estimate.ci_low, estimate.ci_high]


def test_versions_are_named() -> None:
    assert set(REFERENCE["made_by"]) == {"numpy", "scipy", "statsmodels"}


def test_paired_t() -> None:
    want, got = REFERENCE["paired_t"], paired_t(differences())
    assert got.test.statistic == pytest.approx(want["t"], rel=CLOSE)
    assert got.test.p_value == pytest.approx(want["p"], rel=CLOSE)
    assert ends(got.estimate) == pytest.approx(want["ci95"], rel=CLOSE)


def test_wilcoxon() -> None:
    want, d = REFERENCE["wilcoxon"], differences()
    assert wilcoxon(d).p_value == pytest.approx(want["exact"], rel=CLOSE)
    assert wilcoxon(d, alternative="greater").p_value == pytest.approx(want["exact_greater"], rel=CLOSE)
    assert wilcoxon(d, method="normal").p_value == pytest.approx(want["normal_cc"], rel=CLOSE)
    assert wilcoxon(d, method="normal", correction=False).p_value == pytest.approx(want["normal"], rel=CLOSE)


def test_sign_flip() -> None:
    assert sign_flip(differences()[:16], seed=1).p_value == pytest.approx(REFERENCE["sign_flip_16"]["p"], rel=CLOSE)


def test_cliffs_delta() -> None:
    case = REFERENCE["paired_t"]
    assert cliffs_delta(case["treatment"], case["control"]).value == pytest.approx(REFERENCE["cliffs_delta"]["delta"])


@pytest.mark.parametrize("case", REFERENCE["mcnemar"], ids=lambda case: f"{case['b']}-{case['c']}")
def test_mcnemar(case: dict[str, Any]) -> None:
    assert mcnemar_exact(case["b"], case["c"]).p_value == pytest.approx(case["exact"], rel=CLOSE)
    assert mcnemar_chi2(case["b"], case["c"]).p_value == pytest.approx(case["chi2"], rel=CLOSE)


@pytest.mark.parametrize("case", REFERENCE["proportion"], ids=lambda case: f"{case['x']}of{case['n']}")
def test_one_proportion(case: dict[str, Any]) -> None:
    assert ends(wilson(case["x"], case["n"])) == pytest.approx(case["wilson"], rel=CLOSE)
    assert ends(clopper_pearson(case["x"], case["n"])) == pytest.approx(case["beta"], rel=CLOSE)
    assert ends(jeffreys(case["x"], case["n"])) == pytest.approx(case["jeffreys"], rel=CLOSE)


@pytest.mark.parametrize("method", ["holm", "hochberg", "bh", "by"])
def test_adjusted_p_values(method: str) -> None:
    assert adjust(REFERENCE["p_adjust"]["p"], method) == pytest.approx(REFERENCE["p_adjust"][method], rel=1e-12)


def test_cochran_q() -> None:
    got = cochran_q(np.array(REFERENCE["cochran_q"]["answers"]))
    assert got.statistic == pytest.approx(REFERENCE["cochran_q"]["q"], rel=CLOSE)
    assert got.p_value == pytest.approx(REFERENCE["cochran_q"]["p"], rel=CLOSE)


def test_quantiles_and_power() -> None:
    for case in REFERENCE["quantiles"]:
        assert t_ppf(case["p"], case["df"]) == pytest.approx(case["t"], rel=CLOSE, abs=1e-15)
        assert chi2_ppf(case["p"], case["df"]) == pytest.approx(case["chi2"], rel=CLOSE)
    for case in REFERENCE["power"]:
        n = case["n"]
        assert noncentral_t_sf(t_ppf(0.975, n - 1), n - 1, case["dz"] * n**0.5) == pytest.approx(case["power"], rel=CLOSE)
