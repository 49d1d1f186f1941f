"""stats: per-item scores in, significance.json out: every comparison with its family, p-values, interval, method and warnings.

Pairs are items: samples were averaged inside item and condition by score. What was declared in the config is tested as declared; everything else
is exploratory and says so. Nothing here computes a statistic: `batchtrial.stats` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from batchtrial.config.expand import Trial
from batchtrial.config.model import Config
from batchtrial.config.model import Endpoint as Declared
from batchtrial.phases.base import View, Work, digest_of, over_trials
from batchtrial.phases.comparison import Comparison, Paired, compare, estimate_json, seed_of, test_json
from batchtrial.records import Verdict
from batchtrial.state.store import encode_json, write_bytes
from batchtrial.stats import (
    AnalysisPlan,
    Endpoint,
    Finding,
    Judgement,
    check_followed,
    cohen_dav,
    cohen_dz,
    dataset_effect,
    hodges_lehmann,
    judge_findings,
    meta_analysis,
    rank_biserial,
    selective_difference,
    selective_risk,
    wilcoxon,
)
from batchtrial.stats.wording import followed, sentence

FORM: Final = 1
STAGE: Final = "stats"
Kind = Literal["open", "closed", "all"]
COLUMNS: Final[dict[str, str]] = {
    "em": "em",
    "f1": "f1",
    "abstained": "abstain_rate",
    "false_answer": "false_answer_rate",
    "unsupported": "unsupported_rate",
}
"""Metric -> column of per_item_scores.csv; a metric of the user's own is its own column."""
LABELS: Final[dict[str, str]] = {
    "em": "exact match",
    "f1": "token F1",
    "abstained": "abstention",
    "false_answer": "answering the unanswerable",
    "unsupported": "answers without lexical support (a heuristic)",
}
KINDS: Final[dict[Kind, str]] = {"open": "open book", "closed": "closed book", "all": "all questions"}
FAMILIES: Final = ("metrics", "datasets", "temperatures")
NOT_METRICS: Final = frozenset({"item_key", "type", "condition", "temp", "dataset", "cluster", "n_samples", "n_lost", "overlap"})


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
        where = f"dataset {self.dataset}" if self.dataset else KINDS[self.kind]
        return f"{LABELS.get(self.metric, self.metric)} ({where})"


def better_when_higher(metric: str, declared: Declared | None = None) -> bool:
    """Direction of a metric: as declared, else up for right answers and the user's own, down for the rates of what goes wrong."""
    if declared is not None and declared.higher_is_better is not None:
        return declared.higher_is_better
    return metric not in ("abstained", "false_answer", "unsupported")


def endpoint(declared: Declared, temp: float) -> Endpoint:
    """A declared endpoint in the words of the statistics."""
    cell = Cell(metric=declared.metric, kind=declared.kind, temp=temp)
    goal = declared.goal or ("noninferiority" if declared.margin is not None else "superiority")
    return Endpoint(
        name=cell.name,
        label=cell.label,
        goal=goal,
        margin=declared.margin,
        higher_is_better=better_when_higher(declared.metric, declared),
    )


def analysis_plan(config: Config, temp: float) -> AnalysisPlan:
    """The plan as the config declares it, before any result exists. temp: the trial's first temperature."""
    return AnalysisPlan(
        primary=endpoint(config.stats.primary, temp),
        confirmatory=tuple(endpoint(one, temp) for one in config.stats.confirmatory),
        exploratory=FAMILIES,
        alpha=config.stats.alpha,
        cluster="cluster" if config.stats.clusters == "auto" else None,
    )


