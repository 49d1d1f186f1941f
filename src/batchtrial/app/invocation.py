"""What this process was started for: one frozen record from flags and environment."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchtrial.errors import ConfigError
from batchtrial.keys import check_run_id
from batchtrial.names import is_url
from batchtrial.run.options import Options

DEFAULT_CONFIG = Path("config/eval_config.yaml")
EXPERIMENTS_VARIABLE = "BATCHTRIAL_EXPERIMENTS_DIR"
WEBHOOK_VARIABLE = "BATCHTRIAL_WEBHOOK"
ON_END_VARIABLE = "BATCHTRIAL_ON_END"
REMOTE = "a run is written where files can be locked and synced. Copy what lies elsewhere here first"


INCOMPLETE = 4


def overrides(given: argparse.Namespace) -> dict[str, Any]:
    """Flags that say what the run is, as dotted config keys."""
    changes: dict[str, Any] = {}
    plain = {
        "backend": "backend",
        "model": "model_id",
        "trial_filter": "trial_filter",
        "control_from": "control_from",
        "limit_items": "limit_items",
        "parts_per_dataset": "submission.parts_per_dataset",
        "lines_per_part": "submission.lines_per_part",
        "max_concurrent_jobs": "submission.max_concurrent_jobs",
        "budget_usd": "submission.budget_usd",
        "account_id": "provider.account_id",
        "base_url": "provider.base_url",
    }
    for name, key in plain.items():
        value = getattr(given, name)
        if value is not None:
            changes[key] = value
    if given.skip_bad_rows:
        changes["skip_bad_rows"] = True
    if given.condition is not None:
        changes["conditions"] = ["control", "treatment"] if given.condition == "both" else [given.condition]
    if given.no_sweep:
        changes |= {"sweep": None, "trials": []}
    if given.temps:
        changes["temps"] = changes["sweep.temps"] = [_number(text, "--temps") for text in given.temps]
    if given.models:
        changes |= {"model_id": given.models[0], "sweep.models": given.models, "trials": []}
    if given.prompt_sets:
        changes |= {"sweep.prompt_sets": given.prompt_sets, "trials": []}
    if given.emulator_url and given.replay_dir:
        raise ConfigError("--emulator_url and --replay_dir exclude each other", hint="start that emulator with --answers RECORDING")
    if given.emulator_url and not given.dry_run and not given.resume:
        raise ConfigError("--emulator_url needs --dry_run")
    return changes | mode_changes(is_dry=given.dry_run, is_resume=given.resume, recording=given.replay_dir)


def mode_changes(*, is_dry: bool, is_resume: bool, recording: Path | None) -> dict[str, Any]:
    """What the config of a run says about who answers. Raises what `mode_of` does."""
    if not is_dry and (recording is None or is_resume):  # a run that goes on has its mode, and the recording has to fit it
        return {}
    changes: dict[str, Any] = {"mode": mode_of(is_dry=is_dry, recording=recording)}
    if recording is not None and not is_dry:  # a dry run takes recorded answers by what is asked, whatever its ids
        changes["arm_form"] = form_of(recording)
    return changes


def mode_of(*, is_dry: bool, recording: Path | None) -> str:
    """Who stands in for the provider, and whether the answers are a real model's. Raises RunStateMissing, ManifestCorrupt, ConfigError."""
    from batchtrial.providers.recordings.form import load_metadata, source_of

    if recording is None:
        return "dry_run"
    is_simulated = load_metadata(source_of(recording)).simulated
    if not is_dry:
        return "simulated_replay" if is_simulated else "replay"
    if is_simulated:
        raise ConfigError("the answers of this recording are simulated", where=f"--replay_dir {recording}", hint="leave out one of the two flags")
    return "recorded_dry_run"


def form_of(recording: Path) -> int:
    """The form of arms by which the recorded requests have their ids. Raises RunStateMissing, ManifestCorrupt."""
    from batchtrial.providers.recordings.form import load_metadata, source_of

    return load_metadata(source_of(recording)).arm_form


