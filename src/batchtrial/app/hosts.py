"""Which host a run calls, settled and looked at before anything is sent: the SDKs' own variables count, and an emulator is found out."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace

from batchtrial.config.hosts import OWN, bare, base_url, from_environment
from batchtrial.config.load import Loaded
from batchtrial.config.model import Config
from batchtrial.errors import ConfigDrift

HEADER = "x-batchtrial-emulator"
SIMULATED = frozenset({"simulated", "recorded"})
"""What an emulator says of its answers when no model gives them now; behind one with an upstream a model does."""
SECONDS = 5.0


def with_host(got: Loaded, env: Mapping[str, str]) -> Loaded:
    """The config of a run that begins, with the host that the SDK would take from the environment written down as its own. Raises ConfigError."""
    config = got.config
    if not config.is_called or config.provider.base_url is not None or (named := from_environment(config, env)) is None:
        return got
    variable, url = named
    provider = config.provider.model_copy(update={"base_url": url})
    origin = {**got.origin, "provider.base_url": f"environment, {variable}"}
    return replace(got, config=config.model_copy(update={"provider": provider}), origin=origin)


def check_same_host(config: Config, env: Mapping[str, str]) -> None:
    """On resume: a variable that would have led a new run elsewhere is no reason to look for this run's batches there. Raises ConfigDrift."""
    if not config.is_called or config.provider.base_url is not None or (named := from_environment(config, env)) is None:
        return
    variable, url = named
    if bare(url) != bare(OWN.get(config.backend, "")):
        raise ConfigDrift(
            f"the run's host is {bare(OWN[config.backend])}, and {variable} names {bare(url)}",
            where=variable,
            hint=f"unset {variable}; if the run was started there by an earlier version, name the host with --base_url and --accept_drift",
        )


def as_recorded(got: Loaded, recorded: Config) -> Loaded:
    """A config that a run is compared with, where it says nothing of the host or of the arms' form: both were settled when the run began."""
    config = got.config.model_copy(update={"arm_form": recorded.arm_form})
    if config.mode == "live" and recorded.mode == "simulated_host":
        config = config.model_copy(update={"mode": recorded.mode})
    if config.provider.base_url is None and recorded.provider.base_url is not None and config.backend == recorded.backend:
        provider = config.provider.model_copy(update={"base_url": recorded.provider.base_url})
        config = config.model_copy(update={"provider": provider})
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
    """The config with its mode as the host says: an emulator's answers are simulated. Raises ConfigDrift when a live run would go on at one."""
    if not config.is_called:
        return config
    is_simulated = emulator_at(config) in SIMULATED
    if is_begun and is_simulated and config.mode == "live":
        raise ConfigDrift(
            f"the host {bare(base_url(config) or '')} says that it is an emulator, and this run is live",
            where="provider.base_url",
            hint="start the host that the run was begun with",
        )
    return config.model_copy(update={"mode": "simulated_host"}) if is_simulated and not is_begun else config


def proxy_for(config: Config) -> str | None:
    """The proxy of the environment that calls to the host go through, without its user part; None when there is none."""
    url = base_url(config)
    if url is None or not config.is_called:
        return None
    host, scheme = bare(url).partition("://")[2], bare(url).partition("://")[0]
    proxies = urllib.request.getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    return None if not found or urllib.request.proxy_bypass(host) else bare(found)
