"""`batchtrial compare`: two runs side by side, after a look at whether their numbers mean the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from batchtrial.app.invocation import REMOTE, experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say, say_json
from batchtrial.errors import ConfigError, StateError
from batchtrial.keys import check_run_id
from batchtrial.names import is_url
from batchtrial.phases.analyse.numbers import adjusted_p, arms_of, difference_of, points, signed_score, verdict_of
from batchtrial.reading.compare import Changed, Check, Pair, Row, Side, called, changed_items, checks, effect_changes, pairs, rows, side
from batchtrial.state.money import dollars

EXAMPLES = """examples:
  batchtrial compare r20261122103000 r20261123091500
  batchtrial compare r20261122103000 r20261123091500 --items 30      more of the items that came out differently
  batchtrial compare r20261122103000 /archive/run_old --json         a run in another folder, for a program

Two runs with partly the same questions are compared on those. Runs on other questions, scored another way, simulated against real, or failed are
refused; --although_different compares all but the last all the same and says so.
exit codes: 0 compared, 2 bad flag, 3 not comparable, or a run without results.
"""


def parser() -> flags.Parser:
    """Flags of `compare`."""
    p = flags.Parser(prog="batchtrial compare", description="Set two finished runs side by side.", epilog=EXAMPLES)
    p.add_argument("runs", nargs="*", metavar="RUN", help="two run ids, or folders of runs")
    p.add_argument("--run1", metavar="RUN", help="the first run, as a flag")
    p.add_argument("--run2", metavar="RUN", help="the second run, as a flag")
    flags.add_folder(p)
    p.add_argument("--items", type=flags.positive, default=10, metavar="N", help="items shown per condition and direction (default: 10)")
    p.add_argument("--although_different", action="store_true", help="compare although it means little; the output says so")
    p.add_argument("--json", action="store_true", help="as JSON, with every changed item")
    return p


def _command(argv: Sequence[str] | None = None) -> int:
    """Set two runs side by side."""
    given = parser().parse_args(argv)
    names = [*given.runs, *(name for name in (given.run1, given.run2) if name is not None)]
    if len(names) != 2:
        raise ConfigError(f"compare takes two runs, not {len(names)}", hint="batchtrial compare RUN_A RUN_B")
    folder = experiments_dir(given.experiments_dir, os.environ)
    for name in filter(is_url, names):
        raise ConfigError(f"{name!r} is an address, not a run of this machine", hint=REMOTE)
    a, b = (side(folder, name if "/" in name else check_run_id(name)) for name in names)
    found = list(checks(a, b))
    forbidden = [check for check in found if check.standing == "forbids"]
    matched, alone = pairs(a, b)
    if forbidden and not given.although_different:
        if not given.json:
            for line in compatibility(a, b, found):
                say(line)
        first = forbidden[0]
        raise StateError(
            f"{' and '.join(called(a, b))} cannot be compared: {', '.join(check.what for check in forbidden)} differ",
            where=f"{first.what}: {first.a} against {first.b}: {first.note}",
            hint="--although_different compares them all the same",
        )
    if given.json:
        say_json(as_json(a, b, found, matched, alone))
        return 0
    for line in text(a, b, found, matched, alone, n_items=given.items):
        say(line)
    return 0


def text(a: Side, b: Side, found: Sequence[Check], matched: Sequence[Pair], alone: Sequence[str], *, n_items: int) -> Iterator[str]:
    """The whole comparison for a terminal."""
    if any(check.standing == "forbids" for check in found):
        yield "NOT COMPARABLE, compared because of --although_different: differences below may have nothing to do with the prompts"
        yield ""
    yield from compatibility(a, b, found)
    for one in alone:
        yield f"no counterpart: {one}"
    for pair in matched:
        yield ""
        names = {pair.a.entry.slug, pair.b.entry.slug}
        yield f"{' against '.join(sorted(names, key=lambda slug: slug != pair.a.entry.slug))}"
        yield from metrics(pair)
        yield from money(pair)
        yield from outcomes(pair)
        yield from change(pair)
        for changed in changed_items(pair):
            yield from items(changed, n_items)


def compatibility(a: Side, b: Side, found: Sequence[Check]) -> Iterator[str]:
    """A line per check."""
    yield "A = {}, B = {}".format(*called(a, b))
    for check in found:
        mark = {"same": "same    ", "differs": "DIFFERS ", "forbids": "FORBIDS "}[check.standing]
        yield f"  {mark} {check.what:<17} " + (check.a if check.standing == "same" else f"{check.a} against {check.b}")
        if check.note:
            yield f"           {'':<17} {check.note}"
    differing = [check.what for check in found if check.standing == "differs" and check.what not in ("config hash", "analysis plan")]
    if len(differing) > 1:
        yield f"  several things differ at once ({', '.join(differing)}): a change of results cannot be put down to one of them"


HEADER = ("control", "treatment", "difference", "interval", "adjusted p", "pairs", "verdict")
WIDTHS = (8, 9, 10, 18, 14, 6)


def _row(head: str, cells: Sequence[str]) -> str:
    padded = (f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=False))
    return f"    {head:<4}" + "  ".join((*padded, *cells[len(WIDTHS) :]))


def metrics(pair: Pair) -> Iterator[str]:
    """Each comparison, A above B; differences are treatment minus control, in percentage points for shares, else in the metric's own unit."""
    yield _row("", HEADER)
    for row in rows(pair):
        notes = [*([] if row.standing == "exploratory" else [row.standing]), *([] if row.is_share else ["not in percent"])]
        yield f"  {row.label}" + (f" ({', '.join(notes)})" if notes else "")
        yield _row("A", _cells(row.a))
        yield _row("B", _cells(row.b))
        if row.shift is not None:
            yield _row("B-A", ("", "", points(row.shift) if row.is_share else signed_score(row.shift))).rstrip()


