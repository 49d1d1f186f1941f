"""What must be the same wherever parts of a run are worked on: the code, its libraries, the user's metrics, and the folder."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

import batchtrial
from batchtrial.config.metric_sources import sources_of, versions
from batchtrial.config.model import Config
from batchtrial.phases.tables.on_worker import Session

LIBRARIES: Final = ("polars", "numpy", "msgspec", "pydantic")
"""What decides bytes, or how a part travels."""
SHOWN_CHARS: Final = 60


def own_facts() -> dict[str, str]:
    """By what it is, what this process works with, whatever the config."""
    libraries = {f"the library {name}": version(name) for name in LIBRARIES}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"Python": python, "batchtrial": batchtrial.__version__, "the code of batchtrial": code_sha256(), **libraries}


def facts_of(config: Config) -> dict[str, str]:
    """The same, and what computes the config's metrics. Raises ConfigError where that cannot be had."""
    metrics = {f"the metric {path}": sha256 for path, sha256 in sources_of(config).items()}
    metrics |= {f"the library {one.rpartition(' ')[0]}": one.rpartition(" ")[2] for one in versions(config)}
    return own_facts() | metrics


@cache
def code_sha256() -> str:
    """Of all Python files of this package, names and bytes."""
    root = Path(batchtrial.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def differences(here: Mapping[str, str], there: Mapping[str, str]) -> list[str]:
    """What another process has otherwise, in words; nothing when all is the same."""
    return [
        f"{name} is {_shown(there.get(name, ''))} there and {_shown(here.get(name, ''))} here"
        for name in dict.fromkeys((*here, *there))
        if here.get(name) != there.get(name)
    ]


def _shown(value: str) -> str:
    is_hash = len(value) == 64
    return (f"sha256 {value[:12]}" if is_hash else value[:SHOWN_CHARS]) or "missing"


def shared_fault(session: Session) -> str:
    """Why this process does not see the run's folder as the run's own process does, or cannot write there; "" when it does and can."""
    for path, sha256 in ((session.probe, session.probe_sha256), *((session.known,) if session.known else ())):
        try:
            data = path.read_bytes()
        except OSError as error:
            return f"{path} cannot be read there ({error.strerror})"
        if hashlib.sha256(data).hexdigest() != sha256:
            return f"{path} has other bytes there"
    try:
        session.reply.write_bytes(data := session.probe.read_bytes())
    except OSError as error:
        return f"{session.probe.parent} cannot be written there ({error.strerror})"
    return "" if data else "the probe is empty"
