"""A lane's adapter by its row in the registry, and what knows the wire of every lane of a config and asks nobody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

from batchtrial.config.families import family_of
from batchtrial.config.lanes import config_of_lane, is_direct, lanes_of
from batchtrial.config.model import Config
from batchtrial.providers.base import LaneCodecs, Limits, Provider, Setup
from batchtrial.providers.direct.forms import WithTiers
from batchtrial.providers.registry import adapter_of
from batchtrial.providers.sdk.edge import Timeouts


def host_settings(config: Config, url: str | None, *, past_proxies: bool = False) -> dict[str, Any]:
    """How an adapter reaches its host: what the settings of every adapter begin with."""
    timeouts = Timeouts(connect=config.provider.connect_seconds, read=config.provider.read_seconds)
    return {"base_url": url, "timeouts": timeouts, "past_proxies": past_proxies}


def adapter(config: Config, host: Mapping[str, Any], key: str | None, *, account: str = "", now: Callable[[], datetime] | None = None) -> Provider:
    """The adapter of the config's own lane. now: what its batches live by; None: the real time."""
    settings = config.provider
    setup = Setup(
        host=host,
        key=key,
        account=account,
        endpoint=settings.endpoint,
        host_row=settings.quirks if settings.quirks != "openai" else None,
        sampling=settings.sampling,
        api_version=settings.api_version,
        cache=settings.prompt_cache.ttl if settings.prompt_cache.enabled else None,
        is_longer_field=_wants_longer_field(config),
        now=now,
    )
    return adapter_of(config.backend, setup)


def codec_of_lane(config: Config) -> Provider:
    """The adapter of the config's own lane without an address or key: only its pure half is used."""
    codec = adapter(config, host_settings(config, None), None)
    return cast(Provider, WithTiers(codec)) if is_direct(config) else codec


def codecs_of(config: Config) -> Provider:
    """The pure half of every lane's adapter; the lane's own alone where there is one lane."""
    every = {name: codec_of_lane(config_of_lane(config, name)) for name in lanes_of(config)}
    return next(iter(every.values())) if list(every) == [config.backend] else cast(Provider, LaneCodecs(every))  # nothing is sent with it


def limits_of(config: Config) -> Limits:
    """What the config's lanes take in one batch."""
    return codecs_of(config).limits


def _wants_longer_field(config: Config) -> bool:
    """Whether a model of the run refuses the older name of the field that bounds an answer, which every server of one's own knows."""
    models = {config.model_id, *((config.sweep and config.sweep.models) or ()), *(one.model_id for one in config.trials if one.model_id)}
    models |= {one.model for one in config.arms.values() if one.model is not None}
    families = [family_of(model) for model in models]
    return any(one is not None and one.wants for one in families)
