"""Who is called: the config's host, or the backend's own. Pure, but for the environment that is handed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from batchtrial.config.lanes import config_of_lane, lanes_of
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.modes import MODES
from batchtrial.providers.registry import ROWS, row_of

VARIABLES: Final[Mapping[str, str]] = {name: row.url_variable for name, row in ROWS.items() if row.url_variable}
"""Where the official SDKs look for another host."""


def own_url(backend: str) -> str | None:
    """The backend's own host. It is named to the SDK, which would else take another from its environment without a word."""
    return row_of(backend).base_url


def base_url(config: Config) -> str | None:
    """Where the backend's wire is spoken; None for a local server that nobody named."""
    return config.provider.base_url or own_url(config.backend)


def host_of(config: Config) -> str:
    """Who answers, for manifest, plan and report: scheme, name and port, or what stands in for a host."""
    return MODES[config.mode].host or bare(base_url(config) or "")


def hosts_of(config: Config) -> str:
    """The same of every lane, for manifest, plan and report."""
    return ", ".join(dict.fromkeys(host_of(config_of_lane(config, name)) for name in lanes_of(config)))


def bare(url: str) -> str:
    """Scheme, name and port of an address: its user part could be a secret, and its path says nothing of who answers."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "unknown"
    return f"{parts.scheme}://{parts.hostname}" + (f":{port}" if port else "") if parts.hostname else "unknown"


def address_fault(url: str) -> tuple[str, str] | None:
    """(what is wrong with an address of a host, what to do); None when it can be called. The address itself is not told: it may hold a secret."""
    if not url.startswith(("http://", "https://")) or bare(url) == "unknown":
        return "it is no address of a host", "make it https://HOST/PATH"
    parts = urlsplit(url)
    if "@" in parts.netloc:
        return (
            "the address holds a name or a password, which would be written into the run",
            "leave it out; keys are read from the environment",
        )
    if parts.query or parts.fragment:
        what = "the address goes on behind its path, with '?' or '#': each call puts its own path there, and a key would be written into the run"
        return what, "end it with the path; keys are read from the environment"
    if any(char.isspace() or ord(char) < 32 for char in url):
        return "the address holds a space or a line end", "make it https://HOST/PATH"
    return None


def odd_path(backend: str, url: str | None) -> str:
    """What looks wrong about the path of an address, for this backend; "" when nothing does.

    OpenAI's clients put `/files` behind the address, Anthropic's and Fireworks' put `/v1/...`: the same host is written in two ways.
    """
    path = urlsplit(url).path.rstrip("/") if url and bare(url) != "unknown" else None
    if path is None:
        return ""
    if backend == "openai" and not path:
        return "has no path: OpenAI's API, and most that speak it, lie under /v1, as in HOST/v1"
    if backend == "anthropic" and path.endswith("/v1"):
        return "ends in /v1, which Anthropic's client adds itself: leave it out"
    return ""


def from_environment(config: Config, env: Mapping[str, str]) -> tuple[str, str] | None:
    """(variable, address) of the SDK's own variable for this backend; None when it is unset. Raises ConfigError for what is no address."""
    variable = VARIABLES.get(config.backend, "")
    value = env.get(variable, "").strip()
    if not value:
        return None
    fault = address_fault(value)
    if fault is not None:
        raise ConfigError(fault[0], where=variable, hint=f"unset it, or {fault[1]}")
    return variable, value
