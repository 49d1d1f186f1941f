"""Per-item scores in, the content of significance.json out: every comparison with its family, p-values, interval, method and warnings.

Pairs are items: samples were averaged inside item and condition by score. What was declared in the config is tested as declared; everything else
is exploratory and says so. Nothing here computes a statistic: `batchtrial.stats` does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from batchtrial.config.arm_differences import arm_differences
from batchtrial.config.expand import Trial
from batchtrial.config.judge_arms import judged_metrics
from batchtrial.config.model import Config
from batchtrial.config.model import Endpoint as Declared
from batchtrial.phases.analyse.analyses import dataset_meta
from batchtrial.phases.analyse.comparison import Comparison, compare, estimate_json, of_one_arm, seed_of, test_json
from batchtrial.phases.analyse.corpus_scores import corpus_scores
from batchtrial.phases.analyse.declared import analysis_plan, better_when_higher, declared_cells, declared_plan
from batchtrial.phases.analyse.judges import compared_by_judge, judges_json
from batchtrial.phases.analyse.labelled import labelled_since
from batchtrial.phases.analyse.losses import Losses, Lost, load_losses, told
from batchtrial.phases.analyse.lost_answers import lost_answers
from batchtrial.phases.analyse.lost_verdicts import lost_verdicts
from batchtrial.phases.analyse.plan_words import as_declared, direction, held_against, origins_of, plan_json, statement
from batchtrial.phases.analyse.secondary import secondary
from batchtrial.phases.analyse.selective import selective
from batchtrial.phases.analyse.slices import slices
from batchtrial.phases.analyse.stopping import BETWEEN, as_stopped, is_between_looks, looks_json
from batchtrial.phases.analyse.tables import Cell, Table, load_tables
from batchtrial.phases.base import View
from batchtrial.phases.batches.frozen_plan import FrozenPlan, Role, frozen_plan
from batchtrial.phases.score.record import read_record
from batchtrial.records import CONDITIONS
from batchtrial.stats import (
    AnalysisPlan,
    Finding,
    Judgement,
    LostAnswers,
    check_followed,
    judge_findings,
    verdict,
)
from batchtrial.stats.looks import METHOD
from batchtrial.stats.plan import PlanCheck
from batchtrial.stats.wording import Origin, followed, sentence

if TYPE_CHECKING:
    from batchtrial.phases.analyse.shared_alpha import SharedAlpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A cell with its comparison. title: what its metric is called. secondary: as JSON; lost: answers that are none, by arm and reason.

    counted: those of them of which the metric has a number all the same.
    """

    cell: Cell
    title: str
    one: Comparison
    secondary: dict[str, Any]
    lost: Lost
    counted: Lost


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
                if cell.name not in seen and not table.is_em_again(cell):
                    yield cell, "metrics" if place == 0 else "temperatures"
        if place == 0 and len(table.dataset_names) > 1:
            same = table.same_items()
            for dataset in table.dataset_names:
                if dataset not in same:
                    yield Cell(metric="em", kind="all", temp=temp, dataset=dataset), "datasets"


def findings_of(
    config: Config, tables: dict[float, Table], plan: AnalysisPlan, wanted: Iterable[tuple[Cell, str | None]]
) -> tuple[dict[str, Comparison], list[Finding]]:
    """Comparisons by name and their findings, of those cells that have scores."""
    by_name = {one.name: one for one in plan.declared}
    made: dict[str, Comparison] = {}
    findings = []
    for cell, family in wanted:
        paired = tables[cell.temp].pick(cell)
        if paired is None:
            continue
        level, seed, flips = 1 - config.stats.alpha, seed_of(config.stats.random_seed, cell.name), config.stats.permutation_samples
        endpoint = by_name.get(cell.name)
        one, table = compare(paired, level=level, seed=seed, flips=flips, endpoint=endpoint), tables[cell.temp]
        if table.is_one_arm:
            made[cell.name] = of_one_arm(one, level)
            findings.append(_finding(cell, made[cell.name], family, None, table))
            continue
        share = config.stats.missing.plausible_share
        if (judge := table.judges.get(cell.metric)) is None:
            lost = lost_answers(paired, one, share=share, level=level, seed=seed, flips=flips, endpoint=endpoint)
        else:
            mask = table.members_of(cell)
            labels = judge.labels if mask is None else judge.labels[mask]
            one = compared_by_judge(one, paired, judge, labels, level, endpoint)
            lost = lost_verdicts(paired, one, labels, share=share, level=level, endpoint=endpoint)
        made[cell.name] = one
        findings.append(_finding(cell, one, family, None if lost is None else replace(lost, what=table.what_is_lost(cell)), table))
    return made, findings


