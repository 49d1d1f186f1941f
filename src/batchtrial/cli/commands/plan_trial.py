"""`batchtrial plan_trial`: how many items, how many samples of each, what it costs and what effect it can see, before anything is bought."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from batchtrial.amounts import counted
from batchtrial.app.codecs import limits_of
from batchtrial.app.invocation import experiments_dir
from batchtrial.cli import args as flags
from batchtrial.cli.frame import framed, say, say_json
from batchtrial.cli.screens.judge_labels import judge_lines, judge_record
from batchtrial.cli.screens.looks_ahead import bounds_picture, looks_lines, with_looks
from batchtrial.cli.screens.power_curve import Curve, plot
from batchtrial.config.check import LARGEST_ALPHA
from batchtrial.errors import ConfigError
from batchtrial.phases.analyse.analyses import shares_of
from batchtrial.phases.analyse.numbers import usd
from batchtrial.phases.analyse.planned_power import design_effect_of, n_trials_of
from batchtrial.prices import cost_usd, price_of
from batchtrial.providers.registry import names, row_of
from batchtrial.reading.view import material_of, trial_of, view_of
from batchtrial.records import Usage
from batchtrial.state.store import write_bytes
from batchtrial.stats import Design, PlannedTest, VarianceShares, design_table, items_for_claim, level_of_trial

EXAMPLES = """examples:
  batchtrial plan_trial --run_id r1                                            from a pilot run: its variance, clusters and cost
  batchtrial plan_trial --run_id r1 --target 0.02 --plot plan.svg
  batchtrial plan_trial --run_id r1 --icc 0.6                                  a pilot with one sample of each item, and a guess of its noise
  batchtrial plan_trial --rate_control 0.62 --effect 0.03 --discordance 0.2    from assumptions
  batchtrial plan_trial --rate_control 0.62 --effect 0.03 --discordance 0.2 --sequential 5       with looks on the way
  batchtrial plan_trial --rate_control 0.62 --margin 0.02 --discordance 0.1    no loss beyond two points, if nothing differs
  batchtrial plan_trial --rate_control 0.62 --effect 0.03 --icc 0.6 --samples 1,3,5 \\
      --model accounts/fireworks/models/gpt-oss-20b --tokens_in 400 --tokens_out 60

