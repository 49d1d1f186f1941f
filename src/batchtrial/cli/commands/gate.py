"""`batchtrial gate`: an exit code for what a run's plan set out to show."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from batchtrial.app.codecs import limits_of
from batchtrial.app.invocation import experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say, say_json
from batchtrial.cli.screens import gate as shown
from batchtrial.errors import ConfigError
from batchtrial.reading.gate import Answer, Asked, judged
from batchtrial.reading.view import trial_of, view_of
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import write_bytes

CODES: Final[dict[Answer, int]] = {"reached": 0, "refuted": 6, "not settled": 7, "unfinished": 7}
EXAMPLES = """examples:
  batchtrial gate --run_id autumn                                     every trial's primary endpoint, as its plan declared it
  batchtrial gate --run_id autumn --max_cost_change -20               and the treatment's answers cost at least 20 % less
  batchtrial gate --run_id autumn --junit gate.xml --markdown gate.md files for a build server

The answer is the report's: a goal is reached where the report claims it, refuted where the same test shows the opposite, else not settled.
Of several goals or trials one refuted is enough for 6, one not settled for 7. docs/gate.md has a workflow for pull requests.

exit codes: 0 reached, 6 refuted, 7 not settled or not finished (too few pairs, lost answers, a plan that was changed after results), 2 bad flag,
3 no such run
"""


def parser() -> flags.Parser:
    """Flags of `gate`."""
    p = flags.Parser(prog="batchtrial gate", description="Decide by a run: is what it set out to show reached?", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--trial", action="append", default=None, metavar="SLUG", help="only this trial; may be repeated (default: every trial)")
    p.add_argument("--confirmatory", action="store_true", help="the confirmatory endpoints have to be reached too")
    p.add_argument(
        "--max_cost_change",
        type=percent,
        default=None,
        metavar="PERCENT",
        help="the treatment's answers may cost so much more than the control's, by the whole interval; -20: at least 20 %% less",
    )
    p.add_argument("--allow_simulated", action="store_true", help="judge simulated answers too, to rehearse; else they settle nothing")
    p.add_argument("--junit", type=flags.written_file, metavar="FILE", help="write a JUnit file")
    p.add_argument("--markdown", type=flags.written_file, metavar="FILE", help="write a comment for a pull request")
    p.add_argument("--json", action="store_true", help="as JSON, on standard output")
    flags.add_folder(p)
    return p


def percent(text: str) -> float:
    """A change in per cent, from -100."""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not -100 <= number < float("inf"):
        raise ConfigError(f"{text!r} is not a change in per cent", where="--max_cost_change", hint="-20 is at least 20 % less, 5 at most 5 % more")
    return number


def _command(argv: Sequence[str] | None = None) -> int:
    """Decide by a run."""
    given = parser().parse_args(argv)
    if given.junit is not None and given.markdown is not None and given.junit.resolve() == given.markdown.resolve():
        raise ConfigError("--junit and --markdown name the same file", where=str(given.markdown), hint="the second would replace the first")
    experiments = experiments_dir(given.experiments_dir, os.environ)
    layout = RunLayout.of(experiments, given.run_id)
    layout.check_there()
    refuse_earlier(layout)
    view = view_of(experiments, given.run_id, limits_of)
    trials = [trial_of(view, slug) for slug in given.trial] if given.trial else view.trials
    asked = Asked(
        is_with_confirmatory=given.confirmatory,
        max_cost_change=given.max_cost_change,
        is_simulated_allowed=given.allow_simulated,
    )
    run = judged(view, trials, asked)
    code = CODES[run.answer]
    if given.junit is not None:
        write_bytes(given.junit, shown.junit(run))
    if given.markdown is not None:
        write_bytes(given.markdown, shown.markdown(run).encode())
    if given.json:
        say_json(shown.as_json(run, code))
        return code
    for line in shown.lines(run):
        say(line)
    return code


main = framed(_command)
