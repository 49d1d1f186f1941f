"""The run that all histories of a provider are about: its inputs, its requests built once, and its undisturbed twins."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import small_run
from tests.crash.children import NONCE
from tests.luck.machine import CLOCK, EPOCH, Being, Process
from tests.luck.provider import Provider
from tests.luck.schedule import N_CLIMATES, RESERVES, Rule, climates

from batchtrial.app import emulator as dryrun
from batchtrial.app.invocation import Invocation
from batchtrial.cli.commands import execute as session
from batchtrial.config.expand import arms_of, expand
from batchtrial.emulator.answers.modelfile import ModelFile, load_model
from batchtrial.keys import token
from batchtrial.phases.batches.money import price_for, reserve_usd
from batchtrial.reading.config import config_of_run
from batchtrial.run.options import Options
from batchtrial.state.files import BuildManifest, PreparedManifest, load
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import fingerprint

RUN_ID = "r1"
N_ITEMS, N_PARTS = 4, 4
VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "FIREWORKS_API_KEY")
KEYS: Mapping[str, str] = {
    "main": "sk-first@acme",
    "rotated": "sk-second@acme",
    "other": "sk-third@zeta",
    "other account": "sk-third@zeta",
    "workspace": "sk-fourth@acme/two",
}


def environment(key: str) -> dict[str, str]:
    """The variables of a process that uses this key."""
    return dict.fromkeys(VARIABLES, KEYS[key]) | {"FIREWORKS_ACCOUNT_ID": "zeta" if key == "other account" else "acme"}


def config_tree(provider: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The config, with dotted settings over it."""
    sent: dict[str, Any] = {"sampling": "omit" if provider == "openai" else "send"}
    if provider == "fireworks":  # its batch API is paused; what is played here is the batch protocol
        sent |= {"lane": "batch", "despite_pause": True}
    tree = small_run.config_tree(provider, poll_seconds=47.0, provider=sent)
    for dotted, value in settings.items():
        *path, last = dotted.split(".")
        place = tree
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return tree


@dataclass(slots=True)
class Lab:
    """One provider's inputs. root: a folder of its own, which becomes the working directory. shelf: where other processes find our twins."""

    root: Path
    provider: str
    shelf: Path | None = None
    parts: tuple[str, ...] = ()
    _model: ModelFile | None = None
    _twins: dict[str, dict[str, str]] = field(default_factory=dict)
    _n_worlds: int = 0

    def __post_init__(self) -> None:
        """Write the inputs and build the requests."""
        small_run.write_inputs(self.root, N_ITEMS)
        os.chdir(self.root)
        self.write_config({})
        with quiet(), Being(Process(self.template)):
            code = session.run(self.asked(self.root / "template", is_resume=False, to_step="build"), RUN_ID, nonce=NONCE, env=environment("main"))
        assert code == 0
        layout = RunLayout(self.template)
        config, prepared, build = config_of_run(layout), load(PreparedManifest, layout.prepared_manifest), load(BuildManifest, layout.build_manifest)
        assert prepared is not None
        assert build is not None
        self.parts = tuple(build.shards)
        assert len(self.parts) == N_PARTS
        trials = expand(config, prepared.sha256)
        prices = {arm.name: price_for(config, arm) for arm in arms_of(trials)}
        reserves = {float(reserve_usd(price, shard, shard.lines)) for shard in build.shards.values() if (price := prices[shard.arm]) is not None}
        assert reserves == {RESERVES[self.provider]}, "budgets in other units bind always or never"
        dryrun.write_world(layout, config, trials)
        shutil.move(layout.emulator, self.root / "model")
        self._model = load_model(self.root / "model" / "model.json")

    @property
    def template(self) -> Path:
        """The run's folder with its requests built."""
        return self.root / "template" / f"run_{RUN_ID}"

    def write_config(self, settings: Mapping[str, Any]) -> Path:
        """A config file with these settings."""
        name = "-".join(re.sub(r"[^a-z0-9]", "_", f"{key}{value}".lower()) for key, value in sorted(settings.items())) or "config"
        path = self.root / f"{name}.yaml"
        if not path.exists():
            path.write_text(json.dumps(config_tree(self.provider, settings), indent=1))
        return path

    def asked(
        self,
        experiments: Path,
        *,
        is_resume: bool,
        to_step: str | None,
        config: Path | None = None,
        changes: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Invocation:
        """What the command line would ask for."""
        return Invocation(
            run_id=RUN_ID,
            is_resume=is_resume,
            config=config if is_resume else config or self.write_config({}),
            changes=dict(changes or {}),
            options=Options(to_step=to_step, **options),
            experiments=experiments,
        )

    def climate(self, number: int) -> list[Rule]:
        """The provider's rules of a climate."""
        marks = climates(lambda part, attempt: token(NONCE, self.parts[part], attempt), refuses_later=self.provider != "anthropic")
        return list(marks[number % N_CLIMATES])

    def open_provider(self, climate: int) -> tuple[Provider, Path]:
        """A fresh provider, and an empty folder for runs."""
        assert self._model is not None
        CLOCK.true, CLOCK.skew = EPOCH, 0.0
        self._n_worlds += 1
        root = self.root / "worlds" / str(self._n_worlds)
        (root / "experiments").mkdir(parents=True)
        return Provider(root / "provider", self._model, self.climate(climate)), root / "experiments"

    def twin(self, climate: int, settings: tuple[tuple[str, float], ...], *, is_whole: bool) -> dict[str, str]:
        """What the undisturbed run of a climate, and of settings that decide what is asked again, ends with: sha256 of each artifact by its path."""
        shaping = tuple((key, value) for key, value in settings if key == "submission.max_attempts")
        name = f"{self.provider}-{climate}-{'whole' if is_whole else 'polled'}{''.join(f'-{value:g}' for _, value in shaping)}.json"
        known = self._twins.get(name) or self._shelved(name)
        if known is None:
            known = self._played(climate, shaping, is_whole=is_whole)
            if self.shelf is not None:
                fresh = self.shelf / f"{name}.{os.getpid()}"
                fresh.write_text(json.dumps(known))
                fresh.rename(self.shelf / name)
        self._twins[name] = known
        return known

    def _shelved(self, name: str) -> dict[str, str] | None:
        path = self.shelf / name if self.shelf is not None else None
        found: dict[str, str] | None = json.loads(path.read_text()) if path is not None and path.exists() else None
        return found

    def _played(self, climate: int, shaping: tuple[tuple[str, float], ...], *, is_whole: bool) -> dict[str, str]:
        provider, experiments = self.open_provider(climate)
        folder = experiments / f"run_{RUN_ID}"
        shutil.copytree(self.template, folder)
        process = Process(folder)
        asked = self.asked(experiments, is_resume=True, to_step=None if is_whole else "poll", changes=dict(shaping))
        with quiet(), Being(process):
            code = session.run(asked, RUN_ID, nonce=NONCE, env=environment("main"), hook=process.point)
        assert code in (0, 4), code
        artifacts = outputs(folder)
        provider.close()
        shutil.rmtree(experiments.parent)
        return artifacts


def outputs(folder: Path) -> dict[str, str]:
    """sha256 of every artifact by its path inside the run."""
    layout = RunLayout(folder)
    return {path.relative_to(folder).as_posix(): fingerprint(path).sha256 for path in layout.artifacts()}


@contextmanager
def quiet() -> Any:
    """What processes print goes nowhere."""
    with Path(os.devnull).open("w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        yield