Shares and effects are fractions: 0.03 is three percentage points. discordance: share of items whose answer differs between the arms, one sample
each. icc: share of an answer's variance that belongs to its item, the rest being noise that more samples remove. A pilot with one sample of each
item cannot tell the two apart, and makes more samples look less useful than they are. Planned is the chance that the analysis claims its goal:
with the tests that it makes, and with the part of alpha that is left to a trial which shares its run with others (--trials).
"""
ITEMS = (100, 200, 500, 1000, 2000, 5000)
SAMPLES = (1, 3, 5)
NO_ICC = "no --icc: all variance is taken as lying between items, so that samples look of little use"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """What the plan rests on. usd_*: of one answer, None when no price is known. says: where it comes from, in words.

    cluster_size: items in a cluster, None when they stand alone. is_share: right or wrong answers. alpha, n_trials: of the run. notes: to be said.
    """

    shares: VarianceShares
    design_effect: float
    cluster_size: float | None = None
    is_share: bool = True
    alpha: float
    n_trials: int
    notes: tuple[str, ...] = ()
    usd_treatment: float | None
    usd_control: float | None
    says: str


def parser() -> flags.Parser:
    """Flags of `plan_trial`."""
    p = flags.Parser(prog="batchtrial plan_trial", description="How many items and samples, what it costs, what effect it can see.", epilog=EXAMPLES)
    pilot = p.add_argument_group("from a pilot run")
    pilot.add_argument("--run_id", metavar="ID", help="a run that is scored and costed")
    pilot.add_argument("--trial", metavar="SLUG", help="which trial, when the run has several")
    pilot.add_argument("--metric", choices=("em", "f1", "abstained"), default="em", help="metric to plan for (default: em)")
    guess = p.add_argument_group("from assumptions")
    guess.add_argument("--rate_control", type=fraction, metavar="SHARE", help="share of right answers under the control")
    guess.add_argument("--effect", type=signed, metavar="SHARE", help="expected difference; also the target unless --target is given")
    guess.add_argument("--discordance", type=fraction, metavar="SHARE", help="share of items that differ between the arms")
    guess.add_argument("--icc", type=fraction, metavar="SHARE", help="share of an answer's variance that belongs to its item")
    guess.add_argument("--design_effect", type=factor, metavar="X", help="variance inflation by clusters (default: 1, or the pilot's)")
    guess.add_argument("--cluster_size", type=factor, metavar="N", help="items in a cluster (default: 1, or the pilot's)")
    price = p.add_argument_group("prices (a pilot brings its own)")
    price.add_argument("--usd_per_answer", type=factor, metavar="USD", help="cost of one answer")
    price.add_argument("--model", metavar="ID", help="model in the price table, with --tokens_in and --tokens_out")
    price.add_argument("--backend", choices=names(), default="fireworks", help="whose price (default: fireworks)")
    price.add_argument("--tokens_in", type=flags.positive, default=400, metavar="N", help="prompt tokens of a request (default: 400)")
    price.add_argument("--tokens_out", type=flags.positive, default=100, metavar="N", help="answer tokens (default: 100)")
    design = p.add_argument_group("designs")
    design.add_argument("--target", type=fraction, metavar="SHARE", help="effect that the trial should see (default: --effect, or 0.03)")
    design.add_argument(
        "--margin", type=fraction, metavar="SHARE", help="plan for a margin instead; --effect is then the true difference (default: 0)"
    )
    design.add_argument("--goal", choices=("noninferiority", "equivalence"), default="noninferiority", help="what --margin is for")
    design.add_argument("--trials", type=flags.positive, metavar="N", help="trials that share the run's alpha (default: 1, or the pilot's)")
    design.add_argument("--items", nargs="+", action=flags.Words, metavar="N", help=f"numbers of items (default: {','.join(map(str, ITEMS))})")
    design.add_argument("--samples", nargs="+", action=flags.Words, metavar="K", help="samples of each item (default: 1,3,5)")
    design.add_argument("--alpha", type=level, help="two-sided level of the whole run (default: 0.05, or the pilot's)")
    design.add_argument("--power", type=fraction, default=0.8, help="wanted chance to see the effect (default: 0.8)")
    design.add_argument("--sequential", type=flags.positive, metavar="LOOKS", help="with so many planned looks: items and dollars on average")
    design.add_argument("--reuse_control", action="store_true", help="the control's answers exist already and cost nothing")
    design.add_argument("--judge", type=fraction, metavar="SHARE", help="a judge right in so many answers: how many labels buy which width")
    flags.add_folder(p)
    p.add_argument("--json", action="store_true", help="as JSON")
    p.add_argument(
        "--plot", type=flags.written_file, metavar="FILE", help="write a picture as SVG: detectable effect by items, or the bounds of --sequential"
    )
    return p


def _number(text: str, accept: Callable[[float], bool], what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not accept(value):
        raise ConfigError(f"{text!r} is not {what}", hint="three percentage points are 0.03")
    return value


def fraction(text: str) -> float:
    """A share between 0 and 1, both excluded."""
    return _number(text, lambda x: 0 < x < 1, "a share between 0 and 1")


def level(text: str) -> float:
    """A level of significance: 0.05, say, and not the confidence in its place."""
    found = fraction(text)
    if found > LARGEST_ALPHA:
        raise ConfigError(f"{text!r} is no alpha", hint=f"it is the chance of a false claim, at most {LARGEST_ALPHA:g}; 0.05 is usual")
    return found


def signed(text: str) -> float:
    """A difference of shares, not 0."""
    return _number(text, lambda x: 0 < abs(x) < 1, "a difference between -1 and 1, other than 0")


def factor(text: str) -> float:
    """A finite number above 0."""
    return _number(text, lambda x: 0 < x < float("inf"), "a number above 0")


def assumed_shares(rate_control: float, effect: float, discordance: float | None, icc: float | None) -> VarianceShares:
    """Variance shares of right-or-wrong answers from assumptions. Raises ConfigError when they contradict each other.

    One answer has variance p (1 - p), of which (1 - icc) is noise around its item; the difference of two answers has discordance - effect^2.
    What noise does not explain lies between the items. Without a discordance: no variance between items beyond the effect when icc is given,
    else answers that know nothing of each other, which is the widest that there is.
    """
    rates = {"treatment": rate_control + effect, "control": rate_control}
    if not 0 < rates["treatment"] < 1:
        raise ConfigError(f"a control of {rate_control:g} and an effect of {effect:g} leave the range of shares", where="--effect")
    noise = {arm: 0.0 if icc is None else (1 - icc) * p * (1 - p) for arm, p in rates.items()}
    t, c = rates["treatment"], rates["control"]
    warnings: tuple[str, ...] = () if icc is not None else (NO_ICC,)
    if discordance is None:
        if icc is None:
            warnings = (*warnings, "no --discordance: answers are taken as independent, which is the widest case")
        discordance = t * (1 - c) + c * (1 - t) if icc is None else effect**2 + sum(noise.values())
    if not abs(effect) <= discordance <= min(t + c, 2 - t - c) + 1e-12:
        low, high = abs(effect), min(t + c, 2 - t - c)
        raise ConfigError(f"with these rates between {low:g} and {high:g} of the items can differ", where=f"--discordance {discordance:g}")
    between = discordance - effect**2 - sum(noise.values())
    if between < -1e-12:
        raise ConfigError(
            f"noise alone makes {effect**2 + sum(noise.values()):.3g} of the items differ", where="--discordance, --icc", hint="raise one of them"
        )
    return VarianceShares(between=max(0.0, between), treatment=noise["treatment"], control=noise["control"], n_items=0, warnings=warnings)


def from_pilot(given: Any) -> Assumed:
    """What a run that is there says. Raises RunStateMissing, ConfigError."""
    view = view_of(experiments_dir(given.experiments_dir, os.environ), given.run_id, limits_of)
    trial = trial_of(view, given.trial)
    made = material_of(view, trial)
    table = next(iter(made.tables.values()), None)
    shares = None if table is None else shares_of(table, given.metric)
    if table is None or shares is None:
        raise ConfigError(f"{given.run_id} has fewer than two complete pairs of {given.metric}", where="--run_id")
    control, treatment = table.scores["abstain_rate" if given.metric == "abstained" else given.metric]
    keep = ~(np.isnan(control) | np.isnan(treatment))
    clusters = None if table.clusters is None else table.clusters[keep]
    if given.icc is not None and table.samples == 1 and given.metric != "f1":
        c, t = control[keep], treatment[keep]
        split = assumed_shares(float(c.mean()), float((t - c).mean()), float((t != c).mean()), given.icc)
        shares = replace(split, n_items=shares.n_items, dropped=shares.dropped)
    prices = {}
    for one in made.costs["arms"].values():
        if one["temp"] == trial.temps[0]:
            prices[one["condition"]] = per_answer(one)
    declared = view.config.stats.primary
    is_by_margin = declared.margin is not None and declared.metric == given.metric and given.margin is None
    return Assumed(
        shares=shares,
        design_effect=given.design_effect or design_effect_of(treatment[keep] - control[keep], clusters),
        cluster_size=given.cluster_size or (None if clusters is None else clusters.size / np.unique(clusters).size),
        is_share=given.metric != "f1",
        alpha=given.alpha or view.config.stats.alpha,
        n_trials=given.trials or n_trials_of(made.significance),
        notes=(f"the pilot's primary endpoint has a margin: --margin {declared.margin:g} plans for it",) if is_by_margin else (),
        usd_treatment=given.usd_per_answer or prices.get("treatment"),
        usd_control=given.usd_per_answer or prices.get("control"),
        says=f"pilot {given.run_id}, {trial.slug}: {given.metric} of {counted(shares.n_items, 'item')}, {counted(table.samples, 'sample')} each"
        + (" (SIMULATED answers)" if view.config.is_simulated else ""),
    )


def per_answer(arm: Mapping[str, Any]) -> float | None:
    """Dollars of one request of a pilot's arm, by its tokens, whoever paid for them; None when that is not known."""
    if arm.get("usd_per_request") is not None:
        return float(arm["usd_per_request"])
    # Runs of earlier versions have only the bill: what was taken over from another run stands there as nothing, and is no price.
    return arm["usd"] / arm["requests"] if arm["usd"] and arm["requests"] else None


