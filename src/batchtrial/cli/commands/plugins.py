"""`batchtrial plugins`: what other packages add, where it comes from, and why something is not used."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from batchtrial.cli import args as flags
from batchtrial.cli.commands.export import every_form
from batchtrial.cli.frame import framed, say, say_json
from batchtrial.config.judge_recipes import known as recipes
from batchtrial.plugins import GROUPS, OURS, VARIABLE, Plugin, called, contested, plugins
from batchtrial.providers.registry import Row
from batchtrial.providers.registry import rows as providers
from batchtrial.scoring.metrics.named import known as metrics
from batchtrial.sources.spec import KEYS_OF, own_sources

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
        {"group": one.group, "name": name, "origin": one.origin, "version": one.version, "fault": fault, **_of_provider(part)}
        for one in found
        for part in ((None,) if one.fault else one.parts)
        for name, fault in [(one.name, one.fault) if one.fault else _seen(one, part)]
    ]
    if given.json:
        say_json({"plugins": rows})
        return 0
    for group in GROUPS:
        say(f"{group.partition('.')[2]}:")
        for row in (row for row in rows if row["group"] == group):
            more = f"NOT USED: {row['fault']}" if row["fault"] else row.get("maturity", "")
            say(f"  {row['name']:<16} {row['origin']} {row['version']}  {more}".rstrip())
    if all(row["origin"] == OURS for row in rows):
        say("no other package adds anything; docs/plugins/README.md shows how one does")
    return 0


USED: Final[Mapping[str, Callable[[], Mapping[str, object]]]] = {
    "batchtrial.providers": providers,
    "batchtrial.metrics": metrics,
    "batchtrial.sources": own_sources,
    "batchtrial.exporters": every_form,
    "batchtrial.judges": recipes,
}
"""What a config or a flag can name, by group; of sources those of others."""


def _of_provider(part: object) -> dict[str, str]:
    """How well its wire is known, and where it is described."""
    return {"maturity": part.maturity, "docs": part.docs} if isinstance(part, Row) else {}


def _seen(plugin: Plugin, part: object) -> tuple[str, str]:
    """What a config calls it, and why it is not used."""
    name, used = called(plugin, part), USED[plugin.group]()
    if plugin.origin == OURS or used.get(name) is part:
        return name, ""
    if name in contested(plugin.group):
        return name, contested(plugin.group)[name]
    if name in used or name in KEYS_OF:
        return name, "the name is taken"
    return plugin.name, f"it is not what the group takes: {GROUPS[plugin.group]}"


main = framed(_command)
