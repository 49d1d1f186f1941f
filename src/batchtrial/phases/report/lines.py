"""The lines of a trial's report, section by section: what was found, in plain words first, then in numbers, what it cost, where it came from.

`render` makes Markdown and a page of them. No times, process ids or names of runs stand in them: the same config and answers give the same bytes.
The sentence of a verdict is made where statistics are (`analyse/significance.py`, in the words of `stats/wording.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from batchtrial import __version__
from batchtrial.config.expand import Trial, arms_of
from batchtrial.config.hosts import hosts_of
from batchtrial.config.load import config_hash
from batchtrial.config.report import has_answers_page
from batchtrial.phases.analyse.cost_words import per_right_answer, two_axes
from batchtrial.phases.analyse.numbers import HEADER, NOT_ANALYSED, is_declared, marked_label, row_of, title_of, usd
from batchtrial.phases.analyse.significance import contrast_json
from batchtrial.phases.base import View
from batchtrial.phases.batches.twice import bought_twice
from batchtrial.phases.prepare.phase import notes
from batchtrial.phases.prepare.set_rules import set_rules
from batchtrial.phases.report.account_words import account_blocks
from batchtrial.phases.report.appendix import TITLES, appendix
from batchtrial.phases.report.corpus_words import corpus_blocks
from batchtrial.phases.report.forest import Line, forest
from batchtrial.phases.report.judge_words import judge_blocks
from batchtrial.phases.report.look_words import look_blocks
from batchtrial.phases.report.render import Block, Bullets, Changes, Grid, Heading, Links, Paragraph, Picture, Quote
from batchtrial.phases.report.slice_words import slice_blocks
from batchtrial.phases.score.record import read_record, remarks
from batchtrial.phases.tables.columns import KINDS, has_questions
from batchtrial.sources.load import REPEATED
from batchtrial.state.store import read_json
from batchtrial.stats.wording import shared_alpha
from batchtrial.tasks.recipe import compiled

MOST_CHARS: Final = 400


def blocks(view: View, trial: Trial) -> list[Block]:
    """The whole report."""
    from batchtrial.phases.report.examples import example_blocks  # here, since a verdict needs no tables

    layout = view.trial_layout(trial)
    tests, account, costs = (read_json(path) for path in (layout.significance, layout.account, layout.costs))
    found: list[Block] = [Heading(1, f"{trial.slug}: {trial.prompt_set} against {trial.against}"), Links(links_of(view))]
    found += _verdict(tests, costs)
    found += _contrast(tests.get("contrast") or contrast_json(trial)) if tests["tests"] or "contrast" in tests else []
    found += look_blocks(tests, costs)
    found += _results(tests)
    found += corpus_blocks(tests, has_questions=has_questions(arms_of(view.trials)))
    found += slice_blocks(tests)
    found += judge_blocks(tests)
    found += appendix({name: read_json(layout.analysis(name)) for name in view.config.optional.switched_on}, _titles(read_record(layout)))
    found += _account(account, view.config.answers.strip_thinking)
    if said := (*remarks(read_record(layout)), *_repeats(view)):
        found.append(Bullets(said))
    found += example_blocks(view, trial)
    found += _costs(costs, view)
    found += _provenance(view, trial, tests, costs)
    return found


def links_of(view: View, up: str = "../../") -> tuple[tuple[str, str], ...]:
    """Ways from a report to what stands beside it."""
    every = [("all trials of this run", f"{up}index.html")]
    return tuple(every + ([("every answer, pair by pair", f"{up}answers.html")] if has_answers_page(view.config.report) else []))


def _titles(record: dict[str, Any]) -> dict[str, str]:
    """What em and f1 are called over all question sets."""
    rules, sets = set_rules(record), tuple(record.get("metric_by_set", ()))
    return {name: rules.title(name, sets) if rules.own else usual for name, usual in TITLES.items()}


def _verdict(tests: dict[str, Any], costs: dict[str, Any]) -> list[Block]:
    found: list[Block] = [Heading(2, "Verdict")]
    if tests.get("headline") is None:
        found.append(Paragraph(tests.get("reason") or NOT_ANALYSED, strong=True))
        return [*found, Paragraph(tests["plan"]["statement"])] if tests.get("plan") else found
    found.append(Paragraph(tests["headline"]["sentence"], strong=True))
    more = [one["sentence"] for one in tests["tests"] if one["family"] == "confirmatory"]
    if more:
        found.append(Bullets(tuple(more)))
    both = two_axes(tests, costs)
    found += [Paragraph(both)] if both is not None else []
    found.append(Paragraph(tests["plan"]["statement"]))
    shared = shared_alpha(tests.get("run"), tests["stats_config"]["alpha"])
    return [*found, Paragraph(shared)] if shared else found


def _contrast(contrast: dict[str, Any]) -> list[Block]:
    """What differs between the two arms."""
    found: list[Block] = [Heading(2, "What differs")]
    short = [one for one in contrast["differences"] if "words" not in one]
    names = (contrast["control"], contrast["treatment"])
    if not contrast["differences"]:
        found.append(Paragraph(f"Nothing: {names[0]} and {names[1]} ask the same."))
    if short:
        found.append(Grid(("field", *names), tuple((one["field"], one["control"], one["treatment"]) for one in short)))
    for one in contrast["differences"]:
        if "words" in one:
            found.append(Changes(one["field"], names, tuple((kind, text) for kind, text in one["words"])))
    return found


def _results(tests: dict[str, Any]) -> list[Block]:
    if not tests["tests"]:
        return []
    declared = [one for one in tests["tests"] if is_declared(one)]
    rows = tuple(row_of(one) for one in declared)
    found: list[Block] = [Heading(2, "Results"), Grid(HEADER, rows, declared=frozenset(range(len(rows))))]
    found += [Picture(forest(lines), f"Differences with their intervals, treatment minus control, {where}") for where, lines in forests(tests)]
    level = tests["stats_config"]["alpha"]
    found.append(
        Paragraph(
            f"Differences are treatment minus control, with {100 * (1 - level):g} % intervals; p is of the difference. Adjusted p: corrected "
            "within its family; (margin) where it is of the margin test. b / c: items that only the treatment, only the control got right "
            "(or did). Lost: pairs left out because an answer never came or was none, or the metric has no number of it."
        )
    )
    if lower := sorted({title_of(one) for one in tests["tests"] if not one["higher_is_better"]}):
        found.append(Paragraph(f"Lower is better for: {', '.join(lower)}."))
    found += _clusters(declared or tests["tests"])
    found += [Paragraph(f"{text[0].upper()}{text[1:]}.") for text in tests.get("rules", ())]
    for family, title in (
        ("datasets", "By dataset"),
        ("metrics", "Other comparisons (exploratory)"),
        ("temperatures", "Other temperatures (exploratory)"),
    ):
        rows = tuple(row_of(one) for one in tests["tests"] if one["family"] == family)
        if rows:
            care = tuple("; ".join(one["warnings"]) for one in tests["tests"] if one["family"] == family)
            has_care = any(care)
            header = (*HEADER, "read with care") if has_care else HEADER
            found += [Heading(3, title), Grid(header, tuple((*row, text) if has_care else row for row, text in zip(rows, care, strict=True)))]
    if same := tests.get("same_items"):
        listed = ", ".join(f"{name} ({KINDS[kind]})" for name, kind in same.items())
        found.append(Paragraph(f"Datasets that hold exactly the questions of one kind are compared once, under the kind: {listed}."))
    warnings = [f"{one['label']}: {text}" for one in declared for text in one["warnings"]]
    methods = sorted({f"{one['estimate']['method']}, {one['test']['method']}" for one in tests["tests"]})
    found.append(Paragraph(f"Methods (interval, test): {'; '.join(methods)}. See docs/statistics.md."))
    return [*found, Heading(3, "Read with care"), Bullets(tuple(warnings))] if warnings else found


def _clusters(tests: Sequence[dict[str, Any]]) -> list[Block]:
    """What intervals count where items depend on each other, by the first comparison of such items."""
    for one in tests:
        if n := one.get("n_clusters"):
            pairs = f"the {one['pairs']['n']} pairs of {one['label']} stand in {n} clusters"
            return [Paragraph(f"Items of one document or cluster are not independent: {pairs}, and intervals and tests count clusters.")]
    return []


def forests(tests: dict[str, Any], *, is_declared_only: bool = False) -> Iterator[tuple[str, list[Line]]]:
    """In which unit, and what is drawn in it: all shares in one picture, each other metric in one of its own; that with the primary first."""
    units: dict[str, list[Line]] = {}
    for one in _drawable(tests):
        if is_declared(one) or not is_declared_only:
            unit = "in percentage points" if one["is_share"] else f"in the unit of {title_of(one)}"
            units.setdefault(unit, []).append(_line(one))
    yield from units.items()


def _drawable(tests: dict[str, Any]) -> list[dict[str, Any]]:
    """Comparisons that have an interval, the declared ones first."""
    found = [one for one in tests["tests"] if one["family"] != "temperatures" and None not in (one["estimate"]["value"], one["estimate"]["ci_low"])]
    return sorted(found, key=lambda one: not is_declared(one))


def _line(one: dict[str, Any]) -> Line:
    """One comparison, its margin on the side that is worse."""
    scale, margin, up = (100.0 if one["is_share"] else 1.0), one.get("margin") or {}, one["higher_is_better"]
    bound = next((value for name in ("low", "high") if (value := margin.get(name)) is not None), None)
    value, low, high = (scale * one["estimate"][name] for name in ("value", "ci_low", "ci_high"))
    return Line(
        label=marked_label(one),
        value=value,
        low=low,
        high=high,
        is_declared=is_declared(one),
        is_up_better=up,
        margin=None if bound is None else scale * abs(bound) * (-1 if up else 1),
        unit=" pp" if one["is_share"] else "",
    )


def _repeats(view: View) -> Iterator[str]:
    """What prepare said of items that ask the same: they are one cluster, unless they have clusters of their own."""
    for note in notes(view.prepared.sources if view.prepared is not None else {}):
        if REPEATED in note:
            yield note


OUTCOMES: Final = ("requests", "succeeded", "errored", "expired", "cancelled", "missing")


def _account(account: dict[str, Any], strip_thinking: str | None) -> list[Block]:
    arms = {**account["arms"], "all": account["all"]}
    rows = tuple((stem, *(str(one[name]) for name in OUTCOMES)) for stem, one in arms.items())
    found: list[Block] = [Heading(2, "What became of the requests"), Grid(("arm", *OUTCOMES), rows)]
    found += account_blocks(account, strip_thinking)
    odd = {kind: one for kind, one in account["odd_lines"].items() if one["count"]}
    if odd:
        found.append(Paragraph("Result lines that were odd: " + ", ".join(f"{one['count']} {kind}" for kind, one in odd.items()) + "."))
        samples = [json.dumps({"kind": kind, **sample}, ensure_ascii=False) for kind, one in odd.items() for sample in one["samples"]]
        found.append(Quote("\n".join(text[:MOST_CHARS] for text in samples)))
    return found


def _costs(costs: dict[str, Any], view: View) -> list[Block]:
    rows = []
    for stem, one in costs["arms"].items():
        shared = f"{one['shared_by_trials']} trials" if one["shared_by_trials"] > 1 else "-"
        rows.append((stem, f"{one['prompt_tokens']:,}", f"{one['completion_tokens']:,}", one["cost"], usd(one["estimate_usd"]), shared))
    judges = costs.get("judges")
    each = {f"judge {name}": one for name, one in judges["by_judge"].items()} if judges else {}
    for called, one in (each | ({"judges since replaced": judges["replaced"]} if judges and "replaced" in judges else {})).items():
        rows.append((called, f"{one['prompt_tokens']:,}", f"{one['completion_tokens']:,}", one["cost"], usd(one["estimate_usd"]), "all trials"))
    pricing = costs["pricing"]
    source = _price_source(pricing) if costs["arms"] else "none were needed"
    if "by_arm" in pricing:
        source = "; ".join(f"{stem}: {one['model_key']}, {_price_source(one)}" for stem, one in pricing["by_arm"].items())
    found: list[Block] = [
        Heading(2, "Cost" + _paid(view)),
        Grid(("arm", "prompt tokens", "answer tokens", "cost", "reserved at most", "shared by"), tuple(rows)),
        Paragraph(f"{'The arms together' if judges else 'Together'} {costs['cost']}, at batch rate. Prices: {source}."),
    ]
    if judges:
        found.append(Paragraph(f"The judges besides, for all trials of the run: {judges['cost']}."))
    twice = bought_twice(view)
    if twice is not None:
        found.append(Paragraph(twice))
    found += [Paragraph(text) for text in per_right_answer(costs)]
    return found


def _price_source(pricing: dict[str, Any]) -> str:
    table = pricing["table"]
    return str(pricing.get("provenance") or f"no price in {table['source']} {table['version']} of {table['newest_entry']}")


def _paid(view: View) -> str:
    if view.config.is_live:
        return ""
    return " (simulated: nothing was paid)" if view.config.is_simulated else " (nothing was paid)"


def recorded(view: View) -> dict[str, Any]:
    """Where recorded answers came from, when the recording says it."""
    return read_json(view.layout.provenance) if view.layout.provenance.exists() else {}


def server(view: View) -> list[tuple[str, str]]:
    """What the server of a `local` run said it is."""
    if not view.layout.server.exists():
        return []
    told = read_json(view.layout.server)
    names = [str(one.get("id")) for one in told["models"] if isinstance(one, dict)]
    facts = {"models": ", ".join(names), "build": told.get("build"), "context length": told.get("context_length")}
    return [(f"server: {name}", str(value)) for name, value in facts.items() if value]


def _computed_by(metric: Mapping[str, Any]) -> str:
    """The files of a metric of the user's own; of one by name its name, with the library or the program's version."""
    library = " ".join(str(part) for part in (metric.get("library"), metric.get("version")) if part)
    return ", ".join(part for part in (*metric["files"], metric.get("metric"), library) if part)


def _provenance(view: View, trial: Trial, tests: dict[str, Any], costs: dict[str, Any]) -> list[Block]:
    config = view.config
    models = dict.fromkeys(arm.model for arm in trial.arms) or (trial.model,)
    backends = ", ".join(dict.fromkeys(arm.backend for arm in trial.arms))
    rows = [("model", ", ".join(models)), ("backend", backends), ("host that answered", hosts_of(config))]
    if config.control_from is not None:
        rows.append(("control", f"answers taken over from run {config.control_from}; none was bought for this run"))
    rows += [("config hash", config_hash(config)), ("batchtrial", __version__)]
    if "plan" in tests:
        rows.append(("analysis plan", tests["plan"]["hash"] or "none was frozen"))
    rows += [(f"answers: {name.replace('_', ' ')}", str(value)) for name, value in recorded(view).items() if value]
    for path, one in read_record(view.trial_layout(trial)).get("metrics", {}).items():
        rows.append((f"metric {path}", " -> ".join([*one["changed_from"], one["sha256"]]) + f" ({_computed_by(one)})"))
    rows += server(view)
    for arm in trial.arms:
        rows.append((f"{arm.stem} prompt", arm.prompt.system.sha256))
        if arm.task:
            rows.append((f"{arm.stem} task", compiled(arm.task).sha256))
            continue
        rows += [(f"{arm.stem} {book} instruction", getattr(arm.instructions, book).sha256) for book in ("open_book", "closed_book")]
    rows += [("item order seed", str(config.seed)), ("statistics seed", str(config.stats.random_seed))]
    if config.mode == "dry_run":
        rows.append(("simulation seed", str(config.simulation.seed)))
    if view.prepared is not None:
        rows += [(f"{book} items", f"{file.items}, sha256 {file.sha256}") for book, file in sorted(view.prepared.datasets.items())]
    if table := costs["pricing"]["table"]:
        rows.append(("prices", f"{table['source']} {table['version']}"))
    live = "A live model is not promised to repeat itself: a second run may differ in every answer."
    return [Heading(2, "Where this comes from"), Grid(("what", "value"), tuple(rows)), Paragraph(live)]
