"""Scores of whole sets of answers: against the library that defines them, and an interval that covers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.scoring.metrics.answers import Question

from batchtrial.scoring.metrics.base import Rows
from batchtrial.scoring.metrics.named import metric_of
from batchtrial.stats.corpus import FORMULAS, bleu, chrf, corpus_difference
from batchtrial.stats.scores import paired_t

SENTENCES = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "."]), max_size=9).map(" ".join),
        st.lists(st.sampled_from(["the", "cat", "sat", "on", "a", "mat", "."]), min_size=1, max_size=9).map(" ".join),
    ),
    min_size=1,
    max_size=5,
)


def counts(entry: object, pairs: list[tuple[str, str]]) -> np.ndarray:
    metric = metric_of(entry)
    rows = Rows(texts=[text for text, _ in pairs], items=[Question(answers=(right,)) for _, right in pairs])
    found = metric.of(rows)
    return np.stack([found[column] for column in metric.columns], axis=1)


@given(SENTENCES)
@settings(max_examples=60)
def test_the_score_of_the_counts_is_the_librarys_score_of_the_corpus(pairs: list[tuple[str, str]]) -> None:
    metrics = pytest.importorskip("sacrebleu.metrics")
    texts, right = [text for text, _ in pairs], [[one for _, one in pairs]]
    for entry, library in (
        ("bleu", metrics.BLEU()),
        ({"bleu": {"lowercase": True, "tokenize": "char"}}, metrics.BLEU(lowercase=True, tokenize="char")),
        ("chrf", metrics.CHRF()),
        ({"chrf": {"word_order": 2}}, metrics.CHRF(word_order=2)),
    ):
        formula = FORMULAS[metric_of(entry).formula]  # type: ignore[attr-defined]
        got = formula(counts(entry, pairs).sum(axis=0, keepdims=True))[0]
        assert got == pytest.approx(library.corpus_score(texts, right).score, abs=1e-6)


def test_several_references_and_their_signature() -> None:
    metrics = pytest.importorskip("sacrebleu.metrics")
    metric = metric_of("bleu")
    rows = Rows(texts=["the cat sat on a mat"], items=[Question(answers=("a cat sat on the mat", "the cat was on a mat"))])
    found = metric.of(rows)
    got = bleu(np.array([[found[column][0] for column in metric.columns]]))[0]
    assert got == pytest.approx(metrics.BLEU().corpus_score(["the cat sat on a mat"], [["a cat sat on the mat"], ["the cat was on a mat"]]).score)
    assert "tok:13a" in metric.record()["signature"]
    assert "version:" in metric.record()["signature"]


def test_an_answer_that_is_lost_or_has_no_reference_has_no_counts() -> None:
    pytest.importorskip("sacrebleu")
    metric = metric_of("chrf")
    found = metric.of(Rows(texts=[None, "a", ""], items=[Question(answers=("a",)), Question(), Question(answers=("a",))]))
    assert np.isnan(found["chrf#0"][:2]).all()
    assert found["chrf#0"][2] == 0


def test_extremes_of_the_formulas() -> None:
    assert bleu(np.zeros((1, 10)))[0] == 0.0
    assert bleu(np.array([[9, 9, 9, 8, 7, 6, 9, 8, 7, 6]], dtype=float))[0] == 100.0
    assert chrf(np.zeros((1, 18)))[0] == 0.0
    assert chrf(np.full((1, 18), 3.0))[0] == 100.0


def synthetic(seed: int, n: int, effect: float, per_cluster: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """chrF-like counts of one order, with an effect on the share of matches, and a spread that items of a cluster share."""
    rng = np.random.default_rng(seed)
    clusters = np.arange(n) // per_cluster
    level = (0.5 + rng.normal(0, 0.1, clusters.max() + 1))[clusters]
    length = rng.integers(20, 60, n)
    shift = rng.normal(effect, 0.1, clusters.max() + 1)[clusters]
    arms = []
    for share in (level + shift, level):
        matches = rng.binomial(length, np.clip(share, 0.01, 0.99))
        arms.append(np.repeat(np.stack([length, length, matches], axis=1), 6, axis=0).reshape(n, 6, 3).reshape(n, 18).astype(float))
    return arms[0], arms[1], clusters


def test_the_interval_covers_with_and_without_clusters() -> None:
    """True difference 10 points; 30 corpora each, of which at most four may miss (the chance of more is 1 %)."""
    for per_cluster in (1, 4):
        inside = 0
        for seed in range(30):
            treatment, control, clusters = synthetic(seed, 40 * per_cluster, 0.10, per_cluster)
            found = corpus_difference(treatment, control, chrf, seed=seed, clusters=clusters if per_cluster > 1 else None)
            assert found.ci_low is not None
            assert found.ci_high is not None
            inside += found.ci_low <= 10.0 <= found.ci_high
        assert inside >= 26, per_cluster


def test_the_same_seed_gives_the_same_numbers_and_equal_arms_no_difference() -> None:
    treatment, control, _ = synthetic(1, 200, 0.1)
    assert corpus_difference(treatment, control, chrf, seed=5) == corpus_difference(treatment, control, chrf, seed=5)
    same = corpus_difference(control, control, chrf, seed=5)
    assert (same.difference, same.ci_low, same.ci_high, same.p_value, same.reason) == (0.0, None, None, 1.0, "no item changed")
    found = corpus_difference(treatment, control, chrf, seed=5)
    assert found.p_value is not None
    assert found.p_value < 0.01


def test_few_items_have_an_interval_as_wide_as_students() -> None:
    """Plain percentiles of six answers lay .29 too near, and found a difference in one of six trials without any."""
    rng = np.random.default_rng(3)
    n = 8
    arms = [np.repeat(np.stack([np.full(n, 400), np.full(n, 400), rng.integers(180, 220, n)], axis=1), 6, axis=0).reshape(n, 18) for _ in range(2)]
    found = corpus_difference(arms[0].astype(float), arms[1].astype(float), chrf, seed=1)
    plain = paired_t((arms[0][:, 2] - arms[1][:, 2]) / 4.0).estimate
    assert found.difference == pytest.approx(plain.value)
    assert found.ci_low is not None
    assert found.ci_high is not None
    assert plain.ci_low is not None
    assert plain.ci_high is not None
    assert (found.ci_high - found.ci_low) / (plain.ci_high - plain.ci_low) == pytest.approx(1.0, abs=0.1)


def test_many_items_are_put_together_at_random_and_the_interval_stays() -> None:
    treatment, control, _ = synthetic(2, 4_500, 0.1)
    found = corpus_difference(treatment, control, chrf, seed=5)
    first = corpus_difference(treatment[:2000], control[:2000], chrf, seed=5)
    assert found.ci_low is not None
    assert first.ci_low is not None
    assert found.ci_high is not None
    assert first.ci_high is not None
    assert (found.ci_high - found.ci_low) / (first.ci_high - first.ci_low) == pytest.approx((4 / 9) ** 0.5, rel=0.1)


def test_pairs_that_lack_an_arm_are_left_out_and_few_clusters_have_no_interval() -> None:
    treatment, control, _ = synthetic(3, 20, 0.1)
    treatment[0] = np.nan
    assert corpus_difference(treatment, control, chrf, seed=1).n_items == 19
    few = corpus_difference(treatment, control, chrf, seed=1, clusters=np.arange(20) // 10)
    assert (few.ci_low, few.p_value, few.reason) == (None, None, "only 2 clusters")
    none = corpus_difference(np.full((3, 18), np.nan), control[:3], chrf, seed=1)
    assert (none.n_items, none.difference, none.reason) == (0, None, "no complete pairs")
