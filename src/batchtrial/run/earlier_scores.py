"""The scores of a run are kept beside before answers are scored again: what scored, with hashes and versions, and what came of it."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from batchtrial import __version__
from batchtrial.config.expand import arms_of
from batchtrial.config.load import config_hash
from batchtrial.config.metric_sources import sources_of
from batchtrial.config.model import Config
from batchtrial.phases.base import View, digest_of
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Fingerprint, Hook, encode_json, fsync_folder, no_hook, read_json, write_bytes

RECORD: Final = "kept.json"
_DIGITS: Final = 12
_OF_STAGES: Final = ("scored", "stats", "report")
"""What is kept: the tables of scores with what scored them, and what was concluded from them."""


def keep_scores(view: View, after: Config, *, hook: Hook = no_hook) -> Path | None:
    """The folder where the scores that are there now are kept; None when a trial is not scored, or its files are not as they were published.

    after: the config under which answers are scored next. What was kept before the same change is kept already: a process that was killed while it
    scored again goes on, and what it left half made is not kept. The name is a digest of the scores.
    """
    then = digest_of([config_hash(after), sources_of(after)])
    known = next((path for path in kept_scores(view.layout) if read_json(path / RECORD).get("followed_by") == then), None)
    if known is not None:
        return known
    prints = _published(view)
    if not prints:
        return None
    layout = view.layout
    target = layout.earlier_scores / digest_of({name: one.sha256 for name, one in prints.items()})[:_DIGITS]
    if target.exists():
        return target
    temp = layout.earlier_scores / f".{target.name}-{os.getpid()}"
    for left in layout.earlier_scores.glob(f".{target.name}-*"):  # of a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    temp.mkdir(parents=True)
    for name in prints:
        (temp / name).parent.mkdir(parents=True, exist_ok=True)
        _second_name(layout.root / name, temp / name)
    write_bytes(temp / RECORD, encode_json(_record(view, prints) | {"followed_by": then}), hook=hook)
    temp.rename(target)
    fsync_folder(layout.earlier_scores)
    return target


def kept_scores(layout: RunLayout) -> tuple[Path, ...]:
    """Folders of scores that are kept, by name."""
    return tuple(sorted(path.parent for path in layout.earlier_scores.glob(f"*/{RECORD}") if not path.parent.name.startswith(".")))


def _published(view: View) -> dict[str, Fingerprint]:
    """Fingerprint of each file to keep, by its path in the run; empty when a trial has no finished scores."""
    found: dict[str, Fingerprint] = {}
    for trial in view.trials:
        for stage in _OF_STAGES:
            record = view.stages.get((trial.slug, stage))
            if record is None or record.status != "completed":
                if stage == "scored":
                    return {}
                continue
            for one in record.artifacts.values():
                got = view.stamps.of(view.layout.root / one.path)
                if got is None or got.sha256 != one.sha256:
                    if stage == "scored":
                        return {}
                    continue
                found[one.path] = got
    return found


def _second_name(source: Path, target: Path) -> None:
    """The file under another name: every file of a run is replaced whole and never written into, so that no bytes need to be copied."""
    with suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)


def _record(view: View, prints: dict[str, Fingerprint]) -> dict[str, Any]:
    """What scored, and what: by trial the metrics with the hash of their code, library and version; by arm the answers."""
    answers = {arm.name: view.stamps.of(view.layout.arm(arm.name).answers) for arm in arms_of(view.trials)}
    return {
        "schema_version": 1,
        "config_hash": config_hash(view.config),
        "program": {"version": __version__, "scoring_sha256": scoring_sha256()},
        "metrics": {trial.slug: read_json(view.trial_layout(trial).scoring).get("metrics", {}) for trial in view.trials},
        "sets": {trial.slug: read_json(view.trial_layout(trial).scoring).get("metric_by_set", {}) for trial in view.trials},
        "answers": {name: one.sha256 for name, one in answers.items() if one is not None},
        "files": {name: one.sha256 for name, one in sorted(prints.items())},
    }


def scoring_sha256() -> str:
    """sha256 over the code of the metrics that come with the program."""
    folder, state = Path(__file__).resolve().parents[1] / "scoring", hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        state.update(path.relative_to(folder).as_posix().encode() + b"\n" + path.read_bytes())
    return state.hexdigest()
