"""`batchtrial rescore`: other metrics, slices and thresholds over answers that are there. Asks nobody and buys nothing."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from batchtrial.app.codecs import limits_of
from batchtrial.app.invocation import Invocation, experiments_dir
from batchtrial.app.session import layout_of, loaded, opened
from batchtrial.cli import args as flags
from batchtrial.cli.commands.execute import person_of
from batchtrial.cli.frame import complain, framed, say, set_up_logging
from batchtrial.cli.screens import summary
from batchtrial.clock import real_now
from batchtrial.config.load import drift
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.keys import check_run_id
from batchtrial.phases.base import View
from batchtrial.phases.batches import poll
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.prepare.columns_read import check_slices_kept
from batchtrial.phases.prepare.items import prepared_items
from batchtrial.phases.prepare.schema_words import check_schemas
from batchtrial.reading.config import config_of_run
from batchtrial.reading.view import view_of
from batchtrial.run.changes import check_metrics
from batchtrial.run.earlier_scores import keep_scores
from batchtrial.run.loop import execute
from batchtrial.run.options import Options
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.lock import RunLock
from batchtrial.state.store import Hook, no_hook

MAY_CHANGE: Final = ("metrics", "slices", "unsupported.", "answers.abstention_phrases", "metric_errors", "metric_seconds", "optional.", "exports")
"""Settings that say how answers are scored and shown, and nothing of what is asked or how an answer is read."""
EXAMPLES = """examples:
  batchtrial rescore --run_id r1 --metric words --metric json_valid
  batchtrial rescore --run_id r1 --metric mine:tone --slice topic
  batchtrial rescore --run_id r1 --unsupported_threshold 0.3
  batchtrial rescore --run_id r1 --config edited.yaml        metrics with parameters; nothing else may differ

The answers stay as they are and nobody is asked anything. The scores that are there are kept under earlier_scores/ in the run's folder, with the
hash of each metric's code and the versions of its libraries. A metric that was not declared before the first result makes no claim.
"""


def parser() -> flags.Parser:
    """Flags of `rescore`."""
    p = flags.Parser(prog="batchtrial rescore", description="Score the answers of a run again. Buys nothing.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--config", type=flags.local_path, metavar="FILE", help="the run's config with other metrics, slices or thresholds")
    p.add_argument("--metric", action="append", default=[], metavar="NAME", help="one more metric, by name or as package.module:function")
    p.add_argument("--slice", action="append", default=[], metavar="COLUMN", help="one more column of the items by which the effect is shown")
    p.add_argument("--unsupported_threshold", type=float, metavar="X", help="flag answers with less than this share of their words in the passage")
    flags.add_workers(p)
    flags.add_place(p)
    return p


def _changes(config: Config, *, metrics: Sequence[str], slices: Sequence[str], threshold: float | None) -> dict[str, Any]:
    """What the flags change, as dotted keys."""
    tree = config.model_dump(mode="json")
    more = [one for one in metrics if one not in tree["metrics"]]  # so that the command can be given again after a kill
    changes: dict[str, Any] = {"metrics": [*tree["metrics"], *more]} if more else {}
    if slices:
        changes["slices"] = list(dict.fromkeys([*tree.get("slices", ()), *slices]))
    if threshold is not None:
        changes["unsupported.threshold"] = threshold
    return changes


def _check(before: Config, after: Config) -> None:
    """Raises ConfigError for a change of anything but scoring."""
    for key, change in drift(before, after).items():
        if not key.startswith(MAY_CHANGE):
            what = f"{key} differs ({change}), and `rescore` changes only how answers are scored"
            raise ConfigError(what, where="--config", hint=f"it may change {', '.join(one.rstrip('.') for one in MAY_CHANGE)}")


def _check_answers(view: View) -> None:
    """Raises RunStateMissing while answers are to come, as in a run that grows: scores of some of them are no scores of the run."""
    for phase in (poll, parse.phase):
        verdict = phase.verdict(view)
        if not verdict.is_done:
            what = f"the run's answers are not all there: {phase.name}: {verdict.reason}"
            raise RunStateMissing(what, where=str(view.layout.root), hint=f"`batchtrial resume {view.layout.flags}` goes on with the run")


def score_again(ask: Invocation, run_id: str, *, env: Mapping[str, str], hook: Hook = no_hook) -> int:
    """Keep the scores that are there, and score anew as the config of `ask` says; returns the exit code. hook: called at every durable write."""
    layout = layout_of(ask, run_id)
    layout.check_there()
    refuse_earlier(layout)
    after = loaded(ask, layout, env).config
    before = config_of_run(layout)
    _check(before, after)
    check_schemas(after, ())
    view = view_of(ask.experiments, run_id, limits_of)
    _check_answers(view)
    if set(after.slices) - set(before.slices):
        check_slices_kept(after, prepared_items(layout))
    if before.metrics != after.metrics and view.prepared is not None:
        check_metrics(view, after, complain)
    lock = RunLock(layout.guard, layout.lock_info)
    lock.acquire(real_now)
    try:
        kept = keep_scores(view_of(ask.experiments, run_id, limits_of), after, hook=hook)  # as it is now that nobody else may change it
    finally:
        lock.release(real_now)
    if kept is None:
        hint = f"`batchtrial resume {layout.flags}` goes on with the run"
        raise RunStateMissing("the run has no scores yet, or they are not as they were published", where=str(layout.root), hint=hint)
    with opened(ask, run_id, person_of(ask), nonce=secrets.token_hex(8), env=env, hook=hook) as at:
        finished = execute(at.session, ask.options, at.services)
        say(f"scored again: {', '.join(finished.ran) or 'nothing had to be made anew'}; no request was sent")
        say(f"the scores that were there are kept in {kept}")
        for line in summary.lines(at.session.look(), finished, at.session.ledger.money()):
            say(line)
    return 0


def _command(argv: Sequence[str] | None = None) -> int:
    """Score the answers of a run again."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    run_id, experiments = check_run_id(given.run_id), experiments_dir(given.experiments_dir, os.environ)
    has_flags = given.metric or given.slice or given.unsupported_threshold is not None
    if given.config is not None and has_flags:
        raise ConfigError("--config says all of it, and the other flags change it", where="--config", hint="give one or the others")
    layout = RunLayout.of(experiments, run_id)
    layout.check_there()
    changes = _changes(config_of_run(layout), metrics=given.metric, slices=given.slice, threshold=given.unsupported_threshold) if has_flags else {}
    options = Options(from_step="score", accept_drift=True, workers=given.workers, executor=given.executor)
    ask = Invocation(run_id=run_id, is_resume=True, config=given.config, changes=changes, options=options, experiments=experiments, is_offline=True)
    return score_again(ask, run_id, env=os.environ)


main = framed(_command)
