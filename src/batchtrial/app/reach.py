"""Whether the lanes of a config can be asked from here: an address and a key for each, looked at before a folder is made."""

from __future__ import annotations

from collections.abc import Mapping

from batchtrial.config.hosts import base_url
from batchtrial.config.lanes import config_of_lane, key_of, lanes_of
from batchtrial.config.model import Config
from batchtrial.errors import AuthFailed, ConfigError
from batchtrial.providers.registry import row_of
from batchtrial.providers.sdk.edge import checked_key


def check_reachable(config: Config, env: Mapping[str, str], *, one_will_do: bool = False) -> None:
    """Nothing is asked. one_will_do: lanes that cannot be asked may wait for a resume, so that only a config without any other is refused.

    Raises ConfigError for lanes without an address, AuthFailed for lanes without a key, each naming all of them.
    """
    lanes = lanes_of(config) if config.is_called else ()
    nowhere = [name for name in lanes if base_url(config_of_lane(config, name)) is None]
    keyless = [error for name in lanes if (error := _fault_of_key(name, env)) is not None]
    if one_will_do and len({*nowhere, *(error.where for error in keyless)}) < len(lanes):
        return
    if nowhere:
        where = ", ".join(f"{key_of(config, name)}.base_url" for name in nowhere)
        raise ConfigError(f"nothing says where {' and '.join(nowhere)} can be asked", where=where, hint="for example http://127.0.0.1:8080")
    if keyless:
        raise AuthFailed("; ".join(error.what for error in keyless), hint="; ".join(error.hint for error in keyless))


def _fault_of_key(name: str, env: Mapping[str, str]) -> AuthFailed | None:
    row = row_of(name)
    try:
        if row.key_variable:
            checked_key(env.get(row.key_variable), title=row.title, variable=row.key_variable)
    except AuthFailed as error:
        error.where = name
        return error
    return None
