"""Writes scipy.json: numbers that SciPy and statsmodels give for the data in it.

Run `python tests/reference/statistics/make_scipy.py` after changing it; the file names the versions. The tests then need neither.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.contingency_tables import cochrans_q, mcnemar  # type: ignore[import-untyped]
from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]
from statsmodels.stats.proportion import proportion_confint  # type: ignore[import-untyped]

HERE = Path(__file__).parent


def cases() -> dict[str, Any]:
    rng = np.random.default_rng(20_240_601)
    treatment, control = np.round(rng.beta(3, 2, 26), 7), np.round(rng.beta(2, 2, 26), 7)
    p_values = np.round(rng.beta(0.5, 3, 24), 4)
    answers = (rng.random((70, 4)) < [0.55, 0.6, 0.7, 0.62]).astype(int)
    d = treatment - control
    t_test = stats.ttest_rel(treatment, control)
    interval = t_test.confidence_interval(0.95)
    q = cochrans_q(answers)
    flips = stats.permutation_test((d[:16],), np.mean, permutation_type="samples", n_resamples=np.inf)
    return {
        "paired_t": {
            "treatment": treatment.tolist(),
            "control": control.tolist(),
            "t": t_test.statistic,
            "p": t_test.pvalue,
            "ci95": [interval.low, interval.high],
        },
        "wilcoxon": {
            "exact": stats.wilcoxon(d, method="exact").pvalue,
            "exact_greater": stats.wilcoxon(d, method="exact", alternative="greater").pvalue,
            "normal_cc": stats.wilcoxon(d, method="asymptotic", correction=True).pvalue,
            "normal": stats.wilcoxon(d, method="asymptotic", correction=False).pvalue,
        },
        "sign_flip_16": {"p": flips.pvalue},
        "cliffs_delta": {"delta": 2 * stats.mannwhitneyu(treatment, control).statistic / 26**2 - 1},
        "mcnemar": [
            {
                "b": b,
                "c": c,
                "exact": mcnemar([[9, b], [c, 9]], exact=True).pvalue,
                "chi2": mcnemar([[9, b], [c, 9]], exact=False, correction=False).pvalue,
            }
            for b, c in ((0, 5), (3, 11), (40, 25), (300, 410), (2000, 2200))
        ],
        "proportion": [
            {
                "x": x,
                "n": n,
                **{name: list(proportion_confint(x, n, method=name)) for name in ("wilson", "beta", "jeffreys")},
            }
            for x, n in ((1, 9), (14, 40), (39, 40), (777, 1200))
        ],
        "p_adjust": {
            "p": p_values.tolist(),
            **{
                ours: multipletests(p_values, method=theirs)[1].tolist()
                for ours, theirs in (("holm", "holm"), ("hochberg", "simes-hochberg"), ("bh", "fdr_bh"), ("by", "fdr_by"))
            },
        },
        "cochran_q": {"answers": answers.tolist(), "q": q.statistic, "p": q.pvalue},
        "quantiles": [
            {"df": df, "p": p, "t": stats.t.ppf(p, df), "chi2": stats.chi2.ppf(p, df)}
            for df in (1, 2.5, 9, 40, 1e3)
            for p in (1e-6, 0.025, 0.5, 0.8, 0.9999)
        ],
        "power": [
            {"n": n, "dz": dz, "power": stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, dz * n**0.5)} for n, dz in ((10, 0.5), (34, 0.5), (200, 0.2))
        ],
    }


def main() -> None:
    versions = {name: version(name) for name in ("scipy", "statsmodels", "numpy")}
    text = json.dumps({"made_by": versions, **cases()}, indent=1, sort_keys=True)
    (HERE / "scipy.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
