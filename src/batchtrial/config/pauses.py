"""Batch APIs that are paused: what a run does instead, and what it says. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from batchtrial.config.lanes import config_of_lane, is_direct, key_of, lanes_of
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.prices import price_of
from batchtrial.providers.registry import row_of

SPOT = "spot"
PAUSED = "batches are paused there"
"""Where a setting came from that nobody wrote."""


def pause_of(config: Config) -> str:
    """Why the batch API of the lane's own host takes nothing; "" when it does, or when another host is asked. config: of the lane."""
    is_own = config.is_live and config.provider.base_url in (None, row_of(config.backend).base_url)
    return row_of(config.backend).paused if is_own else ""


DESPITE = "ask row by row with `provider: {lane: direct}`; once batches are back, set `provider.despite_pause: true`"
"""What to do instead of uploading."""
BEGUN = (
    "what came back is kept: `batchtrial resume --run_id RUN --without_unsent` reports on it; ask what was never sent in a run of its own, with "
    "`provider: {lane: direct}`; "
    "once batches are back, set `provider.despite_pause: true` with --accept_drift"
)
"""The same of a run that was begun with batches."""


def check_not_paused(config: Config) -> None:
    """Of a run that begins. Raises ConfigError when it would upload where nothing is taken, and nobody said that it shall."""
    for name in lanes_of(config):
        lane = config_of_lane(config, name)
        why = pause_of(lane)
        if why and not is_direct(lane) and not lane.provider.despite_pause:
            raise ConfigError(f"nothing is uploaded: {why}", where=f"{key_of(config, name)}.lane", hint=DESPITE)


def with_lanes(config: Config) -> tuple[Config, Mapping[str, str]]:
    """The config of a run that begins, with the direct lane written down for lanes whose batches are paused and that say nothing; (key -> why).

    The cheapest tier goes along where every model of the lane has it.
    """
    told: dict[str, str] = {}
    for name in lanes_of(config):
        lane = config_of_lane(config, name)
        why = pause_of(lane)
        if not why or lane.provider.lane is not None or lane.provider.service_tier is not None:
            continue
        changes: dict[str, str] = {"lane": "direct"}
        if all(price_of(row_of(name).prices, model, tier=SPOT) is not None for model in models_of(config, name)):
            changes["service_tier"] = SPOT
        told |= {f"{key_of(config, name)}.{key}": PAUSED for key in changes}
        config = with_settings(config, name, changes)
    return config, told


def with_settings(config: Config, name: str, changes: Mapping[str, object]) -> Config:
    """The config with these settings of a lane; one that says nothing of the lane goes on doing so where they change nothing."""
    lane = config_of_lane(config, name)
    provider = lane.provider.model_copy(update=dict(changes))
    if provider == lane.provider:
        return config
    return config.model_copy(update={"provider": provider} if lane is config else {"lanes": {**config.lanes, name: provider}})


def models_of(config: Config, name: str) -> set[str]:
    """Models that the lane's arms and judges ask."""
    judges = {judge.model or config.model_id for judge in config.judges if (judge.backend or config.backend) == name}
    if config.arms:
        return judges | {arm.model or config.model_id for arm in config.arms.values() if (arm.backend or config.backend) == name}
    if name != config.backend:
        return judges
    trials = {one.model_id for one in config.trials if one.model_id is not None}
    return judges | (trials or set((config.sweep and config.sweep.models) or (config.model_id,)))


def pause_notes(config: Config) -> Iterator[str]:
    """What a reader of the plan should know, a sentence a lane."""
    for name in lanes_of(config):
        lane = config_of_lane(config, name)
        why = pause_of(lane)
        if not why:
            continue
        if is_direct(lane):
            tier = lane.provider.service_tier
            price = f"at the tier {tier}" if tier else "at the standard price, twice that of batches: no cheaper tier is known for every model here"
            yield f"{why}; rows are asked one by one, {price} (docs/direct.md)"
        elif not lane.provider.despite_pause:
            yield f"{why}; a run uploads nothing there unless `{key_of(config, name)}.despite_pause` says so"
