"""`batchtrial init`: a commented config with its prompts and instructions, to start from."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from batchtrial.app.templates import templates
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say
from batchtrial.errors import ConfigError


def program() -> str:
    """How this program is called from a shell: by its name where that is found, else by its module."""
    return "batchtrial" if shutil.which("batchtrial") else f"{shlex.quote(sys.executable)} -m batchtrial"


EXAMPLES = """examples:
  batchtrial init                  writes into ./config
  batchtrial init --to my_trial    writes into ./my_trial
"""


def parser() -> flags.Parser:
    """Flags of `init`."""
    p = flags.Parser(prog="batchtrial init", description="Write a commented config, prompts and task instructions to start from.", epilog=EXAMPLES)
    p.add_argument("--to", type=flags.local_path, default=Path("config"), metavar="DIR", help="folder to make (default: config)")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Write a commented config, prompts and task instructions to start from."""
    given = parser().parse_args(argv)
    source, target = templates(), given.to
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.suffix in (".yaml", ".txt"))
    taken = [path for path in files if (target / path).exists()]
    if taken:
        raise ConfigError(f"{target / taken[0]} exists already", where="--to", hint="choose another folder; nothing was written")
    for path in files:
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        text = (source / path).read_text(encoding="utf-8")
        # The comments' commands name the files as they lie in a checkout.
        (target / path).write_text(
            text.replace("config/", f"{shlex.quote(target.as_posix())}/") if path.suffix == ".yaml" else text, encoding="utf-8"
        )
    say(f"wrote {len(files)} files into {target}")
    from batchtrial.app.installed import is_installed  # here, since --help needs none of what it loads

    if not is_installed("fireworks"):
        say('first:  pip install "batchtrial[fireworks]"')
    say(f"try it: {program()} run --config {shlex.quote(str(target / 'eval_config.yaml'))} --dry_run --limit_items 60")
    return 0


main = framed(_command)
