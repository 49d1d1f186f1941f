"""What stands beside a comparison and never decides it: rank statistics and standardised effects."""

from __future__ import annotations

from typing import Any

from batchtrial.phases.analyse.comparison import estimate_json, test_json
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats import cohen_dav, cohen_dz, hodges_lehmann, wilcoxon
from batchtrial.stats.clusters import are_one


def secondary(paired: Paired | None) -> dict[str, Any]:
    """What stands beside the comparison: rank statistics and standardised effects."""
    if paired is None:
        return {}
    both = paired.kept()
    if both.clusters is not None and are_one(both.clusters):
        return {}
    found = _ranks_and_effects(both)
    if both.clusters is None:
        return found
    marked = {name: {**one, "ignores_clusters": True} if isinstance(one, dict) else one for name, one in found.items()}
    return {**marked, "secondary_ignores_clusters": True}


def _ranks_and_effects(both: Paired) -> dict[str, Any]:
    differences = both.treatment - both.control
    ranks = wilcoxon(differences)
    total = ranks.w_plus + ranks.w_minus
    return {
        "wilcoxon": test_json(ranks),
        # As `rank_biserial` has it, from the rank sums that are there already: ranking again costs as much as the test.
        "rank_biserial": None if differences.size == 0 else (ranks.w_plus - ranks.w_minus) / total if total else 0.0,
        "hodges_lehmann": estimate_json(hodges_lehmann(differences)),
        "cohens_dz": estimate_json(cohen_dz(differences)),
        "cohens_d_av": estimate_json(cohen_dav(both.treatment, both.control)),
    }