@dataclass(frozen=True, slots=True)
class Table:
    """Scores of one temperature, one row per item, columns `<column>_control` and `<column>_treatment`."""

    frame: pl.DataFrame
    samples: int
    metrics: tuple[str, ...]
    has_clusters: bool

    def kinds(self) -> tuple[Kind, ...]:
        """Which questions there are; `all` when there are both, and alone when there is one."""
        found = set(self.frame["type"].unique().to_list())
        return ("all", "open", "closed") if {"open", "closed"} <= found else ("all",)

    def kinds_of(self, metric: str) -> tuple[Kind, ...]:
        """The same without `all` when only one kind of question has the metric: it would be the same comparison under two names."""
        column = COLUMNS.get(metric, metric)
        has_it = self.frame.filter(pl.col(f"{column}_control").is_not_null() | pl.col(f"{column}_treatment").is_not_null())
        found = set(has_it["type"].unique().to_list())
        return self.kinds() if len(found) > 1 or len(self.kinds()) == 1 else tuple(kind for kind in self.kinds() if kind in found)

    def datasets(self) -> list[str]:
        return sorted(self.frame["dataset"].unique().to_list())

    def pick(self, cell: Cell) -> Paired | None:
        """The cell's pairs; None when no item has the metric."""
        column = COLUMNS.get(cell.metric, cell.metric)
        if f"{column}_control" not in self.frame.columns:
            return None
        frame = self.frame
        if cell.kind != "all":
            frame = frame.filter(pl.col("type") == cell.kind)
        if cell.dataset is not None:
            frame = frame.filter(pl.col("dataset") == cell.dataset)
        # An item has the metric when it is defined for its kind of question, whether or not an answer came.
        frame = frame.filter(pl.col(f"{column}_control").is_not_null() | pl.col(f"{column}_treatment").is_not_null() | self._applies(column))
        if frame.height == 0:
            return None
        clusters = frame["cluster"].to_numpy() if self.has_clusters else None
        return Paired(
            treatment=frame[f"{column}_treatment"].fill_null(float("nan")).to_numpy(),
            control=frame[f"{column}_control"].fill_null(float("nan")).to_numpy(),
            clusters=None if clusters is None or len(np.unique(clusters)) == len(clusters) else clusters,
            samples_treatment=self.samples,
            samples_control=self.samples,
        )

    def _applies(self, column: str) -> pl.Expr:
        """Every item has em, f1 and abstention; the others exist only where an arm shows them."""
        return pl.lit(column in ("em", "f1", "abstain_rate"))


def load_tables(view: View, trial: Trial) -> dict[float, Table]:
    """per_item_scores.csv as one table per temperature; empty when an arm is missing."""
    path = view.trial_layout(trial).scores
    frame = pl.read_csv(path, schema_overrides={"item_key": pl.String, "cluster": pl.String, "dataset": pl.String, "temp": pl.Float64})
    metrics = [name for name in frame.columns if name not in NOT_METRICS and not name.endswith("_std")]
    frame = frame.with_columns(pl.col(name).cast(pl.Float64) for name in metrics)
    if set(frame["condition"].unique().to_list()) < {"control", "treatment"}:
        return {}
    code = pl.when(pl.col("cluster").fill_null("") == "").then("item_key").otherwise(pl.lit("c|") + pl.col("cluster"))
    frame = frame.with_columns(code.cast(pl.Categorical).to_physical().cast(pl.Int64).alias("cluster"))
    tables = {}
    for temp in trial.temps:
        here = frame.filter(pl.col("temp") == temp)
        arms = [here.filter(pl.col("condition") == one).select("item_key", *metrics) for one in ("control", "treatment")]
        facts = here.select("item_key", "type", "dataset", "cluster").unique(subset="item_key", keep="first")
        wide = facts.join(arms[0].rename({m: f"{m}_control" for m in metrics}), on="item_key", how="left")
        wide = wide.join(arms[1].rename({m: f"{m}_treatment" for m in metrics}), on="item_key", how="left").sort("item_key")
        has_clusters = view.config.stats.clusters == "auto" and wide["cluster"].n_unique() < wide.height
        names = {column: metric for metric, column in COLUMNS.items()}
        defined = [m for m in metrics if wide[f"{m}_control"].null_count() + wide[f"{m}_treatment"].null_count() < 2 * wide.height]
        tables[temp] = Table(wide, view.config.samples_for(temp), tuple(names.get(m, m) for m in defined), has_clusters)
    return tables


def cells(tables: dict[float, Table], plan_cells: tuple[Cell, ...]) -> Iterator[tuple[Cell, str | None]]:
    """Every cell with its exploratory family (None: declared), each once."""
    seen: set[str] = set()
    for cell in plan_cells:
        seen.add(cell.name)
        yield cell, None
    for place, (temp, table) in enumerate(tables.items()):
        for metric in table.metrics:
            for kind in table.kinds_of(metric):
                cell = Cell(metric=metric, kind=kind, temp=temp)
                if cell.name not in seen:
                    yield cell, "metrics" if place == 0 else "temperatures"
        if place == 0 and len(table.datasets()) > 1:
            for dataset in table.datasets():
                yield Cell(metric="em", kind="all", temp=temp, dataset=dataset), "datasets"


