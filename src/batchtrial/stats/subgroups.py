"""Does the effect hold everywhere? One line for each subgroup, corrected for their number, and a test that they
differ.

A subgroup that is significant beside one that is not proves nothing about the two; `heterogeneity` asks that
question itself. Subgroup tests are exploratory: their q-values are Benjamini-Hochberg's over the subgroups of this
table, m of them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from batchtrial.errors import DataError
from batchtrial.stats.binary import mcnemar_midp
from batchtrial.stats.clusters import clustered_mean, clusters_needed
from batchtrial.stats.differ import effects_differ
from batchtrial.stats.intervals import tango
from batchtrial.stats.multiplicity import benjamini_hochberg
from batchtrial.stats.pairing import as_scores, discordant
from batchtrial.stats.permutation import sign_flip
from batchtrial.stats.results import Estimate, Test, undefined_test
from batchtrial.stats.scores import paired_t
from batchtrial.stats.wording import few_clusters

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """One subgroup: arm means over complete pairs (None without any), paired difference, test and its q-value."""

    label: str
    n: int
    dropped: int
    treatment: float | None
    control: float | None
    difference: Estimate
    test: Test
    q_value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubgroupTable:
    """Subgroups in the order of their labels; m counts those with a test; heterogeneity is `effects_differ` over their effects."""

    rows: tuple[Subgroup, ...]
    m: int
    heterogeneity: Test


def subgroup_table(
    treatment: ArrayLike,
    control: ArrayLike,
    labels: ArrayLike,
    *,
    seed: int,
    clusters: ArrayLike | None = None,
    level: float = 0.95,
) -> SubgroupTable:
    """Paired comparison within each subgroup.

    treatment, control: shape (n,), one score for each item, NaN where missing; labels: shape (n,), the subgroup of
    each item. 0/1 scores: Tango's interval and the mid-p test; other scores: Student's interval and the sign-flip
    test; with clusters (one label for each item): CR2 for both, and no test of a subgroup whose clusters are too few
    for a sign flip to reach 1 - level. seed: each subgroup draws from its own stream, made of the seed and its label,
    so that another subgroup never changes its numbers. Raises DataError when shapes
    differ.
    """
    t, c = as_scores(treatment, "treatment"), as_scores(control, "control")
    groups = np.asarray(labels).ravel()
    units = None if clusters is None else np.asarray(clusters).ravel()
    if not t.shape == c.shape == groups.shape or (units is not None and units.shape != t.shape):
        raise DataError("scores, labels and clusters of the same items are needed", where=f"{t.size}, {c.size}, {groups.size}")
    names, codes = np.unique(groups.astype(str), return_inverse=True)
    seen = np.concatenate([t, c])
    is_binary = bool(np.isin(seen[~np.isnan(seen)], (0.0, 1.0)).all())
    found: list[tuple[str, Floats, Floats, Estimate, Test]] = []
    for code, name in enumerate(names.tolist()):
        members = codes == code
        inside = None if units is None else units[members]
        found.append((name, t[members], c[members], *_compare(t[members], c[members], inside, is_binary, _stream(seed, name), level)))
    q_values = benjamini_hochberg([test.p_value for *_, test in found])
    rows = tuple(_row(*one, q) for one, q in zip(found, q_values, strict=True))
    return SubgroupTable(
        rows=rows,
        m=sum(row.test.p_value is not None for row in rows),
        heterogeneity=effects_differ(t - c, codes, seed=_stream(seed, "differ"), clusters=units),
    )


def _compare(t: Floats, c: Floats, units: NDArray[np.generic] | None, is_binary: bool, seed: int, level: float) -> tuple[Estimate, Test]:
    d = t - c
    if units is not None:
        clustered = clustered_mean(d, units, level=level)
        if 0 < clustered.n_clusters < (needed := clusters_needed(1.0 - level)):
            reason = few_clusters(clustered.n_clusters, clustered.n_items, needed)
            return clustered.estimate, undefined_test(reason, method=clustered.test.method, n=clustered.n_clusters)
        return clustered.estimate, clustered.test
    if is_binary:
        pairs = discordant(t, c)
        estimate = tango(pairs.treatment_only, pairs.control_only, pairs.n, level)
        test = mcnemar_midp(pairs.treatment_only, pairs.control_only)
        return estimate, test if pairs.n else undefined_test("no complete pairs", method=test.method, n=0)
    return paired_t(d, level).estimate, sign_flip(d, seed=seed)


def _row(name: str, t: Floats, c: Floats, estimate: Estimate, test: Test, q: float | None) -> Subgroup:
    kept = ~(np.isnan(t) | np.isnan(c))
    n = int(kept.sum())
    return Subgroup(
        label=name,
        n=n,
        dropped=t.size - n,
        treatment=float(t[kept].mean()) if n else None,
        control=float(c[kept].mean()) if n else None,
        difference=estimate,
        test=test,
        q_value=q,
    )


def _stream(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{name}".encode()).digest()[:8], "big")
