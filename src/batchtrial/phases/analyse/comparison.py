"""One comparison of two arms on one metric: which interval and test fit the data, and what stands beside them. Pure: arrays in, records out.

Right-or-wrong metrics with one sample per item and items that stand alone: Tango's interval and the mid-p McNemar test. Several samples or
clustered items: Tango on effective counts, and the sign-flip test that flips clusters together. Scores: Student's interval (CR2 with clusters)
and the sign-flip test. Items of one single cluster have no interval and no test: nothing is known beyond it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from batchtrial.amounts import counted
from batchtrial.phases.analyse.numbers import ONE_ARM
from batchtrial.phases.analyse.paired import Floats, Paired
from batchtrial.stats import (
    clustered_mean,
    discordant,
    effective_tango,
    equivalence_binary,
    equivalence_from_summary,
    mcnemar_exact,
    mcnemar_midp,
    missing_pairs,
    noninferiority_binary,
    noninferiority_from_summary,
    odds_ratio,
    paired_t,
    sign_flip,
    tango,
    wilson,
)
from batchtrial.stats.clusters import ClusteredMean, clusters_needed
from batchtrial.stats.distributions import t_two_sided
from batchtrial.stats.intervals import effect_of_clusters
from batchtrial.stats.labels import codes_of
from batchtrial.stats.noninferiority import MarginTest
from batchtrial.stats.pairing import MissingPairs
from batchtrial.stats.plan import Endpoint
from batchtrial.stats.results import Estimate, Test, undefined_estimate, undefined_test
from batchtrial.stats.wording import few_clusters

FEW_ITEMS: Final = 30
FEW_CLUSTERS: Final = 10
FEW_CHANGED: Final = 10
MOVED: Final = 0.1
"""Part of its range by which a score has to differ to count among the items that moved."""
NO_PAIRS: Final = "no complete pairs"
ONE_CLUSTER: Final = "all items stand on one document: nothing is known beyond it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything about one metric in one group of items.

    counts: (both right, treatment only, control only, both wrong) for single answers. exact, odds: None with clusters, which they would ignore.
    not_decidable: why the clusters are too few for a verdict.
    """

    estimate: Estimate
    test: Test
    missing: MissingPairs
    arms: dict[str, Estimate]
    counts: tuple[int, int, int, int] | None
    exact: Test | None
    odds: Estimate | None
    margin: MarginTest | None
    n_clusters: int | None
    design_effect: float | None
    warnings: tuple[str, ...]
    not_decidable: str | None = None


def seed_of(seed: int, name: str) -> int:
    """A stream of its own for each comparison, so that adding one never changes another's number."""
    return zlib.crc32(f"{seed}|{name}".encode())


