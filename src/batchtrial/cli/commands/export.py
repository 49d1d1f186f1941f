"""`batchtrial export`: what a run found, as files for people and other programs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from batchtrial.app.invocation import experiments_dir
from batchtrial.app.tables import tables_of
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say
from batchtrial.errors import ConfigError
from batchtrial.exporting.forms import Form, known
from batchtrial.keys import check_run_id
from batchtrial.reading.as_published import named_damage, refuse_damaged_tables, refuse_replaced
from batchtrial.reading.in_one_file import MOST_BYTES
from batchtrial.reading.run_tables import RunTables
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import write_bytes
from batchtrial.viewer.one_file import answers_page

EXAMPLES = """examples:
  batchtrial export --run_id r1 --html answers.html              every answer in one page, to open by double click or to mail
  batchtrial export --run_id r1 --html numbers.html --redact     without questions, prompts and answers
  batchtrial export --run_id r1 --html all.html --most_mb 60     a larger page of a larger run
  batchtrial export --run_id r1 --parquet rows.parquet --latex tables.tex --svg forest.svg
  batchtrial export --run_id r1 --inspect logs --mlflow file:mlruns

Several forms may be asked for at once; docs/exports.md shows what each holds. The page needs no server and no network: a run that does not fit is
there with the pairs that changed and a part of the others, drawn by the run's seed; the numbers of the whole run stay in it.
"""

TAKEN: Final[Mapping[str, Callable[[str], object]]] = {"FILE": flags.written_file, "DIR": flags.written_folder, "URI": str}


def parser() -> flags.Parser:
    """Flags of `export`."""
    p = flags.Parser(prog="batchtrial export", description="A run's answers and results as files.", epilog=EXAMPLES)
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--html", type=flags.written_file, metavar="FILE", help="one page with every answer")
    most = MOST_BYTES // 1_000_000
    p.add_argument("--most_mb", type=flags.positive, default=most, metavar="MB", help=f"size of the page, at most (default: {most})")
    for name, form in every_form().items():
        p.add_argument(f"--{name}", type=TAKEN.get(form.takes, flags.written_folder), metavar=form.takes, help=form.about)
    p.add_argument("--redact", action="store_true", help="leave out all texts: questions, passages, prompts, answers")
    flags.add_folder(p)
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Write a run's answers and results as files."""
    given, forms = parser().parse_args(argv), every_form()
    wanted = {name: str(getattr(given, name)) for name in forms if getattr(given, name) is not None}
    if given.html is None and not wanted:
        listed = ", ".join(f"--{name}" for name in ("html", *forms))
        raise ConfigError("nothing is asked for", where="batchtrial export", hint=f"forms are: {listed}")
    if given.html is not None and not given.html.parent.is_dir():
        raise ConfigError(f"there is no folder {given.html.parent}", where="--html", hint="name a file in a folder that is there")
    textual = [name for name in wanted if forms[name].has_texts and given.redact]
    if textual:
        raise ConfigError(
            "this form is made of texts", where=f"--{textual[0]} with --redact", hint="--parquet, --jsonl, --csv and --html can be without"
        )
    places: dict[Path, str] = {} if given.html is None else {given.html.resolve(): "html"}
    for name in wanted:
        if forms[name].takes != "URI" and (other := places.setdefault(Path(wanted[name]).resolve(), name)) != name:
            raise ConfigError(f"--{other} and --{name} name the same place", where=wanted[name], hint="a second form would replace the first")
    layout = RunLayout.of(experiments_dir(given.experiments_dir, os.environ), check_run_id(given.run_id))
    with tables_of(layout) as tables, named_damage(tables):
        refuse_damaged_tables(tables)
        if given.html is not None:
            _page(tables, given.html, given.most_mb, is_redacted=given.redact)
        for name, target in wanted.items():
            say(f"{target}: {forms[name].written(tables, target, is_redacted=given.redact)}")
        refuse_replaced(tables)
    return 0


def every_form() -> Mapping[str, Form]:
    """The forms that have a flag here."""
    return known(("help", "run_id", "html", "most_mb", "redact", "experiments_dir"))


def _page(tables: RunTables, path: Path, most_mb: int, *, is_redacted: bool) -> None:
    page = answers_page(tables, most_bytes=most_mb * 1_000_000, is_redacted=is_redacted).encode()
    refuse_replaced(tables)
    write_bytes(path, page)
    say(f"{path}: {len(page):,} bytes")


main = framed(_command)
