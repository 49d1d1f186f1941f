"""scoring.json: what scored a trial. The user's metrics with their code, what they failed on, and answers that are not mainly English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from batchtrial.amounts import counted
from batchtrial.config.metric_sources import own_paths, sources_of
from batchtrial.config.model import Config
from batchtrial.errors import ManifestCorrupt
from batchtrial.scoring import Scorer
from batchtrial.scoring.metrics.named import sha256_of
from batchtrial.scoring.scorer import Failures
from batchtrial.state.layout import TrialLayout
from batchtrial.state.store import read_json

if TYPE_CHECKING:
    from batchtrial.phases.score.part import Scored

_SHOWN_DIGITS: Final = 12


def read_record(layout: TrialLayout) -> dict[str, Any]:
    """The record; empty where an earlier version scored. Raises ManifestCorrupt."""
    if not layout.scoring.exists():
        return {}
    try:
        found = read_json(layout.scoring)
        fault = next((name for name in ("metric_by_set", "metrics", "languages") if not isinstance(found.get(name, {}), dict)), None)
    except (ValueError, TypeError) as error:
        fault = str(error)
    if fault is not None:
        hint = "`batchtrial resume --run_id RUN` makes it again"
        raise ManifestCorrupt(f"{layout.scoring.name} is damaged: {fault}", where=str(layout.scoring), hint=hint)
    return found


def _recorded(layout: TrialLayout) -> Mapping[str, Mapping[str, Any]]:
    try:
        found: Mapping[str, Mapping[str, Any]] = read_record(layout).get("metrics", {})
    except ManifestCorrupt:  # then nothing is known, and the stage's own check names the file
        return {}
    return found


def code_of(config: Config, layout: TrialLayout) -> dict[str, str]:
    """sha256 of the code of each of the user's metrics, by import path; of a metric that is no longer there, what it was when it scored."""
    if not config.metrics and not own_paths(config):
        return {}
    recorded = _recorded(layout)
    return {path: sha256 or str(recorded.get(path, {}).get("sha256", "")) for path, sha256 in sources_of(config).items()}


def changed(config: Config, layout: TrialLayout) -> str:
    """Which metric's code is another one than when it scored, with both hashes; "" when none is, or nothing was scored."""
    recorded = _recorded(layout) if config.metrics or own_paths(config) else {}
    edited = [
        f"the metric {path} has changed since it scored (sha256 {recorded[path]['sha256'][:_SHOWN_DIGITS]} -> {sha256[:_SHOWN_DIGITS]})"
        for path, sha256 in (code_of(config, layout).items() if recorded else ())
        if path in recorded and recorded[path]["sha256"] != sha256
    ]
    return "; ".join(edited)


def scoring_record(config: Config, layout: TrialLayout, by_set: Mapping[str, Scorer], arms: Mapping[str, Scored]) -> dict[str, Any]:
    """The content of scoring.json; the record that is there says which code scored before. arms: by the stem of each."""
    failures = Failures()
    for one in arms.values():
        failures.extend(one.failures)
    own = {metric.path: metric for scorer in by_set.values() for metric in scorer.own}
    recorded, metrics = _recorded(layout), {}
    for path, metric in own.items():
        metrics[path] = {
            "sha256": metric.source.sha256,
            "files": list(metric.source.files),
            "names": sorted(metric.names),
            "scales": {name: scale for name in sorted(metric.names) if (scale := metric.scale_of(name)) is not None},
            "limits": {name: list(limits) for name in sorted(metric.names) if (limits := metric.limits_of(name)) is not None},
            "changed_from": _earlier(recorded.get(path), metric.source.sha256),
            "n_failed": failures.counts.get(path, 0),
            "failures": failures.samples.get(path, []),
        }
    by_column = {metric.column: metric for scorer in by_set.values() for metric in scorer.named}
    for column, named in by_column.items():
        sha256 = sha256_of(named)
        metrics[column] = named.record() | {"sha256": sha256, "changed_from": _earlier(recorded.get(column), sha256)}
    mains = [scorer.main for scorer in by_set.values()]
    return {
        "schema_version": 1,
        "metric_by_set": {name: scorer.name for name, scorer in by_set.items()},
        "metrics": metrics,
        "metric_errors": config.metric_errors,
        "f1_is_em": bool(mains) and all(main is not None and "f1" not in main.names for main in mains),
        "abstention_phrases": list(config.answers.abstention_phrases),
        "languages": {stem: {"answers": one.n_answers, "not_english": one.n_foreign} for stem, one in arms.items()},
    }


def limits_of(record: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """The lowest and the highest that a metric's numbers can be, by its name, of those that say so."""
    return {name: (low, high) for one in record.get("metrics", {}).values() for name, (low, high) in one.get("limits", {}).items()}


def _earlier(before: Mapping[str, Any] | None, sha256: str) -> list[str]:
    """Hashes of the code that scored before this one."""
    return [] if not before else [*before.get("changed_from", []), *([before["sha256"]] if before["sha256"] != sha256 else [])]


def remarks(record: Mapping[str, Any]) -> Iterator[str]:
    """What a reader of the scores must know, in words."""
    for path, one in record.get("metrics", {}).items():
        if one["n_failed"]:
            yield f"the metric {path} failed on {counted(one['n_failed'], 'answer')}, lost to it; first: {one['failures'][0]}"
        if one["changed_from"]:
            yield f"the metric {path} was changed after it had scored: sha256 {_arrow([*one['changed_from'], one['sha256']])}"
    languages = record.get("languages", {})
    n, foreign = (sum(one[key] for one in languages.values()) for key in ("answers", "not_english"))
    if foreign:
        by_arm = ", ".join(f"{stem} {one['not_english']}" for stem, one in languages.items())
        known = record.get("abstention_phrases")
        beside = f", beside {len(known)} phrases of the config" if known else ""
        is_are = "is" if foreign == 1 else "are"
        yield f"{foreign} of {n} answers {is_are} not mainly English ({by_arm}); abstentions are recognised in English only{beside}"


def _arrow(hashes: Sequence[str]) -> str:
    return " -> ".join(one[:_SHOWN_DIGITS] for one in hashes)
