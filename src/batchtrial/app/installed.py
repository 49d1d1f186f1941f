"""Whether the packages that a run's lanes speak with are installed: asked before the run has a folder, so that nothing is left behind."""

from __future__ import annotations

from importlib.util import find_spec

from batchtrial.config.lanes import config_of_lane, is_direct, lanes_of
from batchtrial.config.model import Config
from batchtrial.providers.registry import row_of
from batchtrial.providers.sdk.edge import missing_extra


def is_installed(extra: str) -> bool:
    """Whether the SDK that this extra brings is there. "" is an extra that brings none."""
    return not extra or find_spec(extra) is not None


def check_installed(config: Config) -> None:
    """Raises MissingExtra, with the command that installs it, for a lane whose SDK is not there. Lanes that go row by row need none."""
    for name in lanes_of(config):
        extra = row_of(name).extra
        if not is_direct(config_of_lane(config, name)) and not is_installed(extra):
            raise missing_extra(extra, extra, "it is not installed")