def _number(text: str, flag: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not a number", where=flag) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One invocation, read from its flags."""

    run_id: str | None
    is_resume: bool
    config: Path | None
    changes: Mapping[str, Any]
    options: Options
    experiments: Path
    emulator_url: str | None = None
    emulator_key: str | None = None
    replay_dir: Path | None = None
    record_dir: Path | None = None
    is_by_hand: bool = False
    is_offline: bool = False  # nobody is asked anything, not even what time it is in a dry run
    prepared_dir: Path | None = None
    is_archived: bool = False
    tree: Mapping[str, Any] | None = None  # the config itself, in the place of its file
    folder_mode: int = 0o777  # of the folder of a run that begins, before the umask


def invocation_of(given: argparse.Namespace, env: Mapping[str, str]) -> Invocation:
    """The invocation. Raises ConfigError."""
    if given.resume and given.run_id is None:
        raise ConfigError("--resume needs --run_id", hint="`batchtrial status` lists the runs there are")
    skipped = {"prepare": given.skip_prepare, "build": given.skip_build, "submit": given.skip_batch, "poll": given.skip_batch}
    skip = frozenset(name for name, is_skipped in skipped.items() if is_skipped)
    return Invocation(
        run_id=check_run_id(given.run_id) if given.run_id is not None else None,
        is_resume=given.resume,
        config=given.config,
        changes=overrides(given),
        options=options_of(given, is_resume=given.resume, skip=skip),
        experiments=experiments_dir(given.experiments_dir, env),
        emulator_url=given.emulator_url,
        emulator_key=given.emulator_key,
        replay_dir=given.replay_dir,
        record_dir=given.record_dir,
        is_archived=given.archive,
    )


def options_of(given: argparse.Namespace, *, is_resume: bool, skip: frozenset[str] = frozenset()) -> Options:
    """How to go about the run, from the flags of `add_steps` and `add_stopping`. Raises ConfigError for flags that would do nothing."""
    if given.yes and not given.give_up_unknown_batches:
        raise ConfigError("--yes answers the question of --give_up_unknown_batches, which was not given", where="--yes")
    if given.give_up_unknown_batches and not is_resume:
        raise ConfigError("a run that begins has no batches to give up", where="--give_up_unknown_batches")
    if given.retry_not_understood and not is_resume:
        raise ConfigError("a run that begins has no answers to ask for again", where="--retry_not_understood")
    if given.without_unsent and not is_resume:
        raise ConfigError("a run that begins has sent nothing to report on", where="--without_unsent")
    if given.without_unsent and given.plan_only:
        raise ConfigError("a plan settles nothing", where="--without_unsent with --plan_only")
    if given.give_up_unknown_batches and given.plan_only:
        raise ConfigError("a plan asks no provider which batches it knows", where="--give_up_unknown_batches with --plan_only")
    return Options(
        only_step=given.only_step,
        from_step=given.from_step,
        to_step=given.to_step,
        skip=skip,
        accept_drift=given.accept_drift,
        remake=given.remake,
        workers=given.workers,
        executor=given.executor,
        retry_not_understood=given.retry_not_understood,
        without_unsent=given.without_unsent,
        give_up_unknown=given.give_up_unknown_batches,
        is_confirmed=given.yes,
        is_partial=given.partial,
        ignore_stop=given.ignore_stop,
        stop_stale_minutes=given.stop_stale_minutes,
    )


def experiments_dir(given: Path | None, env: Mapping[str, str]) -> Path:
    """Flag, then environment, then ./experiments. Raises ConfigError for an address."""
    named = env.get(EXPERIMENTS_VARIABLE)
    if given is None and named and is_url(named):
        raise ConfigError(f"{named!r} is an address, not a folder of this machine", where=EXPERIMENTS_VARIABLE, hint=REMOTE)
    return given or Path(named or "experiments")