def compare(paired: Paired, *, level: float, seed: int, flips: int, endpoint: Endpoint | None = None, is_verdict_only: bool = False) -> Comparison:
    """The comparison. endpoint: decides whether and in which direction a margin is tested.

    is_verdict_only: without the exact p and the odds ratio, which stand beside the verdict and take longer than it.
    """
    missing = missing_pairs(*paired.seen)
    both = paired.kept()
    if both.clusters is not None:
        both = replace(both, clusters=codes_of(both.clusters))  # counted through once, not by each of the statistics
    clustered = None if both.clusters is None else clustered_mean(both.treatment - both.control, both.clusters, level=level)
    warnings = [*missing.warnings]
    if 0 < both.treatment.size < FEW_ITEMS:
        warnings.append(f"only {counted(both.treatment.size, 'pair')}")
    changed = int(np.count_nonzero(both.treatment != both.control))
    if both.treatment.size >= FEW_ITEMS and changed < FEW_CHANGED:
        warnings.append(f"only {counted(changed, 'item')} changed" if changed else "no item changed")
    if clustered is not None and clustered.n_clusters < FEW_CLUSTERS:
        warnings.append(f"only {counted(clustered.n_clusters, 'cluster')}")
    if clustered is not None and clustered.n_clusters == 1:
        return _one_cluster(both, clustered, missing, level=level, warnings=tuple(warnings))
    asked = _Asked(both, clustered, missing, level=level, seed=seed, flips=flips, endpoint=endpoint, warnings=tuple(warnings))
    if both.is_share:
        found = _shares(asked)
        return found if is_verdict_only or clustered is not None else _with_exact_and_odds(found, level)
    return _scores(asked)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is compared, and how: the same for yes-or-no answers and for other scores."""

    both: Paired
    clustered: ClusteredMean | None
    missing: MissingPairs
    level: float
    seed: int
    flips: int
    endpoint: Endpoint | None
    warnings: tuple[str, ...]

    def sign_flip(self) -> Test:
        both = self.both
        return sign_flip(both.treatment - both.control, seed=self.seed, clusters=both.clusters, flips=self.flips)

    def found(
        self,
        arm: Callable[[Floats, NDArray[np.int64] | None, float], Estimate],
        *,
        estimate: Estimate,
        test: Test,
        margin: MarginTest | None,
        counts: tuple[int, int, int, int] | None = None,
        design_effect: float | None = None,
    ) -> Comparison:
        """The comparison. arm: what is said of one arm by itself."""
        both, clustered = self.both, self.clustered
        return Comparison(
            estimate=estimate,
            test=test,
            missing=self.missing,
            arms={"control": arm(both.control, both.clusters, self.level), "treatment": arm(both.treatment, both.clusters, self.level)},
            counts=counts,
            exact=None,
            odds=None,
            margin=margin,
            n_clusters=None if clustered is None else clustered.n_clusters,
            design_effect=design_effect,
            warnings=self.warnings,
            not_decidable=_too_few(clustered, self.level),
        )


def _too_few(clustered: ClusteredMean | None, level: float) -> str | None:
    """Why so few clusters decide nothing at this level; None when they can, and when items stand alone."""
    needed = clusters_needed(1.0 - level)
    if clustered is None or not 1 <= clustered.n_clusters < needed:
        return None
    return few_clusters(clustered.n_clusters, clustered.n_items, needed)


def _one_cluster(both: Paired, clustered: ClusteredMean, missing: MissingPairs, *, level: float, warnings: tuple[str, ...]) -> Comparison:
    """What is seen on one document, without an interval or a test."""

    def bare(values: Floats) -> Estimate:
        return undefined_estimate(ONE_CLUSTER, level=level, method="mean", n=1, value=float(values.mean()))

    is_single = both.is_share and max(both.samples_treatment, both.samples_control) == 1
    counts = discordant(both.treatment, both.control) if is_single else None
    return Comparison(
        estimate=undefined_estimate(ONE_CLUSTER, level=level, method="mean", n=1, value=clustered.estimate.value),
        test=undefined_test(ONE_CLUSTER, method="sign_flip", n=1),
        missing=missing,
        arms={"control": bare(both.control), "treatment": bare(both.treatment)},
        counts=None if counts is None else (counts.both_right, counts.treatment_only, counts.control_only, counts.both_wrong),
        exact=None,
        odds=None,
        margin=None,
        n_clusters=1,
        design_effect=None,
        warnings=warnings,
        not_decidable=_too_few(clustered, level),
    )


def _shares(asked: _Asked) -> Comparison:
    both, clustered, level = asked.both, asked.clustered, asked.level
    t, c = both.treatment, both.control
    is_single = max(both.samples_treatment, both.samples_control) == 1
    counts = discordant(t, c) if is_single else None
    b, less = float(np.sum(t * (1 - c))), float(np.sum(c * (1 - t)))
    deff = 1.0
    if clustered is None and counts is not None:
        estimate = tango(counts.treatment_only, counts.control_only, counts.n, level)
        test = mcnemar_midp(counts.treatment_only, counts.control_only) if counts.n else undefined_test(NO_PAIRS, method="mcnemar_midp", n=0)
    else:
        variance = None if clustered is None or clustered.se_cr2 is None else clustered.se_cr2**2
        effective = effective_tango(
            t,
            c,
            samples_treatment=both.samples_treatment,
            samples_control=both.samples_control,
            level=level,
            cluster_variance=variance,
            cluster_df=None if clustered is None or variance is None else clustered.df,
            cluster_size=1.0 if clustered is None else clustered.typical_size,
        )
        estimate, deff = effective, effective.design_effect
        test = asked.sign_flip()
    return asked.found(
        _arm,
        estimate=estimate,
        test=test,
        counts=None if counts is None else (counts.both_right, counts.treatment_only, counts.control_only, counts.both_wrong),
        margin=_share_margin(b / deff, less / deff, t.size / deff, asked.endpoint, (1 - level) / 2),
        design_effect=None if deff == 1.0 else deff,
    )


def of_one_arm(one: Comparison, level: float) -> Comparison:
    """What is left of a comparison of an arm with itself: its numbers, without an interval, a test or a verdict."""

    def bare(found: Estimate) -> Estimate:
        return undefined_estimate(ONE_ARM, level=level, method=found.method, n=found.n, value=found.value)

    return replace(
        one,
        estimate=bare(one.estimate),
        test=undefined_test(ONE_ARM, method=one.test.method, n=one.test.n),
        exact=None,
        odds=None,
        margin=None,
        design_effect=None,
        warnings=(ONE_ARM,),
        not_decidable=f"not decidable: {ONE_ARM}",
    )


def _with_exact_and_odds(found: Comparison, level: float) -> Comparison:
    """With exact McNemar and the odds ratio, where there are counts of single answers."""
    if found.counts is None:
        return found
    _, b, c, _ = found.counts
    return replace(found, exact=mcnemar_exact(b, c) if sum(found.counts) else None, odds=odds_ratio(b, c, level))


def _scores(asked: _Asked) -> Comparison:
    both, clustered, level = asked.both, asked.clustered, asked.level
    differences = both.treatment - both.control
    plain = paired_t(differences, level)
    estimate = plain.estimate if clustered is None else clustered.estimate
    se, df = (None if plain.sd is None else plain.sd / plain.estimate.n**0.5, plain.df) if clustered is None else (clustered.se_cr2, clustered.df)
    n = float(estimate.n) if clustered is None else both.treatment.size / clustered.typical_size
    if differences.size and not differences.any() and (limits := both.limits) is not None:
        # As many items, or clusters, without a change: Student would have no interval, and p = 0 from two of them.
        estimate, margin = _unchanged(estimate, n, limits[1] - limits[0], asked.endpoint, level)
    else:
        estimate, se = _no_surer_than_unchanged(both, clustered, estimate, se, df)
        margin = score_margin(estimate, se, df, asked.endpoint, (1 - level) / 2)
    return asked.found(
        lambda *arm: within(_mean_of_arm(*arm), both.limits), estimate=within(estimate, both.spread), test=asked.sign_flip(), margin=margin
    )


def within(estimate: Estimate, limits: tuple[float, float] | None) -> Estimate:
    """The part of the interval that is possible: Student's of few scores may reach beyond, and holds the truth as often without that."""
    if limits is None or estimate.ci_low is None or estimate.ci_high is None:
        return estimate
    return replace(estimate, ci_low=max(estimate.ci_low, limits[0]), ci_high=min(estimate.ci_high, limits[1]))


