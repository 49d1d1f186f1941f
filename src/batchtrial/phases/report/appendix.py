"""The optional analyses as blocks of a report. Pure: the content of their files in, blocks out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from batchtrial.phases.analyse.numbers import p_text, percent, points, usd
from batchtrial.phases.report.render import Block, Grid, Heading, Paragraph

TITLES: Final[Mapping[str, str]] = {"em": "exact match", "f1": "F1"}
SHOWN_THRESHOLDS: Final = ("0.10", "0.20", "0.30", "0.40", "0.50", "0.60", "0.70", "0.80", "0.90", "1.00")


def appendix(files: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str] = TITLES) -> list[Block]:
    """One section with a part for each analysis; nothing without any. files: analysis -> content of its file. titles: of em and f1 in this trial."""
    if not files:
        return []
    found: list[Block] = [Heading(2, "Further analyses"), Paragraph("Switched on in the config, outside the declared plan: they claim nothing.")]
    for name, content in files.items():
        found += part(name, content, titles)
    return found


def part(name: str, content: Mapping[str, Any], titles: Mapping[str, str] = TITLES) -> list[Block]:
    """One analysis."""
    title, show = PARTS[name]
    if content.get("status") == "unavailable":
        return [Heading(3, title), Paragraph(f"Not available: {content['reason']}.")]
    return [Heading(3, title), *(_cost(content, titles) if name == "cost_effectiveness" else show(content))]


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"


def _sensitivity(content: Mapping[str, Any]) -> list[Block]:
    found: list[Block] = []
    for temp, one in content["results"].items():
        if one["status"] != "ok":
            found.append(Paragraph(f"At temperature {temp}: {one['reason']}."))
            continue
        rows = []
        for threshold in SHOWN_THRESHOLDS:
            line = one["by_threshold"][threshold]
            numbers = (percent(line["control"]), percent(line["treatment"]), points(line["delta_mean"]), _interval(*line["ci_95"]))
            rows.append((threshold, *numbers, str(line["n_items"])))
        found.append(Grid(("threshold", "control", "treatment", "difference (pp)", "interval (pp)", "pairs"), tuple(rows)))
        same = "the same" if one["is_verdict_stable"] else "not the same"
        found.append(
            Paragraph(
                f"At temperature {temp} the intervals say {same} at every threshold from 0.05 to 1; the declared one is "
                f"{content['declared_threshold']:g}. Lines share their data and are no separate findings."
            )
        )
    return found


def _mixed(content: Mapping[str, Any]) -> list[Block]:
    model = content["models"]["logistic_binary_correct"]
    rows = []
    for name, ratio in model["odds_ratio"].items():
        low, high = model["or_ci"][name]
        bounds = "-" if low is None or high is None else f"{low:.3g} to {high:.3g}"
        rows.append((name, "-" if ratio is None else f"{ratio:.3g}", bounds, p_text(model["p_values"][name])))
    sd = "unknown" if model["sd_item"] is None else f"{model['sd_item']:.2f}"
    text = (
        f"Right answers by {content['formula']}, {content['n_rows']} rows of {content['n_items']} items, {content['method']}; standard deviation of "
        f"the items' intercepts {sd}. Odds ratios are conditional on the item and answer another question than the difference above."
    )
    found: list[Block] = [Grid(("term", "odds ratio", "interval", "p"), tuple(rows)), Paragraph(text)]
    return [*found, *(Paragraph(f"Read with care: {warning}.") for warning in model["warnings"])]


def _power(content: Mapping[str, Any]) -> list[Block]:
    targets = [f"{target:.3f}" for target in content["targets"]]
    rows = []
    for temp, one in content["results"].items():
        if one["status"] != "ok":
            rows.append((temp, "-", one["reason"], *("-" for _ in targets)))
            continue
        needed = (one["required_n_for_target"][target] for target in targets)
        rows.append((temp, f"{one['n_items']:,}", points(one["mde"]), *("-" if n is None else f"{n:,}" for n in needed)))
    header = ("temperature", "pairs", "detectable (pp)", *(f"items for {100 * float(target):g} pp" for target in targets))
    level = content.get("alpha_of_trial", content["alpha"])
    shared = "" if level == content["alpha"] else f" (this trial's part of {content['alpha']:g})"
    text = (
        f"For {content['metric']} ({content['kind']}): the smallest true difference found with a chance of {100 * content['power']:g} % at "
        f"alpha {level:.3g}{shared}, and the items needed for others, by this run's own variance. For planning the next run."
    )
    return [Grid(header, tuple(rows)), Paragraph(text), *_margins(content)]


def _margins(content: Mapping[str, Any]) -> list[Block]:
    """What the declared margin asks for, when the goal has one."""
    if content.get("margin") is None:
        return []
    scale = 100 * content["margin"]
    rows = [
        (temp, points(one.get("smallest_margin")), "-" if one.get("required_n_for_margin") is None else f"{one['required_n_for_margin']:,}")
        for temp, one in content["results"].items()
    ]
    text = f"The goal has a margin of {scale:g} pp: the smallest one that could be claimed with that chance when nothing differs."
    return [Paragraph(text), Grid(("temperature", "smallest margin (pp)", f"items for {scale:g} pp"), tuple(rows))]


def _cost(content: Mapping[str, Any], titles: Mapping[str, str] = TITLES) -> list[Block]:
    gains = {"gain_em": f"per pp of {titles['em']}", "gain_f1": f"per pp of {titles['f1']}"}
    if titles["f1"] == titles["em"]:  # no F1 of its own
        del gains["gain_f1"]
    gains["reduction_false_answer"] = "per pp fewer false answers"
    rows = tuple(
        (
            temp,
            usd(one["usd_control"]),
            usd(one["usd_treatment"]),
            *(_dollars(one[f"usd_per_1pp_{name}"]) for name in gains),
        )
        for temp, one in content["results"].items()
    )
    header = ("temperature", "control (bill)", "treatment (bill)", *gains.values())
    text = (
        "Extra cost of the treatment over this run's items, told by those that both arms answered, per percentage point gained; - where no price is "
        "known, the treatment costs no more, or the gain may be chance or the work of lost answers."
    )
    return [Grid(header, rows), Paragraph(text)]


def _dollars(value: float | None) -> str:
    return "-" if value is None else usd(value)


def _subgroups(content: Mapping[str, Any]) -> list[Block]:
    if not content["tables"]:
        return [Paragraph(f"No table: {content['reason']}.")]
    found: list[Block] = []
    header = ("subgroup", "control", "treatment", "difference (pp)", "interval (pp)", "p", "q", "pairs")
    for name, one in content["tables"].items():
        rows = []
        for row in one["rows"]:
            estimate = row["estimate"]
            numbers = (percent(row["control"]), percent(row["treatment"]), points(estimate["value"]))
            bounds = _interval(estimate["ci_low"], estimate["ci_high"])
            rows.append((row["subgroup"], *numbers, bounds, p_text(row["test"]["p_value"]), p_text(row["q_value"]), str(row["n"])))
        found.append(Grid(header, tuple(rows)))
        p = one["heterogeneity"]["p_value"]
        differ = "cannot be tested" if p is None else f"has p {p_text(p)}" if p < 0.001 else f"has p = {p_text(p)}"
        how = "permutation test, without groups of fewer than ten"
        found.append(Paragraph(f"By {name}: that the effects differ {differ} ({how}). q: Benjamini-Hochberg over {one['m']} lines."))
    for name, other in content.get("same_as", {}).items():
        found.append(Paragraph(f"By {name} the groups hold the same items as by {other}: they are shown and tested once."))
    return found


def _meta(content: Mapping[str, Any]) -> list[Block]:
    rows = []
    for temp, one in content["results"].items():
        em = one["em"]
        shown = [f"{points(e['value'])} ({_interval(e['ci_low'], e['ci_high'])})" for e in (em["fixed"], em["random"])]
        rows.append((temp, str(em["k"]), *shown, p_text(em["heterogeneity"].get("p_value"))))
    return [Grid(("temperature", "datasets", "fixed (pp)", "random (pp)", "p of heterogeneity"), tuple(rows))]


PARTS: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], list[Block]]]]] = {
    "unsupported_sensitivity": ("Does the threshold of unsupported answers matter?", _sensitivity),
    "mixed_effects": ("Mixed-effects model", _mixed),
    "power_analysis": ("What this many items can see", _power),
    "cost_effectiveness": ("Cost per point gained", _cost),
    "subgroups": ("Subgroups (exploratory)", _subgroups),
    "meta_analysis": ("Datasets as a sample of datasets", _meta),
}
