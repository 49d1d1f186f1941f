"""Making a View: what is true of a run directory now. Reads only; a run that does not exist yet gives an empty one."""

from __future__ import annotations

from batchtrial.config.expand import Trial, expand
from batchtrial.config.model import Config
from batchtrial.phases.base import View
from batchtrial.providers.base import Limits
from batchtrial.state.files import BuildManifest, PreparedManifest, Shelf, StageRecord, TrialManifest
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import PartRecord
from batchtrial.state.store import Stamps


def look(layout: RunLayout, config: Config, parts: dict[str, PartRecord], stamps: Stamps, limits: Limits, shelf: Shelf | None = None) -> View:
    """The view of a run. Raises ManifestCorrupt for a damaged snapshot, ConfigError when the trials cannot be expanded.

    shelf: of an owner who looks again and again.
    """
    shelf = shelf or Shelf()
    prepared = shelf.load(PreparedManifest, layout.prepared_manifest)
    trials = expand(config, prepared.sha256) if prepared is not None else ()
    return View(
        layout=layout,
        config=config,
        trials=trials,
        prepared=prepared,
        build=shelf.load(BuildManifest, layout.build_manifest),
        parts=parts,
        stages=_stages(layout, trials, shelf),
        stamps=stamps,
        limits=limits,
    )


def _stages(layout: RunLayout, trials: tuple[Trial, ...], shelf: Shelf) -> dict[tuple[str, str], StageRecord]:
    """Every recorded stage of every trial."""
    found = {}
    for trial in trials:
        manifest = shelf.load(TrialManifest, layout.trial(trial.slug).manifest)
        for stage, record in manifest.stage_status.items() if manifest is not None else ():
            found[trial.slug, stage] = record
    return found
