"""Patterns of users, matched in time that grows with the text's length alone: by an automaton that never goes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from batchtrial.scoring.metrics.base import Numbers

_BACK: Final = ("look-around", "backreference")


def pattern_fault(pattern: str) -> str | None:
    """What is wrong with a pattern, with the fix; None when it can be used."""
    try:
        matches(["a"], pattern)
    except UnicodeEncodeError:
        return "half of a surrogate pair, which no answer holds"
    except pl.exceptions.PolarsError as error:
        said = [line.strip() for line in str(error).splitlines()]
        why = next((line.removeprefix("error:").strip() for line in reversed(said) if line.startswith("error:")), "too large when it is written out")
        if any(word in why for word in _BACK):
            return f"{why}: such a pattern may take for ever on an answer; write it without, or as two metrics, one with `not: true`"
        return f"no regular expression ({why})"
    return None


def matches(texts: Sequence[str], pattern: str) -> Numbers:
    """1 for each text in which the pattern matches, else 0. Raises PolarsError for what is no pattern."""
    column = pl.Series(texts, dtype=pl.String)
    return column.str.contains(pattern, strict=True).cast(pl.Float64).to_numpy() if texts else np.empty(0)


def taken_out(text: str, pattern: str) -> str:
    """The text without what the pattern matches. Raises PolarsError for what is no pattern."""
    return str(pl.Series([text], dtype=pl.String).str.replace_all(pattern, "")[0])
