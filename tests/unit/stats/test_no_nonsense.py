"""Whatever comes in: no NaN, no traceback, no p of zero, no interval that misses its estimate, and the same bytes twice.

Refusing bad input with DataError is fine; the records refuse the rest themselves (test_results), so a record that exists is sane.
"""

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchtrial.errors import DataError
from batchtrial.stats.binary import mcnemar_chi2, mcnemar_exact, mcnemar_midp, probability_better
from batchtrial.stats.bootstrap import bootstrap_delta, bootstrap_mean
from batchtrial.stats.effects import cliffs_delta, cohen_dav, cohen_dz, hedges_gz
from batchtrial.stats.intervals import bonett_price, clopper_pearson, effective_tango, jeffreys, newcombe, tango, wilson
from batchtrial.stats.maxt import max_t
from batchtrial.stats.noninferiority import equivalence_binary, equivalence_scores, noninferiority_binary, noninferiority_scores
from batchtrial.stats.odds import log_odds_ratio, odds_ratio
from batchtrial.stats.pairing import discordant, missing_pairs
from batchtrial.stats.permutation import sign_flip
from batchtrial.stats.ranks import hodges_lehmann, rank_biserial, wilcoxon
from batchtrial.stats.results import Estimate, Test
from batchtrial.stats.scores import logit_t, paired_t

COUNT = st.one_of(st.integers(0, 12), st.integers(0, 100_000))
SCORE = st.one_of(
    st.none(),
    st.sampled_from([0.0, 1.0, -1.0, 0.1, 0.2, 0.3, -0.1, 1 / 3, 1e-12, 1e-300, 5e-324, 1 + 1e-15]),
    st.floats(-1.0, 1.0),
    st.floats(-1e90, 1e90),
)
SCORES = st.lists(SCORE, max_size=30)
LEVEL = st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.999, 1 - 1e-9])


def check(record: Any, where: str) -> None:
    """Walk a record: every number finite (odds ratios may be infinite), every p in (0, 1], every estimate inside."""
    if isinstance(record, float):
        assert not math.isnan(record), where
        assert math.isfinite(record) or "odds" in where, where
    elif isinstance(record, (tuple, list)):
        for i, part in enumerate(record):
            check(part, f"{where}[{i}]")
    elif dataclasses.is_dataclass(record):
        if isinstance(record, Estimate) and record.is_defined:
            assert record.ci_low <= record.value <= record.ci_high, where  # type: ignore[operator]
        if isinstance(record, Test) and record.p_value is not None:
            assert 0.0 < record.p_value <= 1.0, where
        for field in dataclasses.fields(record):
            check(getattr(record, field.name), f"{where}.{field.name}")


def ask(name: str, call: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            record = call()
        except DataError:
            return
        check(record, name)
        assert call() == record, f"{name}: a second call differs"


@settings(deadline=None, derandomize=True, max_examples=120)
@given(COUNT, COUNT, COUNT, COUNT, LEVEL)
def test_counts(a: int, b: int, c: int, d: int, level: float) -> None:
    n = a + b + c + d
    for test in (mcnemar_exact, mcnemar_midp, mcnemar_chi2):
        ask(test.__name__, lambda test=test: test(b, c))  # type: ignore[misc]
    ask("better", lambda: probability_better(b, c))
    for interval in (tango, bonett_price):
        ask(interval.__name__, lambda interval=interval: interval(b, c, n, level))  # type: ignore[misc]
    ask("newcombe", lambda: newcombe(a, b, c, d, level))
    for one_arm in (wilson, clopper_pearson, jeffreys):
        ask(one_arm.__name__, lambda one_arm=one_arm: one_arm(b, b + c, level))  # type: ignore[misc]
    for method in ("midp", "clopper_pearson", "wilson", "wald"):
        ask(f"odds_{method}", lambda method=method: odds_ratio(b, c, level, method))  # type: ignore[misc]
    ask("log_odds", lambda: log_odds_ratio(b, c, level))
    ask("bootstrap_delta", lambda: bootstrap_delta(b, c, n, seed=1, level=level))


@settings(deadline=None, derandomize=True, max_examples=40)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 200), st.floats(1e-6, 0.999))
def test_margins_of_counts(b: int, c: int, rest: int, margin: float) -> None:
    ask("noninferiority", lambda: noninferiority_binary(b, c, b + c + rest, margin))
    ask("equivalence", lambda: equivalence_binary(b, c, b + c + rest, margin))


@settings(deadline=None, derandomize=True, max_examples=60)
@given(SCORES, LEVEL)
def test_differences(d: list[float | None], level: float) -> None:
    ask("paired_t", lambda: paired_t(d, level))
    ask("logit_t", lambda: logit_t(d, level))
    ask("sign_flip", lambda: sign_flip(d, seed=1, flips=99))
    ask("sign_flip clustered", lambda: sign_flip(d, seed=1, flips=99, clusters=[i // 3 for i in range(len(d))]))
    for zero_method in ("wilcox", "pratt"):
        ask("wilcoxon", lambda zero_method=zero_method: wilcoxon(d, zero_method=zero_method))  # type: ignore[misc]
    ask("rank_biserial", lambda: rank_biserial(d))
    ask("hodges_lehmann", lambda: hodges_lehmann(d, level))
    for effect in (cohen_dz, hedges_gz):
        ask(effect.__name__, lambda effect=effect: effect(d, level))  # type: ignore[misc]
    for method in ("t", "percentile"):
        ask("bootstrap", lambda method=method: bootstrap_mean(d, seed=1, level=level, method=method, replicates=99))  # type: ignore[misc]
    ask("noninferiority", lambda: noninferiority_scores(d, 0.1))
    ask("equivalence", lambda: equivalence_scores(d, -0.1, 0.2))


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.lists(st.tuples(SCORE, SCORE), max_size=25), LEVEL)
def test_pairs(pairs: list[tuple[float | None, float | None]], level: float) -> None:
    t, c = [p[0] for p in pairs], [p[1] for p in pairs]
    ask("discordant", lambda: discordant(t, c))
    ask("missing_pairs", lambda: missing_pairs(t, c))
    ask("cohen_dav", lambda: cohen_dav(t, c, level))
    ask("cliffs_delta", lambda: cliffs_delta(t, c, level))
    shares_t, shares_c = ([None if x is None else min(abs(x), 1.0) for x in arm] for arm in (t, c))
    ask("effective_tango", lambda: effective_tango(shares_t, shares_c, samples_treatment=5, samples_control=3, level=level))
    ask("clustered", lambda: effective_tango(shares_t, shares_c, level=level, cluster_variance=1e-3, cluster_df=1.5))
    d = np.array([[np.nan if a is None else a, np.nan if b is None else b] for a, b in pairs]).reshape(-1, 2)
    ask("max_t", lambda: max_t(d, seed=1, level=level, flips=49))


@pytest.mark.parametrize("n", [1, 2, 3, 21, 51, 300])
def test_every_size_of_equal_and_opposite_differences(n: int) -> None:
    for d in (np.zeros(n), np.ones(n), -np.ones(n), np.resize([1.0, -1.0], n), np.resize([0.5, 0.0, 0.0], n)):
        for call in (paired_t, logit_t, wilcoxon, hodges_lehmann, cohen_dz):
            ask(call.__name__, lambda call=call, d=d: call(d))  # type: ignore[misc]
        ask("sign_flip", lambda d=d: sign_flip(d, seed=1))  # type: ignore[misc]
        ask("bootstrap", lambda d=d: bootstrap_mean(d, seed=1))  # type: ignore[misc]
