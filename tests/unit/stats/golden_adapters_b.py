"""How each golden of this half is asked of the package: golden input in, names and numbers of its `expected` out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from batchtrial.stats.clusters import clustered_mean
from batchtrial.stats.evalues import paired_evalue

Case = dict[str, Any]


def clustered_se(case: Case) -> object:
    got = clustered_mean(case["x"], case["cluster"])
    estimate = got.estimate
    assert estimate.value is not None
    assert got.se_cr1 is not None
    from batchtrial.stats.distributions import t_two_sided

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
        "ci95_cr2_satt": [estimate.ci_low, estimate.ci_high],
        "p_cr2": got.test.p_value,
    }


def evalue_paired_binary(case: Case) -> object:
    got = paired_evalue(case["b"], case["c"], concentration=1.0)  # the goldens use a uniform prior
    return {"e_value": got.e_value, "log_e": got.log_e, "anytime_p": got.anytime_p}


ADAPTERS: dict[str, Callable[[Case], object]] = {
    "clustered_se": clustered_se,
    "evalue_paired_binary": evalue_paired_binary,
}
