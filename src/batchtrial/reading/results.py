"""What a run found as polars frames: its comparisons as the reports have them, and what they cost by arm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import polars as pl

from batchtrial.config.expand import Trial
from batchtrial.phases.analyse.numbers import is_declared, is_share
from batchtrial.reading.looks import is_between_looks
from batchtrial.state.files import TrialManifest, load_or_none
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import read_json

_TESTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("trial", "name", "label", "metric", "kind", "dataset", "standing", "family"), pl.String),
    "is_declared": pl.Boolean,
    **dict.fromkeys(("temp", "control", "treatment", "difference", "low", "high", "level", "p", "p_adjusted"), pl.Float64),
    **dict.fromkeys(("correction", "decided_by", "method"), pl.String),
    **dict.fromkeys(("margin_low", "margin_high", "margin_p"), pl.Float64),
    **dict.fromkeys(("verdict", "not_decidable", "sentence"), pl.String),
    **dict.fromkeys(("is_claim", "is_share", "is_judges_word", "higher_is_better"), pl.Boolean),
    **dict.fromkeys(("pairs", "lost", "clusters"), pl.Int64),
}
_COSTS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("trial", "condition", "arm"), pl.String),
    "temp": pl.Float64,
    **dict.fromkeys(("requests", "attempts", "input_tokens", "output_tokens", "shared_by_trials"), pl.Int64),
    **dict.fromkeys(("usd", "usd_at_least", "unknown_usd", "usd_per_request"), pl.Float64),
}


def are_of_these_scores(manifest: TrialManifest | None) -> bool:
    """Whether a trial's tests are of the scores that it has: not once those were made anew since."""
    stages = {} if manifest is None else manifest.stage_status
    at = [stages[name].updated_at for name in ("stats", "scored") if name in stages]
    return len(at) < 2 or at[0] is None or at[1] is None or at[0] >= at[1]


def tests_of(layout: RunLayout, slug: str) -> dict[str, Any]:
    """significance.json of a trial; empty where there is none, or it is of scores that were made anew since."""
    place = layout.trial(slug)
    if not place.significance.exists():
        return {}
    if not are_of_these_scores(load_or_none(TrialManifest, place.manifest)):
        return {}
    found: dict[str, Any] = read_json(place.significance)
    return found


def significance_of(layout: RunLayout, trials: Sequence[Trial]) -> Iterator[tuple[Trial, dict[str, Any]]]:
    """Each trial that was compared, with its significance.json; one that is between two planned looks is left out."""
    for trial in trials:
        found = tests_of(layout, trial.slug)
        if found and not is_between_looks(layout, trial.slug):
            yield trial, found


def comparisons_frame(layout: RunLayout, trials: Sequence[Trial]) -> pl.DataFrame:
    """A row a comparison, declared ones and others, with the numbers, verdicts and sentences of the reports."""
    rows = [_test(trial.slug, one, found) for trial, found in significance_of(layout, trials) for one in found["tests"]]
    return pl.DataFrame(rows, schema=_TESTS)


def _is_judges_word(one: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether it is what a judge says and no labels correct: no claim, whatever its interval."""
    judges = {judge["name"] for judge in found.get("judges") or ()}
    return one["metric"] in judges and not str(one["estimate"].get("method")).startswith("ppi")


def _test(slug: str, one: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    estimate, margin, arms = one["estimate"], one.get("margin") or {}, one["arms"]
    plain = ("name", "label", "metric", "kind", "dataset", "standing", "family", "temp", "p_adjusted", "correction", "decided_by", "verdict")
    return {name: one.get(name) for name in (*plain, "sentence", "is_claim", "higher_is_better", "not_decidable")} | {
        "trial": slug,
        "is_declared": is_declared(one),
        "is_share": is_share(one),
        "is_judges_word": _is_judges_word(one, found),
        "control": arms["control"]["value"],
        "treatment": arms["treatment"]["value"],
        "difference": estimate["value"],
        "low": estimate["ci_low"],
        "high": estimate["ci_high"],
        "level": estimate.get("level"),
        "method": estimate.get("method"),
        "p": one["test"]["p_value"],
        "margin_low": margin.get("low"),
        "margin_high": margin.get("high"),
        "margin_p": margin.get("p_value"),
        "pairs": one["pairs"]["n"],
        "lost": one["pairs"]["dropped"],
        "clusters": one.get("n_clusters"),
    }


def costs_frame(layout: RunLayout, trials: Sequence[Trial]) -> pl.DataFrame:
    """A row an arm and trial: requests, tokens and dollars, null where they are not known. An arm that trials share stands once in each of them."""
    found = [(trial, read_json(path)) for trial in trials if (path := layout.trial(trial.slug).costs).exists()]
    return pl.DataFrame([_cost(trial.slug, one) for trial, costs in found for one in costs["arms"].values()], schema=_COSTS)


def _cost(slug: str, one: Mapping[str, Any]) -> dict[str, Any]:
    tokens = {"input_tokens": one["prompt_tokens"], "output_tokens": one["completion_tokens"]}
    return {"trial": slug, **tokens, **{name: one.get(name) for name in _COSTS if name not in ("trial", *tokens)}}
