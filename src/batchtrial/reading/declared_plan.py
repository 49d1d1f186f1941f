"""The analysis plan of a run: what it was declared to show before any result existed."""

from __future__ import annotations

from dataclasses import dataclass

from batchtrial.phases.analyse.plan_words import plan_words, statement
from batchtrial.phases.batches.frozen_plan import Change, Origin, frozen_plan
from batchtrial.reading.config import config_of_run
from batchtrial.state.layout import RunLayout


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredPlan:
    """The declared plan. hash: of it, None when none was frozen. origin: `frozen` before the first request, `opened` with the run, or `none`.

    statement: whether the run's settings still are that plan, as reports say it. words: (about, text) of each thing that was declared.
    """

    hash: str | None
    origin: Origin
    is_default: bool
    statement: str
    words: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]


def declared_plan(layout: RunLayout) -> DeclaredPlan:
    """The run's plan, from its ledger. Raises RunStateMissing, ManifestCorrupt."""
    config = config_of_run(layout)
    frozen = frozen_plan(layout.ledger, config)
    return DeclaredPlan(
        hash=frozen.hash,
        origin=frozen.origin,
        is_default=frozen.is_default,
        statement=statement(frozen, config.stats),
        words=tuple((one.label, one.text) for one in plan_words(layout.ledger, config)),
        changes=frozen.changes,
    )
