"""Whether the endpoints of the plan can exist with these questions and metrics: asked before anything is bought."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NoReturn

from batchtrial.config.judge_arms import judged_metrics
from batchtrial.config.metric_entries import named_metrics, own_functions
from batchtrial.config.model import Config, Endpoint
from batchtrial.errors import ConfigError
from batchtrial.phases.prepare.set_rules import SetRules
from batchtrial.phases.tables.columns import KINDS, LABELS, MEASURES
from batchtrial.records import Item
from batchtrial.scoring import Scorer, scorer_for
from batchtrial.scoring.thinking import rule_fault


def check_endpoints(config: Config, items: Sequence[Item] | None, sources: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises ConfigError for an endpoint that no answer could decide, naming what there is, and for a rule that would leave no answer to decide by.

    items: those of the whole question sets, since a rehearsal on a few of them may lack a kind; None when they are not at hand: then only names are
    looked at. sources: as in the prepared manifest.
    """
    if fault := rule_fault(config.answers.strip_thinking or "auto"):
        raise ConfigError(f"answers.strip_thinking: {fault}", where="answers.strip_thinking", hint="`auto` takes out the usual marks")
    metrics = metric_by_set(sources)
    offered = offers(config, items, metrics) if items is not None else None
    own = {name: metric for name, metric in metrics.items() if ":" in metric}
    rules = SetRules(own, frozenset(own.values()))
    titles = {**LABELS, **{name: rules.title(name, metrics) for name in ("em", "f1")}}
    seen: dict[tuple[str, str], str] = {}
    corpus = {one.column for one in named_metrics(config.metrics) if one.kind == "corpus"}
    for where, endpoint in _endpoints(config):
        if endpoint.metric in corpus:
            hint = "the report compares it; a metric of each answer, such as `similarity` or `rouge_l`, can be an endpoint"
            what = f"{where}: {endpoint.metric} is a score of all answers together, and no endpoint of the plan"
            raise ConfigError(what, where=f"{where}.metric", hint=hint)
        if items is not None and offered is not None:
            _check_one(where, endpoint, offered, items, titles)
        elif (
            endpoint.metric not in {*MEASURES, *judged_metrics(config)}
            and not config.metrics
            and not any(":" in metric for metric in metrics.values())
        ):
            _refuse_name(where, endpoint.metric, MEASURES, titles)
        if endpoint.margin is not None and endpoint.margin >= 1.0 and not _has_a_unit(config, endpoint.metric, metrics):
            what = (
                f"{where}: no two shares differ by more than the margin of {endpoint.margin:g}, and {endpoint.metric} is no declared count or grade"
            )
            hint = "three percentage points are 0.03; a metric of your own declares its `scale`: count or grade"
            raise ConfigError(what, where=f"{where}.margin", hint=hint)
        twin = seen.setdefault((endpoint.metric, _covered(endpoint, offered)), where)
        if twin != where:
            raise ConfigError(f"{twin} and {where} are the same endpoint", where=f"{where}: {endpoint.metric}, {endpoint.kind}", hint="leave one out")


def _covered(endpoint: Endpoint, offered: Mapping[str, tuple[str, ...]] | None) -> str:
    """The kind of questions that an endpoint compares; where there is only one with its metric, `all` is that one."""
    there = [kind for kind in (offered or {}).get(endpoint.metric, ()) if kind != "all"]
    return there[0] if endpoint.kind == "all" and len(there) == 1 else endpoint.kind