def _cells(one: Any) -> tuple[str, ...]:
    if one is None:
        return ("-",) * 7
    difference, interval = difference_of(one)
    return (*arms_of(one), difference, interval, adjusted_p(one), str(one["pairs"]["n"]), verdict_of(one))


def money(pair: Pair) -> Iterator[str]:
    """What each cost."""
    for name, one in (("A", pair.a), ("B", pair.b)):
        usd = one.costs.get("usd")
        shown = one.costs.get("cost") or ("unknown" if usd is None else dollars(usd))  # runs of earlier versions have no words for it
        yield f"  cost {name}   {shown}, {one.costs.get('prompt_tokens', 0):,} tokens in, {one.costs.get('completion_tokens', 0):,} out"


def outcomes(pair: Pair) -> Iterator[str]:
    """What became of the requests, where not all succeeded."""
    for name, one in (("A", pair.a), ("B", pair.b)):
        total = one.account.get("all", {})
        lost = {key: n for key, n in total.items() if key not in ("requests", "succeeded") and n}
        if lost:
            yield f"  lost {name}   {', '.join(f'{n} {key}' for key, n in lost.items())}, of {total.get('requests')} requests"


def change(pair: Pair) -> Iterator[str]:
    """How the effect changed on the items that are in both, with its interval."""
    measure, is_share_, found = effect_changes(pair)
    told = points if is_share_ else signed_score
    for temp, one in found.items():
        if one.value is None:
            continue
        low, high = (told(end) if end is not None else "-" for end in (one.ci_low, one.ci_high))
        level = f"{100 * one.level:g} % interval {low} to {high}" if one.ci_low is not None else "no interval"
        unit = " pp" if is_share_ else ""
        yield f"  change of the effect (t = {temp:g}, by {measure}): {told(one.value)}{unit}, {level}, exploratory"


def items(changed: Changed, n_items: int) -> Iterator[str]:
    """Which items came out differently in one arm."""
    where = f"{changed.condition}, t = {changed.temp:g}, by {changed.measure}"
    yield f"  items ({where}): {len(changed.better)} better and {len(changed.worse)} worse in B, of {changed.n_common} in both"
    for name, keys in (("better", changed.better), ("worse", changed.worse)):
        if keys:
            more = f" and {len(keys) - n_items} more" if len(keys) > n_items else ""
            yield f"    {name:<7} {', '.join(keys[:n_items])}{more}"


def as_json(a: Side, b: Side, found: Sequence[Check], matched: Sequence[Pair], alone: Sequence[str]) -> dict[str, Any]:
    """For programs."""
    return {
        **dict(zip("ab", called(a, b), strict=True)),
        "comparable": not any(check.standing == "forbids" for check in found),
        "forced": any(check.standing == "forbids" for check in found),
        "checks": [{"what": c.what, "a": c.a, "b": c.b, "standing": c.standing, "note": c.note} for c in found],
        "without_counterpart": list(alone),
        "trials": [_pair_json(pair) for pair in matched],
    }


def _pair_json(pair: Pair) -> dict[str, Any]:
    keys = ("estimate", "arms", "pairs", "decided_by", "p_raw", "p_adjusted", "verdict")

    def picked(one: Any) -> dict[str, Any] | None:
        return None if one is None else {key: one.get(key) for key in keys}

    def row_json(row: Row) -> dict[str, Any]:
        named = {"name": row.name, "label": row.label, "standing": row.standing, "is_share": row.is_share}
        return {**named, "a": picked(row.a), "b": picked(row.b), "shift": row.shift}

    return {
        "a": pair.a.entry.slug,
        "b": pair.b.entry.slug,
        "metrics": [row_json(row) for row in rows(pair)],
        "cost_usd": {"a": pair.a.costs.get("usd"), "b": pair.b.costs.get("usd")},
        "cost": {"a": pair.a.costs.get("cost"), "b": pair.b.costs.get("cost")},
        "requests": {"a": pair.a.account.get("all"), "b": pair.b.account.get("all")},
        "change_of_effect": {
            f"{temp:g}": {"value": one.value, "ci_low": one.ci_low, "ci_high": one.ci_high, "level": one.level, "n": one.n, "method": one.method}
            for temp, one in effect_changes(pair)[2].items()
        },
        "changed_items": [
            {
                "measure": c.measure,
                "condition": c.condition,
                "temp": c.temp,
                "in_both": c.n_common,
                "better_in_b": list(c.better),
                "worse_in_b": list(c.worse),
            }
            for c in changed_items(pair)
        ],
    }


main = framed(_command)
