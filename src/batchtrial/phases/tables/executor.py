"""Where parts are worked on: in this process, on processes of this machine, or on a Dask cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from batchtrial.errors import ConfigError

Kind = Literal["process", "serial", "dask"]
HERE: Final[dict[str, Kind]] = {"process": "process", "serial": "serial"}
FORM: Final = "dask://HOST:PORT"


@dataclass(frozen=True, slots=True)
class Executor:
    """kind: which of the three. address: of the cluster's scheduler, as its client wants it; "" for the others."""

    kind: Kind
    address: str = ""


def executor_of(text: str) -> Executor:
    """What `--executor` names. Raises ConfigError."""
    if text in HERE:
        return Executor(HERE[text])
    try:
        found = urlsplit(text)
        is_whole = found.scheme == "dask" and found.hostname and found.port and not found.path and not found.query and found.username is None
    except ValueError:  # no port, or no address at all
        is_whole = False
    if not is_whole:
        raise ConfigError(f"there is no executor {text!r}", where="--executor", hint=f"it is {', '.join(HERE)} or {FORM}")
    return Executor("dask", f"tcp://{found.netloc}")
