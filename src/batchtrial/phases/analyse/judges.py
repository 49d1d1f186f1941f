"""Judges in the analysis: their verdicts as metrics, corrected by people's labels where there are enough, and how far each may be believed.

A judge's word without labels is no claim, whatever the plan declares: nobody knows how far it is right. With labels the difference is corrected
(PPI++), and may be an endpoint like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.amounts import counted
from batchtrial.config.expand import Trial
from batchtrial.config.families import line_of
from batchtrial.config.judge_arms import arm_of
from batchtrial.config.judges import JudgeSpec
from batchtrial.phases.analyse.comparison import Comparison, estimate_json, score_margin, seed_of, within
from batchtrial.phases.analyse.labelled import WORTH, held_labels, preferences
from batchtrial.phases.analyse.paired import Paired
from batchtrial.phases.base import View
from batchtrial.phases.judge.scores import Judged, judged
from batchtrial.state.labels import Label
from batchtrial.stats.judge import FEW_LABELS, corrected_test, ppi_mean
from batchtrial.stats.judge_quality import flip_rate, kappa, length_bias, leniency, position_bias
from batchtrial.stats.plan import Endpoint
from batchtrial.stats.results import Estimate

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """A judge on the items of a table. labels: people's preference by item, NaN without; twice: two labels of an item.

    aside: how many labels correct nothing, by why: the item had been seen with its arms named (`not_blind`), could not be compared (`cannot`), or
    comes in the seeded order after one that was left out (`not_drawn`), or the label is about other answers (`other_answers`).
    """

    judged: Judged
    labels: Floats
    twice: tuple[Floats, Floats]
    aside: Mapping[str, int] = field(default_factory=dict)

    @property
    def n_labels(self) -> int:
        """Labelled items that the judge has a verdict on."""
        return int((~np.isnan(self.labels) & ~np.isnan(self.judged.treatment - self.judged.control)).sum())

    @property
    def is_corrected(self) -> bool:
        """Whether labels can correct it on all of these items."""
        return self.is_corrected_by(self.n_labels)

    def is_corrected_by(self, n_labels: int) -> bool:
        """Whether so many labels can: there are enough, and both say which answer is better. How much better a score is, no label tells."""
        return n_labels >= FEW_LABELS and self.judged.judge.kind in ("yes_no", "pairwise")


def scale_of(judge: JudgeSpec) -> str:
    """What the judge's numbers are: a share, or a grade."""
    return "share" if judge.kind in ("yes_no", "pairwise") else "grade"


def believed(view: View, trial: Trial, temp: float, keys: pl.Series) -> dict[str, Believed]:
    """Every judge by name, in the order of the items' keys."""
    if not view.config.judges or not view.layout.judgements.exists():
        return {}
    places = pl.read_parquet(view.layout.items, columns=["place", "item_key"])
    order = pl.DataFrame({"item_key": keys.cast(pl.String)}).join(places, on="item_key", how="left", maintain_order="left")["place"].to_numpy()
    held = held_labels(view, trial, temp)
    labels, twice = _labels(held.used, keys.cast(pl.String).to_list()), _twice(held.used, keys)
    is_seen = keys.cast(pl.String).is_in(list(held.seen)).to_numpy()
    found = {}
    for one in (_reordered(one, order) for one in judged(view.layout, view.config, trial, temp, places.height)):
        drawn = _drawn(labels, order, ~is_seen & ~np.isnan(one.treatment - one.control))
        aside = {**held.aside, "not_drawn": int((~np.isnan(labels) & np.isnan(drawn)).sum())}
        found[one.judge.name] = Believed(judged=one, labels=drawn, twice=twice, aside=aside)
    return found


def _drawn(labels: Floats, order: NDArray[np.int64], is_left_out: NDArray[np.bool_]) -> Floats:
    """Labels up to the first judged item of the run's seeded order that nobody was shown: who chooses what to label draws no lot."""
    first = order[is_left_out].min(initial=np.iinfo(order.dtype).max)
    return np.where(order < first, labels, np.nan)


