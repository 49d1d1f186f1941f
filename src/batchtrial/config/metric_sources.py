"""The code behind a config's metrics: which functions are the user's own, and the hashes and versions of what computes."""

from __future__ import annotations

from batchtrial.config.metric_entries import named_metrics, own_functions
from batchtrial.config.model import Config
from batchtrial.scoring.metric_source import source_of
from batchtrial.scoring.metrics.named import sha256_of

FOLDERS = (".",)
"""Where modules of a user's own are looked for beside Python's own path."""


def own_paths(config: Config) -> tuple[str, ...]:
    """Import paths of the user's metrics, each once."""
    return tuple(dict.fromkeys([*(spec.metric for spec in config.datasets if spec.metric and ":" in spec.metric), *own_functions(config.metrics)]))


def sources_of(config: Config) -> dict[str, str]:
    """sha256 of the code of each of the user's metrics by import path, "" where no file can be read; and of metrics by name, by column."""
    own = {path: source_of(path.partition(":")[0], FOLDERS).sha256 for path in own_paths(config)}
    return own | {metric.column: sha256_of(metric) for metric in named_metrics(config.metrics)}


def versions(config: Config) -> list[str]:
    """Libraries that compute metrics by name, with their versions."""
    return sorted({f"{metric.library} {metric.version}" for metric in named_metrics(config.metrics) if metric.library})
