"""One account, one place: a sample of `python -m tests.crash.places` for every run of the tests."""

from __future__ import annotations

import pytest
from tests.crash.conftest import Labs
from tests.crash.lab import Lab
from tests.crash.places import CASES, LIVE, PROVIDERS, Tally, at


def point(lab: Lab, name: str, nth: int) -> int:
    """The number of the n-th point of that name."""
    return [number for number, one in enumerate(lab.points, 1) if one == name][nth - 1]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_inside_the_third_create_the_run_pays_once_whatever_is_done_to_it(calm_labs: Labs, provider: str, case: str) -> None:
    """A batch that is there and not in the ledger, two that are, and three that are still to be sent."""
    lab = calm_labs(provider)
    tally = Tally(provider, case)
    at(lab, case, point(lab, "call:submit:after", 3), tally)
    assert tally.bad == []
    assert tally.points == 1
    assert tally.lost == tally.unequal == 0
    if case not in LIVE or provider != "anthropic":
        assert tally.duplicates == 0
    assert tally.refused == (case == "another key")


@pytest.mark.parametrize("case", ["another key", "copied, in turn", "rolled back"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_inside_the_first_create_nothing_but_that_call_speaks_for_the_account(calm_labs: Labs, provider: str, case: str) -> None:
    lab = calm_labs(provider)
    tally = Tally(provider, case)
    at(lab, case, point(lab, "call:submit:after", 1), tally)
    assert tally.bad == []
    assert (tally.duplicates, tally.lost, tally.unequal) == (0, 0, 0)
    assert tally.refused == (case == "another key")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_retry_that_was_sent_before_the_folder_was_rolled_back_is_not_bought_again(calm_labs: Labs, provider: str) -> None:
    """The second attempt at a part has a token that the restored ledger has never written."""
    lab = calm_labs(provider)
    tally = Tally(provider, "rolled back")
    at(lab, "rolled back", point(lab, "ledger:retry:after", 1), tally)
    assert tally.bad == []
    assert (tally.duplicates, tally.lost, tally.unequal) == (0, 0, 0)