def significance(view: View, trial: Trial, shared: SharedAlpha | None = None) -> dict[str, Any]:
    """The content of significance.json. shared: this trial among those of its run; None when it is the only one."""
    config, tables = view.config, load_tables(view, trial)
    record: dict[str, Any] = {"schema_version": 2, "simulated": config.is_simulated, "temps": list(trial.temps)}
    record["stats_config"] = config.stats.model_dump(mode="json")
    if config.arms:
        record["contrast"] = contrast_json(trial)
    if not tables:
        why = trial.why_absent or "the run has one arm only"
        return record | {"reason": f"{why}: there is nothing to compare", "tests": [], "results": {}}
    if is_between_looks(view, trial):
        return record | {"reason": BETWEEN, "tests": [], "results": {}, "looks": looks_json(view, trial)}
    first = trial.temps[0]
    plan = declared_plan(config, trial, tables)
    wanted = list(cells(tables, declared_cells(config, trial)))
    made, findings = as_stopped(view, trial, tables, plan, *findings_of(config, tables, plan, wanted))
    compared = _compared(load_losses(view, trial), tables, made, [cell for cell, _ in wanted if cell.name in made])
    frozen = frozen_plan(view.layout.ledger, config)
    origins = endpoint_origins(view, trial, frozen, plan)
    judged = judge_findings(plan, held_against(origins, findings), share=1.0 if shared is None else shared.share)
    judgements = tuple(as_declared(one, origins.get(one.finding.name)) for one in judged)
    if config.stats.exploratory == "none":
        judgements = tuple(uncorrected(one, plan) for one in judgements)
    check = check_followed(plan, findings, plan.cluster)
    sentences = {j.finding.name: said(j, compared[j.finding.name], origins) for j in judgements}
    headline = next((j for j in judgements if j.family == "primary"), None)
    looks = looks_json(view, trial, is_stagewise=headline is not None and headline.finding.estimate.method == METHOD)
    since = labelled_since(view, trial)
    if looks is not None and headline is not None:
        sentences[headline.finding.name] += f" {looks['sentence']}"
    rules = tables[first].told_rules()
    corpus = corpus_scores(read_record(view.trial_layout(trial)), tables, level=1 - config.stats.alpha, seed=config.stats.random_seed)
    return record | {
        "plan": _plan(config, first, plan, frozen, check),
        "run": None if shared is None else shared.record(config.stats.alpha),
        "headline": None
        if headline is None
        else {"name": headline.finding.name, "verdict": headline.verdict, "sentence": sentences[headline.finding.name]},
        "tests": [_test(j, compared[j.finding.name], sentences[j.finding.name]) for j in judgements],
        "same_items": tables[first].same_items(),
        **({"looks": looks} if looks is not None else {}),
        **({"judges": judges_json(view, trial, known, tables[first].clusters, since)} if (known := tables[first].judges) else {}),
        **({"rules": rules} if rules else {}),
        **({"corpus": corpus} if corpus else {}),
        **({"slices": sliced} if (sliced := slices(config, view.layout, tables)) else {}),
        "results": {f"{temp:.1f}": _blocks(table, temp, judgements, compared, config) for temp, table in tables.items()},
    }


