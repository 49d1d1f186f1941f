"""Reading a run that is there, without its lock: for commands that only compute."""

from __future__ import annotations

import os
from pathlib import Path

from batchtrial.cli.wiring import Place, Wiring
from batchtrial.config.expand import Trial
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.keys import check_run_id
from batchtrial.phases.analyses import Material, material
from batchtrial.phases.base import View
from batchtrial.run.look import look
from batchtrial.run.saved import saved_config
from batchtrial.state.files import refuse_damaged
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import load_parts
from batchtrial.state.store import Stamps


def view_of(experiments: Path, run_id: str) -> View:
    """The run as it is on disk; nothing is written. Raises RunStateMissing."""
    layout = RunLayout.of(experiments, check_run_id(run_id))
    layout.check_there()
    config = saved_config(layout)
    limits = Wiring(config, Place(layout=layout, trials=lambda: ()), os.environ).codec.limits
    return look(layout, config, load_parts(layout.ledger), Stamps(layout.root, layout.stamps), limits)


def trial_of(view: View, slug: str | None) -> Trial:
    """The trial named, or the only one. Raises ConfigError naming those there are."""
    slugs = [trial.slug for trial in view.trials]
    if slug is None and len(slugs) == 1:
        return view.trials[0]
    if slug not in slugs:
        what = "the run has several trials" if slug is None else f"there is no trial {slug!r}"
        raise ConfigError(what, where="--trial", hint=f"trials are: {', '.join(slugs) or 'none yet'}")
    return view.trials[slugs.index(slug)]


def material_of(view: View, trial: Trial) -> Material:
    """What analyses are made from. Raises RunStateMissing when the run has not come that far, StateError when a file is not as it was published."""
    for stage in ("scored", "stats", "costs"):
        record = view.stages.get((trial.slug, stage))
        refuse_damaged(record.artifacts if record is not None else {}, view.layout.root, view.stamps)
    try:
        return material(view, trial)
    except FileNotFoundError as error:
        what = f"{trial.slug} has no {Path(error.filename or '').name} yet"
        raise RunStateMissing(what, where=str(view.layout.root), hint="`batchtrial resume` goes on with the run") from None
