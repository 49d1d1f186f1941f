"""Flags: one parser class, shared flags declared once.

Flags are snake_case; hyphens are read as underscores, so that each is declared and shown in one spelling.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from batchtrial.app.invocation import EXPERIMENTS_VARIABLE, ON_END_VARIABLE, REMOTE, WEBHOOK_VARIABLE
from batchtrial.app.modes import SHARED
from batchtrial.errors import ConfigError, MissingExtra
from batchtrial.names import is_url
from batchtrial.state.layout import run_around
from batchtrial.steps import STEPS


class Parser(argparse.ArgumentParser):
    """argparse that reads both spellings of a flag, never guesses abbreviations, and raises ConfigError instead of leaving."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        return super().parse_known_args(list(underscored(sys.argv[1:] if args is None else args)), namespace)

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message, where=self.prog, hint=f"`{self.prog} --help` lists the flags, with examples")


def underscored(argv: Iterable[str]) -> Iterator[str]:
    """Hyphens become underscores in flag names only: never in values, never after a bare `--`."""
    in_flags = True
    for token in argv:
        in_flags = in_flags and token != "--"
        name, eq, value = token.partition("=")
        is_flag = in_flags and name.startswith("--")
        yield f"--{name[2:].replace('-', '_')}{eq}{value}" if is_flag else token


def words(text: str) -> list[str]:
    """A list given with commas, spaces or both."""
    return [word for word in text.replace(",", " ").split() if word]


class Words(argparse.Action):
    """Collects `--flag a b`, `--flag a,b` and repeated flags into one list."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        before = getattr(namespace, self.dest) or []
        setattr(namespace, self.dest, [*before, *(word for value in values for word in words(value))])


class Gone(argparse.Action):
    """A flag that had several meanings and has none now."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option: str | None = None) -> NoReturn:
        raise ConfigError(
            "--force is gone: --accept_drift records a changed config, --remake makes finished artifacts anew, "
            "and --give_up_unknown_batches declares batches lost that the provider does not know",
            where=parser.prog,
        )


def local_path(text: str) -> Path:
    """A path of this machine: what looks like an address would become a folder called `s3:`."""
    if is_url(text):
        raise argparse.ArgumentTypeError(f"{text!r} is an address; a folder or file of this machine is needed: {REMOTE}")
    return Path(text)


def written_folder(text: str) -> Path:
    """A folder that a command writes into: never one of a run, whose ledger would be replaced by whatever bears its name."""
    path = local_path(text)
    if (run := run_around(path)) is not None:
        raise argparse.ArgumentTypeError(f"{text!r} lies in the folder of run {run.run_id}, which holds its own files alone: name another place")
    return path


def written_file(text: str) -> Path:
    """A file that a command writes, outside of every run."""
    path = written_folder(text)
    if not path.name or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file")
    return path


def store_address(text: str) -> str:
    """The address of a place in an object store."""
    if not is_url(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no address of a store, such as s3://BUCKET/FOLDER/; --output names a file of this machine")
    return text


def positive(text: str) -> int:
    """A whole number from 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number


def positive_or_auto(text: str) -> int | str:
    """A whole number from 1, or `auto`."""
    return text if text == "auto" else positive(text)


def positive_seconds(text: str) -> float:
    """A number of seconds above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Where the runs are."""
    parser.add_argument(
        "--experiments_dir",
        type=local_path,
        default=None,
        metavar="DIR",
        help=f"folder of all runs (default: ${EXPERIMENTS_VARIABLE} or ./experiments)",
    )
    shared = "files that are written may be read as the umask says (default: by you alone, 0600 and 0700)"
    parser.add_argument(SHARED, action="store_true", help=shared)


def add_place(parser: argparse.ArgumentParser) -> None:
    """Where the runs are, and how much is said."""
    add_folder(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="say every decision on standard error")


def add_steps(parser: argparse.ArgumentParser) -> None:
    """Which phases."""
    group = parser.add_argument_group("steps", ", ".join(STEPS))
    group.add_argument("--only_step", metavar="STEP", help="this step and no other")
    group.add_argument("--from_step", metavar="STEP", help="this step and what follows")
    group.add_argument("--to_step", metavar="STEP", help="stop after this step")
    add_workers(group)
    group.add_argument("--remake", action="store_true", help="make finished artifacts anew; never anything that costs")
    agreeing = parser.add_argument_group("what is agreed to")
    agreeing.add_argument("--partial", action="store_true", help="the budget is less than the whole plan may cost: buy as many pairs as it covers")
    agreeing.add_argument(
        "--retry_not_understood",
        action="store_true",
        help="ask rows again whose answers cannot be understood: each may have been billed, and is again",
    )
    agreeing.add_argument(
        "--without_unsent",
        action="store_true",
        help="what waits to be sent is never asked in this run and counts as missing: a report of what came back (with --resume)",
    )
    agreeing.add_argument("--accept_drift", action="store_true", help="record a changed config and go on; nothing else")
    agreeing.add_argument(
        "--give_up_unknown_batches",
        action="store_true",
        help="declare batches lost that the provider does not know: says what is lost in requests and dollars, and asks",
    )
    agreeing.add_argument("--yes", action="store_true", help="with --give_up_unknown_batches: do not ask, give them up")
    parser.add_argument("--force", action=Gone, nargs=0, help=argparse.SUPPRESS)


def add_workers(parser: argparse._ActionsContainer) -> None:
    """Who works on parts."""
    parser.add_argument(
        "--workers", type=positive, metavar="N", help="processes that parse, score and analyse (default: one a core); the bytes are the same"
    )
    where = "where they are: process (this machine, the default), serial (this process), dask://HOST:PORT (a Dask cluster); the bytes are the same"
    parser.add_argument("--executor", type=executor, default="process", metavar="WHERE", help=where)


def executor(text: str) -> str:
    """The executor as it was given. Raises ConfigError when there is none such, MissingExtra: before anything is paid, not when answers are there."""
    from batchtrial.phases.tables.executor import executor_of  # here, since --help names no executor

    if executor_of(text).kind == "dask" and find_spec("distributed") is None:
        raise MissingExtra("dask.distributed is not installed", where="--executor", hint='pip install "batchtrial[dask]"')
    return text


def add_unattended(parser: argparse.ArgumentParser) -> None:
    """Flags of a run that nobody watches."""
    group = parser.add_argument_group("unattended", "docs/unattended.md has payloads, events, and recipes for systemd and cron")
    group.add_argument("--events", type=written_file, metavar="FILE", help="append what happens to it, as JSON lines")
    group.add_argument(
        "--on_end",
        metavar="CMD",
        help=f"a shell command that is run when the process ends, however it does (default: ${ON_END_VARIABLE})",
    )
    group.add_argument(
        "--webhook",
        metavar="URL",
        help=f"is posted how the process ended, as JSON; Slack gets a text. Better given as ${WEBHOOK_VARIABLE}, which other users do not see",
    )


def add_stopping(parser: argparse.ArgumentParser) -> None:
    """What to do about a stop request that is lying there."""
    group = parser.add_argument_group("stopping")
    group.add_argument("--ignore_stop", action="store_true", help="remove a STOP_REQUESTED file that is lying there and go on")
    group.add_argument("--stop_stale_minutes", type=float, default=60.0, metavar="MIN", help="older requests are refused as stale (default: 60)")
