"""What answers that no judge has seen could have done to a difference that labels correct: the corrected difference with them at their worst.

A judge's own word would bound nothing here. It is the corrected difference that is claimed, and where the judge favours an arm the raw one lies
further from zero: it may survive losses that the corrected one does not. Nor is the verdict on the answer that an item has left taken for true: an
item with a lost answer may have been as good, or as bad, for the treatment as an item can be.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, sqrt

import numpy as np

from batchtrial.phases.analyse.comparison import Comparison
from batchtrial.phases.analyse.judges import by_labels, corrected
from batchtrial.phases.analyse.lost_answers import difference_p, is_doubtful, margin_p, shares_lost
from batchtrial.phases.analyse.paired import Floats, Paired
from batchtrial.stats.plan import Endpoint, LostAnswers
from batchtrial.stats.results import Estimate


def lost_verdicts(paired: Paired, one: Comparison, labels: Floats, *, share: float, level: float, endpoint: Endpoint | None) -> LostAnswers | None:
    """What is left of a corrected comparison when a share of the lost answers was as bad for it as can be; None when too little was lost to matter.

    one: the corrected comparison. labels: what people prefer, of the same items, NaN without. share: as in `lost_answers`.
    """
    if one.estimate.value is None or not is_doubtful(paired):
        return None
    lost = np.fmax(*shares_lost(paired))
    low, high = (corrected(one, at_worst(paired, labels, lost * share, extreme, level), endpoint) for extreme in (-1.0, 1.0))
    return LostAnswers(
        low=low.estimate.value,
        high=high.estimate.value,
        difference_p=difference_p(one.estimate.value, low, high),
        margin_p=margin_p(low, high, endpoint),
        n_lost=int(np.count_nonzero(lost > 0.0)),
        share=share,
    )


def at_worst(paired: Paired, labels: Floats, lost: Floats, extreme: float, level: float) -> Estimate:
    """The corrected difference over the items with a verdict and, of those without, a share whose difference is the extreme.

    lost: share of each item's answers that is put there. The items without are a stratum whose values are known: they move the mean and add the
    spread between strata (Cochran 1977, Sampling Techniques, 12.2), by clusters where there are some.
    """
    differences = paired.treatment - paired.control
    is_gone = np.isnan(differences)
    moved_labels, moved = ((1.0 - lost) * values + lost * extreme for values in (labels, differences))
    found = by_labels(moved_labels, moved, paired.clusters, level)
    put = np.flatnonzero(is_gone)
    put = put[: ceil(float(lost[put].sum()) - 1e-9)]
    if found.value is None or found.se is None or found.ci_high is None or not put.size:
        return found
    part = put.size / (put.size + int((~is_gone).sum()))
    value = (1.0 - part) * found.value + part * extreme
    between = np.where(is_gone, 0.0, found.value - value)
    between[put] = extreme - value
    units = np.arange(between.size) if paired.clusters is None else paired.clusters
    of_units = np.bincount(units, weights=between) / (put.size + int((~is_gone).sum()))
    se = sqrt(((1.0 - part) * found.se) ** 2 + float((of_units**2).sum()))
    half = (found.ci_high - found.value) / found.se * se
    return replace(found, value=value, ci_low=value - half, ci_high=value + half, se=se)