def from_assumptions(given: Any) -> Assumed:
    """What the flags say. Raises ConfigError."""
    if given.rate_control is None or (given.effect is None and given.margin is None):
        raise ConfigError("nothing to plan from", hint="give --run_id of a pilot, or --rate_control and --effect; --help has examples")
    per_answer = given.usd_per_answer
    if per_answer is None and given.model is not None:
        price = price_of(row_of(given.backend).prices, given.model, {})
        if price is None:
            raise ConfigError(f"{given.model!r} is in no price table", where="--model", hint="give --usd_per_answer")
        per_answer = float(cost_usd(price.for_prompt(given.tokens_in), Usage(input_tokens=given.tokens_in, output_tokens=given.tokens_out)))
    said = [f"{name} {value:g}" for name in ("rate_control", "effect", "discordance", "icc") if (value := getattr(given, name)) is not None]
    return Assumed(
        shares=assumed_shares(given.rate_control, given.effect or 0.0, given.discordance, given.icc),
        design_effect=given.design_effect or 1.0,
        cluster_size=given.cluster_size,
        alpha=given.alpha or 0.05,
        n_trials=given.trials or 1,
        usd_treatment=per_answer,
        usd_control=per_answer,
        says=f"assumptions: {', '.join(said)}",
    )


def counts(given: list[str] | None, default: Sequence[int]) -> list[int]:
    """Whole numbers from 1, ascending, each once. Raises ConfigError."""
    try:
        found = sorted({int(word) for word in given}) if given else list(default)
    except ValueError as error:
        raise ConfigError(f"not a whole number: {error}", where="--items, --samples") from None
    if found[0] < 1:
        raise ConfigError(f"{found[0]} is no number of items or samples", where="--items, --samples")
    return found


