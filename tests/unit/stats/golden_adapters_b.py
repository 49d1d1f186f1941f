"""How each golden of this half is asked of the package: golden input in, names and numbers of its `expected` out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.distributions import t_two_sided
from batchtrial.stats.evalues import paired_evalue
from batchtrial.stats.glmm import fit_random_intercept
from batchtrial.stats.judge import corrected_rate, ppi_mean
from batchtrial.stats.meta import Tau2Method, meta_analysis
from batchtrial.stats.passk import pass_at_k
from batchtrial.stats.power import mcnemar_items, mcnemar_power, normal_items, paired_t_items
from batchtrial.stats.results import Estimate
from batchtrial.stats.selective import risk_coverage, selective_risk
from batchtrial.stats.sequential import group_sequential_bounds

Case = dict[str, Any]


def interval(estimate: Estimate) -> list[float | None]:
    return [estimate.ci_low, estimate.ci_high]


def clustered_se(case: Case) -> object:
    got = clustered_mean(case["x"], case["cluster"])
    estimate = got.estimate
    assert estimate.value is not None
    assert got.se_cr1 is not None
    half_cr1 = t_two_sided(0.95, got.n_clusters - 1) * got.se_cr1
    return {
        "mean": estimate.value,
        "n": got.n_items,
        "G": got.n_clusters,
        "se_cr0_miller": got.se_cr0,
        "se_cr1": got.se_cr1,
        "se_cr2": got.se_cr2,
        "df_satterthwaite": got.df,
        "ci95_cr1_t": [estimate.value - half_cr1, estimate.value + half_cr1],
        "ci95_cr2_satt": interval(estimate),
        "p_cr2": got.test.p_value,
    }


def evalue_paired_binary(case: Case) -> object:
    got = paired_evalue(case["b"], case["c"], concentration=1.0)  # the goldens use a uniform prior
    return {"e_value": got.e_value, "log_e": got.log_e, "anytime_p": got.anytime_p}


def meta(case: Case) -> object:
    def answers(method: Tau2Method) -> dict[str, object]:
        got = meta_analysis(case["y"], case["v"], tau2_method=method)
        return {
            "tau2": got.tau2,
            "mu": got.random_z.value,
            "se": got.random_z.se,
            "ci": interval(got.random_z),
            "I2_tau2_based": got.i2_tau2,
            "pi95_z": interval(got.prediction_z),
            "se_hk": got.random_hk.se,
            "ci_hk": interval(got.random_hk),
        }

    plain = meta_analysis(case["y"], case["v"], tau2_method="dl")
    return {
        "fixed": {
            "mu": plain.fixed.value,
            "se": plain.fixed.se,
            "ci": interval(plain.fixed),
            "Q": plain.heterogeneity.statistic if plain.n_datasets > 1 else 0.0,
            "p_Q": plain.heterogeneity.p_value,
        },
        "DL": answers("dl"),
        "PM": answers("pm"),
        "REML": answers("reml"),
        "I2_Q": plain.i2_q,
    }


def group_sequential(case: Case) -> object:
    got = group_sequential_bounds(case["looks"], alpha=case["alpha_two_sided"], shape=case["shape"])
    return {"constant": got.constant, "z_bounds": list(got.z_bounds)}


def power_paired_t(case: Case) -> object:
    got = paired_t_items(case["effect_dz"], alpha=case["alpha"], power=case["power"], sided=case["sided"])
    return {"n": got.n, "n_ceil": got.n_items}


def power_miller(case: Case) -> object:
    variance = case["omega2"] + case["sigma2_a"] / case["K_a"] + case["sigma2_b"] / case["K_b"]
    got = normal_items(case["delta"], variance, alpha=case["alpha"], power=case["power"])
    return {"n": got.n, "n_ceil": got.n_items}


def power_mcnemar_asymptotic(case: Case) -> object:
    got = mcnemar_items(case["p10"], case["p01"], alpha=case["alpha"], power=case["power"], sided=case["sided"])
    return {"n": got.n, "n_ceil": got.n_items}


def power_mcnemar_exact(case: Case) -> object:
    def power(test: Literal["midp", "exact"]) -> float:
        return mcnemar_power(case["n"], case["p10"], case["p01"], alpha=case["alpha"], sided=case["sided"], test=test)

    return {"power_exact_test": power("exact"), "power_midp_test": power("midp")}


def mixed_logit(case: Case) -> object:
    rows = np.asarray(case["herd_incidence_size_period"])
    periods = sorted(set(rows[:, 3].tolist()))[1:]
    design = np.column_stack([np.ones(len(rows)), *(rows[:, 3] == period for period in periods)])
    names = ["b0", *(f"b_period{period}" for period in periods)]
    got = fit_random_intercept(rows[:, 1], rows[:, 2], design, rows[:, 0], names=names, n_nodes=25)
    return {**{c.name: c.log_odds.value for c in got.coefficients}, "sd_herd": got.sd}


def passk(case: Case) -> object:
    return {"value": pass_at_k(case["n"], case["c"], case["k"])}


def aurc(case: Case) -> object:
    got = risk_coverage(case["confidence"], case["loss"])
    return {
        "risk_at_k": got.risk_at_k.tolist(),
        "aurc": got.aurc,
        "e_aurc": got.e_aurc,
        "optimal_aurc": got.optimal_aurc,
        "augrc": got.augrc,
    }


def selective_accuracy(case: Case) -> object:
    wrong = [a - r for a, r in zip(case["answered"], case["correct"], strict=True)]
    got = selective_risk(case["answered"], wrong)
    return {
        "coverage": got.coverage.value,
        "ppi_mean": ppi,
        "selective_accuracy": got.accuracy.value,
        "selective_risk": got.risk.value,
    }


def judge_correction(case: Case) -> object:
    rate = corrected_rate(case["judged_positive_rate"], sensitivity=case["sensitivity"], specificity=case["specificity"])
    return {"theta": rate}


def ppi(case: Case) -> object:
    truth = [*case["y_labeled"], *[math.nan] * len(case["f_unlabeled"])]
    judged = [*case["f_labeled"], *case["f_unlabeled"]]
    level = 1.0 - case.get("alpha", 0.05)
    got = ppi_mean(truth, judged, weight=1.0, level=level, is_small_sample=False)  # as the reference computes it
    classical = ppi_mean(truth, judged, weight=0.0, level=level, is_small_sample=False)
    return {"classical_mean": classical.value, "ppi_lam1_est": got.value, "ppi_lam1_ci95": interval(got)}


ADAPTERS: dict[str, Callable[[Case], object]] = {
    "aurc": aurc,
    "clustered_se": clustered_se,
    "evalue_paired_binary": evalue_paired_binary,
    "group_sequential_boundary": group_sequential,
    "judge_correction_rogan_gladen": judge_correction,
    "meta_analysis": meta,
    "mixed_logit": mixed_logit,
    "pass_at_k": passk,
    "power_mcnemar_asymptotic": power_mcnemar_asymptotic,
    "power_mcnemar_exact": power_mcnemar_exact,
    "power_miller": power_miller,
    "power_paired_t": power_paired_t,
    "ppi_mean": ppi,
    "selective_accuracy": selective_accuracy,
}