def significance(view: View, trial: Trial) -> dict[str, Any]:
    """The content of significance.json."""
    config, tables = view.config, load_tables(view, trial)
    record: dict[str, Any] = {"schema_version": 2, "simulated": config.is_simulated, "temps": list(trial.temps)}
    record["stats_config"] = config.stats.model_dump(mode="json")
    if not tables:
        return record | {"reason": "the run has one arm only: there is nothing to compare", "tests": [], "results": {}}
    first = trial.temps[0]
    plan = analysis_plan(config, first)
    if not tables[first].has_clusters:
        plan = replace(plan, cluster=None)
    declared = tuple(Cell(metric=one.metric, kind=one.kind, temp=first) for one in (config.stats.primary, *config.stats.confirmatory))
    by_name = {one.name: one for one in plan.declared}
    compared: dict[str, tuple[Cell, Comparison]] = {}
    findings = []
    for cell, family in cells(tables, declared):
        paired = tables[cell.temp].pick(cell)
        if paired is None:
            continue
        one = compare(
            paired,
            level=1 - config.stats.alpha,
            seed=seed_of(config.stats.random_seed, cell.name),
            flips=config.stats.permutation_samples,
            endpoint=by_name.get(cell.name),
        )
        compared[cell.name] = (cell, one)
        findings.append(_finding(cell, one, family))
    judgements = judge_findings(plan, findings)
    check = check_followed(plan, findings, plan.cluster)
    headline = next((j for j in judgements if j.standing == "primary"), None)
    return record | {
        "plan": {
            "hash": analysis_plan(config, first).fingerprint(),
            "primary": by_name[plan.primary.name].label if plan.primary is not None else None,
            "confirmatory": [one.label for one in plan.confirmatory],
            "followed": check.followed,
            "statement": followed(check, plan),
            "missing": list(check.missing),
        },
        "headline": None if headline is None else {"name": headline.finding.name, "verdict": headline.verdict, "sentence": sentence(headline)},
        "tests": [_test(j, *compared[j.finding.name]) for j in judgements],
        "results": {f"{temp:.1f}": _blocks(table, temp, judgements, compared, config) for temp, table in tables.items()},
    }


def _finding(cell: Cell, one: Comparison, family: str | None) -> Finding:
    return Finding(
        name=cell.name,
        estimate=one.estimate,
        test=one.test,
        family=family,
        margin_test_p=None if one.margin is None else one.margin.p_value,
        label=cell.label,
        higher_is_better=better_when_higher(cell.metric),
        is_share=True,
    )


def _test(judgement: Judgement, cell: Cell, one: Comparison) -> dict[str, Any]:
    record: dict[str, Any] = {
        "name": cell.name,
        "label": cell.label,
        "metric": cell.metric,
        "kind": cell.kind,
        "temp": cell.temp,
        "dataset": cell.dataset,
        "standing": judgement.standing,
        "family": judgement.family,
        "m": judgement.m,
        "correction": judgement.correction,
        "p_raw": judgement.p_raw,
        "p_adjusted": judgement.p_adjusted,
        "verdict": judgement.verdict,
        "is_claim": judgement.is_claim,
        "sentence": sentence(judgement),
        "estimate": estimate_json(one.estimate),
        "test": test_json(one.test),
        "arms": {name: estimate_json(arm) for name, arm in one.arms.items()},
        "pairs": {
            "n": one.missing.n_pairs,
            "dropped": one.missing.dropped,
            "only_treatment_missing": one.missing.only_treatment_missing,
            "only_control_missing": one.missing.only_control_missing,
            "both_missing": one.missing.both_missing,
            "p_missing": one.missing.test.p_value,
        },
        "n_clusters": one.n_clusters,
        "design_effect": one.design_effect,
        "warnings": list(dict.fromkeys((*one.warnings, *judgement.warnings))),
    }
    if one.counts is not None:
        record["counts"] = dict(zip(("both_right", "treatment_only", "control_only", "both_wrong"), one.counts, strict=True))
        record |= {"mcnemar_exact_p": one.exact.p_value if one.exact else None, "odds_ratio": estimate_json(one.odds)}
    if one.margin is not None:
        record["margin"] = {"low": one.margin.low, "high": one.margin.high, "alpha": one.margin.alpha, "p_value": one.margin.p_value}
    return record


def _blocks(
    table: Table, temp: float, judgements: tuple[Judgement, ...], compared: dict[str, tuple[Cell, Comparison]], config: Config
) -> dict[str, Any]:
    """Per kind of question, in the earlier system's keys: McNemar on exact match, every metric, selective risk, meta-analysis over datasets."""
    q_values = {j.finding.name: j.p_adjusted for j in judgements}
    blocks: dict[str, Any] = {}
    for kind in table.kinds():
        em = compared.get(Cell(metric="em", kind=kind, temp=temp).name)
        block: dict[str, Any] = {"n_items": em[1].missing.n_pairs if em else 0}
        if em is not None and em[1].counts is not None:
            one = em[1]
            block["mcnemar"] = {
                "b": one.counts[1] if one.counts else None,
                "c": one.counts[2] if one.counts else None,
                "p_exact": one.exact.p_value if one.exact else None,
                "p_midp": one.test.p_value if one.n_clusters is None else None,
                "odds_ratio": estimate_json(one.odds),
                "q_value": q_values.get(em[0].name),
            }
        metrics = {m: _metric_block(table, Cell(metric=m, kind=kind, temp=temp), compared, q_values) for m in table.metrics}
        block["metrics"] = {name: one for name, one in metrics.items() if one is not None}
        block["selective_risk"] = _selective(table, kind, temp, config)
        blocks[kind] = block
    if len(table.datasets()) > 1:
        blocks["meta"] = _meta(table, temp, config)
    return blocks