def _plan(config: Config, first: float, plan: AnalysisPlan, frozen: FrozenPlan, check: PlanCheck) -> dict[str, Any]:
    """What was declared, and whether the analysis followed it."""
    return {
        **plan_json(frozen),
        "analysis_hash": analysis_plan(config, first).fingerprint(),
        "primary": plan.primary.label if plan.primary is not None else None,
        "confirmatory": [one.label for one in plan.confirmatory],
        "followed": check.followed and frozen.origin != "none" and not frozen.late,
        "statement": f"{statement(frozen, config.stats, is_followed=check.followed)} {followed(check, plan)}".strip(),
        "missing": list(check.missing),
    }


def contrast_json(trial: Trial) -> dict[str, Any]:
    """Which arms a trial compares, and what differs between them."""
    control, treatment = (trial.arm(condition, trial.temps[0]) for condition in CONDITIONS)
    told = [one.as_json() for one in arm_differences(control, treatment)] if control is not None and treatment is not None else []
    return {"control": trial.against, "treatment": trial.prompt_set, "differences": told}


def _compared(
    losses: Mapping[float, Losses], tables: Mapping[float, Table], made: Mapping[str, Comparison], wanted: Iterable[Cell]
) -> dict[str, Compared]:
    """Each comparison with what stands beside it, by name."""
    return {
        cell.name: Compared(
            cell=cell,
            title=tables[cell.temp].title(cell),
            one=made[cell.name],
            secondary={} if cell.dataset or tables[cell.temp].is_one_arm else secondary(tables[cell.temp].pick(cell)),
            lost=losses[cell.temp].of(tables[cell.temp], cell),
            counted=losses[cell.temp].counted(tables[cell.temp], cell),
        )
        for cell in wanted
    }


def endpoint_origins(view: View, trial: Trial, frozen: FrozenPlan, plan: AnalysisPlan) -> dict[str, Origin]:
    """What may be said of each declared endpoint of a trial, by name."""
    stats, names = view.config.stats, judged_metrics(view.config)
    given: list[tuple[Declared, Role]] = [(stats.primary, "primary"), *((one, "confirmatory") for one in stats.confirmatory)]
    declared = {one.name: of for one, of in zip(plan.declared, given, strict=True)}
    by_labels = [name for name, (one, _) in declared.items() if one.metric in names] if labelled_since(view, trial) is not None else []
    return {name: "relabelled" if name in by_labels else of for name, of in origins_of(frozen, declared).items()}


def said(judgement: Judgement, compared: Compared, origins: Mapping[str, Origin]) -> str:
    """The judgement's sentence, and which answers it rests without."""
    origin = origins.get(judgement.finding.name, "declared")
    words = sentence(judgement, origin=origin, direction=direction(compared.cell.metric, judgement.finding.estimate.value, compared.title))
    lost = {condition: Counter(counts) - Counter(compared.counted.get(condition, {})) for condition, counts in compared.lost.items()}
    for opening, answers in (("Not scored", told(lost)), ("Counted all the same", told(compared.counted))):
        words += f" {opening}: {answers}." if answers else ""
    return words


def uncorrected(one: Judgement, plan: AnalysisPlan) -> Judgement:
    """An exploratory judgement by its raw p, as `exploratory: none` asks for; declared endpoints keep theirs."""
    if one.family in ("primary", "confirmatory"):
        return one
    decided = verdict(one.endpoint, one.standing, one.finding.estimate, difference_p=one.p_raw, margin_p=None, plan=plan)
    return replace(one, p_adjusted=one.p_raw, correction="none", verdict=decided, warnings=(*one.warnings, "not corrected for the number of tests"))


def _finding(cell: Cell, one: Comparison, family: str | None, lost: LostAnswers | None, table: Table) -> Finding:
    return Finding(
        name=cell.name,
        estimate=one.estimate,
        test=one.test,
        family=family,
        margin_test_p=None if one.margin is None else one.margin.p_value,
        label=table.label(cell),
        higher_is_better=better_when_higher(cell.metric, lower=table.lower),
        is_share=table.is_share(cell.metric),
        lost=lost,
        not_decidable=one.not_decidable,
    )