def _reordered(one: Judged, order: NDArray[np.int64]) -> Judged:
    moved = {name: getattr(one, name)[order] for name in ("control", "treatment", "first_ab", "first_ba", "flips", "longer")}
    unjudged = (one.unjudged[0][order], one.unjudged[1][order])
    return replace(one, **moved, unjudged=unjudged, between=tuple((control[order], treatment[order]) for control, treatment in one.between))


def _labels(held: Iterable[Label], keys: list[str]) -> Floats:
    preferred = preferences(held)
    return np.array([preferred.get(key, np.nan) for key in keys])


def _twice(held: Iterable[Label], keys: pl.Series) -> tuple[Floats, Floats]:
    """First and second label of items that have two: by the same person twice, else by two people."""
    by_key: dict[str, list[float]] = {}
    for one in sorted(held, key=lambda label: (label.item_key, label.who, label.is_repeat)):
        by_key.setdefault(one.item_key, []).append(WORTH[one.verdict])
    pairs = [by_key[key][:2] for key in keys.cast(pl.String).to_list() if len(by_key.get(key, ())) > 1]
    return np.array([one for one, _ in pairs], dtype=np.float64), np.array([two for _, two in pairs], dtype=np.float64)


def compared_by_judge(one: Comparison, paired: Paired, known: Believed, labels: Floats, level: float, endpoint: Endpoint | None) -> Comparison:
    """The comparison with the correction by labels in the place of the raw difference; without enough labels, as a judge's word and no more.

    labels: those on the items that are compared, NaN without.
    """
    differences = paired.treatment - paired.control
    n_labels = int((~np.isnan(labels) & ~np.isnan(differences)).sum())
    if not known.is_corrected_by(n_labels):
        name, why = known.judged.judge.name, _why_not(known, n_labels)
        return replace(one, not_decidable=f"what the judge {name} prefers, and no claim: it prefers {_whom(one, level)}, and {why}", margin=None)
    found = corrected(one, by_labels(labels, differences, paired.clusters, level), endpoint)
    return replace(found, estimate=within(found.estimate, paired.spread))


def by_labels(labels: Floats, differences: Floats, clusters: NDArray[np.int64] | None, level: float) -> Estimate:
    """The difference that people would prefer. A verdict that is wrong is wrong by one."""
    return ppi_mean(labels, differences, clusters=clusters, level=level, unseen=1.0)


def possible(judge: JudgeSpec, difference: Estimate) -> Estimate:
    """The part of a difference's interval that verdicts of this judge can come to."""
    return difference if judge.limits is None else within(difference, (judge.limits[0] - judge.limits[1], judge.limits[1] - judge.limits[0]))


def corrected(one: Comparison, estimate: Estimate, endpoint: Endpoint | None) -> Comparison:
    """The comparison with a difference that labels correct, and its tests."""
    test, df = corrected_test(estimate)
    margin = score_margin(estimate, estimate.se, df, endpoint, (1 - estimate.level) / 2)
    return replace(one, estimate=estimate, test=test, margin=margin, counts=None, exact=None, odds=None, design_effect=None)


def _whom(one: Comparison, level: float) -> str:
    lean, p = one.estimate.value or 0.0, one.test.p_value
    if lean == 0.0:
        return "neither arm"
    if p is None or p > 1 - level:
        return "neither arm beyond chance"
    return "the treatment" if lean > 0.0 else "the control"


def _why_not(known: Believed, n: int) -> str:
    if known.judged.judge.kind not in ("yes_no", "pairwise"):
        return "labels say which answer is better, not by how much"
    if n == 0:
        return "no labels say how far it is right" + (" on these questions" if known.n_labels else "")
    where = " on these questions" if n < known.n_labels else ""
    return f"only {counted(n, 'label')} {'says' if n == 1 else 'say'} how far it is right{where}, where {FEW_LABELS} are needed"


