"""Which host a run calls, settled and looked at before anything is sent: the SDKs' own variables count, and an emulator is found out."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace

from batchtrial.config.hosts import bare, base_url, from_environment, own_url
from batchtrial.config.lanes import config_of_lane, key_of, lanes_of, with_base_url
from batchtrial.config.load import Loaded
from batchtrial.config.model import Config
from batchtrial.config.pauses import PAUSED, with_lanes, with_settings
from batchtrial.errors import ConfigDrift, ConfigError

HEADER = "x-batchtrial-emulator"
SIMULATED = frozenset({"simulated", "recorded"})
"""What an emulator says of its answers when no model gives them now; behind one with an upstream a model does."""
SECONDS = 5.0


def with_host(got: Loaded, env: Mapping[str, str]) -> Loaded:
    """The config of a run that begins, with what its environment and the state of its providers decide written down as its own. Raises ConfigError.

    That is: hosts that the SDKs would take from the environment, and the direct lane where batches are paused.
    """
    config, origin = got.config, dict(got.origin)
    for name, (variable, url) in _from_environment(config, env).items():
        config = with_base_url(config, name, url)
        origin[f"{key_of(config, name)}.base_url"] = f"environment, {variable}"
    config, told = with_lanes(config)
    return replace(got, config=config, origin={**origin, **told})


def _from_environment(config: Config, env: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Lane -> (variable, address), where a variable of an SDK names the host of a lane that the config gives none."""
    lanes = [config_of_lane(config, name) for name in lanes_of(config)] if config.is_called else []
    named = {lane.backend: from_environment(lane, env) for lane in lanes if lane.provider.base_url is None}
    return {name: found for name, found in named.items() if found is not None}


def check_same_host(config: Config, env: Mapping[str, str]) -> None:
    """On resume: a variable that would have led a new run elsewhere is no reason to look for this run's batches there. Raises ConfigDrift."""
    for name, (variable, url) in _from_environment(config, env).items():
        own = bare(own_url(name) or "")
        if bare(url) != own:
            raise ConfigDrift(
                f"the run's host is {own}, and {variable} names {bare(url)}",
                where=variable,
                hint=f"unset {variable}; if the run was started there by an earlier version, name the host with --base_url and --accept_drift",
            )


def as_recorded(got: Loaded, recorded: Config) -> Loaded:
    """A config that a run is compared with, where it says nothing of the hosts or of the arms' form: both were settled when the run began."""
    config = got.config.model_copy(update={"arm_form": recorded.arm_form})
    if config.mode == "live" and recorded.mode == "simulated_host":
        config = config.model_copy(update={"mode": recorded.mode})
    for name in lanes_of(config) if config.backend == recorded.backend else ():
        url = config_of_lane(recorded, name).provider.base_url
        if config_of_lane(config, name).provider.base_url is None and url is not None:
            config = with_base_url(config, name, url)
        before = config_of_lane(recorded, name).provider
        unsaid = [key for key in ("lane", "service_tier") if got.origin.get(f"{key_of(config, name)}.{key}", PAUSED) == PAUSED]
        config = with_settings(config, name, {key: getattr(before, key) for key in unsaid})
    return replace(got, config=config)


def emulator_at(config: Config) -> str | None:
    """What the host says of its answers when it is an emulator, else None. Asks without a key, and only a host that was named or a proxy."""
    url = base_url(config)
    if url is None or (config.provider.base_url is None and not urllib.request.getproxies()):
        return None
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="GET"), timeout=SECONDS) as answer:
            return str(answer.headers.get(HEADER) or "") or None
    except urllib.error.HTTPError as error:
        with error:
            return str(error.headers.get(HEADER) or "") or None
    except (OSError, ValueError):  # nobody answers: whatever is sent there will say so itself
        return None


def as_the_host_says(config: Config, *, is_begun: bool) -> Config:
    """The config with its mode as the hosts say: an emulator's answers are simulated.

    Raises ConfigDrift when a live run would go on at one, ConfigError when some hosts of a new run are emulators and others are not.
    """
    if not config.is_called:
        return config
    lanes = [config_of_lane(config, name) for name in lanes_of(config)]
    simulated = [lane for lane in lanes if emulator_at(lane) in SIMULATED]
    if is_begun and simulated and config.mode == "live":
        raise ConfigDrift(
            f"the host {bare(base_url(simulated[0]) or '')} says that it is an emulator, and this run is live",
            where=f"{key_of(config, simulated[0].backend)}.base_url",
            hint="start the host that the run was begun with",
        )
    if not is_begun and simulated and len(simulated) < len(lanes):
        raise ConfigError(
            f"the host of {simulated[0].backend} says that it is an emulator, and others do not: simulated answers would pass for real ones",
            where=f"{key_of(config, simulated[0].backend)}.base_url",
            hint="name real hosts for all arms, or emulators for all",
        )
    return config.model_copy(update={"mode": "simulated_host"}) if simulated and not is_begun else config


def proxy_for(config: Config) -> str | None:
    """The proxy of the environment that calls to the host go through, without its user part; None when there is none."""
    url = base_url(config)
    if url is None or not config.is_called:
        return None
    host, scheme = bare(url).partition("://")[2], bare(url).partition("://")[0]
    proxies = urllib.request.getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    return None if not found or urllib.request.proxy_bypass(host) else bare(found)
