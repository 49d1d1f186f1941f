"""What the config calls each arm, which else is known by its recipe."""

from __future__ import annotations

from collections.abc import Sequence

from batchtrial.config.expand import Trial
from batchtrial.config.model import Config


def labels_of_arms(config: Config, trials: Sequence[Trial]) -> dict[str, str]:
    """What the config calls each arm, by its own name: `shorter`, or `careful treatment` of a prompt set; of several temperatures with its own."""
    named: dict[tuple[str, float, str], None] = {}
    for trial in trials:
        for arm in trial.arms:
            told = trial.prompt_set if arm.condition == "treatment" else trial.against
            named[arm.name, arm.temp, told if config.arms else f"{trial.prompt_set} {arm.condition}"] = None
    temps: dict[str, set[float]] = {}
    for _, temp, label in named:
        temps.setdefault(label, set()).add(temp)
    found: dict[str, list[str]] = {}
    for name, temp, label in named:
        found.setdefault(name, []).append(label + (f" t{temp:g}" if len(temps[label]) > 1 else ""))
    return {name: " and ".join(labels) for name, labels in found.items()}
