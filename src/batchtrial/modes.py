"""Where a run's answers come from: one row a mode, with all that depends on nothing else, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["live", "dry_run", "recorded_dry_run", "replay", "simulated_replay", "simulated_host"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeFacts:
    """One mode.

    is_called: the config's own host is called, whoever answers there. is_dry: an emulator stands in for the provider, with answers of its own or a
    recording's. is_replay: a recording stands in for the adapter. is_simulated: no model answered, now or when the recording was made.
    host: who answers, where it is not the config's host. banner: over every report. summary: how the answers were simulated. start: said when
    work begins.
    """

    is_called: bool = False
    is_dry: bool = False
    is_replay: bool = False
    is_simulated: bool = False
    host: str = ""
    banner: str = ""
    summary: str = ""
    start: str = ""


MODES: Final[Mapping[str, ModeFacts]] = {
    "live": ModeFacts(is_called=True),
    "dry_run": ModeFacts(
        is_dry=True,
        is_simulated=True,
        host="an emulator of this run",
        banner="SIMULATED ANSWERS: this was a dry run; no model was asked and the effect was planted",
        summary="dry run against the emulator",
        start="dry run: simulated answers",
    ),
    "recorded_dry_run": ModeFacts(
        is_dry=True,
        host="an emulator with recorded answers",
        banner="RECORDED ANSWERS: a real model gave them when the recording was made; none was asked now",
        start="dry run: recorded answers",
    ),
    "replay": ModeFacts(
        is_replay=True,
        host="a recording",
        banner="RECORDED ANSWERS: this run replays a recording; no model was asked now",
    ),
    "simulated_replay": ModeFacts(
        is_replay=True,
        is_simulated=True,
        host="a recording",
        banner="SIMULATED ANSWERS: this replays the recording of a dry run; no model was ever asked",
        summary="recording of a dry run",
    ),
    "simulated_host": ModeFacts(
        is_called=True,
        is_simulated=True,
        banner="SIMULATED ANSWERS: the host that answered says that it is an emulator; no model was asked",
        summary="the host that answered is an emulator",
        start="the host is an emulator: simulated answers",
    ),
}
