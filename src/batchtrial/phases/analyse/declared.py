"""The declared plan in the words of the statistics: which comparisons it names, in which direction, with which margin and in which unit."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from batchtrial.config.expand import Trial
from batchtrial.config.metric_entries import lower_is_better
from batchtrial.config.model import Config
from batchtrial.config.model import Endpoint as Declared
from batchtrial.phases.analyse.tables import Cell, Table
from batchtrial.stats import AnalysisPlan, Endpoint

FAMILIES: Final = ("metrics", "datasets", "temperatures")


def better_when_higher(metric: str, declared: Declared | None = None, lower: frozenset[str] = frozenset()) -> bool:
    """Direction of a metric: as declared, else up for right answers and the user's own, down for rates of what goes wrong and those of `lower`."""
    if declared is not None and declared.higher_is_better is not None:
        return declared.higher_is_better
    return metric not in ("abstained", "false_answer", "unsupported") and metric not in lower


def endpoint(declared: Declared, temp: float, lower: frozenset[str] = frozenset()) -> Endpoint:
    """A declared endpoint in the words of the statistics. lower: metrics by name of which less is better."""
    cell = Cell(metric=declared.metric, kind=declared.kind, temp=temp)
    goal = declared.goal or ("noninferiority" if declared.margin is not None else "superiority")
    return Endpoint(
        name=cell.name,
        label=cell.label,
        goal=goal,
        margin=declared.margin,
        higher_is_better=better_when_higher(declared.metric, declared, lower),
        is_share=declared.margin is None or declared.margin < 1.0,  # a wider one is of a count or a grade
    )


def analysis_plan(config: Config, temp: float) -> AnalysisPlan:
    """The plan as the config declares it, before any result exists. temp: the trial's first temperature."""
    lower = lower_is_better(config.metrics)
    return AnalysisPlan(
        primary=endpoint(config.stats.primary, temp, lower),
        confirmatory=tuple(endpoint(one, temp, lower) for one in config.stats.confirmatory),
        exploratory=FAMILIES,
        alpha=config.stats.alpha,
        lost_share=config.stats.missing.plausible_share,
        cluster="cluster" if config.stats.clusters == "auto" else None,
    )


def declared_cells(config: Config, trial: Trial) -> tuple[Cell, ...]:
    """The cells of the declared endpoints, the primary one first."""
    return tuple(Cell(metric=one.metric, kind=one.kind, temp=trial.temps[0]) for one in (config.stats.primary, *config.stats.confirmatory))


def declared_plan(config: Config, trial: Trial, tables: dict[float, Table]) -> AnalysisPlan:
    """The declared plan, with clusters and units as the scores have them."""
    first = trial.temps[0]
    plan = analysis_plan(config, first)
    if tables[first].clusters is None:
        plan = replace(plan, cluster=None)
    return in_units(plan, config, tables[first], first)


def in_units(plan: AnalysisPlan, config: Config, table: Table, temp: float) -> AnalysisPlan:
    """The plan with each endpoint in the unit and by the name of its metric, which only the scores tell; what was declared and hashed is the same."""
    known = [
        replace(one, is_share=table.is_share(of.metric), label=table.label(Cell(metric=of.metric, kind=of.kind, temp=temp)))
        for one, of in zip(plan.declared, (config.stats.primary, *config.stats.confirmatory), strict=True)
    ]
    return replace(plan, primary=known[0], confirmatory=tuple(known[1:]))
