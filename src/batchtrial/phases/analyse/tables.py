"""A trial's scores as arrays: what is compared, and the pairs of each comparison.

Rows are put in the order of their items' keys, so that the order of the tables never shows in a number. A score that an arm lacks is NaN here and
nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from batchtrial.config.expand import Trial, arms_of
from batchtrial.config.metric_entries import named_metrics
from batchtrial.phases.analyse.judges import Believed, believed, scale_of
from batchtrial.phases.analyse.paired import Floats, Paired
from batchtrial.phases.analyse.wholly_lost import WhollyLost, wholly_lost
from batchtrial.phases.base import View, arms_in_order
from batchtrial.phases.prepare.set_rules import SetRules, set_rules
from batchtrial.phases.score.record import limits_of, read_record
from batchtrial.phases.score.told import METRIC, read_lost
from batchtrial.phases.tables.columns import LABELS, TEXTS, Kind, has_questions, kind_words
from batchtrial.phases.tables.trial_scores import scores_of
from batchtrial.records import AnswerState
from batchtrial.scoring.metrics.corpus import is_count
from batchtrial.stats.plan import What

Places = NDArray[np.int64]
COLUMNS: Final[dict[str, str]] = {
    "em": "em",
    "f1": "f1",
    "abstained": "abstain_rate",
    "false_answer": "false_answer_rate",
    "unsupported": "unsupported_rate",
}
"""Metric -> column of the scores; a metric of the user's own is its own column."""
EVERY_ITEM_HAS: Final = frozenset({"em", "f1", "abstain_rate"})
"""Columns that are defined for every question; the others exist only where an arm shows them."""
KEYS: Final[dict[str, type[pl.DataType]]] = {
    "item_key": pl.String,
    "condition": pl.Categorical,
    "temp": pl.Float64,
    "type": pl.Categorical,
    "dataset": pl.Categorical,
    "cluster": pl.Categorical,
}
_SORTED_AS_NUMBERS: Final = 64
"""Bytes of a key up to which it is."""
_KEYS_AT_ONCE: Final = 1 << 16
"""Keys that are held as text and as numbers at one time."""
NOT_METRICS: Final = frozenset({*KEYS, *TEXTS, "place", "n_samples", "n_lost", "lost_to", "overlap"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is compared: a metric, on some questions, at one temperature."""

    metric: str
    kind: Kind
    temp: float
    dataset: str | None = None

    @property
    def name(self) -> str:
        return f"{self.metric}/{self.kind}/t{self.temp:g}" + (f"/{self.dataset}" if self.dataset else "")

    @property
    def label(self) -> str:
        """As it is called where every set is scored by a built-in rule; Table.label knows the rules."""
        return self.called(LABELS.get(self.metric, self.metric))

    def called(self, title: str, *, has_questions: bool = True) -> str:
        """The label under another title of the metric."""
        where = f"dataset {self.dataset}" if self.dataset else kind_words(self.kind, has_questions=has_questions)
        return f"{title} ({where})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Scores of one temperature, one place per item in the order of the items' keys.

    scores: column -> (control, treatment), each shape (n_items,), NaN where an arm has none. datasets: place in `dataset_names` per item.
    scales: what metrics of the user's own declare their numbers to be: share, count, grade. rules: by which each set is scored.
    lower: metrics by name of which less is better. limits: the lowest and the highest that a metric by name can be, where it says so.
    clusters: a number per item, the same for items that depend on each other; None when all stand alone or clusters are switched off.
    is_one_arm: control and treatment are the same answers, asked once. judges: what each judge said, by name, which is its metric's.
    counts: of metrics that have numbers of lost answers too, of those in which states. n_lost_to: of these, samples of each item that have none.
    lost: items that both arms lost; None when there are none. has_questions: else every arm's task asks about items of another kind.
    """

    keys: pl.Series
    scores: Mapping[str, tuple[Floats, Floats]]
    is_open: NDArray[np.bool_]
    datasets: NDArray[np.int64]
    dataset_names: tuple[str, ...]
    clusters: NDArray[np.int64] | None
    samples: int
    metrics: tuple[str, ...]
    scales: Mapping[str, str]
    rules: SetRules = field(default_factory=SetRules)
    lower: frozenset[str] = frozenset()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    is_one_arm: bool = False
    judges: Mapping[str, Believed] = field(default_factory=dict)
    counts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    n_lost_to: Mapping[str, tuple[Floats, Floats]] = field(default_factory=dict)
    lost: WhollyLost | None = None
    has_questions: bool = True

    @property
    def n_items(self) -> int:
        return int(self.is_open.size)

    def kinds(self) -> tuple[Kind, ...]:
        """Which questions there are; `all` when there are both, and alone when there is one."""
        return ("all", "open", "closed") if self.is_open.any() and not self.is_open.all() else ("all",)

    def kinds_of(self, metric: str) -> tuple[Kind, ...]:
        """The same without `all` when only one kind of question has the metric: it would be the same comparison under two names."""
        control, treatment = self.scores[COLUMNS.get(metric, metric)]
        has_it = self.is_open[~(np.isnan(control) & np.isnan(treatment))]
        found = [kind for kind, is_there in (("open", has_it.any()), ("closed", not has_it.all())) if is_there]
        return self.kinds() if len(found) > 1 or len(self.kinds()) == 1 else tuple(kind for kind in self.kinds() if kind in found)

    def sets_of(self, cell: Cell) -> tuple[str, ...]:
        """Sets to which the cell's questions belong."""
        mask = self.members(cell.kind, cell.dataset)
        places = np.flatnonzero(np.bincount(self.datasets if mask is None else self.datasets[mask]))
        return tuple(self.dataset_names[place] for place in places.tolist())

    def title(self, cell: Cell) -> str:
        """What the cell's metric is called: by the rule of its sets."""
        return self.rules.title(cell.metric, self.sets_of(cell))

    def label(self, cell: Cell) -> str:
        """What the cell is called, in tables and sentences."""
        return cell.called(self.title(cell), has_questions=self.has_questions)

    def is_em_again(self, cell: Cell) -> bool:
        """Whether the cell is an F1 that is as `em` on all of its questions."""
        return self.rules.is_em_again(cell.metric, self.sets_of(cell))

    def told_rules(self) -> list[str]:
        """Which rule holds on which set, where several say what is right."""
        return [told for metric in ("em", "f1") if metric in self.metrics and (told := self.rules.told(metric, self.dataset_names))]

    def column(self, metric: str) -> tuple[Floats, Floats] | None:
        """(control, treatment) of a metric for every item; None when there is no such metric."""
        return self.scores.get(COLUMNS.get(metric, metric))

    def counts_lost(self, metric: str, why: str) -> bool:
        """Whether the metric, where it has a number of an item, has one of its answers that were lost for this reason, such as what they cost."""
        return self.samples == 1 or why == METRIC or why in self.counts.get(metric, ())

    def is_share(self, metric: str) -> bool:
        """Whether the metric lies between 0 and 1, so that differences are percentage points; a metric of the user's own need not."""
        found, declared = self.column(metric), self.scales.get(metric)
        if declared is not None:
            return declared == "share"
        return found is None or all(bool(((arm >= 0.0) & (arm <= 1.0) | np.isnan(arm)).all()) for arm in found)

    def members(self, kind: Kind, dataset: str | None = None) -> NDArray[np.bool_] | None:
        """Which items these are, shape (n_items,); None for all of them."""
        mask = None if kind == "all" else self.is_open if kind == "open" else ~self.is_open
        if dataset is None:
            return mask
        if dataset not in self.dataset_names:
            return np.zeros(self.n_items, dtype=np.bool_)
        own: NDArray[np.bool_] = self.datasets == self.dataset_names.index(dataset)
        return own if mask is None else own & mask

    def same_items(self) -> dict[str, Kind]:
        """Datasets that hold exactly the questions of one kind, with that kind: their comparison is made once, under the kind."""
        found: dict[str, Kind] = {}
        for dataset in self.dataset_names if len(self.dataset_names) > 1 else ():
            mine = self.members("all", dataset)
            for kind in self.kinds():
                other = self.members(kind)
                if mine is not None and other is not None and np.array_equal(mine, other):
                    found[dataset] = kind
        return found

    def members_of(self, cell: Cell) -> NDArray[np.bool_] | None:
        """Which items have the cell's metric, shape (n_items,); None for all of them. Of a metric that only some have: where an arm shows it, and
        where both arms lost an item of a kind that has it. A judge is asked about every item, and one without a verdict is lost, as an
        answer without usage is.
        """
        mask = self.members(cell.kind, cell.dataset)
        column = COLUMNS.get(cell.metric, cell.metric)
        if column in EVERY_ITEM_HAS or column in self.judges or column not in self.scores or is_usage(self.counts.get(column)):
            return mask
        control, treatment = self.scores[column]
        defined: NDArray[np.bool_] = ~(np.isnan(control) & np.isnan(treatment))
        if self.lost is not None:
            defined = self.lost.with_lost(defined)
        return defined if mask is None else mask & defined

    def pick(self, cell: Cell) -> Paired | None:
        """The cell's pairs; None when no item has the metric. An item has it when it is defined for such a question, answered or not."""
        column = COLUMNS.get(cell.metric, cell.metric)
        if column not in self.scores:
            return None
        control, treatment = self.scores[column]
        lost_control, lost_treatment = self._lost(cell.metric)
        found = Paired(
            treatment=treatment,
            control=control,
            clusters=self.clusters,
            samples_treatment=self.samples,
            samples_control=self.samples,
            is_number=self.scales.get(cell.metric) in ("count", "grade"),
            known_limits=self.limits.get(cell.metric),
            lost_treatment=lost_treatment,
            lost_control=lost_control,
            blamed=self._blamed(cell.metric),
        )
        mask = self.members_of(cell)
        found = found if mask is None else found.where(mask)
        if found.control.size == 0:
            return None
        is_alone = found.clusters is not None and int(np.bincount(found.clusters).max()) == 1
        return replace(found, clusters=None) if is_alone else found

    def what_is_lost(self, cell: Cell) -> What:
        """Answers, where any is among what the cell's comparison lost; else what answers that are there have none of."""
        column, mask, answered = self.column(cell.metric), self.members_of(cell), self.scores.get("abstain_rate")
        if column is None or answered is None:
            return "answers"
        for own, said, lost in zip(column, answered, self._lost(cell.metric), strict=True):
            is_gone = np.isnan(own) & np.isnan(said)
            if cell.metric not in self.judges and lost is not None:
                is_gone |= lost > 0.0
            if bool((is_gone if mask is None else is_gone[mask]).any()):
                return "answers"
        return "verdicts" if cell.metric in self.judges else "numbers"

    def _lost(self, metric: str) -> tuple[Floats | None, Floats | None]:
        """(control, treatment) share of each item's answers without a number; None where the scores that are missing say it all."""
        if metric in self.judges:
            return self.judges[metric].judged.unjudged
        lost = self.n_lost_to.get(metric, self.scores.get("n_lost"))
        return (None, None) if lost is None or self.samples == 1 else (lost[0] / self.samples, lost[1] / self.samples)

    def _blamed(self, metric: str) -> tuple[Floats, Floats] | None:
        """Of a judge of pairs (treatment, control): the pairs that went with the arm's own answer, and those that the judge itself left open."""
        lost, judge = self.scores.get("n_lost"), self.judges.get(metric)
        if judge is None or lost is None or not judge.judged.judge.is_pairwise:
            return None
        gone = judge.judged.unjudged[0]
        control, treatment = (np.minimum(np.nan_to_num(one, nan=self.samples) / self.samples, gone) for one in lost)
        left = gone - np.maximum(control, treatment)
        return treatment + left, control + left

    def left_by_judge(self, metric: str) -> tuple[Floats, Floats]:
        """(control, treatment): of each item how many answers have no verdict, though there was an answer, or a pair, to be judged."""
        gone, is_pairwise = self.judges[metric].judged.unjudged, self.judges[metric].judged.judge.is_pairwise
        lost = [np.nan_to_num(one, nan=self.samples) for one in self.scores["n_lost"]]
        lost = [np.maximum(*lost)] * 2 if is_pairwise else lost
        control, treatment = (np.maximum(np.rint(self.samples * share - own), 0.0) for share, own in zip(gone, lost, strict=True))
        return control, treatment


def is_usage(counts: frozenset[str] | None) -> bool:
    """Whether a metric has a number of every answer in whatever state, so that one without was told no usage. counts: the states that it has."""
    return counts is not None and counts >= frozenset(AnswerState)


def is_one_arm(trial: Trial, temp: float) -> bool:
    """Whether the trial compares an arm with itself."""
    control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
    return control is not None and treatment is not None and control.name == treatment.name


def load_tables(view: View, trial: Trial, *, further: tuple[str, ...] = ()) -> dict[float, Table]:
    """The trial's scores as one table per temperature; empty when an arm is missing. further: columns to read that are no metrics."""
    if not arms_in_order(trial):
        return {}
    scores = scores_of(view.layout, trial)
    columns = [*dict.fromkeys((*metric_columns(scores), *further, "n_lost"))]
    why = ("lost_to",) if "lost_to" in scores.collect_schema().names() else ()
    frame = scores.select(*(pl.col(name).cast(own) for name, own in KEYS.items()), pl.col(columns).cast(pl.Float64), *why).collect()
    condition, temps = frame["condition"], frame["temp"]
    arms = {name: (condition == name).to_numpy() for name in ("control", "treatment")}
    if not all(mask.any() for mask in arms.values()):
        return {}
    made = {temp: _table(view, trial, temp, frame, arms, (temps == temp).to_numpy(), columns) for temp in trial.temps}
    return {temp: _with_judges(view, trial, temp, table) for temp, table in made.items()} if view.config.judges else made


def _with_judges(view: View, trial: Trial, temp: float, table: Table) -> Table:
    """The table with what each judge says as a metric by its name."""
    known = believed(view, trial, temp, table.keys)
    scores = {name: (one.judged.control, one.judged.treatment) for name, one in known.items()}
    there = tuple(name for name, arms in scores.items() if not all(np.isnan(arm).all() for arm in arms))
    scales = {name: scale_of(one.judged.judge) for name, one in known.items()}
    limits = {name: limits for name, one in known.items() if (limits := one.judged.judge.limits) is not None}
    return replace(
        table,
        scores={**table.scores, **scores},
        metrics=(*table.metrics, *there),
        scales={**table.scales, **scales},
        limits={**table.limits, **limits},
        judges=known,
    )


def metric_columns(scores: pl.LazyFrame) -> list[str]:
    """Names of the columns that hold metrics."""
    return [name for name in scores.collect_schema().names() if name not in NOT_METRICS and not name.endswith("_std")]


def _table(
    view: View, trial: Trial, temp: float, frame: pl.DataFrame, arms: Mapping[str, NDArray[np.bool_]], is_here: NDArray[np.bool_], columns: list[str]
) -> Table:
    control, treatment = (np.flatnonzero(arms[name] & is_here) for name in ("control", "treatment"))
    control, treatment = _aligned(frame["item_key"], control, treatment)
    known = np.where(control >= 0, control, treatment)  # a row that knows the item
    facts = frame.select("item_key", "type", "dataset", "cluster").rechunk()[known]
    dataset_names = tuple(facts["dataset"].unique().cast(pl.String).sort().to_list())
    datasets = facts["dataset"].cast(pl.Enum(dataset_names)).to_physical().cast(pl.Int64).to_numpy()
    scores = {}
    for name in columns:
        # One more value than rows, so that place -1, an item that the arm lacks, finds NaN.
        values = np.append(frame[name].fill_null(float("nan")).to_numpy(), float("nan"))
        scores[name] = (values[control], values[treatment])
    names = {column: metric for metric, column in COLUMNS.items()}
    samples = view.config.samples_for(temp)
    counts = {column: one.counts for one in named_metrics(view.config.metrics) if one.counts for column in one.columns}
    n_lost_to = {}
    for column, states in counts.items() if samples > 1 and "lost_to" in frame.columns else ():
        values = np.append(_lost_but(frame["lost_to"], states), float("nan"))
        n_lost_to[column] = values[control], values[treatment]
    record = read_record(view.trial_layout(trial))
    shown = [column for column in columns if column not in NOT_METRICS and not column.endswith("_std") and not is_count(column)]
    defined = [column for column in shown if not all(np.isnan(arm).all() for arm in scores[column])]
    return Table(
        keys=facts["item_key"],
        scores=scores,
        is_open=(facts["type"] == "open").to_numpy(),
        datasets=datasets,
        dataset_names=dataset_names,
        clusters=_clusters(facts) if view.config.stats.clusters == "auto" else None,
        samples=samples,
        metrics=tuple(names.get(column, column) for column in defined if not (column == "f1" and record.get("f1_is_em"))),
        scales={name: scale for one in record.get("metrics", {}).values() for name, scale in one["scales"].items()},
        rules=set_rules(record),
        lower=frozenset(name for one in record.get("metrics", {}).values() if one.get("better") == "lower" for name in one["names"]),
        limits=limits_of(record),
        is_one_arm=is_one_arm(trial, temp),
        lost=wholly_lost(view.layout, facts, scores["n_lost"], samples),
        counts=counts,
        n_lost_to=n_lost_to,
        has_questions=has_questions(arms_of(view.trials)),
    )


def _lost_but(lost_to: pl.Series, states: frozenset[str]) -> Floats:
    """Samples of each row that were lost, but for those in these states."""
    n = {shown: sum(lost for why, lost in read_lost(shown).items() if why not in states) for shown in lost_to.drop_nulls().unique()}
    return lost_to.replace_strict(list(n), list(n.values()), default=0, return_dtype=pl.Float64).to_numpy() if n else np.zeros(len(lost_to))


def _aligned(keys: pl.Series, control: Places, treatment: Places) -> tuple[Places, Places]:
    """Rows of both arms for every item that either has, in the order of the keys; -1 for an item that the arm lacks."""
    own_control, own_treatment = keys.gather(control), keys.gather(treatment)
    if own_control.equals(own_treatment):
        order = order_of(own_control)
        return control[order], treatment[order]
    arms = [pl.DataFrame({"key": own, "place": places}) for own, places in ((own_control, control), (own_treatment, treatment))]
    both = arms[0].join(arms[1], on="key", how="full", coalesce=True).sort("key")
    return both["place"].fill_null(-1).to_numpy(), both["place_right"].fill_null(-1).to_numpy()


def order_of(keys: pl.Series) -> Places:
    """The places of the keys, each there once, in their order by bytes."""
    longest = keys.str.len_bytes().max()
    if not isinstance(longest, int) or longest > _SORTED_AS_NUMBERS or (keys.str.len_bytes() != keys.str.len_chars()).any():
        return keys.arg_sort().to_numpy().astype(np.int64)
    # Half a million keys as rows of 64-bit numbers are sorted in a quarter of the time that comparing strings takes.
    width = -(-max(longest, 1) // 8)
    words = np.empty((len(keys), width), dtype=np.uint64)
    for begin in range(0, len(keys), _KEYS_AT_ONCE):
        padded = keys.slice(begin, _KEYS_AT_ONCE).str.pad_end(8 * width, "\0").str.join("").cast(pl.Binary).item()
        words[begin : begin + _KEYS_AT_ONCE] = np.frombuffer(padded, dtype=">u8").reshape(-1, width)
    return np.lexsort(words.T[::-1])


def _clusters(facts: pl.DataFrame) -> NDArray[np.int64] | None:
    """A number per item by first appearance in the order of the keys; items without a cluster stand alone. None when all do."""
    named = facts["cluster"]
    is_alone = (named.is_null() | (named == "")).to_numpy()
    first = pl.DataFrame({"name": named}).with_row_index("place").select(pl.col("place").min().over("name"))["place"]
    codes = np.where(is_alone, np.arange(len(named)), first.to_numpy()).astype(np.int64)
    return codes if codes.size and int(np.bincount(codes).max()) > 1 else None
