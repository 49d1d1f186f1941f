"""What a run was started with, wherever it still stands: effective_config.yaml, run_state.json, or the copy that the ledger carries.

Reads only. The ledger is believed over the files: a bit flipped in a prompt would otherwise become the prompt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from batchtrial.config.load import Loaded, decode, drift, encode
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, ManifestCorrupt, RunStateMissing
from batchtrial.names import RECORDED
from batchtrial.phases.batches.frozen_plan import PLAN
from batchtrial.state.entries import Entry, last_change, latest_config, read
from batchtrial.state.files import Drift, RunState, load
from batchtrial.state.form import is_unbegun
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import TORN


def recorded_config(layout: RunLayout) -> Config | None:
    """The config as the ledger has it; None when the ledger is lost or carries none."""
    found = latest_config(layout.ledger)
    if found is None:
        return None
    try:
        return Config.model_validate(found[0], context=RECORDED)
    except ValidationError:
        return None


def config_text_of_run(layout: RunLayout) -> str:
    """effective_config.yaml, or what it would hold when it is gone, or when the process that changed it was killed before it was written.

    Raises RunStateMissing when neither it nor the ledger has the config.
    """
    try:
        text = layout.effective_config.read_text(encoding="utf-8")
        return text if (change := unwritten_change(layout, text)) is None else encode(change).decode()
    except FileNotFoundError:
        recorded = recorded_config(layout)
    except UnicodeDecodeError as error:
        raise _damaged(layout, f"not UTF-8 text: {error.reason} at byte {error.start}") from None
    if recorded is None and is_unbegun(layout):
        raise RunStateMissing(f"{layout.root.name} was never begun", where=str(layout.root), hint=hint_to_begin(layout))
    if recorded is None:
        raise RunStateMissing(
            f"{layout.root.name} has no effective_config.yaml",
            where=str(layout.root),
            hint="give the --config and flags that the run was started with; `batchtrial status` lists the runs there are",
        )
    return encode(recorded).decode()


def unwritten_change(layout: RunLayout, text: str) -> Config | None:
    """The config of a change that ends the ledger while the file, of this text, has the config before it; None where they agree."""
    found = last_change(layout.ledger, (PLAN, TORN))
    if found is None:
        return None
    try:
        before, after = (Config.model_validate(one, context=RECORDED) for one in found)
        written = decode(text, where=str(layout.effective_config), folder=layout.root, flags={}, env={}).config
    except (ValidationError, ConfigError):
        return None
    return after if drift(written, after) and not drift(before, written) else None


def hint_to_begin(layout: RunLayout) -> str:
    """What to type about a run whose first process ended before it had written anything down."""
    return f"begin it with `batchtrial run {layout.flags} --config FILE`: nothing was sent, and no setting was written down yet"


def config_of_run(layout: RunLayout) -> Config:
    """The config that the run was started with. Raises RunStateMissing, ManifestCorrupt for a file that is no config any more."""
    return config_with_origin(layout).config


def config_with_origin(layout: RunLayout) -> Loaded:
    """The same, with where each setting comes from."""
    text = config_text_of_run(layout)
    try:
        return decode(text, where=str(layout.effective_config), folder=layout.root, flags={}, env={})
    except ConfigError as error:
        raise _damaged(layout, error.what) from None


def _damaged(layout: RunLayout, why: str) -> ManifestCorrupt:
    return ManifestCorrupt(
        f"effective_config.yaml is damaged: {why}",
        where=str(layout.effective_config),
        hint="`batchtrial repair --run_id RUN` restores it from the ledger; the damaged one is kept as *.corrupt.<time>",
    )


def first_flags(layout: RunLayout) -> Mapping[str, Any]:
    """Settings given by flag when the run was started; none when neither run_state.json nor the ledger knows them."""
    try:
        state = load(RunState, layout.run_state)
    except ManifestCorrupt:
        state = None
    if state is not None:
        return state.overrides
    return _overrides(read(layout.ledger).entries)


def later_settings(layout: RunLayout) -> Mapping[str, Any]:
    """Settings of how the run is carried out that a config has otherwise which was given later, as dotted keys; they hold until another is given."""
    try:
        state = load(RunState, layout.run_state)
    except ManifestCorrupt:
        return {}
    return state.submission if state is not None else {}


def _overrides(entries: Sequence[Entry]) -> dict[str, Any]:
    for entry in entries:
        if entry.event == "opened" and entry.detail is not None:
            return dict(entry.detail.get("overrides") or {})
    return {}


def synthesised_state(fresh: RunState, entries: Sequence[Entry]) -> RunState:
    """What can be known of a lost run_state.json. fresh: the state of a new run with the same config."""
    drifts = tuple(
        Drift(at=e.at, keys=dict((e.detail or {}).get("changed") or {}), config_hash=e.config_hash or "") for e in entries if e.event == "drift"
    )
    notes = [
        "run_state.json was lost: this one is put together from the ledger, the manifests and the files",
        "phases are recognised by their artifacts; when they ran, and what stopped them, is not known",
    ]
    flags = _overrides(entries)
    if not any(e.event == "opened" and e.detail is not None for e in entries):
        notes.append("the flags that the run was started with are not known; its config is")
    return fresh.model_copy(update={"overrides": flags or fresh.overrides, "migrated": True, "notes": tuple(notes), "drift": drifts})
