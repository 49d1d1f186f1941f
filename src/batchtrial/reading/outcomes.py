"""What became of each pair by a metric: won, lost, alike, or incomplete and why. One code per pair, and marks that may stand beside it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.reading.ask import FLAGS, OUTCOMES, REASON
from batchtrial.reading.metrics import Metric
from batchtrial.reading.run_tables import Pairs

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
UNKNOWN = "unscored"
"""Why a pair is incomplete whose answers are there."""
_MARKS = {"abstained": "abstain_rate", "false": "false_answer_rate"}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Of every pair. codes: place in OUTCOMES; reasons: why -> which pairs are incomplete for that; flags: by name."""

    codes: NDArray[np.int8]
    reasons: dict[str, Mask]
    flags: dict[str, Mask]

    def of(self, chip: str) -> Mask:
        """The pairs that a chip stands for."""
        if chip in OUTCOMES:
            return np.asarray(self.codes == OUTCOMES.index(chip))
        found = self.reasons.get(chip.removeprefix(REASON)) if chip.startswith(REASON) else self.flags.get(chip)
        return np.zeros(self.codes.size, dtype=np.bool_) if found is None else found

    def counts(self, mask: Mask) -> dict[str, int]:
        """How many of some pairs each chip stands for; only chips that stand for any pair of the trial."""
        by_code = np.bincount(self.codes[mask], minlength=len(OUTCOMES))
        found = {name: int(n) for name, n, has in zip(OUTCOMES, by_code, np.bincount(self.codes, minlength=len(OUTCOMES)), strict=True) if has}
        marks = {**{f"{REASON}{why}": one for why, one in self.reasons.items()}, **self.flags}
        return found | {name: int(np.count_nonzero(one & mask)) for name, one in marks.items() if one.any()}


def outcomes_of(pairs: Pairs, metric: Metric) -> Outcomes:
    """What became of the pairs by a metric. Several samples count by their mean; alike and right is a mean of at least one half."""
    control, treatment = pairs.scores[metric.column]
    no_control, no_treatment = np.isnan(control), np.isnan(treatment)
    lost = [~one.is_null().to_numpy() for one in pairs.lost_to]
    has_none = no_control & no_treatment
    is_open = no_control | no_treatment
    # An item without the metric in either arm lacks it by its nature, unless every item has it or an answer of it never came.
    # A judge is asked about every item.
    no_score = has_none & ~(lost[0] | lost[1]) if metric.is_total else has_none
    no_score &= not metric.judge
    up = np.where(is_open, 0.0, treatment - control) * (1.0 if metric.higher_is_better else -1.0)
    codes = np.full(control.size, OUTCOMES.index("same"), dtype=np.int8)
    if metric.is_rate:
        is_good = np.where(is_open, 0.0, control) >= 0.5
        codes[is_good == metric.higher_is_better] = OUTCOMES.index("both_right")
        codes[is_good != metric.higher_is_better] = OUTCOMES.index("both_wrong")
    codes[up > 0] = OUTCOMES.index("won")
    codes[up < 0] = OUTCOMES.index("lost")
    codes[is_open] = OUTCOMES.index("incomplete")
    codes[no_score] = OUTCOMES.index("no_score")
    return Outcomes(codes, _reasons(pairs, is_open & ~no_score), _flags(pairs))


def _reasons(pairs: Pairs, incomplete: Mask) -> dict[str, Mask]:
    found: dict[str, Mask] = {}
    told = np.zeros(incomplete.size, dtype=np.bool_)
    for lost_to in pairs.lost_to:
        words = lost_to.drop_nulls().unique().to_list()
        for why in sorted({part.rpartition(":")[0] for word in words for part in word.split()}):
            names = pl.Series([word for word in words if why in {part.rpartition(":")[0] for part in word.split()}], dtype=pl.String)
            mine = lost_to.is_in(names.implode()).fill_null(False).to_numpy() & incomplete
            found[why] = found.get(why, np.zeros(incomplete.size, dtype=np.bool_)) | mine
            told |= mine
    rest = incomplete & ~told
    return {**found, **({UNKNOWN: rest} if rest.any() else {})}


def _flags(pairs: Pairs) -> dict[str, Mask]:
    found = {}
    for name in FLAGS:
        mark, _, arm = name.partition("_")
        values = pairs.scores[_MARKS[mark]][0 if arm == "control" else 1]
        found[name] = np.nan_to_num(values, nan=0.0) >= 0.5
    return found
