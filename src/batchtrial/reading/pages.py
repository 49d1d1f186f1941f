"""What a page shows of a run: the run itself, rows of pairs with the beginning of their texts, and everything about one item.

The server answers with these, and the page that is mailed carries the same under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import polars as pl

from batchtrial.config.arm_differences import arm_differences
from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.contrasts import as_counted
from batchtrial.config.expand import Arm, Trial
from batchtrial.config.load import config_hash
from batchtrial.modes import MODES
from batchtrial.phases.analyse.numbers import is_declared
from batchtrial.phases.report.judge_words import judge_tables
from batchtrial.reading.ask import FLAGS, OUTCOMES, REASON
from batchtrial.reading.every_arm import beginnings, cells, score_at, scores_of
from batchtrial.reading.judgements import verdicts
from batchtrial.reading.long_texts import conversations, fold, text_head
from batchtrial.reading.metrics import metrics_json
from batchtrial.reading.outcomes import Outcomes
from batchtrial.reading.results import tests_of
from batchtrial.reading.run_tables import Pairs, RunTables
from batchtrial.reading.slices import Slicer
from batchtrial.records import Item

EXCERPT: Final = 320
"""Characters of a text in a row."""
_OF_ANSWER: Final = (
    *("outcome", "answer_state", "finish_reason", "input_tokens", "output_tokens", "usd", "attempt"),
    *("custom_id", "request_id", "error"),
)
"""What is shown of an answer beside its text."""
NOT_BOUGHT: Final = {"text": "", "outcome": "not bought"}
"""In the place of an answer of an arm that was stopped before the item."""


def about(tables: RunTables) -> dict[str, Any]:
    """The run: its trials with their arms, metrics, declared results, prompts, and what can be chosen from."""
    config = tables.config
    called = labels_of_arms(config, tables.trials)
    names = {arm.name: place for place, arm in enumerate(tables.arms())}
    items = tables.items
    with ThreadPoolExecutor(1) as beside:  # columns of the source are looked for in all prepared lines, which takes as long as all scores
        choices = beside.submit(lambda: items.choices)
        trials = [_trial(tables, trial, temp, names) for trial, temp in shown(tables)]
    return {
        "form": 1,
        "banner": MODES[config.mode].banner or "",
        "config": config_hash(config)[:12],
        "n_items": tables.n_asked,
        "alpha": config.stats.alpha,
        "clusters": config.stats.clusters == "auto" and items.clusters is not None,
        "choices": choices.result(),
        "unlisted": tables.n_unlisted(),
        "outcomes": list(OUTCOMES),
        "arms": [_arm(arm, called[arm.name]) for arm in tables.arms()],
        "trials": trials,
        "nothing": "" if trials else _nothing(tables),
    }


def _nothing(tables: RunTables) -> str:
    """Why there will never be pairs; "" where they may still come."""
    if not any(len(trial.arms) > len(trial.temps) for trial in tables.trials):
        return "The run has one arm only: there is nothing to compare."
    whys = [trial.why_absent for trial in tables.trials]
    return f"No trial has both of its arms: {'; '.join(dict.fromkeys(whys))}." if all(whys) else ""


def shown(tables: RunTables) -> list[tuple[Trial, float]]:
    """What can be chosen: declared trials as people count, then other two arms."""
    declared = sorted(tables.ready(), key=lambda one: as_counted(tables.config, one[0].against, one[0].prompt_set))
    return [*declared, *tables.others()]


def _arm(arm: Arm, called: str) -> dict[str, Any]:
    return {
        "name": arm.name,
        "called": called,
        "model": arm.model,
        "backend": arm.backend,
        "temp": arm.temp,
        "samples": arm.samples,
        "system": arm.prompt.system.text,
    }


def _trial(tables: RunTables, trial: Trial, temp: float, names: Mapping[str, int]) -> dict[str, Any]:
    pairs = tables.pairs(trial.slug, temp)
    tests = tests_of(tables.layout, trial.slug)
    shown = (
        "label",
        "metric",
        "kind",
        "dataset",
        "family",
        "is_share",
        "higher_is_better",
        "estimate",
        "margin",
        "verdict",
        "p_adjusted",
        "sentence",
    )
    mine = [one for one in tests.get("tests", ()) if one["temp"] == temp]
    return {
        "slug": trial.slug,
        "temp": temp,
        "title": trial.prompt_set,
        "against": trial.against,
        "control": names[pairs.control.name],
        "treatment": names[pairs.treatment.name],
        "samples": pairs.samples,
        "metrics": metrics_json(pairs.metrics),
        "headline": (tests.get("headline") or {}).get("sentence", ""),
        "withheld": tables.withheld(trial),
        "looked": any(tests_of(tables.layout, one.slug).get("looks") for one in ((trial,) if trial in tables.trials else tables.trials)),
        "tests": [{name: one.get(name) for name in shown} | {"is_declared": is_declared(one)} for one in mine],
        "judges": [one._asdict() for one in judge_tables(tests)],
        "is_declared": trial in tables.trials,
        "differences": [[one.field, one.before, one.after] for one in arm_differences(pairs.control, pairs.treatment)],
    }


def rows(slicer: Slicer, metric: str, places: Sequence[int], labels: Mapping[str, str], *, with_others: bool = False) -> list[dict[str, Any]]:
    """The pairs at these places: outcome, scores, and the beginnings of question and answers. labels: verdict by item key; with_others: what the
    other arms of the run have of these items too."""
    tables, pairs = slicer.tables, slicer.pairs
    one = pairs.metric(metric)
    outcomes, items = slicer.outcomes(one), tables.items.read(places)
    said = [beginnings(tables, arm, places, EXCERPT) for arm in (pairs.control, pairs.treatment)]
    others = cells(tables, pairs, one, places, EXCERPT) if with_others else [[] for _ in places]
    return [
        {
            "place": place,
            "key": item.key,
            "id": item.item_id,
            "dataset": item.dataset,
            "kind": item.kind,
            "question": item.question[:EXCERPT],
            "answers": [said[0][at], said[1][at]],
            "outcome": OUTCOMES[outcomes.codes[place]],
            "marks": marks_of(outcomes, place),
            "scores": [_number(arm[place]) for arm in pairs.scores[one.column]],
            "n": [pairs.samples - round(float(arm[place]) * pairs.samples) for arm in pairs.lost],
            "label": labels.get(item.key, ""),
            "others": others[at],
        }
        for at, (place, item) in enumerate(zip(places, items, strict=True))
    ]


def marks_of(outcomes: Outcomes, place: int) -> list[str]:
    """Names of the chips beside its outcome that a pair has."""
    return [name for name in FLAGS if outcomes.flags[name][place]] + [f"{REASON}{why}" for why, one in outcomes.reasons.items() if one[place]]


def detail(tables: RunTables, pairs: Pairs, place: int) -> dict[str, Any]:
    """Everything about the item at a place: question, references, columns, what was sent and what came back, in every arm of the run.

    Of long texts there are the beginnings: `long_texts.page_of` has the rest.
    """
    item = tables.items.read([place])[0]
    turns, by = conversations(tables, item)
    found = fold(item_json(item) | {"place": place, "sent": turns, "by": by, "by_arm": [samples(tables, arm, [place])[0] for arm in tables.arms()]})
    found["judged"] = judged(tables, [place])[place]
    arms = tables.arms()
    found["scores"] = {one.name: [score_at(scores_of(tables, pairs, one, arm), place) for arm in arms] for one in pairs.metrics}
    return found


def outcome(slicer: Slicer, metric: str, place: int) -> str | None:
    """What became of the pair by a metric; None of one that is not in the trial."""
    return OUTCOMES[slicer.outcomes(slicer.pairs.metric(metric)).codes[place]] if place < slicer.n else None


def judged(tables: RunTables, places: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    """What each judge said of the answers to these items, by place; arms by their place in `about`."""
    return verdicts(tables.layout, tables.config, places, {arm.name: at for at, arm in enumerate(tables.arms())})


def item_json(item: Item) -> dict[str, Any]:
    """An item as JSON."""
    found: dict[str, Any] = {"key": item.key, "id": item.item_id, "dataset": item.dataset, "kind": item.kind, "question": item.question}
    found |= {"references": list(item.answers), "unanswerable": item.is_unanswerable}
    optional = {"context": item.context, "cluster": item.cluster, "columns": dict(item.columns)}
    return found | {name: value for name, value in optional.items() if value}


def samples(tables: RunTables, arm: Arm, places: Sequence[int]) -> list[list[dict[str, Any]]]:
    """The arm's answers to the items at these places, item by item; of one that a planned look kept from it, that it was not bought."""
    k = arm.samples
    wanted = [place * k + sample for place in places for sample in range(k)]
    table = pl.scan_parquet(tables.layout.arm(arm.name).answers, row_index_name="row").select("row", *_OF_ANSWER, *text_head())
    first, n = min(wanted), max(wanted) - min(wanted) + 1
    rows = (table.slice(first, n) if n == len(wanted) else table.filter(pl.col("row").is_in(wanted))).collect()
    by_row = {row.pop("row"): row for row in rows.iter_rows(named=True)}
    answered = {row: answer_json(one) for row, one in by_row.items()}
    return [[answered.get(place * k + sample, NOT_BOUGHT) for sample in range(k)] for place in places]


