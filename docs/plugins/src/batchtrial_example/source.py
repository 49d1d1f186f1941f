"""A source of questions: `datasets: [{name: sums, source: counting, kind: closed}]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from batchtrial.sources.spec import SourceSpec


def counting(spec: SourceSpec) -> Iterator[Mapping[str, Any]]:
    """Twelve sums, or as many as `max_items` says."""
    for number in range(1, (spec.max_items or 12) + 1):
        yield {"id": f"sum-{number}", "question": f"What is {number} plus {number}?", "answers": [str(2 * number)]}
