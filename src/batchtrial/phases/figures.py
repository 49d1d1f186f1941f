"""Numbers as reports write them, and the artifacts that they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """One of the trial's own artifacts."""
    return dict(json.loads(path.read_bytes()))


def points(value: float | None) -> str:
    """A share as percentage points with its sign."""
    return "-" if value is None else f"{100 * value:+.1f}"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def p_text(value: float | None) -> str:
    return "-" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def usd(value: float | None) -> str:
    """Dollars: cents where they matter, three digits that count where they do not."""
    if value is None:
        return "unknown"
    return f"${value:,.2f}" if abs(value) >= 100 else f"${value:,.4f}" if abs(value) >= 0.01 or value == 0 else f"${value:.7f}".rstrip("0")
