"""Before the first request of a run with judges is sent: does the budget cover what they may cost too?"""

from __future__ import annotations

from batchtrial.errors import BudgetTooSmall
from batchtrial.phases.base import View
from batchtrial.phases.batches.coverage import LESS
from batchtrial.phases.batches.money import BUDGET
from batchtrial.providers.base import Provider
from batchtrial.run.planned import budget_of_run


def check_judges_budget(view: View, codec: Provider, *, is_partial: bool) -> None:
    """Raises BudgetTooSmall, ConfigError. Once something was sent, the second wave is held against what is left when it begins."""
    if is_partial or not view.config.judges or view.config.submission.budget_usd is None or any(part.attempts for part in view.parts.values()):
        return
    found = budget_of_run(view, codec)
    if found is not None and not found.covers:
        raise BudgetTooSmall(found.refused or f"with the judges, {found.sentence}", where=BUDGET, hint=LESS)