def metric_by_set(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """How each question set is scored; a source may give several sets row by row."""
    return {name: str(record["metric"]) for source, record in sources.items() if record.get("metric") for name in record.get("sets") or (source,)}


def offers(config: Config, items: Sequence[Item], metrics: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Metric -> kinds of questions for which these items have it."""
    kinds: dict[str, set[str]] = {name: set() for name in MEASURES}
    own = {name: _numbers(config, metric, first) for name, (metric, first) in _first_of_sets(items, metrics).items()}
    for item in items:
        given = own.get(item.dataset)
        has_reference = bool(item.answers) or item.is_unanswerable or given is not None
        names = ["em", "abstained"] if has_reference else ["abstained"]
        names += ["f1"] if has_reference and (given is None or "f1" in given) else []
        names += ["false_answer"] if item.is_unanswerable else []
        names += ["unsupported"] if item.kind == "open" else []
        for name in (*names, *(given or ())):
            kinds.setdefault(name, set()).update((item.kind, "all"))
    for name in judged_metrics(config):
        kinds[name] = {"all", *(item.kind for item in items)}
    return {name: tuple(kind for kind in KINDS if kind in found) for name, found in kinds.items() if found}


def _endpoints(config: Config) -> Iterator[tuple[str, Endpoint]]:
    yield "stats.primary", config.stats.primary
    for place, one in enumerate(config.stats.confirmatory):
        yield f"stats.confirmatory.{place}", one


def _has_a_unit(config: Config, name: str, metrics: Mapping[str, str]) -> bool:
    """Whether a metric is declared to be a count or a grade, whose differences may be larger than 1."""
    kinds = {judge.name: judge.kind for judge in config.judges}
    kinds |= {panel.name: kinds[panel.judges[0]] for panel in config.panels}
    if name in kinds:
        return kinds[name] not in ("yes_no", "pairwise")
    own = (one for metric in sorted({*metrics.values()}) for one in scorer_for(metric, further=own_functions(config.metrics), folders=(".",)).own)
    scales = {*(one.scale_of(name) for one in own), *(one.scales.get(name) for one in named_metrics(config.metrics))}
    return not scales.isdisjoint(("count", "grade"))


def _check_one(where: str, endpoint: Endpoint, offered: Mapping[str, tuple[str, ...]], items: Sequence[Item], titles: Mapping[str, str]) -> None:
    name = endpoint.metric
    if name not in offered and name not in MEASURES:
        _refuse_name(where, name, offered, titles)
    there = _listed(offered, titles)
    if name not in offered:
        is_bare = not any(item.answers for item in items)
        why = {
            **(dict.fromkeys(("em", "f1"), "no row has an accepted answer") if is_bare else {}),
            "false_answer": "no question is unanswerable",
            "unsupported": "no question has a passage",
        }.get(name, "its sets are scored without it")
        raise ConfigError(f"{where}: no question of this run has the metric {name}: {why}", where=f"{where}.metric", hint=f"there are: {there}")
    if endpoint.kind not in offered[name]:
        n = sum(item.kind == endpoint.kind for item in items)
        raise ConfigError(
            f"{where}: no question has {name} with kind: {endpoint.kind} ({n} of {len(items)} questions are {endpoint.kind} book)",
            where=f"{where}.kind",
            hint=f"{name} is there with kind: {' or '.join(offered[name])}",
        )


def _refuse_name(where: str, name: str, offered: Iterable[str], titles: Mapping[str, str]) -> NoReturn:
    near, there = _nearest(name, offered), _listed(offered, titles)
    hint = f"did you mean {near}? There are: {there}" if near else f"there are: {there}"
    raise ConfigError(f"{where}: no question of this run has a metric {name!r}", where=f"{where}.metric", hint=hint)


def _listed(offered: Iterable[str], titles: Mapping[str, str]) -> str:
    return ", ".join(f"{one} ({titles[one]})" if one in titles else one for one in offered)


def _nearest(name: str, offered: Iterable[str]) -> str | None:
    """The metric that was probably meant: by its name, or by what it is called in words."""
    spelled = {_plain(word): one for one in offered for word in (one, LABELS.get(one, one))}
    near = difflib.get_close_matches(_plain(name), spelled, 1, cutoff=0.6)
    return spelled[near[0]] if near else None


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())


def _first_of_sets(items: Sequence[Item], metrics: Mapping[str, str]) -> dict[str, tuple[str, Item]]:
    """Set name -> its metric and its first item."""
    found: dict[str, tuple[str, Item]] = {}
    for item in items:
        if item.dataset not in found and item.dataset in metrics:
            found[item.dataset] = (metrics[item.dataset], item)
    return found


def _numbers(config: Config, metric: str, item: Item) -> set[str] | None:
    """Names of the numbers that metrics of one's own give for a set, f1 among them when it is one; None when the set has none of its own."""
    named = {
        column for one in named_metrics(config.metrics) if not one.sets or item.dataset in one.sets for column in one.columns if one.kind != "corpus"
    }
    scorer = scorer_for(metric, further=own_functions(config.metrics), folders=(".",))
    if not scorer.needs_items:
        return {"f1", *named} if named else None
    return _given(scorer, item) | named


def _given(scorer: Scorer, item: Item) -> set[str]:
    text = item.answers[0] if item.answers else "no answer"
    names = set(scorer.score(scorer.prepare_gold(item), text).custom)
    if scorer.main is None:
        return names | {"f1"}
    return names | ({"f1"} & scorer.main.names)