def _no_surer_than_unchanged(
    both: Paired, clustered: ClusteredMean | None, estimate: Estimate, se: float | None, df: float | None
) -> tuple[Estimate, float | None]:
    """Interval and standard error, widened where hardly a score moved, so that it is no narrower than if none had.

    Scores of a known range that all but stay where they are say nothing of the rare item that would fall through all of it.
    """
    differences, limits = both.treatment - both.control, both.limits
    if limits is None or not se or df is None or estimate.value is None:
        return estimate, se
    span, n = limits[1] - limits[0], float(differences.size)
    if np.count_nonzero(np.abs(differences) >= MOVED * span) >= FEW_CHANGED:
        return estimate, se
    if clustered is not None:
        seen, single = (n * se / span) ** 2, float(np.sum((differences / span) ** 2))
        n /= max(1.0, min(effect_of_clusters(seen, single, clustered.typical_size), n))
    unchanged = tango(0, 0, n, estimate.level)
    half = span * (unchanged.ci_high or 0.0)
    quantile = t_two_sided(estimate.level, df)
    if half <= quantile * se:
        return estimate, se
    low, high = max(estimate.value - half, -span), min(estimate.value + half, span)
    return replace(estimate, ci_low=low, ci_high=high, se=half / quantile), half / quantile