def answer_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """One answer as JSON, without what is not known of it."""
    return {"text": row["text"] or ""} | {name: value for name, value in row.items() if value is not None and name != "text"}


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def histogram(values: np.ndarray[Any, np.dtype[np.float64]], bins: int = 24) -> dict[str, Any] | None:
    """Counts between even edges, without what lies far out, which is counted in the outermost ones; None without numbers."""
    own = values[~np.isnan(values)]
    if own.size == 0:
        return None
    low, high = (float(one) for one in np.quantile(own, (0.01, 0.99)))
    if low == high:
        low, high = low - 0.5, high + 0.5
    counts, edges = np.histogram(np.clip(own, low, high), bins=bins, range=(low, high))
    return {"low": float(edges[0]), "high": float(edges[-1]), "counts": counts.tolist(), "n": int(own.size)}


def pictures(slicer: Slicer, metric: str, mask: np.ndarray[Any, np.dtype[np.bool_]], most: int = 1500) -> dict[str, Any]:
    """Histograms of the change in length and score over a slice, and control against treatment for a grade."""
    one = slicer.pairs.metric(metric)
    control, treatment = slicer.pairs.scores[one.column]
    length = slicer.number("length_change", one)
    found: dict[str, Any] = {"length_change": histogram(length[mask]), "score_change": histogram((treatment - control)[mask])}
    if not one.is_rate:
        places = np.flatnonzero(mask & ~np.isnan(control) & ~np.isnan(treatment))
        places = places[:: max(1, -(-places.size // most))]
        found["scatter"] = [[int(place), float(control[place]), float(treatment[place])] for place in places]
    return found
