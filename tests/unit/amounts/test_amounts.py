"""One thing is one thing, and many are many."""

from __future__ import annotations

from batchtrial.amounts import counted


def test_a_number_has_the_noun_that_it_needs() -> None:
    assert [counted(n, "part") for n in (0, 1, 2, 1200)] == ["0 parts", "1 part", "2 parts", "1,200 parts"]
    assert [counted(n, "row has", "rows have") for n in (1, 3)] == ["1 row has", "3 rows have"]
