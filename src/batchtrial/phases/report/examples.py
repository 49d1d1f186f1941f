"""Items on which the arms differ most plainly, for the report: the same number each way, chosen by the seed and not by what they say.

They follow the primary endpoint. With several samples of an item its score is a share of them; the sample that is shown is the first one that did
what most did, or the nearest to the mean where a metric is no yes or no.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from typing import Final

import polars as pl

from batchtrial.amounts import counted
from batchtrial.config.expand import Trial, arms_of
from batchtrial.config.metric_entries import lower_is_better, own_functions
from batchtrial.config.model import Endpoint
from batchtrial.keys import digest
from batchtrial.phases.analyse.declared import better_when_higher
from batchtrial.phases.analyse.tables import COLUMNS
from batchtrial.phases.base import View, arms_in_order
from batchtrial.phases.build.questions import Questions
from batchtrial.phases.prepare.endpoints import metric_by_set
from batchtrial.phases.prepare.metrics import answer_rules, usable_metrics
from batchtrial.phases.prepare.set_rules import set_rules
from batchtrial.phases.report.render import Block, Heading, Paragraph, Quote
from batchtrial.phases.score.record import read_record
from batchtrial.phases.score.told import WRONG, told, wrong
from batchtrial.phases.tables.columns import has_questions, kind_words
from batchtrial.phases.tables.trial_scores import scores_of
from batchtrial.records import CONDITIONS, KEY_SEPARATOR, Item
from batchtrial.scoring import ItemScore, OverlapRule, Scorer, scorer_for
from batchtrial.scoring.scorer import Failures

EXAMPLES_EACH_WAY: Final = 3
MOST_CHARS: Final = 400
DID: Final[Mapping[str, str]] = {
    "em": "was right",
    "abstained": "abstained",
    "false_answer": "answered the unanswerable",
    "unsupported": "answered without lexical support",
}
"""What an arm did when a yes-or-no metric is 1."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer as it came, and what the primary metric says of it; None where it has no score."""

    text: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it came, and what of it is scored; None where nothing is."""

    text: str
    scored: str | None


def example_blocks(view: View, trial: Trial) -> list[Block]:
    """The section, empty when there are not two arms or the metric is not there."""
    layout, temp, endpoint = view.trial_layout(trial), trial.temps[0], view.config.stats.primary
    wide = _scores(view, trial, endpoint, temp)
    if wide is None:
        return []
    k, is_yes_or_no, asks = view.config.samples_for(temp), endpoint.metric in DID, has_questions(arms_of(view.trials))
    sets = wide["item_key"].str.split_exact(KEY_SEPARATOR, 1).struct.field("field_0").unique().drop_nulls().to_list()
    called = set_rules(read_record(layout)).title(endpoint.metric, sets)
    found: list[Block] = [Heading(2, "Items that changed"), Paragraph(_rule(endpoint, called, k, is_yes_or_no=is_yes_or_no, asks=asks))]
    is_up_better = better_when_higher(endpoint.metric, endpoint, lower_is_better(view.config.metrics))
    found_ways = _ways(wide, endpoint, called, k, is_up_better=is_up_better)
    ways = [(title, _pick(keys, view.config.stats.random_seed), len(keys)) for title, keys in found_ways]
    keys = [key for _, some, _ in ways for key in some]
    shown = wide.filter(pl.col("item_key").is_in(keys))
    items, samples = _items(view, shown), _samples(view, trial, shown, temp)
    scorers = _scorers(view)
    for title, chosen, n in ways:
        found.append(Heading(3, f"{title} ({counted(n, 'item')})"))
        if not chosen:
            found.append(Paragraph("None."))
        for key in chosen:
            if key in items:
                found.append(Quote(_example(items[key], samples, scorers, endpoint, k)))
    return found


def _scores(view: View, trial: Trial, endpoint: Endpoint, temp: float) -> pl.DataFrame | None:
    """Control and treatment by item, for the questions of the primary endpoint."""
    if not arms_in_order(trial):
        return None
    column = COLUMNS.get(endpoint.metric, endpoint.metric)
    scores = scores_of(view.layout, trial)
    if column not in scores.collect_schema().names():
        return None
    of_kind = pl.lit(True) if endpoint.kind == "all" else pl.col("type") == endpoint.kind
    here = scores.filter((pl.col("temp") == temp) & of_kind)
    control, treatment = (here.filter(pl.col("condition") == one).select("place", "item_key", pl.col(column).alias(one)) for one in CONDITIONS)
    wide = control.join(treatment.drop("item_key"), on="place", maintain_order="left").collect()
    return wide if wide.height else None


def _rule(endpoint: Endpoint, called: str, k: int, *, is_yes_or_no: bool, asks: bool) -> str:
    where = f"{called}, {kind_words(endpoint.kind, has_questions=asks)}"
    each = f"By the primary endpoint ({where}); up to {EXAMPLES_EACH_WAY} each way, chosen by the seed."
    if k == 1:
        return each
    if is_yes_or_no:
        return f"{each} Of the {k} samples of an item, half or more count as yes; the answer shown is the first that did what most did."
    return f"{each} Scores are means of the {k} samples of an item; the answer shown is the one whose score is nearest to the mean."


def _ways(wide: pl.DataFrame, endpoint: Endpoint, called: str, k: int, *, is_up_better: bool) -> list[tuple[str, pl.Series]]:
    """(title, items) both ways, what is better under the treatment first."""
    treatment, control = pl.col("treatment"), pl.col("control")
    did = DID.get(endpoint.metric)
    if did is not None:
        most = " in most samples" if k > 1 else ""
        up = (f"Only the treatment {did}{most}", wide.filter((treatment >= 0.5) & (control < 0.5)))
        down = (f"Only the control {did}{most}", wide.filter((treatment < 0.5) & (control >= 0.5)))
    else:
        up = (f"Higher {called} under the treatment", wide.filter(treatment > control + 1e-9))
        down = (f"Higher {called} under the control", wide.filter(treatment < control - 1e-9))
    return [(title, frame["item_key"]) for title, frame in ((up, down) if is_up_better else (down, up))]


def _pick(keys: Iterable[str], seed: int) -> list[str]:
    return nsmallest(EXAMPLES_EACH_WAY, keys, key=lambda key: digest((str(seed), key), 16))


def _scorers(view: View) -> dict[str, Scorer]:
    config = view.config
    rule = OverlapRule(threshold=config.unsupported.threshold, min_token_overlap=config.unsupported.min_token_overlap)
    sets = metric_by_set(view.prepared.sources) if view.prepared is not None else {}
    failures = Failures() if config.metric_errors == "lost" else None
    further, named = own_functions(config.metrics), usable_metrics(config)
    return {
        name: scorer_for(
            metric, further=further, named=named, rule=rule, folders=(".",), phrases=config.answers.abstention_phrases, failures=failures
        )
        for name, metric in sets.items()
    }


def _example(item: Item, samples: Mapping[tuple[str, str], Sequence[Answer]], scorers: Mapping[str, Scorer], endpoint: Endpoint, k: int) -> str:
    accepted = "; ".join(item.answers) or "(cannot be answered from the passage)"
    lines = [f"item      {item.key}", f"question  {_short(item.question)}", f"accepted  {_short(accepted)}"]
    for condition in CONDITIONS:
        answers = samples.get((item.key, condition), ())
        # One sample is shown whatever it scores; a scorer takes half a second to be ready for its first answer.
        scorer = scorers.get(item.dataset) if k > 1 else None
        given = [_scored(one, item, scorer, endpoint.metric) for one in answers]
        lines.append(f"{condition:<9} {_shown(given, endpoint.metric, k)}")
    return "\n".join(lines)


def _scored(answer: Answer, item: Item, scorer: Scorer | None, metric: str) -> Sample:
    if scorer is None or answer.scored is None:
        return Sample(answer.text, None)
    gold = scorer.prepare_gold(item)
    if answer.scored is WRONG:
        value = dict(zip(ItemScore._fields, wrong(gold), strict=False)).get(metric)
        return Sample(answer.text, None if value is None or math.isnan(value) else value)
    scores = scorer.score_all([gold], [answer.scored])
    if math.isnan(scores.abstained[0]):  # the set's own metric failed on it, and the config says that it is lost then
        return Sample(answer.text, None)
    score = scores.one(0)
    named = scorer.score_named([gold], [answer.scored]) if metric not in ItemScore._fields else {}
    found = getattr(score, metric) if metric in ItemScore._fields else named[metric][0] if metric in named else score.custom.get(metric)
    return Sample(answer.text, None if found is None or math.isnan(found) else float(found))


def _shown(given: Sequence[Sample], metric: str, k: int) -> str:
    """The answer to show, with how many samples did the same where there are several."""
    if not given:
        return "(no answer)"
    values = [one.value for one in given if one.value is not None]
    if k == 1 or not values:
        return _short(given[0].text)
    mean = sum(values) / len(values)
    if metric in DID:
        target, note = float(mean >= 0.5), f"[{DID[metric]} in {sum(values):.0f} of {len(values)}]"
    else:
        target, note = mean, f"[mean {mean:.4g} of {len(values)}]"
    best = min((one for one in given if one.value is not None), key=lambda one: abs((one.value or 0.0) - target))
    return f"{note} {_short(best.text)}"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= MOST_CHARS else f"{flat[:MOST_CHARS]} ... ({len(flat)} characters)"


def _samples(view: View, trial: Trial, items: pl.DataFrame, temp: float) -> dict[tuple[str, str], list[Answer]]:
    """Answers to these items by (item, condition), in the order of the samples."""
    found: dict[tuple[str, str], list[Answer]] = {}
    for arm in (one for one in trial.arms if one.at == temp):
        table = pl.scan_parquet(view.layout.arm(arm.name).answers).select("outcome", "answer_state", "text")
        for place, key in items.select("place", "item_key").iter_rows():
            rows = table.slice(place * arm.samples, arm.samples).collect()
            texts = told(rows, answer_rules(view.config)).texts
            found[key, arm.condition] = [Answer(text or "", scored) for text, scored in zip(rows["text"].to_list(), texts, strict=True)]
    return found


def _items(view: View, items: pl.DataFrame) -> dict[str, Item]:
    with Questions(view.layout) as questions:
        return {item.key: item for place in items["place"].to_list() for item in questions.read(place, 1)}
