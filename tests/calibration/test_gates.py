"""The simulated gates hold on a tenth of the replicates, with limits that widen accordingly, and broken methods break them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from . import clusters, few_clusters, judges, lost_answers, meta, multiplicity, one_alpha, planned_looks, planning, sequential, simulations
from .gates import Gate, Outcome, finish, near, three_errors


@pytest.mark.slow
@pytest.mark.parametrize("module", [simulations, clusters, sequential, planned_looks, multiplicity, planning, meta])
def test_gates_hold(module: object) -> None:
    measure: Callable[[float], Outcome] = vars(module)["measure"]
    outcome = measure(0.1)
    assert outcome.gates
    assert outcome.broken == []


def test_gates_of_whole_plans_hold_in_a_few_named_worlds() -> None:
    outcomes = (
        one_alpha.measure(0.1, one_alpha.WORLDS[2:3]),
        lost_answers.measure(0.1, lost_answers.WORLDS[1:2]),
        few_clusters.measure(0.1, (*few_clusters.WORLDS[:2], few_clusters.WORLDS[5])),
        judges.measure(0.1, (judges.WORLDS[4], judges.WORLDS[-1])),
    )
    assert [line for outcome in outcomes for line in outcome.broken] == []


def test_a_broken_gate_is_an_error_to_whoever_called(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Gate(name="good", measured=0.95, at_least=0.93), Gate(name="bad", measured=0.92, at_least=0.93)
    assert finish(Outcome(tables=(), gates=(good,))) == 0
    assert finish(Outcome(tables=(), gates=(good, bad))) == 1
    assert "FAIL bad: 0.9200" in capsys.readouterr().out


def test_a_gate_knows_its_limits() -> None:
    assert Gate(name="x", measured=0.95, at_least=0.93, at_most=0.97).holds
    assert not Gate(name="x", measured=0.92, at_least=0.93).holds
    assert not Gate(name="x", measured=0.98, at_most=0.97).holds
    assert near("x", 0.94, 0.95, 4000).at_least == pytest.approx(0.938, abs=1e-3)
    assert three_errors(0.05, 2000) == pytest.approx(0.0646, abs=1e-4)


def test_a_peeker_is_caught_and_a_patient_reader_is_not() -> None:
    rng = np.random.default_rng(0)
    trials = rng.choice([1, -1, 0], size=(300, sequential.N_MAX), p=[0.15, 0.15, 0.7])
    peeking = sum(sequential.naive(d, 0.3) is not None for d in trials) / 300
    betting = sum(sequential.betting(d, 0.3) is not None for d in trials) / 300
    assert peeking > 0.25
    assert betting < three_errors(0.05, 300)


def test_uncorrected_tests_find_what_is_not_there() -> None:
    found = multiplicity.corrected(multiplicity.N_TESTS, 200)
    assert found["none"][1] > 0.25
    assert found["holm"][1] < three_errors(0.05, 200)