def planned(given: Any) -> dict[str, Any]:
    """The plan as JSON."""
    assumed = from_pilot(given) if given.run_id is not None else from_assumptions(given)
    shares, is_by_margin = assumed.shares, given.margin is not None
    target = (given.effect or 0.0) if is_by_margin else given.target or abs(given.effect or 0.03)
    test = planned_test(assumed, given)
    is_priced = assumed.usd_treatment is not None and assumed.usd_control is not None
    usd_treatment, usd_control = (assumed.usd_treatment or 0.0, assumed.usd_control or 0.0) if is_priced else (0.0, 0.0)
    paid_control = 0.0 if given.reuse_control else usd_control
    needed = []
    for k in counts(given.samples, SAMPLES):
        n = items_for_claim(target, shares.spread(k), replace(test, samples=k), power=given.power).n_items
        arms = 1 if given.reuse_control else 2
        cost = None if n is None or not is_priced else n * k * (usd_treatment + paid_control)
        needed.append({"samples": k, "items": n, "requests": None if n is None else n * k * arms, "cost_usd": cost})
    designs = design_table(
        shares,
        items=counts(given.items, ITEMS),
        samples=counts(given.samples, SAMPLES),
        usd_per_treatment_answer=usd_treatment,
        usd_per_control_answer=usd_control,
        test=test,
        power=given.power,
        target=target,
        is_control_reused=given.reuse_control,
    )
    each = (usd_treatment + paid_control) if is_priced else None
    return {
        **({} if given.sequential is None else {"sequential": with_looks(given.sequential, test, shares, needed[0], target, usd_per_pair=each)}),
        "from": assumed.says,
        "alpha": assumed.alpha,
        "trials": assumed.n_trials,
        "alpha_of_trial": test.alpha,
        "power": given.power,
        "goal": test.goal,
        "margin": test.margin,
        "target": target,
        "design_effect": assumed.design_effect,
        "variance": {"between_items": shares.between, "noise_treatment": shares.treatment, "noise_control": shares.control},
        "usd_per_answer": {"treatment": assumed.usd_treatment, "control": assumed.usd_control} if is_priced else None,
        "items_needed": needed,
        "designs": [_design(one, is_priced=is_priced) for one in designs],
        "warnings": [*shares.warnings, *assumed.notes],
        **judge_record(given.judge, shares.between + shares.treatment + shares.control, counts(given.items, ITEMS), assumed.alpha),
    }


