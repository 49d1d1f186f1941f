"""How many labels of a judge's items buy which width of the corrected difference, before anything is judged."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from batchtrial.errors import DataError
from batchtrial.stats.distributions import t_two_sided

LABELS = (30, 50, 100, 200, 400, 800)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelWidth:
    """What so many labels give: widths of the interval by labels alone and with the judge's help, and the labels that alone would give the latter."""

    labels: int
    width_alone: float
    width_corrected: float
    worth: int


def label_widths(variance: float, accuracy: float, *, items: int, labels: Iterable[int] = LABELS, level: float = 0.95) -> Iterator[LabelWidth]:
    """Widths for these numbers of labels among so many judged items.

    variance: of one item's true difference, -1, 0 or 1. accuracy: chance that the judge sees one answer rightly; errors are independent, so that
    cov(d, f) = (2a - 1) var(d) and var(f) = (2a - 1)^2 var(d) + 2 a (1 - a). A bias that falls on one arm alike changes neither. The weight and the
    variance are PPI++'s (`judge.ppi_mean`), with an error imagined that no label shows. Raises DataError on an accuracy outside [0.5, 1].
    """
    if not 0.5 <= accuracy <= 1.0:
        raise DataError("a judge's accuracy lies between 0.5, which is chance, and 1", where=f"{accuracy:g}")
    skill = 2.0 * accuracy - 1.0
    together, spread = skill * variance, skill**2 * variance + 2.0 * accuracy * (1.0 - accuracy)
    for m in labels:
        rest = items - m
        if rest < 1:
            return
        weight = min(1.0, max(0.0, together / ((1.0 + m / rest) * spread))) if spread > 0.0 else 0.0
        corrected = weight**2 * spread / rest + (variance - 2.0 * weight * together + weight**2 * spread) / m
        width = 2.0 * t_two_sided(level, m - 1.0)
        unseen = 1.0 / (m * (m - 1.0))
        alone, used = width * math.sqrt(variance / m + unseen), width * math.sqrt(corrected + unseen)
        yield LabelWidth(labels=m, width_alone=alone, width_corrected=used, worth=round(variance / corrected))
