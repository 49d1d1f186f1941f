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
    "judge_build": None,
    "judge_submit": None,
    "judge_poll": None,
    "judge_parse": None,
    "stats": "stats",
    "costs": "costs",
    "optional": "optional",
    "report": "report",
}
"""Name of each step, in flags and `run_state.json` -> what the trial's manifest calls it; None for what is done once for the whole run."""
STEPS: Final = tuple(STAGE_OF_STEP)
PAYING: Final = ("submit", "poll", "judge_submit", "judge_poll")
"""Steps that --remake never repeats: what was bought stays bought."""
STAGES: Final = (*(stage for stage in STAGE_OF_STEP.values() if stage is not None), "archived")
"""Keys of `stage_status` in a trial's manifest."""
JUDGING: Final = tuple(step for step in STEPS if step.startswith("judge_"))
"""Steps of runs that have judges; in others there are none of them."""


def shown(known: Mapping[str, object]) -> tuple[str, ...]:
    """The steps of a run. known: what it has a record of."""
    has_judges = any(step in known for step in JUDGING)
    return tuple(step for step in STEPS if has_judges or step not in JUDGING)
