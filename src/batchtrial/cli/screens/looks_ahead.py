"""What planned looks would save, for `plan_trial`: items, requests and dollars on average under a few true effects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from batchtrial.cli.screens.power_curve import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, opening
from batchtrial.errors import ConfigError
from batchtrial.phases.analyse.numbers import usd
from batchtrial.stats import PlannedTest, VarianceShares
from batchtrial.stats.looks import LookPlan
from batchtrial.stats.looks_ahead import looks_ahead, planned_looks

FUTILITY = 0.05
MIN_CHANGED = 10


def with_looks(
    looks: int, test: PlannedTest, shares: VarianceShares, needed: Mapping[str, Any], target: float, *, usd_per_pair: float | None
) -> dict[str, Any]:
    """As JSON: the design with as many items as one look at the end needs. Raises ConfigError where looks are not planned for the goal."""
    if test.goal != "superiority":
        raise ConfigError("looks are planned ahead for a difference, and a margin was asked for", where="--sequential", hint="leave --margin out")
    if needed["items"] is None or looks < 2:
        raise ConfigError("no number of items is enough for the target, or fewer than two looks", where="--sequential")
    k, n_max = needed["samples"], needed["items"]
    plan = LookPlan(alpha=test.alpha, n_max=n_max, looks=looks, futility=FUTILITY, min_changed=MIN_CHANGED)
    variance = (shares.between + (shares.treatment + shares.control) / k) * test.design_effect
    rows = []
    for name, effect in (("none", 0.0), ("half of it", target / 2), ("as planned", target), ("twice it", 2 * target)):
        found = looks_ahead(plan, effect, variance)
        cost = None if usd_per_pair is None else found.items * k * usd_per_pair
        rows.append(
            {"is": name, "effect": effect, "power": found.power, "fixed_power": found.fixed_power, "items": round(found.items), "cost_usd": cost}
        )
    bounds = [{"items": one.n_items, "z": one.bound, "futile_below": one.futile_below} for one in planned_looks(plan)]
    return {"looks": looks, "n_max": n_max, "samples": k, "futility": FUTILITY, "alpha": test.alpha, "rows": rows, "bounds": bounds}


def looks_lines(found: Mapping[str, Any]) -> list[str]:
    """For a person."""
    out = ["", f"with {found['looks']} planned looks at up to {found['n_max']:,} items (stats.sequential: {{looks: {found['looks']}}}), on average:"]
    header = ("true effect", "", "found", "without looks", "items", "not bought", "cost")
    rows = [header]
    for one in found["rows"]:
        saved = f"{100 * (1 - one['items'] / found['n_max']):.0f} %"
        cost = "-" if one["cost_usd"] is None else usd(one["cost_usd"])
        chances = (f"{100 * one['power']:.0f} %", f"{100 * one['fixed_power']:.0f} %")
        rows.append((f"{100 * one['effect']:.1f} pp", one["is"], *chances, f"{one['items']:,}", saved, cost))
    widths = [max(len(row[place]) for row in rows) for place in range(len(header))]
    out += ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    told = ", ".join(f"{one['items']:,}: {'-' if one['z'] is None else format(one['z'], '.2f')}" for one in found["bounds"])
    return [*out, f"  |Z| that ends it, by items: {told}"]


def bounds_picture(found: Mapping[str, Any]) -> str:
    """|Z| at each look: above the upper line a difference is found, below the lower one nothing is left to find; as SVG."""
    lines = (("a difference is found", "z", "#cf222e"), ("too little is left", "futile_below", "#57606a"))
    n_max = int(found["n_max"])
    top: float = 1.08 * max([1.0, *(one[key] for one in found["bounds"] for _, key, _ in lines if one[key] is not None)])

    def x(items: int) -> float:
        return round(LEFT + items / n_max * (WIDTH - LEFT - RIGHT), 1)

    def y(z: float) -> float:
        return round(HEIGHT - BOTTOM - z / top * (HEIGHT - TOP - BOTTOM), 1)

    parts = opening(f"|Z| that ends the trial at each of {found['looks']} looks")
    for step in range(int(top) + 1):
        parts.append(f'<line x1="{LEFT}" y1="{y(step)}" x2="{WIDTH - RIGHT}" y2="{y(step)}" stroke="#d0d7de"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(step) + 4}" text-anchor="end" fill="#57606a">{step}</text>')
    for one in found["bounds"]:
        parts.append(f'<text x="{x(one["items"])}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" fill="#57606a">{one["items"]:,}</text>')
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 12}" fill="#57606a">items of the prefix that the look sees (left: |Z|)</text>')
    for place, (label, key, colour) in enumerate(lines):
        spots = [(x(one["items"]), y(one[key])) for one in found["bounds"] if one[key]]
        if spots:
            path = " ".join(f"{a},{b}" for a, b in spots)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in spots]
            parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{TOP + 16 * place + 8}" fill="{colour}">{label}</text>')
    return "".join([*parts, "</svg>\n"])
