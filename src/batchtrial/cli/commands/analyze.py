"""`batchtrial analyze`: optional analyses of a run that is there, on standard output. Nothing is written into the run."""

from __future__ import annotations

import os
from collections.abc import Sequence

from batchtrial.app.codecs import limits_of
from batchtrial.app.invocation import experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say, say_json
from batchtrial.errors import ConfigError
from batchtrial.modes import MODES
from batchtrial.phases.analyse.analyses import ANALYSES, analysis
from batchtrial.phases.report.appendix import part
from batchtrial.phases.report.render import Block, Heading, markdown
from batchtrial.reading.view import material_of, trial_of, view_of

EXAMPLES = f"""analyses: {", ".join(ANALYSES)}

examples:
  batchtrial analyze --run_id r1 --analysis subgroups
  batchtrial analyze --run_id r1 --analysis power_analysis,mixed_effects --trial gpt-oss-20b-default
  batchtrial analyze --run_id r1 --json > analyses.json       all of them, as JSON

The run is read and left as it is. To have an analysis in the report, switch it on under `optional` in the config.
"""


def parser() -> flags.Parser:
    """Flags of `analyze`."""
    p = flags.Parser(prog="batchtrial analyze", description="Optional analyses of a run that is there.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--analysis", nargs="+", action=flags.Words, metavar="NAME", help="which (default: all)")
    p.add_argument("--trial", metavar="SLUG", help="which trial, when the run has several")
    p.add_argument("--json", action="store_true", help="as JSON, in the form of the files that the `optional` phase writes")
    flags.add_folder(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Show optional analyses of a run."""
    given = parser().parse_args(argv)
    names = given.analysis or list(ANALYSES)
    for name in names:
        if name not in ANALYSES:
            raise ConfigError(f"there is no analysis {name!r}", where="--analysis", hint=f"analyses are: {', '.join(ANALYSES)}")
    view = view_of(experiments_dir(given.experiments_dir, os.environ), given.run_id, limits_of)
    trial = trial_of(view, given.trial)
    made = material_of(view, trial)
    found = {name: analysis(name, made) for name in names}
    if given.json:
        say_json(found, sort_keys=True, allow_nan=False)
        return 0
    shown: list[Block] = [Heading(1, f"{trial.slug}: optional analyses")]
    for name, content in found.items():
        shown += part(name, content)
    say(markdown(shown, MODES[view.config.mode].banner or None).rstrip())
    return 0


main = framed(_command)
