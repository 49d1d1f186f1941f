"""A slice of a trial's pairs: which they are, in which order, how many of each kind, and the statistics that the report would give for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.errors import ConfigError
from batchtrial.phases.analyse.comparison import Comparison, compare, seed_of
from batchtrial.phases.analyse.paired import Paired
from batchtrial.reading.ask import FLAGS, OUTCOMES, REASON, Ask, Said, Search
from batchtrial.reading.judgements import informative, pairs_said
from batchtrial.reading.metrics import Metric
from batchtrial.reading.outcomes import Outcomes, outcomes_of
from batchtrial.reading.run_tables import Pairs, RunTables
from batchtrial.reading.texts import holds
from batchtrial.stats.labels import codes_of

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Places = NDArray[np.int64]
BY_OUTCOME: Final = "chosen by the outcome: an interval would mean nothing"


@dataclass(slots=True)
class Slicer:
    """Slices of one trial at one temperature. labelled: which pairs have a label of a verdict now, of any for `yes`."""

    tables: RunTables
    pairs: Pairs
    labelled: Callable[[str], Mask]
    _outcomes: dict[str, Outcomes] = field(default_factory=dict)
    _numbers: dict[str, Floats] = field(default_factory=dict)

    def outcomes(self, metric: Metric) -> Outcomes:
        """What became of the pairs by a metric."""
        if metric.name not in self._outcomes:
            self._outcomes[metric.name] = outcomes_of(self.pairs, metric)
        return self._outcomes[metric.name]

    def number(self, name: str, metric: Metric) -> Floats:
        """A number of each pair by its name, NaN where there is none. Raises ConfigError."""
        if name.startswith("d."):
            other = next((one for one in self.pairs.metrics if one.name == name[2:]), None)
            if other is None:
                raise ConfigError(f"there is no metric {name[2:]!r}", where="ranges")
            control, treatment = self.pairs.scores[other.column]
            return treatment - control
        what, _, arm = name.rpartition("_")
        if what == "score":
            values = self.pairs.scores[metric.column]
        elif what in ("length", "tokens", "usd"):
            values = (self._of_arm(what, 0), self._of_arm(what, 1))
        else:
            raise ConfigError(f"there is no number {name!r}", where="ranges")
        return values[1] - values[0] if arm == "change" else values[0 if arm == "control" else 1]

    def _of_arm(self, what: str, place: int) -> Floats:
        """Mean over an item's samples."""
        arm = (self.pairs.control, self.pairs.treatment)[place]
        key = f"{what}/{arm.name}"
        if key not in self._numbers:
            column = {"tokens": "output_tokens", "usd": "usd"}.get(what)
            found = self.tables.texts(arm).lengths() if column is None else self.tables.answers(arm, column)
            values = found.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            k = self.pairs.samples
            self._numbers[key] = (values if k == 1 else _mean(values.reshape(-1, k)))[: self.n]  # the other arm may have been stopped earlier
        return self._numbers[key]

    def without_chips(self, ask: Ask) -> Mask:
        """The pairs that the filter leaves, whatever its chips."""
        metric, n = self.pairs.metric(ask.metric), self.n
        mask: Mask = np.ones(n, dtype=np.bool_)
        for name, wanted in ask.values.items():
            column = self.tables.items.column(name)
            if column is None:
                raise ConfigError(f"there is no column {name!r}", where="values")
            mask &= _among(column.head(n), wanted)
        for name, (low, high) in ask.ranges.items():
            values = self.number(name, metric)
            with np.errstate(invalid="ignore"):
                mask &= (values >= (-math.inf if low is None else low)) & (values <= (math.inf if high is None else high))
        if ask.labelled:
            mask &= ~self._labelled("yes") if ask.labelled == "no" else self._labelled(ask.labelled)
        for name, said in ask.judged.items():
            mask &= self._judged(name, said, metric)
        return mask & self._found(ask.search) if ask.search.text else mask

    def _judged(self, name: str, said: Said, metric: Metric) -> Mask:
        """Where a judge says that. It is held against the metric of the slice, or the trial's first that is no judge where that is one itself."""
        one = self.pairs.judged.get(name)
        if one is None:
            raise ConfigError(f"no judge {name!r} has seen these arms", where="judged")
        other = metric if not metric.judge else next((other for other in self.pairs.metrics if not other.judge), metric)
        control, treatment = self.pairs.scores[other.column]
        change = (treatment - control) * (1.0 if other.higher_is_better else -1.0)
        return pairs_said(one, said, change, (self._labelled("better"), self._labelled("worse")))

    def _labelled(self, verdict: str) -> Mask:
        return self.labelled(verdict)[: self.n]

    @property
    def n(self) -> int:
        """How many pairs there are."""
        return int(self.pairs.lost[0].size)

    def mask(self, ask: Ask, base: Mask) -> Mask:
        """Those of `base` that the chips leave: any of the outcomes, any of the reasons, any of the marks."""
        found, kinds = base.copy(), self.outcomes(self.pairs.metric(ask.metric))
        for group in (OUTCOMES, FLAGS, (REASON,)):
            mine = [chip for chip in ask.chips if chip in group or (group == (REASON,) and chip.startswith(REASON))]
            if mine:
                found &= np.logical_or.reduce([kinds.of(chip) for chip in mine])
        return found

    def _found(self, search: Search) -> Mask:
        try:
            if search.where == "question":
                return self._in_question(search)
            control, treatment = self._in_arm(search, 0), self._in_arm(search, 1)
            if search.where == "any":
                return self._in_question(search) | control | treatment
        except pl.exceptions.ComputeError as error:
            told = str(error).partition("\nerror: ")[2] or str(error)
            raise ConfigError(f"the pattern cannot be read: {told.splitlines()[0][:200]}", where="search.text") from None
        only = {"control_only": control & ~treatment, "treatment_only": treatment & ~control}
        return only.get(search.where, control if search.where == "control" else treatment)

    def _in_arm(self, search: Search, place: int) -> Mask:
        arm = (self.pairs.control, self.pairs.treatment)[place]
        found = self.tables.texts(arm).matching(search.text, is_literal=not search.is_pattern).to_numpy()
        by_item = np.asarray(found.reshape(-1, self.pairs.samples).any(axis=1))
        return by_item[: self.n]

    def _in_question(self, search: Search) -> Mask:
        table = pl.scan_parquet(self.tables.layout.items).select("question")
        return np.asarray(holds(table, search.text, is_literal=not search.is_pattern).to_numpy()[: self.n])

    def order(self, ask: Ask, mask: Mask) -> Places:
        """The places of a slice in the order asked for; ties by place, pairs that the metric does not score and those without a number last."""
        places, metric = np.flatnonzero(mask), self.pairs.metric(ask.metric)
        if ask.sort == "place":
            places = places[::-1] if ask.is_down else places
            return places[np.argsort(self.outcomes(metric).codes[places] == OUTCOMES.index("no_score"), kind="stable")]
        control, treatment = self.pairs.scores[metric.column]
        if ask.sort in ("effect", "size", "informative"):
            change = (treatment - control) * (1.0 if metric.higher_is_better else -1.0)
            keys = {"effect": change, "size": -np.abs(change)}.get(ask.sort)
            keys = informative(change, list(self.pairs.judged.values())) if keys is None else keys
        else:
            keys = self.number(ask.sort, metric)
        mine = keys[places]
        mine = np.where(np.isnan(mine), math.inf, -mine if ask.is_down else mine)
        return places[np.argsort(mine, kind="stable")]

    def comparison(self, ask: Ask, mask: Mask) -> Comparison | None:
        """The metric's comparison on these pairs, by the report's own method; None when none of them has the metric."""
        config, metric = self.tables.config, self.pairs.metric(ask.metric)
        paired = paired_of(self.pairs, metric, self.tables.items.clusters if config.stats.clusters == "auto" else None, mask)
        if paired is None:
            return None
        name = f"{metric.name}/{self.pairs.temp:g}/slice"
        level, flips = 1 - config.stats.alpha, config.stats.permutation_samples
        return compare(paired, level=level, seed=seed_of(config.stats.random_seed, name), flips=flips, is_verdict_only=True)


