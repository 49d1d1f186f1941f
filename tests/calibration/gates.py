"""Tables and gates of the calibration: what was measured, what is allowed, and whether it held."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A measured number between its limits; None means no limit on that side."""

    name: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def holds(self) -> bool:
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= self.measured <= high

    def line(self) -> str:
        limits = [f">= {self.at_least:.4f}" if self.at_least is not None else ""]
        limits.append(f"<= {self.at_most:.4f}" if self.at_most is not None else "")
        word = "ok  " if self.holds else "FAIL"
        return f"{word} {self.name}: {self.measured:.4f} ({' and '.join(limit for limit in limits if limit)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a calibration module found: Markdown tables for the documentation, and the gates."""

    tables: tuple[str, ...]
    gates: tuple[Gate, ...]

    @property
    def broken(self) -> list[str]:
        """Lines of the gates that do not hold."""
        return [gate.line() for gate in self.gates if not gate.holds]


def three_errors(rate: float, replicates: int) -> float:
    """`rate` plus three standard errors of a rate estimated from so many replicates."""
    return rate + 3.0 * math.sqrt(rate * (1.0 - rate) / replicates)


def table(title: str, header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; floats with three digits."""
    cells = [[f"{x:.3f}" if isinstance(x, float) else str(x) for x in row] for row in rows]
    lines = [f"### {title}", "", "| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(row) + " |" for row in cells]
    return "\n".join(lines) + "\n"


def near(name: str, measured: float, wanted: float, replicates: int) -> Gate:
    """A rate within 3.5 standard errors of what it should be, which is .012 for .95 and 4,000 replicates."""
    slack = 3.5 * math.sqrt(max(wanted * (1.0 - wanted), 1e-4) / replicates)
    return Gate(name=name, measured=measured, at_least=wanted - slack, at_most=wanted + slack)


def finish(outcome: Outcome) -> int:
    """Print tables and gates; 1 when a gate is broken."""
    sys.stdout.write("\n".join([*outcome.tables, *(gate.line() for gate in outcome.gates), ""]))
    return 0 if all(gate.holds for gate in outcome.gates) else 1
