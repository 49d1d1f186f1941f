"""Metrics that other packages bring: what one raises is told by its name, and what it gives is looked at before it is counted."""

from __future__ import annotations

import numpy as np

from batchtrial.errors import ConfigError, RunnerError
from batchtrial.plugins import words_of
from batchtrial.scoring.metrics.base import NamedMetric, Numbers, Rows


def columns_of(metric: NamedMetric, rows: Rows) -> dict[str, Numbers]:
    """The metric's columns for these answers. Raises ConfigError for one of another package that fails, or whose numbers cannot be what it says."""
    if type(metric).__module__.startswith("batchtrial."):
        return metric.of(rows)
    try:
        found = {column: np.asarray(values, dtype=np.float64) for column, values in metric.of(rows).items()}
        for values in found.values():
            _check(metric, values, len(rows.texts))
    except RunnerError:
        raise
    except (Exception, SystemExit) as error:  # somebody else's code, which may raise anything
        raise ConfigError(f"the metric {metric.id} failed: {words_of(error)}", where=f"metrics.{metric.column}", hint=HINT) from error
    return found


HINT = "its package says why; answers that were bought are kept, and `batchtrial resume` scores them when it is put right"


def _check(metric: NamedMetric, values: Numbers, n: int) -> None:
    if values.shape != (n,):
        raise ValueError(f"{values.size} numbers for {n} answers")
    low, high = (0.0, 1.0) if metric.number_kind == "share" else metric.limits or (-np.inf, np.inf)
    wrong = values[np.isinf(values) | (values < low) | (values > high)]
    if len(wrong):
        raise ValueError(f"it gives {wrong[0]}, which is no {metric.number_kind}" + (f" from {low:g} to {high:g}" if np.isfinite(low) else ""))
