"""The console command: names the subcommands, imports only the one that is asked for."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from batchtrial import __version__
from batchtrial.cli.args import underscored

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("batchtrial.cli.commands.run", "the pipeline, from config to report; --plan_only shows it, --dry_run simulates it"),
    "try": ("batchtrial.cli.commands.try_out", "a request of each arm before anything is paid; --send N asks a few items at once"),
    "resume": ("batchtrial.cli.commands.resume", "go on with a run that stopped"),
    "init": ("batchtrial.cli.commands.init", "write a commented config and prompts to start from"),
    "grow": ("batchtrial.cli.commands.grow", "more items, samples, arms or judges for a run that is there; shows what it will buy, and asks"),
    "rescore": ("batchtrial.cli.commands.rescore", "other metrics, slices and thresholds over answers that are there; buys nothing"),
    "parse": ("batchtrial.cli.commands.parse", "the step parse alone: whole, as one of N shards, or putting shares together"),
    "score": ("batchtrial.cli.commands.score", "the step score alone, in the same way"),
    "stop": ("batchtrial.cli.commands.stop", "ask a run to stop; it can be resumed"),
    "status": ("batchtrial.cli.commands.status", "where runs stand and what they have cost; --watch redraws"),
    "compare": ("batchtrial.cli.commands.compare", "two finished runs side by side, after a look at whether they can be compared"),
    "gate": ("batchtrial.cli.commands.gate", "an exit code for a build: is what the run set out to show reached, refuted or not settled"),
    "view": ("batchtrial.cli.commands.view", "runs and answers in a browser, from a server on this machine"),
    "export": ("batchtrial.cli.commands.export", "a run as a page to mail, rows, LaTeX, figures, logs of other programs"),
    "label": ("batchtrial.cli.commands.label", "label answers blind on the terminal; agreement, export, import"),
    "archive": ("batchtrial.cli.commands.archive", "put a finished run away, verify an archive, restore a run from one"),
    "restore": ("batchtrial.cli.commands.restore", "put the run of an archive back, from a file or an object store"),
    "import_config": ("batchtrial.cli.commands.import_config", "make a promptfoo config ours, with a list of what has no counterpart"),
    "import_log": ("batchtrial.cli.commands.import_log", "the paired analysis of two logs of inspect_ai or lm-evaluation-harness"),
    "export_batch": ("batchtrial.cli.commands.export_batch", "the rows that a run still owes as files, for vLLM's run-batch and its like"),
    "import_batch": ("batchtrial.cli.commands.import_batch", "take in result files that were brought by hand"),
    "fetch": ("batchtrial.cli.commands.fetch", "results that still lie at the provider; sends nothing"),
    "repair": ("batchtrial.cli.commands.repair", "say what is wrong with a run's files, and rebuild what can be rebuilt"),
    "analyze": ("batchtrial.cli.commands.analyze", "one optional analysis of a run that is there: subgroups, power, mixed effects ..."),
    "plan_trial": ("batchtrial.cli.commands.plan_trial", "how many items and samples, what it costs, what effect it can see"),
    "clean": ("batchtrial.cli.commands.clean", "show what can be deleted safely, and delete it when told to"),
    "plugins": ("batchtrial.cli.commands.plugins", "what other packages add: providers, metrics, sources, and where they come from"),
    "demo": ("batchtrial.cli.commands.demo", "the whole pipeline on the bundled questions, in one command"),
    "emulate": ("batchtrial.emulator.command", "serve the providers' batch APIs on this machine, for any program"),
}
HELP = """usage: batchtrial COMMAND [flags]

Controlled prompt trials over LLM batch APIs, that pay once.

commands:
{commands}

`batchtrial COMMAND --help` shows flags and examples. Start with `batchtrial demo`.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ("-h", "--help", "help"):
        sys.stdout.write(HELP.format(commands="\n".join(f"  {name:<12} {text}" for name, (_, text) in COMMANDS.items())))
        return 0
    if args[0] in ("-V", "--version"):
        sys.stdout.write(f"batchtrial {__version__}\n")
        return 0
    if args[0] not in COMMANDS:
        sys.stderr.write(f"error: there is no command {args[0]!r}\n  hint commands are: {', '.join(COMMANDS)}\n")
        return 2
    try:
        command = importlib.import_module(COMMANDS[args[0]][0])
    except KeyboardInterrupt:  # importing takes a second, in which nothing has been begun
        sys.stderr.write("stopped: interrupted before anything was begun\n")
        return 130
    if argv is None:
        from batchtrial.cli.frame import own_process

        own_process()
    return int(command.main(list(underscored(args[1:]))))
