"""The steps of the pipeline in order, with the name that each has in a trial's manifest. The steps themselves are in `phases/`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STAGE_OF_STEP: Final[Mapping[str, str | None]] = {
    "prepare": None,
    "build": None,
    "submit": None,
    "poll": "downloaded",
    "parse": "parsed",
    "score": "scored",
    "stats": "stats",
    "costs": "costs",
    "optional": "optional",
    "report": "report",
}
"""Name of each step, in flags and `run_state.json` -> what the trial's manifest calls it; None for what is done once for the whole run."""
STEPS: Final = tuple(STAGE_OF_STEP)
PAYING: Final = ("submit", "poll")
"""Steps that --remake never repeats: what was bought stays bought."""
STAGES: Final = (*(stage for stage in STAGE_OF_STEP.values() if stage is not None), "archived")
"""Keys of `stage_status` in a trial's manifest."""