def _among(column: pl.Series, wanted: Sequence[str]) -> Mask:
    """Where a column of categories has one of these values: each is compared as a number, since a text for each item takes ten times as long."""
    found: Mask = np.zeros(len(column), dtype=np.bool_)
    for value in wanted:
        found |= (column == value).fill_null(False).to_numpy()
    return found


def paired_of(pairs: Pairs, metric: Metric, clusters: NDArray[np.int64] | None, mask: Mask) -> Paired | None:
    """Scores of the slice's items that have the metric, as `compare` takes them; None when there is none."""
    control, treatment = pairs.scores[metric.column]
    mine = mask if metric.is_total else mask & ~(np.isnan(control) & np.isnan(treatment))
    if not mine.any():
        return None
    units = None if clusters is None else clusters[: mine.size][mine]
    if units is not None and int(np.bincount(codes_of(units)).max()) == 1:
        units = None
    is_single = pairs.samples == 1
    return Paired(
        treatment=treatment[mine],
        control=control[mine],
        clusters=units,
        samples_treatment=pairs.samples,
        samples_control=pairs.samples,
        is_number=metric.is_number,
        known_limits=metric.limits,
        known_share=metric.is_rate,
        lost_control=None if is_single else pairs.lost[0][mine],
        lost_treatment=None if is_single else pairs.lost[1][mine],
    )


def _mean(values: Floats) -> Floats:
    """Over the second axis, of what is there; NaN where nothing is."""
    is_there = ~np.isnan(values)
    n = is_there.sum(axis=1)
    return np.where(n > 0, np.where(is_there, values, 0.0).sum(axis=1) / np.maximum(n, 1), np.nan)


def slice_json(slicer: Slicer, ask: Ask, mask: Mask) -> dict[str, Any]:
    """The statistics of a slice as JSON. One chosen by the outcome has counts and no difference, interval or p."""
    metric = slicer.pairs.metric(ask.metric)
    counts = np.bincount(slicer.outcomes(metric).codes[mask], minlength=len(OUTCOMES))
    found: dict[str, Any] = {"n": int(np.count_nonzero(mask)), "counts": dict(zip(OUTCOMES, counts.tolist(), strict=True))}
    if ask.chosen_by_outcome:
        return found | {"withheld": BY_OUTCOME}
    if why := slicer.tables.withheld(slicer.pairs.trial):
        return found | {"withheld": why}
    one = slicer.comparison(ask, mask)
    if one is None:
        return found | {"withheld": "no pair of this slice has the metric"}
    return found | {
        "pairs": one.missing.n_pairs,
        "value": one.estimate.value,
        "low": one.estimate.ci_low,
        "high": one.estimate.ci_high,
        "level": one.estimate.level,
        "method": one.estimate.method,
        "reason": one.estimate.reason,
        "p": one.test.p_value,
        "control": one.arms["control"].value,
        "treatment": one.arms["treatment"].value,
        "clusters": one.n_clusters,
        "warnings": list(one.warnings),
        "not_decidable": one.not_decidable,
    }
