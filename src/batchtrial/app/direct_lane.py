"""The direct lane of a run: who is asked row by row, with which key, how many rows at a time."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from batchtrial.app.emulator import DIRECT, Emulator
from batchtrial.config.hosts import base_url
from batchtrial.config.model import Config
from batchtrial.direct.asking import KEY, Host
from batchtrial.direct.pace import Tempo
from batchtrial.direct.wires import headers_of
from batchtrial.errors import ConfigError, ProviderError
from batchtrial.providers.base import Provider
from batchtrial.providers.direct.adapter import DirectProvider, DirectSettings
from batchtrial.providers.direct.forms import Form, form_of
from batchtrial.providers.registry import OWN_KEY, Row, row_of
from batchtrial.providers.sdk.edge import checked_key
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import encode_json, write_bytes

CONCURRENCY: Final = 16
TIER_SECONDS: Final = 900.0
"""Cheap tiers answer when there is room."""
DRY_SPEED: Final = 1000.0
"""Waits of a rehearsal take so much less time."""


def direct_lane(
    config: Config, codec: Provider, layout: RunLayout, env: Mapping[str, str], *, at: Emulator | None, key: str | None
) -> DirectProvider:
    """The lane, ready to ask. at: the emulator that stands in for the host, with the key that it is asked with. Raises ConfigError, ProviderError."""
    row, one = row_of(config.backend), config.provider
    endpoint = one.endpoint or ("/v1/responses" if row.name == "openai" else "/v1/chat/completions")
    form = form_of(row.speaks, endpoint)
    key = key if at is not None else key_for(row, env)
    own = {"version": one.api_version} if one.api_version is not None else {}
    url = _address(config, row, layout, env) if at is None else at.url + _emulated_at(row, form)
    host = Host(
        url=url,
        headers=headers_of(form.wire, key, **own),
        connect_seconds=one.connect_seconds,
        seconds=one.answer_seconds or (one.read_seconds if one.service_tier is None else TIER_SECONDS),
        past_proxies=at is not None or (row.name == "local" and _is_near(url)),
    )
    settings = DirectSettings(
        host=host,
        form=form,
        tier=one.service_tier or "",
        folder=layout.direct,
        root=layout.root,
        concurrency=one.concurrency or (one.max_concurrent_requests if row.name == "local" else CONCURRENCY),
        key=key,
        key_hint=f"set {row.key_variable or OWN_KEY} to the server's key",
        tempo=Tempo() if at is None else Tempo(speed=DRY_SPEED),
        seed=config.seed,
    )
    return DirectProvider(codec, settings)


def _emulated_at(row: Row, form: Form) -> str:
    """Where the emulator answers: the endpoints of chat lie at one place for every host."""
    if form.wire == "generate_content":
        return row.emulated_at
    return "/v1" if row.speaks == "openai" else ""


def key_for(row: Row, env: Mapping[str, str]) -> str | None:
    """The key to ask with; None for a server of one's own that has none. Raises AuthFailed for one that cannot stand in a header."""
    if not row.key_variable and not env.get(OWN_KEY):
        return None
    variable = row.key_variable or OWN_KEY
    return checked_key(env.get(variable), title=row.title if row.key_variable else "the server", variable=variable)


def _address(config: Config, row: Row, layout: RunLayout, env: Mapping[str, str]) -> str:
    """The host's; a server of one's own is asked who it is before anything is sent there."""
    url = base_url(config)
    if url is None:
        raise ConfigError(f"the backend `{row.name}` needs a server", where="provider.base_url", hint="for example http://127.0.0.1:8080")
    if row.name != "local":
        return url
    root = url.rstrip("/").removesuffix("/v1")
    write_bytes(layout.server, encode_json(identity(root, config.model_id, env.get(OWN_KEY))))
    return f"{root}/v1"


def _is_near(url: str) -> bool:
    """Whether no proxy of the environment stands before the server."""
    return url.startswith("http:")


def identity(root: str, model: str, key: str | None = None) -> dict[str, Any]:
    """What the server says it is: its models, and llama.cpp's build and context length where it tells them. Raises ProviderError."""
    told: dict[str, Any] = {"asked_model": model, "models": _get(f"{root}/v1/models", key).get("data", [])}
    try:
        props = _get(f"{root}/props", key)
    except ProviderError:
        return told
    return told | {"build": props.get("build_info"), "context_length": props.get("default_generation_settings", {}).get("n_ctx")}


def _get(url: str, key: str | None) -> dict[str, Any]:
    request = urllib.request.Request(url)
    if key:
        request.add_unredirected_header("authorization", f"Bearer {key}")
    try:
        with (DIRECT.open if _is_near(url) else urllib.request.urlopen)(request, timeout=10) as answer:
            said = answer.read().decode()
            return dict(json.loads(said.replace(key, KEY.decode()) if key else said))
    except urllib.error.HTTPError as error:
        with error:
            hint = f"set {OWN_KEY} to the server's key" if error.code in (401, 403) else "put provider.base_url right"
            raise ProviderError(f"the server does not say what it is: HTTP {error.code} {error.reason}", where=url, hint=hint) from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
        raise ProviderError(f"the server does not answer: {error}", where=url, hint="start it, or put provider.base_url right") from None
