"""stats: per-item scores in, significance.json out. What is tested, and how, is in `significance`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from batchtrial.config.expand import Trial
from batchtrial.phases.analyse.labelled import labelled_since, note_labels
from batchtrial.phases.analyse.one_file import OneFile
from batchtrial.phases.base import View, digest_of
from batchtrial.phases.batches.frozen_plan import frozen_plan
from batchtrial.phases.judge.parse import published

if TYPE_CHECKING:
    from batchtrial.phases.analyse.trial_by_trial import TrialByTrial

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


def _records(view: View, trials: Sequence[Trial], others: TrialByTrial) -> Iterator[Any]:
    from batchtrial.phases.analyse.shared_alpha import shared_alpha
    from batchtrial.phases.analyse.significance import significance

    seen = _seen(view)
    shared = shared_alpha(seen, others) if len(view.trials) > 1 else {}
    yield from others.each("stats", [partial(significance, seen, trial, shared.get(trial.slug)) for trial in trials])


def _seen(view: View) -> View:
    """What the statistics look at: without parts and stages, of which there may be thousands, and which would go out with every trial."""
    is_looked_at = view.build is not None and view.build.looks is not None
    return replace(view, parts={}, stages={}, build=view.build if is_looked_at else None)


phase = OneFile(name="stats", digest=_digest, place=lambda layout: layout.significance, records=_records, before=note_labels)
