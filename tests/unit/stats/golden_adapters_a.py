"""How each golden of this half is asked of the package: golden input in, names and numbers of its `expected` out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from batchtrial.stats.binary import cochran_q, discordant, mcnemar_chi2, mcnemar_exact, mcnemar_midp
from batchtrial.stats.bootstrap import bca_tails, bootstrap_delta, bootstrap_mean
from batchtrial.stats.effects import cliffs_delta, cohen_dav, cohen_dz, hedges_correction, hedges_gz
from batchtrial.stats.intervals import (
    agresti_min,
    bonett_price,
    clopper_pearson,
    jeffreys,
    newcombe,
    tango,
    wald,
    wilson,
)
from batchtrial.stats.lattice import grid_of, resampling_law
from batchtrial.stats.multiplicity import adjust
from batchtrial.stats.noninferiority import equivalence_from_summary, equivalence_scores, noninferiority_binary
from batchtrial.stats.odds import log_odds_ratio, odds_ratio
from batchtrial.stats.pairing import paired_scores
from batchtrial.stats.permutation import sign_flip
from batchtrial.stats.ranks import hodges_lehmann, rank_biserial, signed_rank_tail, wilcoxon
from batchtrial.stats.results import Estimate
from batchtrial.stats.scores import paired_t

Case = dict[str, Any]
SEED = 20_240_601


def ends(estimate: Estimate) -> list[float | None]:
    return [estimate.ci_low, estimate.ci_high]


def mcnemar(case: Case) -> object:
    b, c = case["b"], case["c"]
    plain, corrected = mcnemar_chi2(b, c), mcnemar_chi2(b, c, correction=True)
    return {
        "p_exact": mcnemar_exact(b, c).p_value,
        "p_mid": mcnemar_midp(b, c).p_value,
        "chi2": plain.statistic,
        "p_asymptotic": plain.p_value,
        "chi2_cc": corrected.statistic,
        "p_cc": corrected.p_value,
    }


def mcnemar_odds_ratio(case: Case) -> object:
    b, c, level = case["b"], case["c"], case["level"]
    return {
        "odds_ratio": odds_ratio(b, c, level).value,
        "ci_exact": ends(odds_ratio(b, c, level, "clopper_pearson")),
        "ci_midp": ends(odds_ratio(b, c, level, "midp")),
        "ci_wilson": ends(odds_ratio(b, c, level, "wilson")),
        "ci_wald_log": ends(odds_ratio(b, c, level, "wald")),
    }


def paired_proportion_diff_ci(case: Case) -> object:
    a, b, c, d, level = (case[key] for key in ("a", "b", "c", "d", "level"))
    n = a + b + c + d
    return {
        "diff": tango(b, c, n, level).value,
        "tango": ends(tango(b, c, n, level)),
        "newcombe": ends(newcombe(a, b, c, d, level)),
        "bonett_price": ends(bonett_price(b, c, n, level)),
        "agresti_min": ends(agresti_min(b, c, n, level)),
        "wald": ends(wald(b, c, n, level)),
    }


def binomial_ci(case: Case) -> object:
    x, n, level = case["x"], case["n"], case["level"]
    return {
        "wilson": ends(wilson(x, n, level)),
        "clopper_pearson": ends(clopper_pearson(x, n, level)),
        "jeffreys_bcd": ends(jeffreys(x, n, level)),
    }


def wilcoxon_signed_rank(case: Case) -> object:
    d = paired_scores(case["treatment"], case["control"]).differences
    exact = wilcoxon(d, method="exact")
    shift = hodges_lehmann(d)
    assert shift.ci_low is not None
    lowest = int(np.sum((d[:, None] + d[None, :])[np.triu_indices(d.size)] / 2 <= shift.ci_low))
    return {
        "w_plus": exact.w_plus,
        "w_min": min(exact.w_plus, exact.w_minus),
        "p_exact_two_sided": exact.p_value,
        "p_exact_greater": wilcoxon(d, method="exact", alternative="greater").p_value,
        "p_exact_conditional": exact.p_value,
        "p_exact_conditional_pratt": wilcoxon(d, method="exact", zero_method="pratt").p_value,
        "p_normal_cc": wilcoxon(d, method="normal").p_value,
        "p_normal_no_cc": wilcoxon(d, method="normal", correction=False).p_value,
        "hodges_lehmann": shift.value,
        "hl_ci95_exact": ends(shift),
        "hl_ci_achieved_level": 1.0 - 2.0 * signed_rank_tail(d.size, lowest - 1),
        "rank_biserial": rank_biserial(d),
    }


def identity(case: Case) -> object:
    if "differences" not in case:
        log_ratio = log_odds_ratio(case["b"], case["c"])
        return {"log_or": log_ratio.value, "se_log_or": log_ratio.se}
    d = np.array(case["differences"])
    counts = discordant(d > 0, d < 0)
    exact = mcnemar_exact(counts.treatment_only, counts.control_only).p_value
    return {
        "mcnemar_exact": exact,
        "sign_test": exact,
        "signflip_exact": sign_flip(d, seed=SEED).p_value,
        "wilcoxon_exact": wilcoxon(d, method="exact").p_value,
        "b": counts.treatment_only,
        "c": counts.control_only,
    }


def paired_t_test(case: Case) -> object:
    d = case.get("differences")
    if d is None:
        d = [None if t is None or c is None else t - c for t, c in zip(case["treatment"], case["control"], strict=True)]
    got = paired_t(d)
    return {
        "mean": got.estimate.value,
        "se": got.estimate.se,
        "t": got.test.statistic,
        "p": got.test.p_value,
        "ci95": ends(got.estimate),
        "df": got.df,
        "n_pairs": got.estimate.n,
        "n_dropped": got.estimate.dropped,
    }


def signflip_permutation(case: Case) -> object:
    return {"p_exact_two_sided": sign_flip(case["differences"], seed=SEED).p_value}


def degenerate(case: Case) -> object:
    d = case["differences"]
    counts = discordant(np.array(d) > 0, np.array(d) < 0)
    return {
        "mean": paired_t(d).estimate.value,
        "p_t": paired_t(d).test.p_value,
        "p_wilcoxon": wilcoxon(d).p_value,
        "p_signflip": sign_flip(d, seed=SEED).p_value,
        "p_mcnemar": mcnemar_midp(counts.treatment_only, counts.control_only).p_value,
        "cohens_dz": cohen_dz(d).value,
        "rank_biserial": rank_biserial(d),
        "hodges_lehmann": hodges_lehmann(d).value,
    }


def cohens_d_paired(case: Case) -> object:
    t, c = case["treatment"], case["control"]
    d = paired_scores(t, c).differences
    return {
        "dz": cohen_dz(d).value,
        "dav": cohen_dav(t, c).value,
        "gz": hedges_gz(d).value,
        "J": hedges_correction(d.size - 1.0),
    }


def cliffs(case: Case) -> object:
    return {"delta": cliffs_delta(case["treatment"], case["control"]).value}


def p_adjust(case: Case) -> object:
    found: dict[str, Any] = {}
    for name, method in (("BH", "bh"), ("BY", "by"), ("holm", "holm"), ("hochberg", "hochberg")):
        adjusted = adjust(case["p"], method)
        found[name] = list(adjusted)
        found[f"rejected_05_{name}"] = sum(p is not None and p <= 0.05 for p in adjusted)
    return found


def tost_paired(case: Case) -> object:
    d = paired_scores(case["treatment"], case["control"]).differences
    got = equivalence_scores(d, case["low"], case["high"], case["alpha"])
    assert got.below_high is not None
    return {
        "t_low": got.above_low.statistic,
        "p_low": got.above_low.p_value,
        "t_high": got.below_high.statistic,
        "p_high": got.below_high.p_value,
        "p": got.p_value,
        "ci90": ends(got.estimate),
        "equivalent": got.is_met,
    }


def tost_paired_summary(case: Case) -> object:
    sd1, sd2, n = case["sd1"], case["sd2"], case["n"]
    sd = math.sqrt(sd1**2 + sd2**2 - 2 * case["r12"] * sd1 * sd2)
    low, high = case["low_dz"] * sd, case["high_dz"] * sd
    got = equivalence_from_summary(case["m1"] - case["m2"], sd / math.sqrt(n), n - 1.0, low, high, n=n)
    assert got.below_high is not None
    return {
        "sd_diff": sd,
        "t_low": got.above_low.statistic,
        "p_low": got.above_low.p_value,
        "t_high": got.below_high.statistic,
        "p_high": got.below_high.p_value,
        "p": got.p_value,
    }


def noninferiority_paired_binary(case: Case) -> object:
    n = case["a"] + case["b"] + case["c"] + case["d"]
    got = noninferiority_binary(case["b"], case["c"], n, case["margin"])
    return {"z": got.above_low.statistic, "p_one_sided": got.above_low.p_value}


def bootstrap_ideal_binary(case: Case) -> object:
    b, c, n, level = case["b"], case["c"], case["n"], case["level"]
    got = bootstrap_delta(b, c, n, seed=SEED, level=level)
    grid = grid_of([-1.0, 0.0, 1.0], [c, n - b - c, b])
    assert grid is not None
    assert got.value is not None
    law = resampling_law(grid)
    assert law is not None
    # BCa is not offered for a binary difference; its pieces are, so the golden can still be checked.
    gaps = got.value - np.repeat([-1.0, 0.0, 1.0], [c, n - b - c, b])
    acceleration = -float(np.sum(gaps**3)) / (6 * float(np.sum(gaps**2)) ** 1.5)
    tails = bca_tails(law.share_below(got.value, 1e-9), acceleration, level)
    return {
        "mean": got.value,
        "se_bootstrap": got.se,
        "percentile": ends(got),
        "bca": list(law.interval(tails[0], 1.0 - tails[1])),
    }


def bootstrap_ideal(case: Case) -> object:
    got = bootstrap_mean(case["differences"], seed=SEED, level=case["level"], method="percentile")
    return {"mean": got.value, "se_bootstrap": got.se, "percentile": ends(got)}


def bootstrap_se(case: Case) -> object:
    x = case["x"]
    return {
        "mean": bootstrap_mean(x, seed=SEED).value,
        "se_ideal": bootstrap_mean(x, seed=SEED).se,
        "se_formula": paired_t(x).estimate.se,
    }


def cochran(case: Case) -> object:
    got = cochran_q(case["x"])
    return {"Q": got.statistic, "df": len(case["x"][0]) - 1, "p": got.p_value}


ADAPTERS: dict[str, Callable[[Case], object]] = {
    "mcnemar": mcnemar,
    "mcnemar_odds_ratio": mcnemar_odds_ratio,
    "paired_proportion_diff_ci": paired_proportion_diff_ci,
    "binomial_ci": binomial_ci,
    "wilcoxon_signed_rank": wilcoxon_signed_rank,
    "identity": identity,
    "paired_t": paired_t_test,
    "signflip_permutation": signflip_permutation,
    "degenerate": degenerate,
    "cohens_d_paired": cohens_d_paired,
    "cliffs_delta": cliffs,
    "p_adjust": p_adjust,
    "tost_paired": tost_paired,
    "tost_paired_summary": tost_paired_summary,
    "noninferiority_paired_binary": noninferiority_paired_binary,
    "bootstrap_ideal_binary": bootstrap_ideal_binary,
    "bootstrap_ideal": bootstrap_ideal,
    "bootstrap_se": bootstrap_se,
    "cochran_q": cochran,
}
