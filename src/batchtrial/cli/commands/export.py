"""`batchtrial export`: what a run found, as a file for people."""

from __future__ import annotations

import os
from collections.abc import Sequence

from batchtrial.app.invocation import experiments_dir
from batchtrial.app.tables import tables_of
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say
from batchtrial.errors import ConfigError
from batchtrial.keys import check_run_id
from batchtrial.reading.in_one_file import MOST_BYTES
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import write_bytes
from batchtrial.viewer.one_file import answers_page

EXAMPLES = """examples:
  batchtrial export --run_id r1 --html answers.html              every answer in one page, to open by double click or to mail
  batchtrial export --run_id r1 --html numbers.html --redact     without questions, prompts and answers
  batchtrial export --run_id r1 --html all.html --most_mb 60     a larger page of a larger run

The page needs no server and no network. A run that does not fit is there with the pairs that changed and a part of the others, drawn by the run's
seed; the numbers of the whole run stay in it. `batchtrial view` shows runs of any size.
"""


def parser() -> flags.Parser:
    """Flags of `export`."""
    p = flags.Parser(prog="batchtrial export", description="A run's answers as a file for people.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--html", type=flags.local_path, metavar="FILE", help="one page with every answer")
    p.add_argument("--redact", action="store_true", help="leave out all texts: questions, passages, prompts, answers")
    most = MOST_BYTES // 1_000_000
    p.add_argument("--most_mb", type=flags.positive, default=most, metavar="MB", help=f"size of the page, at most (default: {most})")
    flags.add_folder(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Write a run's answers as a file."""
    given = parser().parse_args(argv)
    if given.html is None:
        raise ConfigError("nothing is asked for", where="batchtrial export", hint="--html FILE writes a page with every answer")
    if not given.html.parent.is_dir():
        raise ConfigError(f"there is no folder {given.html.parent}", where="--html", hint="name a file in a folder that is there")
    layout = RunLayout.of(experiments_dir(given.experiments_dir, os.environ), check_run_id(given.run_id))
    with tables_of(layout) as tables:
        page = answers_page(tables, most_bytes=given.most_mb * 1_000_000, is_redacted=given.redact).encode()
    write_bytes(given.html, page)
    say(f"{given.html}: {len(page):,} bytes")
    return 0


main = framed(_command)
