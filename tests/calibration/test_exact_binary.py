"""The methods for right/wrong answers keep their promises on every truth of the grid, enumerated."""

import numpy as np
import pytest

from . import exact_binary


@pytest.mark.parametrize("n", [20, 50, pytest.param(100, marks=pytest.mark.slow), pytest.param(200, marks=pytest.mark.slow)])
def test_gates_hold_and_independent_code_finds_the_same_numbers(n: int) -> None:
    rows = list(exact_binary.report((n,)))
    assert {row.method for row in rows} >= {"tango", "bonett_price", "mcnemar_midp", "noninferiority_0.05"}
    gates = [gate for row in rows for gate in exact_binary.gates(row)]
    assert len(gates) > 10
    assert [gate.line() for gate in gates if not gate.holds] == []


def broken(row: exact_binary.Row) -> bool:
    return not all(gate.holds for gate in exact_binary.gates(row))


def test_probabilities_of_all_tables_add_up() -> None:
    for truth in ((0.3, 0.1), (0.5, 0.0), (0.0, 0.8), (1.0, 0.0)):
        assert exact_binary.weights(20, *truth).sum() == pytest.approx(1.0, abs=1e-12)


def test_a_method_that_is_too_narrow_breaks_its_gate() -> None:
    low, high = exact_binary.tango_ends(20)
    middle = (low + high) / 2
    lowest, mean = exact_binary.coverage(20, (middle - 0.45 * (high - low), middle + 0.45 * (high - low)))
    assert broken(exact_binary.Row(method="tango", n=20, lowest=lowest, mean=mean))


def test_a_bold_test_breaks_its_gate() -> None:
    size = exact_binary.size(20, lambda b, c: 0.0 if abs(b - c) >= 3 else 1.0)
    assert broken(exact_binary.Row(method="mcnemar_midp", n=20, highest=size))


def test_tango_is_not_merely_wide() -> None:
    b, c = exact_binary.tables(50)
    low, high = exact_binary.tango_ends(50)
    mean_width = float(np.mean((high - low)[(b + c > 5) & (b + c < 25)]))
    assert 0.15 < mean_width < 0.32
