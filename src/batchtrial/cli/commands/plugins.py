"""`batchtrial plugins`: what other packages add, where it comes from, and why something is not used."""

from __future__ import annotations

import json
from collections.abc import Sequence

from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say
from batchtrial.plugins import GROUPS, OURS, VARIABLE, plugins

EXAMPLES = f"""examples:
  batchtrial plugins                     every group, with origin and version
  batchtrial plugins --json              the same for a program
  {VARIABLE}=none batchtrial plugins     nothing but what this package brings
"""


def parser() -> flags.Parser:
    """Flags of `plugins`."""
    p = flags.Parser(prog="batchtrial plugins", description="List providers, metrics, sources, exporters and judges by origin.", epilog=EXAMPLES)
    p.add_argument("--json", action="store_true", help="as JSON")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """List providers, metrics, sources, exporters and judges by origin."""
    given = parser().parse_args(argv)
    found = [one for group in GROUPS for one in plugins(group)]
    rows = [
        {"group": one.group, "name": name, "origin": one.origin, "version": one.version, "fault": one.fault}
        for one in found
        for name in ([one.name] if one.fault else [_named(part, one.name) for part in one.parts])
    ]
    if given.json:
        say(json.dumps({"plugins": rows}, indent=1, ensure_ascii=False))
        return 0
    for group in GROUPS:
        say(f"{group.partition('.')[2]}:")
        for row in (row for row in rows if row["group"] == group):
            say(f"  {row['name']:<16} {row['origin']} {row['version']}" + (f"  NOT USED: {row['fault']}" if row["fault"] else ""))
    if all(row["origin"] == OURS for row in rows):
        say("no other package adds anything; docs/plugins/README.md shows how one does")
    return 0


def _named(part: object, name: str) -> str:
    """What a config calls it: a provider by its row, a metric by its id, anything else by its entry point."""
    told = getattr(part, "name", None) if not isinstance(part, type) else getattr(part, "id", None)
    return told if isinstance(told, str) else name


main = framed(_command)
