"""What a report says about the plan of a run: that it was followed, that nobody wrote one, or what was changed and when; and which way is better."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from batchtrial.config.analysis_plan import NOT_THERE, differences, plan_hash, written_keys
from batchtrial.config.expand import arms_of, expand
from batchtrial.config.model import Config, StatsConfig
from batchtrial.config.model import Endpoint as Declared
from batchtrial.phases.batches.frozen_plan import Change, FrozenPlan, Role, frozen_plan, plan_now
from batchtrial.phases.tables.columns import has_questions, kind_words
from batchtrial.stats import Finding, Judgement
from batchtrial.stats.wording import Origin

MORE_OF: Final = {
    "em": ("more right answers", "fewer right answers"),
    "f1": ("higher token F1", "lower token F1"),
    "abstained": ("more abstentions", "fewer abstentions"),
    "false_answer": ("more false answers", "fewer false answers"),
    "unsupported": ("more answers without lexical support", "fewer answers without lexical support"),
}
"""Metric -> what a treatment with a higher, a lower value has."""
MOST_CHARS: Final = 200
KEPT: Final = "It concerns none of the declared endpoints."
CONCERNED: Final = "Endpoints that this concerns are exploratory, and no claim."
OTHER: Final = ("changed", "relabelled", "unfrozen")
"""Origins of endpoints that make no claim."""


def direction(metric: str, difference: float | None, title: str = "") -> str:
    """Which way the treatment went, such as "fewer false answers"; empty when it went nowhere. title: what the metric is called here."""
    if not difference:
        return ""
    called = title or metric
    more, less = MORE_OF[metric] if metric in MORE_OF and not (metric == "f1" and title) else (f"higher {called}", f"lower {called}")
    return more if difference > 0 else less


def origins_of(plan: FrozenPlan, endpoints: Mapping[str, tuple[Declared, Role]]) -> dict[str, Origin]:
    """What may be said of each endpoint of the config, by name. A primary endpoint that was changed is no gate for the others."""
    found: dict[str, Origin] = {}
    is_gate_changed = any(role == "primary" and not plan.keeps(one, role) for one, role in endpoints.values())
    for name, (one, role) in endpoints.items():
        if plan.origin == "none":
            found[name] = "unfrozen"
        elif is_gate_changed or not plan.keeps(one, role):
            found[name] = "changed"
        else:
            found[name] = "default" if role == "primary" and plan.is_default_primary else "declared"
    return found


def held_against(origins: Mapping[str, Origin], findings: Iterable[Finding]) -> list[Finding]:
    """The findings, those marked whose endpoint is not the one that was declared: they claim nothing, and hand no alpha on."""
    return [replace(one, is_another=True) if origins.get(one.name) in OTHER else one for one in findings]


def as_declared(judgement: Judgement, origin: Origin | None) -> Judgement:
    """The judgement, as exploratory when its endpoint is not the one that was declared before results were known."""
    if origin not in OTHER:
        return judgement
    return replace(judgement, standing="exploratory", is_claim=False)


def statement(plan: FrozenPlan, stats: StatsConfig, *, is_followed: bool = True) -> str:
    """Whether the analysis kept to the plan that was frozen before the run, in words. is_followed: everything declared was analysed."""
    if plan.origin == "none":
        return "No plan was frozen before the first request of this run: what it was to show is not known, and every result here is exploratory."
    words = []
    if plan.early:
        words.append(f"The plan was changed after it was first written and before the first result had arrived: {_listed(plan.early)}.")
    if plan.late:
        words.append(
            "The analysis did not follow the plan that was frozen before the first request; after the first result had arrived, this was changed "
            f"(declared -> done): {_listed(plan.late)}. {KEPT if plan.keeps_all(stats) else CONCERNED}"
        )
    elif not is_followed:
        pass  # what is missing is said elsewhere
    elif plan.origin == "opened":
        words.append("No plan was frozen for this run; the analysis followed the settings that it was opened with, before its first request.")
    elif plan.is_default:
        words.append("The analysis followed the default plan: nobody wrote one for this run (section `stats` of the config).")
    elif plan.is_default_primary:
        words.append("The analysis followed the plan frozen before the first request; its primary endpoint is the default, which nobody wrote.")
    else:
        words.append("The analysis followed the plan declared before the run.")
    return " ".join(words)


class PlanWord(NamedTuple):
    """Something that --plan_only says of the analysis plan. label: what it is about, such as `primary`."""

    label: str
    text: str


def plan_words(ledger: Path, config: Config) -> Iterator[PlanWord]:
    """What --plan_only says of the plan: its hash, what it is to show, and what differs from the plan that the ledger has."""
    frozen = frozen_plan(ledger, config)
    now = plan_hash(plan_now(config))
    if not ledger.exists():
        nobody, standing = "primary" not in written_keys(config), "frozen when the run starts"
    else:
        nobody, standing = frozen.is_default_primary, "frozen before the first request" if frozen.hash else "none was frozen for this run"
    yield PlanWord("plan", f"{frozen.hash or now}, {standing}")
    stats, asks = config.stats, has_questions(arms_of(expand(config, "")))
    yield PlanWord("primary", _endpoint(stats.primary, asks) + (" (the default: the config names none)" if nobody else ""))
    for one in stats.confirmatory:
        yield PlanWord("further", _endpoint(one, asks))
    for change in frozen.changes:
        when = "after the first result: what it concerns is exploratory" if change.is_late else "before the first result"
        yield from (PlanWord("changed", f"{text}, {when}") for text in _told(change))


def _endpoint(one: Declared, has_questions: bool) -> str:
    goal = one.goal or ("noninferiority" if one.margin is not None else "superiority")
    margin = f", margin {one.margin:g}" if one.margin is not None else ""
    return f"{goal} on {one.metric} ({kind_words(one.kind, has_questions=has_questions)}){margin}"


def plan_json(plan: FrozenPlan) -> dict[str, Any]:
    """The plan's part of significance.json."""
    return {"hash": plan.hash, "origin": plan.origin, "is_default": plan.is_default, "changes": [_change(one) for one in plan.changes]}