def planned_test(assumed: Assumed, given: Any) -> PlannedTest:
    """What will decide, but for the samples of each design."""
    return PlannedTest(
        goal="superiority" if given.margin is None else given.goal,
        margin=given.margin,
        alpha=level_of_trial(assumed.alpha, assumed.n_trials),
        is_share=assumed.is_share,
        design_effect=assumed.design_effect,
        cluster_size=assumed.cluster_size,
    )


def _design(one: Design, *, is_priced: bool) -> dict[str, Any]:
    return {**asdict(one), "cost_usd": one.cost_usd if is_priced else None}


def _dollars(value: float | None) -> str:
    return "-" if value is None else usd(value)


def _points(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} pp"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Right-aligned columns."""
    widths = [max(len(row[place]) for row in [header, *rows]) for place in range(len(header))]
    return ["  " + "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in [header, *rows]]


def lines(found: dict[str, Any]) -> list[str]:
    """The plan for a person."""
    variance = found["variance"]
    out = [f"plan from {found['from']}"]
    out.append(
        f"  variance of one item's difference: {variance['between_items']:.4f} between items, noise of one answer {variance['noise_treatment']:.4f} "
        f"(treatment) and {variance['noise_control']:.4f} (control); design effect of clusters {found['design_effect']:.2f}"
    )
    out += [f"  note: {warning}" for warning in found["warnings"]]
    aim, seen, chance = _aim(found)
    out += ["", aim]
    need = [(str(one["samples"]), _whole(one["items"]), _whole(one["requests"]), _dollars(one["cost_usd"])) for one in found["items_needed"]]
    out += table(("samples", "items", "requests", "cost"), need)
    out += ["", "what designs see:"]
    rows = [
        (_whole(d["n_items"]), str(d["n_samples"]), _whole(d["n_requests"]), _dollars(d["cost_usd"]), _points(d["mde"]), _chance(d["power"]))
        for d in found["designs"]
    ]
    out += table(("items", "samples", "requests", "cost", seen, chance), rows)
    what = "true difference" if found["margin"] is None else "margin"
    out += looks_lines(found["sequential"]) if "sequential" in found else []
    out += judge_lines(found, table)
    return [*out, "", f"{seen}: the smallest {what} with which the analysis claims its goal with that chance, by the tests that it will make"]


def _aim(found: dict[str, Any]) -> tuple[str, str, str]:
    """What is planned for, and the titles of the columns that depend on it."""
    level = f"alpha {found['alpha']:g}"
    if found["trials"] > 1:
        level += f", of which each of {found['trials']} trials has {found['alpha_of_trial']:.3g}"
    if found["margin"] is None:
        size = _points(found["target"])
        return f"to see {size} with a chance of {100 * found['power']:g} % at {level}:", "detectable", f"power at {size}"
    margin = _points(found["margin"])
    aim = f"a difference below {margin} either way" if found["goal"] == "equivalence" else f"no loss beyond {margin}"
    true = f"when the true difference is {_points(found['target'])}"
    return f"to show {aim} {true}, with a chance of {100 * found['power']:g} % at {level}:", "margin", f"power at {margin}"


def _whole(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _chance(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def picture(found: dict[str, Any]) -> str:
    """Detectable effect by items, a line for each number of samples, as SVG."""
    curves = []
    for k in sorted({one["n_samples"] for one in found["designs"]}):
        spots = tuple((float(d["n_items"]), 100 * d["mde"]) for d in found["designs"] if d["n_samples"] == k and d["mde"] is not None)
        curves.append(Curve(label=f"{k} sample{'s' * (k > 1)}", spots=spots))
    target = found["target"] if found["margin"] is None else found["margin"]
    what = "effect seen" if found["margin"] is None else "margin shown"
    return plot(curves, target=100 * target, title=f"Smallest {what} with a chance of {100 * found['power']:g} %")


def _command(argv: Sequence[str] | None = None) -> int:
    """Plan a trial."""
    given = parser().parse_args(argv)
    found = planned(given)
    if given.plot is not None:
        write_bytes(given.plot, (picture(found) if given.sequential is None else bounds_picture(found["sequential"])).encode())
    say_json(found, allow_nan=False) if given.json else say("\n".join(lines(found)))
    return 0


main = framed(_command)