def _arm(shares: Floats, clusters: NDArray[np.int64] | None, level: float) -> Estimate:
    """Wilson's interval for one arm, on the items that its clusters are worth; several samples count as one, which errs on the wide side."""
    n, share = float(shares.size), float(shares.mean()) if shares.size else 0.0
    effect = 1.0
    if clusters is not None and 0.0 < share < 1.0:
        se = clustered_mean(shares, clusters, level=level).se_cr2
        effect = 1.0 if se is None else min(max(1.0, se**2 * n / (share * (1.0 - share))), n)
    elif clusters is not None and n:
        effect = n / (int(codes_of(clusters).max()) + 1)  # all alike: as many observations as clusters
    found = wilson(share * n / effect, n / effect, level)
    return replace(found, n=int(n), method="wilson" if effect == 1.0 else "effective_wilson")


def _mean_of_arm(scores: Floats, clusters: NDArray[np.int64] | None, level: float) -> Estimate:
    return paired_t(scores, level).estimate if clusters is None else clustered_mean(scores, clusters, level=level).estimate


def _share_margin(b: float, c: float, n: float, endpoint: Endpoint | None, alpha: float) -> MarginTest | None:
    if endpoint is None or endpoint.margin is None or n == 0:
        return None
    gained, lost = (b, c) if endpoint.higher_is_better else (c, b)
    if endpoint.goal == "equivalence":
        return equivalence_binary(gained, lost, n, endpoint.margin, alpha)
    return noninferiority_binary(gained, lost, n, endpoint.margin, alpha)


def _unchanged(found: Estimate, n: float, span: float, endpoint: Endpoint | None, level: float) -> tuple[Estimate, MarginTest | None]:
    """Interval and margin test of scores of which none changed: as of right/wrong answers, in the unit of scores that span so much."""

    def in_unit(one: Estimate) -> Estimate:
        low, high = (None if end is None else end * span for end in (one.ci_low, one.ci_high))
        return replace(one, ci_low=low, ci_high=high, n=found.n)

    estimate = in_unit(tango(0, 0, n, level))
    if endpoint is None or endpoint.margin is None:
        return estimate, None
    share = min(endpoint.margin / span, 1.0 - 1e-9)  # no difference is wider than the span
    tested = _share_margin(0, 0, n, replace(endpoint, margin=share), (1 - level) / 2)
    if tested is not None:
        high = None if tested.high is None else endpoint.margin
        tested = replace(tested, low=-endpoint.margin, high=high, estimate=in_unit(tested.estimate))
    return estimate, tested


def score_margin(estimate: Estimate, se: float | None, df: float | None, endpoint: Endpoint | None, alpha: float) -> MarginTest | None:
    """The declared margin's test of a mean with its standard error; None where there is no margin or no error."""
    if endpoint is None or endpoint.margin is None or estimate.value is None or not se or df is None:
        return None
    mean = estimate.value if endpoint.higher_is_better else -estimate.value
    if endpoint.goal == "equivalence":
        return equivalence_from_summary(mean, se, df, -endpoint.margin, endpoint.margin, n=estimate.n, alpha=alpha)
    return noninferiority_from_summary(mean, se, df, endpoint.margin, n=estimate.n, alpha=alpha)


def estimate_json(one: Estimate | None) -> dict[str, Any] | None:
    """An estimate as JSON; infinities (odds ratios) become null with a reason."""
    if one is None:
        return None
    record: dict[str, Any] = {name: _finite(getattr(one, name)) for name in ("value", "ci_low", "ci_high")}
    record |= {"level": one.level, "method": one.method, "n": one.n}
    reason = one.reason or ("unbounded" if any(_is_infinite(getattr(one, name)) for name in ("value", "ci_low", "ci_high")) else None)
    return record | ({"reason": reason} if reason else {}) | ({"warnings": list(one.warnings)} if one.warnings else {})


def test_json(one: Test | None) -> dict[str, Any] | None:
    """A test as JSON."""
    if one is None:
        return None
    record: dict[str, Any] = {"statistic": _finite(one.statistic), "p_value": one.p_value, "method": one.method, "n": one.n}
    extras = {"seed": one.seed, "reason": one.reason, "warnings": list(one.warnings) or None}
    return record | {name: value for name, value in extras.items() if value is not None}


def _finite(value: float | None) -> float | None:
    return None if value is None or _is_infinite(value) else value


def _is_infinite(value: float | None) -> bool:
    return value is not None and not np.isfinite(value)