def _test(judgement: Judgement, compared: Compared, words: str) -> dict[str, Any]:
    cell, one = compared.cell, compared.one
    record: dict[str, Any] = {
        "name": cell.name,
        "label": judgement.finding.label,
        "metric": cell.metric,
        "kind": cell.kind,
        "temp": cell.temp,
        "dataset": cell.dataset,
        "standing": judgement.standing,
        "family": judgement.family,
        "m": judgement.m,
        "correction": judgement.correction,
        "decided_by": judgement.endpoint.decided_by,
        "p_raw": judgement.p_raw,
        "p_adjusted": judgement.p_adjusted,
        "difference_p_adjusted": judgement.difference_p,
        "verdict": judgement.verdict,
        "is_claim": judgement.is_claim,
        "is_share": judgement.finding.is_share,
        "higher_is_better": judgement.endpoint.higher_is_better,
        "sentence": words,
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
            "lost_answers": compared.lost,
        },
        "lost_at_worst": None if judgement.finding.lost is None else asdict(judgement.finding.lost),
        "n_clusters": one.n_clusters,
        "not_decidable": one.not_decidable,
        "design_effect": one.design_effect,
        "warnings": _each_once((*one.warnings, *judgement.warnings)),
    }
    if one.counts is not None:
        record["counts"] = dict(zip(("both_right", "treatment_only", "control_only", "both_wrong"), one.counts, strict=True))
        record |= {"mcnemar_exact_p": one.exact.p_value if one.exact else None, "odds_ratio": estimate_json(one.odds)}
    if one.margin is not None:
        record["margin"] = {"low": one.margin.low, "high": one.margin.high, "alpha": one.margin.alpha, "p_value": one.margin.p_value}
    return record


def _each_once(warnings: Iterable[str]) -> list[str]:
    """The warnings, without those that another one says with more words after them."""
    each = list(dict.fromkeys(warnings))
    return [one for one in each if not any(other.startswith(f"{one}:") for other in each)]


def _blocks(table: Table, temp: float, judgements: tuple[Judgement, ...], compared: dict[str, Compared], config: Config) -> dict[str, Any]:
    """Per kind of question, in the earlier system's keys: McNemar on exact match, every metric, selective risk, meta-analysis over datasets."""
    # Of the difference, like everything in these blocks: what a margin test says stands with the endpoint that declared it.
    q_values = {j.finding.name: j.p_adjusted for j in judgements if j.endpoint.decided_by == "difference"}
    blocks: dict[str, Any] = {}
    for kind in table.kinds():
        em = compared.get(Cell(metric="em", kind=kind, temp=temp).name)
        block: dict[str, Any] = {"n_items": em.one.missing.n_pairs if em else 0}
        if em is not None and em.one.counts is not None:
            one = em.one
            block["mcnemar"] = {
                "b": one.counts[1] if one.counts else None,
                "c": one.counts[2] if one.counts else None,
                "p_exact": one.exact.p_value if one.exact else None,
                "p_midp": one.test.p_value if one.n_clusters is None else None,
                "odds_ratio": estimate_json(one.odds),
                "q_value": q_values.get(em.cell.name),
                **({} if one.n_clusters is None else {"reason": "items are clustered: exact p, mid-p and odds ratio would ignore that"}),
            }
        found = {m: compared.get(Cell(metric=m, kind=kind, temp=temp).name) for m in table.metrics}
        block["metrics"] = {m: _metric_block(one, q_values) for m, one in found.items() if one is not None}
        block["selective_risk"] = selective(table, kind, temp, config)
        blocks[kind] = block
    if len(table.dataset_names) > 1:
        blocks["meta"] = dataset_meta(table, temp, 1 - config.stats.alpha)
    return blocks


def _metric_block(compared: Compared, q_values: dict[str, float | None]) -> dict[str, Any]:
    estimate = compared.one.estimate
    return {
        "n_items": compared.one.missing.n_pairs,
        "delta_mean": estimate.value,
        "ci_95": [estimate.ci_low, estimate.ci_high],
        "p_value": compared.one.test.p_value,
        "q_value": q_values.get(compared.cell.name),
        **compared.secondary,
    }
