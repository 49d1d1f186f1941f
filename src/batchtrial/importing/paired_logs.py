"""Two logs of the same items as pairs, compared as a report compares them: intervals and tests on pairs, clusters where a question stands twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batchtrial.errors import DataError
from batchtrial.importing.logs import Log
from batchtrial.phases.analyse.comparison import Comparison, compare, seed_of
from batchtrial.phases.analyse.paired import Paired
from batchtrial.stats.multiplicity import benjamini_hochberg

FLIPS = 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedLogs:
    """control, treatment: the logs. keys: of the items that both asked, with the same question. n_other: with another; n_only: in one log alone.

    scores: metric -> (control, treatment), NaN where an answer or its score is missing. found: metric -> comparison, and its q.
    n_missing: metric -> epochs without a score in (control, treatment), of items that have others: their score is the mean of these.
    """

    control: Log
    treatment: Log
    keys: tuple[str, ...]
    n_other: int
    n_only: tuple[int, int]
    scores: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    found: dict[str, tuple[Comparison, float | None]]
    n_missing: dict[str, tuple[int, int]]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "control": {"model": self.control.name, "log": str(self.control.path)},
            "treatment": {"model": self.treatment.name, "log": str(self.treatment.path)},
            "items": len(self.keys),
            "items_with_another_question": self.n_other,
            "items_only_in": {"control": self.n_only[0], "treatment": self.n_only[1]},
            "metrics": {
                name: _plain(one, q) | {"epochs_without_score": dict(zip(("control", "treatment"), self.n_missing[name], strict=True))}
                for name, (one, q) in self.found.items()
            },
        }


def _plain(one: Comparison, q: float | None) -> dict[str, Any]:
    return {
        "control": one.arms["control"].value,
        "treatment": one.arms["treatment"].value,
        "difference": one.estimate.value,
        "low": one.estimate.ci_low,
        "high": one.estimate.ci_high,
        "level": one.estimate.level,
        "method": one.estimate.method,
        "p": one.test.p_value,
        "q": q,
        "pairs": one.missing.n_pairs,
        "lost": one.missing.dropped,
        "clusters": one.n_clusters,
        "warnings": list(one.warnings),
        "not_decidable": one.not_decidable,
    }


def paired_logs(control: Log, treatment: Log, *, metrics: Sequence[str] = (), level: float = 0.95, seed: int = 0) -> PairedLogs:
    """The comparison of two logs. metrics: none: every one that both have. Raises DataError when they have no item or metric in common."""
    common = sorted(control.samples.keys() & treatment.samples.keys())
    keys = [key for key in common if control.samples[key].question == treatment.samples[key].question]
    if not keys:
        what = f"{len(common)} items have the same id and other questions" if common else "no item has the same id in both"
        raise DataError(f"the logs are not about the same items: {what}", where=f"{control.path}, {treatment.path}")
    both = [name for name in control.metrics() if name in treatment.metrics()]
    chosen = [name for name in both if not metrics or name in metrics]
    if not chosen or set(metrics) - set(both):
        told = ", ".join(sorted(set(metrics) - set(both))) or "any"
        raise DataError(
            f"the logs have no metric in common that is a number ({told})", where="--metric", hint=f"both have: {', '.join(both) or 'none'}"
        )
    scores = {name: tuple(np.array([log.samples[key].mean(name) for key in keys]) for log in (control, treatment)) for name in chosen}
    units = _clusters([control.samples[key].question for key in keys])
    made = {}
    for name, (before, after) in scores.items():
        pair = Paired(control=before, treatment=after, clusters=units, samples_control=control.epochs, samples_treatment=treatment.epochs)
        made[name] = compare(pair, level=level, seed=seed_of(seed, name), flips=FLIPS, is_verdict_only=True)
    missing = {name: [sum(log.samples[key].n_missing(name) for key in keys) for log in (control, treatment)] for name in chosen}
    adjusted = benjamini_hochberg([one.test.p_value for one in made.values()])
    return PairedLogs(
        control=control,
        treatment=treatment,
        keys=tuple(keys),
        n_other=len(common) - len(keys),
        n_only=(len(control.samples) - len(common), len(treatment.samples) - len(common)),
        scores={name: (before, after) for name, (before, after) in scores.items()},
        found={name: (one, q) for (name, one), q in zip(made.items(), adjusted, strict=True)},
        n_missing={name: (before, after) for name, (before, after) in missing.items()},
    )


def _clusters(questions: Sequence[str]) -> NDArray[np.int64] | None:
    """A number each, the same for items that ask the same; None where each stands alone."""
    numbers = {question: number for number, question in enumerate(dict.fromkeys(questions))}
    return None if len(numbers) == len(questions) else np.array([numbers[one] for one in questions], dtype=np.int64)
