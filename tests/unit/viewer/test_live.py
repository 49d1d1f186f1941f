"""How a run stands in the list of runs: what is done and owed, spent and reserved, in doubt, and since when it is quiet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from batchtrial.reading.inventory import RunSummary, Standing
from batchtrial.state.ledger import Counts
from batchtrial.state.money import Money
from batchtrial.viewer.live import runs_json

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_run_says_what_is_done_spent_and_in_doubt() -> None:
    counts = Counts(succeeded=40, errored=2, expired=0, cancelled=0, missing=1)
    parts = {"submitting": 2, "running": 1, "settled": 4}
    money = Money(spent_usd=Decimal("0.5"), in_flight_usd=Decimal("0.25"))
    stopped = RunSummary(
        run_id="a",
        root=Path("a"),
        standing=Standing.STOPPED,
        parts=parts,
        n_requests=90,
        outcomes=counts,
        money=money,
        active_at=NOW - timedelta(hours=3),
    )
    live = RunSummary(run_id="b", root=Path("b"), standing=Standing.RUNNING, parts=parts, active_at=NOW - timedelta(seconds=70))
    newest, oldest = runs_json([stopped, live], NOW, lambda root: 2.5 if root.name == "a" else None)["runs"]
    assert (newest["id"], newest["live"], newest["in_doubt"], newest["quiet"], newest["budget"]) == ("b", True, 0, "1 min ago", "")
    assert (oldest["requests"], oldest["done"], oldest["failed"], oldest["parts"]) == (90, 43, 3, parts)
    assert (oldest["live"], oldest["in_doubt"], oldest["quiet"], oldest["budget"]) == (False, 2, "3 h ago", "$2.50")
    assert (oldest["spent"], oldest["reserved"]) == ("$0.5000", "$0.2500")


@pytest.mark.parametrize(
    ("money", "spent"),
    [(Money(unpriced=2), "an unknown sum"), (Money(spent_usd=Decimal("0.5"), answers_without_usage=1, unknown_usd=Decimal(1)), "at least $0.5000")],
)
def test_a_sum_that_is_not_known_is_not_shown_as_one(money: Money, spent: str) -> None:
    run = RunSummary(run_id="a", root=Path("a"), standing=Standing.FINISHED, money=money)
    assert runs_json([run], NOW, lambda _: None)["runs"][0]["spent"] == spent
