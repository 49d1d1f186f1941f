"""Why requests have no answer, with how many: messages that differ in numbers and ids alone are one reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

MOST_REASONS: Final = 12
"""Reasons kept of one part or arm; the rest are added up under OTHERS."""
MOST_TOLD: Final = 8
"""Reasons that the terminal shows; the report has more."""
OTHERS: Final = "other reasons"
_MOST_SEEN: Final = 2000
_MOST_CHARS: Final = 300
_VARYING: Final = re.compile(r"\b(?=[\w-]*[0-9])[\w-]{12,}\b|[0-9]+")


def counted_reasons(reasons: Iterable[str]) -> dict[str, int]:
    """Reason -> how many, the commonest first; of those that are one, the first in the order of texts stands for all."""
    return merged([{reason: 1} for reason in reasons])


def merged(found: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The reasons of several parts together."""
    shown: dict[str, str] = {}
    counts: dict[str, int] = {}
    for each in found:
        for reason, n in each.items():
            text = " ".join(reason.split())[:_MOST_CHARS]
            key = _VARYING.sub("#", text)
            if key not in counts and len(counts) >= _MOST_SEEN:
                key = text = OTHERS
            counts[key] = counts.get(key, 0) + n
            shown[key] = min(shown.get(key, text), text)
    order = sorted(counts, key=lambda key: (key == OTHERS, -counts[key], key))
    kept, rest = order[:MOST_REASONS], order[MOST_REASONS:]
    total = {shown[key]: counts[key] for key in kept}
    if rest:
        total[OTHERS] = total.get(OTHERS, 0) + sum(counts[key] for key in rest)
    return total


def reason_lines(reasons: Mapping[str, int], most: int = MOST_TOLD) -> Iterator[str]:
    """`300 x errored: 404: the model does not exist`, the commonest first."""
    for place, (reason, n) in enumerate(reasons.items()):
        if place == most:
            yield f"and {sum(list(reasons.values())[most:])} more for other reasons; the report has them"
            return
        yield f"{n} x {reason}"