def _metric_block(table: Table, cell: Cell, compared: dict[str, tuple[Cell, Comparison]], q_values: dict[str, float | None]) -> dict[str, Any] | None:
    found, paired = compared.get(cell.name), table.pick(cell)
    if found is None or paired is None:
        return None
    both = paired.kept()
    differences = both.treatment - both.control
    return {
        "n_items": int(differences.size),
        "delta_mean": found[1].estimate.value,
        "ci_95": [found[1].estimate.ci_low, found[1].estimate.ci_high],
        "p_value": found[1].test.p_value,
        "q_value": q_values.get(cell.name),
        "wilcoxon": test_json(wilcoxon(differences)),
        "rank_biserial": rank_biserial(differences),
        "hodges_lehmann": estimate_json(hodges_lehmann(differences)),
        "cohens_dz": estimate_json(cohen_dz(differences)),
        "cohens_d_av": estimate_json(cohen_dav(both.treatment, both.control)),
    }


def _selective(table: Table, kind: Kind, temp: float, config: Config) -> dict[str, Any] | None:
    """Risk among answered items, where abstention is not an error but a choice."""
    em, abstained = table.pick(Cell(metric="em", kind=kind, temp=temp)), table.pick(Cell(metric="abstained", kind=kind, temp=temp))
    if em is None or abstained is None or em.treatment.shape != abstained.treatment.shape:
        return None
    level = 1 - config.stats.alpha
    arms = {"control": (em.control, abstained.control), "treatment": (em.treatment, abstained.treatment)}
    answered = {name: 1 - one[1] for name, one in arms.items()}
    wrong = {name: np.minimum(answered[name], 1 - one[0]) for name, one in arms.items()}
    each = {name: selective_risk(answered[name], wrong[name], level=level) for name in arms}
    both = selective_difference(answered["treatment"], wrong["treatment"], answered["control"], wrong["control"], clusters=em.clusters, level=level)
    record: dict[str, Any] = {
        name: {"coverage": estimate_json(one.coverage), "risk": estimate_json(one.risk), "selective_accuracy": estimate_json(one.accuracy)}
        for name, one in each.items()
    }
    return record | {"difference": {"risk": estimate_json(both.risk), "test": test_json(both.test), "coverage": estimate_json(both.coverage)}}


def _meta(table: Table, temp: float, config: Config) -> dict[str, Any]:
    """Exact match over the datasets as a sample of datasets, beside the analysis of these items."""
    effects = []
    for dataset in table.datasets():
        paired = table.pick(Cell(metric="em", kind="all", temp=temp, dataset=dataset))
        both = paired.kept() if paired is not None else None
        if both is not None and both.treatment.size:
            effects.append(dataset_effect(both.treatment - both.control))
    got = meta_analysis([e for e, _ in effects], [v for _, v in effects], level=1 - config.stats.alpha)
    return {
        "em": {
            "k": len(effects),
            "fixed": estimate_json(got.fixed),
            "random": estimate_json(got.random),
            "prediction": estimate_json(got.prediction),
            "heterogeneity": {**(test_json(got.heterogeneity) or {}), "tau2": got.tau2, "tau2_method": got.tau2_method, "I2": got.i2_q},
        }
    }


@dataclass(frozen=True, slots=True)
class Stats:
    """The phase."""

    name: str = "stats"

    def inputs(self, view: View, trial: Trial) -> str | None:
        """Digest of the scores and the declared analysis; None while the trial is not scored."""
        scored = view.stage_artifacts_digest(trial, "scored")
        if scored is None:
            return None
        samples = [view.config.samples_for(temp) for temp in trial.temps]
        return digest_of([FORM, scored, view.config.stats.model_dump(mode="json"), samples, view.config.mode])

    def trial_verdict(self, view: View, trial: Trial) -> Verdict:
        return view.stage_verdict(trial, STAGE, self.inputs(view, trial), needs="score")

    def verdict(self, view: View) -> Verdict:
        return over_trials(self, view)

    def run(self, work: Work) -> None:
        for trial, inputs in work.due(self):
            path = work.view.trial_layout(trial).significance
            write_bytes(path, encode_json(significance(work.view, trial)), hook=work.hook)
            work.publish(trial, STAGE, inputs, [path])


phase = Stats()