def judges_json(
    view: View, trial: Trial, known: Mapping[str, Believed], clusters: NDArray[np.int64] | None, since: dict[str, Any] | None
) -> list[dict[str, Any]]:
    """The part of significance.json about judges. since: what has become of the labels since a corrected difference was first shown."""
    told = {} if since is None else {"labels_changed": since}
    return [dict(_record(view, trial, one, clusters)) | (told if one.is_corrected else {}) for one in known.values()]


def _record(view: View, trial: Trial, known: Believed, clusters: NDArray[np.int64] | None) -> Iterator[tuple[str, Any]]:
    one, config = known.judged, view.config
    judge, level = one.judge, 1 - config.stats.alpha
    seed = seed_of(config.stats.random_seed, f"judges/{judge.name}")
    preferred = np.sign(one.treatment - one.control)
    its = one.members or (judge,)
    models = dict.fromkeys(arm_of(config, member).model for member in its)
    rubrics = {member.rubric.sha256: member.rubric.path for member in its}
    yield from {"name": judge.name, "kind": judge.kind, "model": ", ".join(models), "rubric": ", ".join(rubrics.values())}.items()
    yield "rubric_sha256", ", ".join(rubrics)
    yield "same_family", sorted({condition for member in its for condition in _same_family(view, trial, member)})
    if one.panel is not None:
        yield "panel", {"judges": list(one.panel.judges), "by": one.panel.by, "agreement": list(_agreement(one, seed, level))}
    yield "counts", one.counts
    yield "n_labels", known.n_labels
    yield "labels_aside", dict(known.aside)
    yield "is_corrected", known.is_corrected
    found: dict[str, Estimate] = {"prefers": possible(judge, _plain(one.treatment - one.control, clusters, level))}
    if judge.is_pairwise and judge.orders == "both" and one.panel is None:
        found["flips"] = flip_rate(one.flips, level)
        found["position_bias"] = position_bias(one.first_ab, one.first_ba, clusters=clusters, level=level)
    found["longer_wins"] = length_bias(preferred, one.longer, level)
    if judge.repeats > 1:
        found["agrees_with_itself"] = kappa(*one.again, seed=seed, level=level)
    if known.n_labels:
        found["agrees_with_people"] = kappa(preferred, np.sign(known.labels), seed=seed, level=level)
        found["longer_wins_by_labels"] = length_bias(known.labels, one.longer, level)
    if known.is_corrected:  # fewer labels show nothing of the corrected difference, so that to go on labelling is no second look at it
        found["favours_treatment"] = leniency(one.treatment - one.control, known.labels, clusters=clusters, level=level)
        found["corrected"] = possible(judge, by_labels(known.labels, one.treatment - one.control, clusters, level))
    if known.twice[0].size:
        found["people_agree"] = kappa(*known.twice, seed=seed, level=level)
    yield "numbers", {name: estimate_json(estimate) for name, estimate in found.items()}


def _agreement(one: Judged, seed: int, level: float) -> Iterator[dict[str, Any]]:
    """For each pair of a panel's judges kappa of which answer they prefer."""
    preferred = {member.name: np.sign(treatment - control) for member, (control, treatment) in zip(one.members, one.between, strict=True)}
    for a, b in combinations(preferred, 2):
        yield {"judges": [a, b], **(estimate_json(kappa(preferred[a], preferred[b], seed=seed, level=level)) or {})}


def _plain(differences: Floats, clusters: NDArray[np.int64] | None, level: float) -> Estimate:
    return leniency(differences, np.where(np.isnan(differences), np.nan, 0.0), clusters=clusters, level=level)


def _same_family(view: View, trial: Trial, judge: JudgeSpec) -> list[str]:
    """Conditions whose arm is a model of the judge's own family."""
    own = line_of(arm_of(view.config, judge).model)
    return sorted({arm.condition for arm in trial.arms if line_of(arm.model) == own})
