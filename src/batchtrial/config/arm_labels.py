"""What the config calls each arm, which else is known by its recipe."""

from __future__ import annotations

from collections.abc import Sequence

from batchtrial.config.expand import Trial
from batchtrial.config.model import Config


def labels_of_arms(config: Config, trials: Sequence[Trial]) -> dict[str, str]:
    """What the config calls each arm, by its own name: `shorter`, or `careful treatment` of a prompt set; of several temperatures with its own."""
    found: dict[str, dict[str, None]] = {}
    for trial in trials:
        temps = {arm.temp for arm in trial.arms}
        for arm in trial.arms:
            told = trial.prompt_set if arm.condition == "treatment" else trial.against
            label = told if config.arms else f"{trial.prompt_set} {arm.condition}"
            found.setdefault(arm.name, {})[label + (f" t{arm.temp:g}" if len(temps) > 1 else "")] = None
    return {name: " and ".join(labels) for name, labels in found.items()}
