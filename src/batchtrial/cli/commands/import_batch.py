"""`batchtrial import_batch`: take in result files that somebody brings, for the batches of a run that wait for theirs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path

from batchtrial.amounts import counted
from batchtrial.app.at_work import on_parts
from batchtrial.app.invocation import INCOMPLETE
from batchtrial.app.session import opened
from batchtrial.cli import args as flags
from batchtrial.cli.commands import execute as live
from batchtrial.cli.commands.export_batch import invocation_by_hand
from batchtrial.cli.frame import framed, say, set_up_logging
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.phases.base import Work
from batchtrial.phases.batches.by_hand import TakenIn, take_in
from batchtrial.providers.by_hand import arrival

EXAMPLES = """examples:
  batchtrial import_batch --run_id own answers.jsonl                         what vLLM's run-batch wrote
  batchtrial import_batch --run_id own answers.jsonl --allow_incomplete      the engine died half way: take what there is
  batchtrial import_batch --run_id own --take_back                           nobody will answer the rest: it is owed again
  batchtrial import_batch --run_id autumn downloads                          a folder that firectl has filled

Lines are matched to waiting batches by their custom_id, whatever the files are called. A batch is taken in when every row of it has a line.

exit codes: 0 nothing is owed any more, 2 bad flag, 3 the run's state refuses, 4 some requests are still waited for
"""


def parser() -> flags.Parser:
    """Flags of `import_batch`."""
    p = flags.Parser(prog="batchtrial import_batch", description="Take in result files that were brought by hand.", epilog=EXAMPLES)
    p.add_argument("paths", nargs="*", type=flags.local_path, metavar="PATH", help="result files, or folders with *.jsonl and error-data files")
    p.add_argument("--run_id", required=True, metavar="ID", help="name of the run")
    p.add_argument("--allow_incomplete", action="store_true", help="also take in batches with rows that have no line: those of exported files are "
                   "owed again, those of a provider's batch end as missing")  # fmt: skip
    p.add_argument(
        "--take_back", action="store_true", help="rows of exported files of which nothing was brought are owed again, to be sent another way"
    )
    flags.add_place(p)
    return p


def result_files(paths: Sequence[Path]) -> list[Path]:
    """Every file that may hold result lines, once, sorted inside each folder.

    Raises RunStateMissing for a path that is not there, and ConfigError for one that has none.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise RunStateMissing("there is no such file or folder", where=str(path))
        inside = path.rglob("*") if path.is_dir() else [path]
        files = sorted(each for each in inside if each.is_file() and (each == path or _may_hold_results(each)))
        if not files:
            what, hint = "it is no file", "write what it gives into one first"
            if path.is_dir():
                what, hint = "the folder has no result files", "result files end in .jsonl or begin with error-data; name others one by one"
            raise ConfigError(what, where=str(path), hint=hint)
        found += files
    return list(dict.fromkeys(found))


def _may_hold_results(path: Path) -> bool:
    return not path.name.startswith(".") and (path.suffix == ".jsonl" or path.name.startswith("error-data"))


def lines(run_id: str, n_files: int, done: TakenIn) -> Iterator[str]:
    """What became of the files, for standard output."""
    c, seen = done.counts, done.arrivals
    yield f"read      {counted(seen.n_lines, 'line')} of {counted(n_files, 'file')}"
    yield (
        f"taken in  {counted(len(done.taken), 'part')}: {c.succeeded} succeeded, {c.errored} errored, {c.expired} expired, {c.cancelled} cancelled, "
        f"{c.missing} missing"
    )
    if done.odd.total():
        yield "odd       " + ", ".join(f"{done.odd[kind]} {kind}" for kind in ("malformed", "unknown", "duplicate"))
    if seen.n_known:
        yield f"known     {seen.n_known} lines of requests that are not waited for, or that were brought before"
    if seen.n_requests:
        yield f"passed    {seen.n_requests} lines that are requests, not results"
    for part, lacking in done.incomplete.items():
        yield f"waits     {part}: {counted(lacking, 'row has', 'rows have')} no line; bring the rest, or take it as it is with --allow_incomplete"
    for part in done.waiting:
        if part not in done.incomplete:
            yield f"waits     {part}: no results of it were brought"
    if done.owed:
        again = "`batchtrial export_batch` or `batchtrial resume` sends them"
        yield f"owed      {counted(sum(done.owed.values()), 'row')} of {counted(len(done.owed), 'part')}: {again}"
    if not done.waiting and not done.owed:
        yield f"go on     batchtrial resume --run_id {run_id}"


def _command(argv: Sequence[str] | None = None) -> int:
    """Take in result files that were brought by hand."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    if not given.paths and not given.take_back:
        raise ConfigError("nothing to import", where="PATH", hint="name result files or folders")
    files = result_files(given.paths)
    ask = invocation_by_hand(given.run_id, given.experiments_dir)
    person = live.person_of(ask)
    with opened(ask, given.run_id, person, nonce=secrets.token_hex(8), env=os.environ) as at:
        folder = at.session.layout.arrivals
        folder.mkdir(exist_ok=True)

        def move(work: Work) -> TakenIn:
            return take_in(
                work,
                files,
                allow_incomplete=given.allow_incomplete,
                take_back=given.take_back,
                arrival=lambda batch_id, end: arrival(folder, batch_id, end),
            )

        done = on_parts(at, person, move)
    for line in lines(given.run_id, len(files), done):
        say(line)
    return INCOMPLETE if done.waiting or done.owed else 0


main = framed(_command)
