"""One share of a step's parts, made beside others that are made elsewhere: from what the run's folder says, without the run's lock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from batchtrial.app.codecs import limits_of
from batchtrial.app.wiring import Place, Wiring
from batchtrial.clock import real_now
from batchtrial.errors import RunStateMissing
from batchtrial.phases.base import Progress, Share, Work
from batchtrial.phases.tables.shares import ShareMade
from batchtrial.reading.view import view_of
from batchtrial.run.cores import cores
from batchtrial.run.options import Options
from batchtrial.run.plan import PHASES
from batchtrial.run.stop import StopToken
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import Ledger


def carry_out_share(
    experiments: Path, run_id: str, step: str, share: Share, *, options: Options, env: Mapping[str, str], progress: Progress
) -> ShareMade | None:
    """What became of the share; None when the step is done already. Raises RunStateMissing when it cannot begin, Stopped, PhaseFailed."""
    layout = RunLayout.of(experiments, run_id)
    layout.check_there()
    refuse_earlier(layout)
    view = view_of(experiments, run_id, limits_of)
    phase = next(one for one in PHASES if one.name == step)
    verdict = phase.verdict(view)
    if verdict.status == "blocked":
        raise RunStateMissing(f"{step} cannot begin: {verdict.reason}", where=str(layout.root), hint=f"`batchtrial resume {layout.flags}` goes on")
    if verdict.is_done:
        return None
    stop = StopToken(layout.stop_requested, layout.stop_now, time.sleep)
    codec = Wiring(view.config, Place(layout=layout, trials=lambda: view.trials), env).codecs
    work = Work(
        view=view,
        ledger=cast(Ledger, None),  # parse and score read what the view has of it, and write nothing there
        codec=codec,
        provider=_nobody,
        now=real_now,
        stop=stop,
        progress=progress,
        publish=_not_of_a_share,
        refresh=lambda: None,
        workers=options.workers or cores(),
        executor=options.executor,
        share=share,
    )
    stop.listen()
    try:
        phase.run(work)
    except ShareMade as made:
        return made
    finally:
        stop.unlisten()
    return None


def _nobody() -> NoReturn:
    raise AssertionError("a share asks nobody")


def _not_of_a_share(trial: Any, stage: str, inputs: str, paths: Sequence[Path]) -> NoReturn:
    raise AssertionError("a share publishes nothing")
