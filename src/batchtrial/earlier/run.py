"""Everything that a run folder of the earlier system still tells: its config, trials, questions and answers. Reads only.

What could not be known is said in notes; what would make the run worthless without being known is an error.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from batchtrial.config.model import Config
from batchtrial.earlier import files as upgrade
from batchtrial.earlier.config import EarlierTrial, dataset_name, left_behind, translated
from batchtrial.errors import ConfigError, StateError
from batchtrial.records import Item, Kind
from batchtrial.state.form import manifest_paths, original
from batchtrial.state.layout import RunLayout

LOST_TEXT = "(this text is lost; its sha256 was {sha})\n"
KINDS: tuple[Kind, ...] = ("open", "closed")
Lines = dict[tuple[str, str, int], dict[str, Any]]
"""(dataset, item_id, sample) -> the result line; of one condition at one temperature."""
ByArm = dict[tuple[str, float], Lines]


@dataclass(slots=True)
class EarlierRun:
    """A run of the earlier system. prepared_dir: where to look for its questions first.

    `gather` fills the rest: items under the names that they have from now on, origin: from those names back to the old ones.
    """

    layout: RunLayout
    prepared_dir: Path | None = None
    old: dict[str, Any] = field(default_factory=dict)
    trials: tuple[upgrade.OldTrial, ...] = ()
    items: tuple[Item, ...] = ()
    origin: dict[str, str] = field(default_factory=dict)
    found: dict[str, ByArm] = field(default_factory=dict)
    controls: dict[str, ByArm] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def gather(self) -> Config:
        """Read everything; returns the config in today's words. Raises StateError, ConfigError naming what is missing."""
        self.old = self._old_config()
        self.trials = tuple(upgrade.read_trial(path, self.old) for path in manifest_paths(self.layout))
        if not self.trials:
            raise StateError("no trial of the earlier system is left here: there is no trial_manifest.json", where=str(self.layout.root))
        names = upgrade.id_map(self.layout)
        asked = list(upgrade.requests(self.layout, names))
        self.found = {trial.slug: self._lines_of(trial, names) for trial in self.trials}
        folders = sorted(path for path in self.layout.shared_controls.glob("*") if path.is_dir())
        self.controls = {folder.name: by_arm(upgrade.result_lines(folder, names)) for folder in folders}
        items = self._items(asked)
        sets = sorted({(item.dataset, item.kind) for item in items})
        self.origin = {dataset_name(dataset, kind, sets): dataset for dataset, kind in sets}
        self.items = tuple(replace(item, dataset=dataset_name(item.dataset, item.kind, sets)) for item in items)
        return self._config(asked, sets)

    def lines(self, trial: upgrade.OldTrial, condition: str, temp: float) -> Lines:
        """The old result lines of one arm of one trial, with those of the shared control that it used."""
        keys = trial.shared or (tuple(self.controls) if len(self.controls) == 1 else ())
        shared = [self.controls.get(key, {}).get((condition, temp), {}) for key in keys]
        found: Lines = {}
        for lines in (*shared, self.found.get(trial.slug, {}).get((condition, temp), {})):
            found |= lines
        return found

    def _old_config(self) -> dict[str, Any]:
        path = original(self.layout.effective_config)
        try:
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
            why = "was not there" if isinstance(error, FileNotFoundError) else f"could not be read ({type(error).__name__})"
            self.notes.append(f"effective_config.yaml {why}: settings come from the trials' manifests")
            return {}
        return tree if isinstance(tree, dict) else {}

    def _lines_of(self, trial: upgrade.OldTrial, names: Mapping[str, str]) -> ByArm:
        results = self.layout.trial(trial.slug).results
        found = by_arm(upgrade.result_lines(results, names))
        for arm, lines in by_arm(upgrade.prediction_lines(results / "predictions.csv")).items():
            known = found.setdefault(arm, {})
            missing = {key: line for key, line in lines.items() if key not in known}
            if missing:
                self.notes.append(f"{trial.slug}: {len(missing)} answers of {arm[0]} come from predictions.csv: their result lines are gone")
                known.update(missing)
        return found

    def _items(self, asked: Sequence[upgrade.OldRequest]) -> list[Item]:
        """The prepared questions that were asked or answered, each once."""
        wanted = {(one.id.dataset, one.id.item_id, one.id.kind) for one in asked}
        arms = [lines for by in (*self.found.values(), *self.controls.values()) for lines in by.values()]
        answered = {key[:2] for lines in arms for key in lines}
        folders = self._prepared_folders()
        for folder in folders:
            every = upgrade.items(folder, None)
            items = {
                (item.dataset, item.item_id, item.kind): item
                for item in every
                if (item.dataset, item.item_id, item.kind) in wanted or (item.dataset, item.item_id) in answered
            }
            if items:
                lost = answered - {key[:2] for key in items}
                if lost:
                    self.notes.append(f"{len(lost)} items have answers but are not among the prepared ones: they are left out")
                return list(items.values())
        raise StateError(
            "the prepared questions of this run are not to be found, and without them nothing can be scored",
            where=", ".join(str(folder) for folder in folders),
            hint="give the folder that holds open_book.jsonl and closed_book.jsonl with --prepared_dir",
        )

    def _prepared_folders(self) -> list[Path]:
        paths = self.old.get("paths")
        given = str((paths if isinstance(paths, dict) else {}).get("prepared_dir") or "data/prepared")
        named = Path(os.path.expandvars(given)).expanduser()
        beside = self.layout.root.parent.parent
        first = [self.prepared_dir] if self.prepared_dir is not None else []
        return list(dict.fromkeys((*first, self.layout.prepared, named, beside / named, beside / "data" / "prepared")))

    def _config(self, asked: Sequence[upgrade.OldRequest], sets: Sequence[tuple[str, Kind]]) -> Config:
        behind = left_behind(self.old)
        if behind:
            self.notes.append(f"settings of the old config that mean nothing here: {', '.join(behind)}")
        instructions = {kind: self._instruction(kind, asked) for kind in KINDS}
        try:
            return translated(self.old, [self._trial(trial, asked) for trial in self.trials], sets, instructions)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(step) for step in first["loc"])
            raise ConfigError(f"the old config cannot be carried over: {key}: {first['msg']}", where=str(self.layout.effective_config)) from None

    def _instruction(self, kind: Kind, asked: Sequence[upgrade.OldRequest]) -> str:
        texts = sorted({upgrade.instruction(one.user, kind) for one in asked if one.id.kind == kind})
        if len(texts) > 1:
            self.notes.append(f"requests of {kind}-book questions had {len(texts)} different instructions; the first is on record")
        return texts[0] + "\n" if texts and texts[0] else LOST_TEXT.format(sha="not recorded")

    def _trial(self, trial: upgrade.OldTrial, asked: Sequence[upgrade.OldRequest]) -> EarlierTrial:
        if trial.is_guessed:
            self.notes.append(f"{trial.slug}: its manifest could not be read; model and prompt set are the config's")
        return EarlierTrial(
            slug=trial.slug,
            model_id=trial.model_id,
            prompt_set=trial.prompt_set,
            temps=trial.temps,
            samples=trial.samples,
            top_p=trial.top_p,
            top_k=trial.top_k,
            max_open=trial.max_open or 1024,
            max_closed=trial.max_closed or 1024,
            prompts={condition: self._prompt(trial, condition, asked) for condition in ("control", "treatment")},
        )

    def _prompt(self, trial: upgrade.OldTrial, condition: str, asked: Sequence[upgrade.OldRequest]) -> str:
        """The system prompt that was sent: the one whose hash the manifest has, else the only one, else the one of this prompt set's file."""
        sources = {one.system: one.source for one in asked if one.id.condition == condition and one.system.strip()}
        want = trial.prompt_sha.get(condition, "")
        for text in sources:
            if want in {_sha(variant) for variant in (text, f"{text}\n", text.strip(), f"{text.strip()}\n")}:
                return text
        named = [text for text, source in sources.items() if f"_{trial.prompt_set}_" in source or trial.slug in source]
        choice = list(sources) if len(sources) == 1 else named[:1]
        if choice:
            self.notes.append(f"{trial.slug}: the {condition} prompt comes from its requests; its hash is not the manifest's")
            return choice[0]
        self.notes.append(f"{trial.slug}: the text of the {condition} prompt is lost")
        return LOST_TEXT.format(sha=want or "not recorded")


def by_arm(rows: Iterator[tuple[upgrade.OldId, dict[str, Any]]]) -> ByArm:
    """Lines by (condition, temperature), then by request; an answer beats an error, else the first line counts."""
    found: ByArm = {}
    for old, line in rows:
        lines, key = found.setdefault((old.condition, old.temp), {}), (old.dataset, old.item_id, old.sample)
        if key not in lines or (upgrade.is_success(line) and not upgrade.is_success(lines[key])):
            lines[key] = line
    return found


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