def _change(one: Change) -> dict[str, Any]:
    at = None if one.at is None else one.at.isoformat()
    return {"key": one.key, "declared": one.declared, "done": one.done, "at": at, "after_first_result": one.is_late}


def _listed(changes: tuple[Change, ...]) -> str:
    return "; ".join(f"{text} ({_time(one)})" for one in changes for text in _told(one))


def _told(change: Change) -> Iterator[str]:
    """What was changed, in words short enough to be read: of long lists the entries that differ, of an entry with a name what differs in it."""
    lists = [value if isinstance(value, list) else [] for value in (change.declared, change.done)]
    is_short = all(len(json.dumps(value)) <= MOST_CHARS for value in (change.declared, change.done))
    if is_short or not any(lists) or _is_order_alone(*lists):
        yield f"{change.key} {_short(change.declared)} -> {_short(change.done)}"
        return
    before, after = ({_name(entry) or json.dumps(entry): entry for entry in entries} for entries in lists)
    for name in dict.fromkeys((*before, *after)):
        entry = before.get(name, after.get(name))
        key = f"{change.key}.{name}" if _name(entry) else change.key
        if name in before and name in after:
            yield from (f"{one.key} {_short(one.before)} -> {_short(one.after)}" for one in differences({key: before[name]}, {key: after[name]}))
        else:
            yield f"{key} {_short(before.get(name, NOT_THERE))} -> {_short(after.get(name, NOT_THERE))}"


def _is_order_alone(one: Sequence[Any], other: Sequence[Any]) -> bool:
    return sorted(map(json.dumps, one)) == sorted(map(json.dumps, other))


def _name(entry: Any) -> str:
    """What an entry of a list is called; empty when it has no name."""
    return str(entry.get("name") or "") if isinstance(entry, dict) else ""


def _time(one: Change) -> str:
    return "when is not known" if one.at is None else f"{one.at:%Y-%m-%d %H:%M:%S} UTC"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]} ..."
