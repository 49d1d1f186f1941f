"""The lanes of a run: the backends that its arms are at, each with settings of its own. Pure."""

from __future__ import annotations

from batchtrial.config.contrasts import names_in_order
from batchtrial.config.model import Config, ProviderConfig


def lanes_of(config: Config) -> tuple[str, ...]:
    """Backends of the run's arms and judges, the run's own first when an arm is there."""
    named = dict.fromkeys(config.arms[name].backend or config.backend for name in names_in_order(config.arms))
    named |= dict.fromkeys(judge.backend or config.backend for judge in config.judges) | ({} if config.arms else {config.backend: None})
    return tuple(sorted(named, key=lambda name: (name != config.backend, name))) or (config.backend,)


def config_of_lane(config: Config, backend: str) -> Config:
    """The config as it is for arms at this backend: with that backend, its address and extras, and neither arms nor judges of another one."""
    if backend == config.backend:
        return config
    arms = {name: one for name, one in config.arms.items() if one.backend == backend}
    judges = tuple(one for one in config.judges if one.backend == backend)
    lane = {"backend": backend, "provider": {**config.lanes}.get(backend) or ProviderConfig(), "lanes": {}, "arms": arms, "judges": judges}
    return config.model_copy(update=lane)


def is_direct(config: Config) -> bool:
    """Whether this lane's requests go one by one. config: of the lane."""
    one = config.provider
    if config.mode == "recorded_dry_run":
        return False  # what was recorded went as batches, or reads as if it had
    if one.lane is not None:
        return one.lane == "direct"
    return one.service_tier is not None or (config.backend == "local" and config.is_called)


def with_base_url(config: Config, backend: str, url: str) -> Config:
    """The config with the address of this lane set."""
    lane = config_of_lane(config, backend)
    provider = lane.provider.model_copy(update={"base_url": url})
    return config.model_copy(update={"provider": provider} if lane is config else {"lanes": {**config.lanes, backend: provider}})


def key_of(config: Config, backend: str) -> str:
    """Where the config has the settings of this lane."""
    return "provider" if backend == config.backend else f"lanes.{backend}"
