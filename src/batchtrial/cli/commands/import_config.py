"""`batchtrial import_config`: a promptfoo config becomes ours, with a list of what has no counterpart."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from batchtrial.amounts import counted
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say, say_json, set_up_logging
from batchtrial.errors import ConfigError
from batchtrial.state.store import write_bytes

EXAMPLES = """examples:
  batchtrial import_config promptfooconfig.yaml                 into ./imported
  batchtrial import_config promptfooconfig.yaml --out trial     into ./trial
  batchtrial try --config imported/trial.yaml                   then: what would be asked

Prompts become tasks, providers and prompts arms, tests items, deterministic assertions metrics by name. No program that the config names is
run, no file outside its folder and the working directory is read, and no key is copied.
"""


def parser() -> flags.Parser:
    """Flags of `import_config`."""
    p = flags.Parser(prog="batchtrial import_config", description="Make a promptfoo config ours, and list what has no counterpart.", epilog=EXAMPLES)
    p.add_argument("file", type=flags.local_path, metavar="FILE", help="the config: promptfooconfig.yaml, or the same as JSON")
    p.add_argument("--out", type=flags.local_path, default=Path("imported"), metavar="DIR", help="folder to write into (default: imported)")
    p.add_argument("--json", action="store_true", help="what was written and what was left, as JSON")
    p.add_argument("-v", "--verbose", action="store_true", help="say every decision on standard error")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Convert and write."""
    given = parser().parse_args(argv)
    set_up_logging(is_verbose=given.verbose)
    from batchtrial.importing.convert import CONFIG, convert

    found = convert(given.file)
    taken = [name for name in found.files if (given.out / name).exists()]
    if taken:
        raise ConfigError(f"{given.out / taken[0]} is there already", where="--out", hint="name a folder that is empty or not there")
    for name, text in found.files.items():
        (given.out / name).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(given.out / name, text.encode("utf-8", "backslashreplace"))
    left = [{"where": one.where, "what": one.what, "instead": one.instead, "is_near": one.is_near} for one in found.left]
    if given.json:
        told = {"config": (given.out / CONFIG).as_posix(), "files": sorted(found.files), "arms": list(found.arms), "metrics": list(found.metrics)}
        say_json(told | {"items": found.n_items, "left": left})
        return 0
    say(f"{given.out / CONFIG}: {counted(len(found.arms), 'arm')} ({', '.join(found.arms)}), {counted(found.n_items, 'item')}")
    say(f"metrics: {', '.join(found.metrics) or 'none'}")
    for title, is_near in (("has no counterpart", False), ("is nearly the same", True)):
        lines = [one for one in found.left if one.is_near == is_near]
        if lines:
            say(f"{title}:")
        for one in lines:
            say(f"  {one}")
    say(f"look at it, then: batchtrial try --config {shlex.quote(str(given.out / CONFIG))}")
    return 0


main = framed(_command)
