"""stats: per-item scores in, significance.json out. What is tested, and how, is in `significance`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from batchtrial.config.expand import Trial
from batchtrial.phases.analyse.labelled import labelled_since, note_labels
from batchtrial.phases.analyse.one_file import OneFile
from batchtrial.phases.base import View, digest_of
from batchtrial.phases.batches.frozen_plan import frozen_plan
from batchtrial.phases.judge.parse import published

FORM: Final = 5
JUDGED: Final = 2
"""The same of runs with judges: a number that goes up when what is said of them changes."""


def _digest(view: View, trial: Trial) -> str | None:
    """Of the scores and the declared analysis; None while a trial of the run is not scored: they share alpha."""
    scored = [view.stage_artifacts_digest(one, "scored") for one in (trial, *view.trials)]
    if None in scored:
        return None
    labels = view.layout.labels.exists() and view.stamps.of(view.layout.labels)
    judges = [published(view), labels, JUDGED, labelled_since(view, trial)] if view.config.judges else []
    if judges and judges[0] is None:
        return None
    panels = [one.model_dump(mode="json") for one in view.config.panels]
    looks = [[asdict(look) for look in view.looks.get(one.slug, ())] for one in view.trials] if view.looks else []
    samples = [view.config.samples_for(temp) for temp in trial.temps]
    plan = asdict(frozen_plan(view.layout.ledger, view.config))
    return digest_of(
        [
            FORM,
            scored,
            view.config.stats.model_dump(mode="json"),
            plan,
            samples,
            view.config.mode,
            *([trial.absent] if trial.absent else []),
            *looks,
            *judges,
            *panels,
        ]
    )


def _maker(view: View) -> Callable[[Trial], Any]:
    from batchtrial.phases.analyse.shared_alpha import shared_alpha
    from batchtrial.phases.analyse.significance import significance

    shared = shared_alpha(view) if len(view.trials) > 1 else {}
    return lambda trial: significance(view, trial, shared.get(trial.slug))


phase = OneFile(name="stats", digest=_digest, place=lambda layout: layout.significance, maker=_maker, before=note_labels)
