"""Two runs side by side: first whether they can be compared at all, then what they found, what it cost, and which items came out differently.

Reads published artifacts only, takes no lock. No statistic is computed here: intervals are those of each run's significance.json.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import polars as pl

from batchtrial.config.expand import Trial, expand
from batchtrial.config.load import config_hash, drift
from batchtrial.config.model import Config
from batchtrial.errors import RunStateMissing, StateError
from batchtrial.phases.analyse.numbers import is_share, name_of
from batchtrial.phases.analyse.tables import COLUMNS
from batchtrial.phases.tables.columns import KINDS, LABELS
from batchtrial.phases.tables.trial_scores import scores_of
from batchtrial.reading.common_items import change_of_effect, common_of
from batchtrial.reading.config import config_of_run, recorded_config
from batchtrial.reading.results import are_of_these_scores
from batchtrial.records import KEY_SEPARATOR
from batchtrial.state.files import (
    BuildManifest,
    MultiTrialManifest,
    PreparedManifest,
    RunState,
    TrialEntry,
    TrialManifest,
    load_or_none,
    refuse_damaged,
)
from batchtrial.state.form import refuse_earlier
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Stamps, decode_json
from batchtrial.stats.results import Estimate

Standing = Literal["same", "differs", "forbids"]
KEY = ["item_key", "condition", "temp"]
CONFIG_KEYS_SHOWN = 12
SAME = 1e-9
"""Scores that differ by no more are the same: they are means of samples."""
RIGHT = f"{LABELS['em']} ({KINDS['all']})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that two runs may have in common. forbids: numbers of the two do not mean the same."""

    what: str
    a: str
    b: str
    standing: Standing
    note: str = ""


@dataclass(frozen=True)
class TrialSide:
    """One trial of one run, as published."""

    layout: RunLayout
    entry: TrialEntry
    trial: Trial | None = None  # with its arms, where the items are known

    @cached_property
    def tests(self) -> dict[str, Any]:
        """significance.json, if it is of the scores that the trial has now. Raises RunStateMissing, StateError."""
        self._refuse_damaged()
        path = self.layout.trial(self.entry.slug).significance
        if path.exists() and not are_of_these_scores(self.manifest):
            what = f"{path.name} is of scores that were made anew since"
            raise RunStateMissing(what, where=str(path), hint="finish the run with `batchtrial resume`, then compare")
        return _json(path)

    @cached_property
    def costs(self) -> dict[str, Any]:
        return _json(self.layout.trial(self.entry.slug).costs)

    @cached_property
    def account(self) -> dict[str, Any]:
        return _json(self.layout.trial(self.entry.slug).account)

    @cached_property
    def manifest(self) -> TrialManifest | None:
        return load_or_none(TrialManifest, self.layout.trial(self.entry.slug).manifest)

    def _refuse_damaged(self) -> None:
        if self.manifest is not None:
            stages = (self.manifest.stage_status.get(name) for name in ("parsed", "scored", "stats", "costs"))
            record = {name: one for stage in stages if stage is not None for name, one in stage.artifacts.items()}
            refuse_damaged(record, self.layout.root, Stamps(self.layout.root, self.layout.stamps))

    @property
    def primary(self) -> dict[str, Any] | None:
        """The primary endpoint's comparison at the first temperature; None in results that have none."""
        return next((one for one in self.tests.get("tests", []) if one.get("family") == "primary"), None)

    def scores(self, column: str, kind: str, *, with_cluster: bool = False) -> pl.DataFrame | None:
        """One score per item, condition and temperature; None when the run does not have it. Raises RunStateMissing, StateError."""
        path = self.layout.trial(self.entry.slug).scores
        arms = self.trial.arms if self.trial is not None else ()
        if not path.exists() and not (arms and all(self.layout.arm(arm.name).scores.exists() for arm in arms)):
            raise _missing(path)
        self._refuse_damaged()
        table = pl.scan_csv(path, infer_schema=False) if self.trial is None else scores_of(self.layout, self.trial)
        if column not in table.collect_schema().names():
            return None
        columns = {"item_key": pl.String, "condition": pl.String, "temp": pl.Float64, "type": pl.String, column: pl.Float64}
        columns |= {"cluster": pl.String} if with_cluster and "cluster" in table.collect_schema().names() else {}
        found = table.select(pl.col(name).cast(own) for name, own in columns.items()).collect().rename({column: "score"})
        return found if kind == "all" else found.filter(pl.col("type") == kind)


@dataclass(frozen=True)
class Side:
    """One run."""

    layout: RunLayout

    @property
    def run_id(self) -> str:
        return self.layout.run_id

    @cached_property
    def config(self) -> Config:
        return recorded_config(self.layout) or config_of_run(self.layout)

    @cached_property
    def prepared(self) -> PreparedManifest | None:
        return load_or_none(PreparedManifest, self.layout.prepared_manifest)

    @cached_property
    def trials(self) -> tuple[TrialSide, ...]:
        """Raises RunStateMissing when the run has no list of trials."""
        listed = load_or_none(MultiTrialManifest, self.layout.multi_trial_manifest)
        if listed is None:
            raise _missing(self.layout.multi_trial_manifest)
        known = {} if self.prepared is None else {trial.slug: trial for trial in expand(self.config, self.prepared.sha256)}
        return tuple(TrialSide(self.layout, entry, known.get(entry.slug)) for entry in listed.trials)

    @cached_property
    def items(self) -> frozenset[str]:
        """`dataset|item_id` of every item; from the index."""
        if not self.layout.index.exists():
            raise _missing(self.layout.index)
        if (build := load_or_none(BuildManifest, self.layout.build_manifest)) is not None:
            refuse_damaged({"index": build.index}, self.layout.root, Stamps(self.layout.root, self.layout.stamps))
        table = pl.read_csv(self.layout.index, columns=["dataset", "item_id"], schema_overrides={"dataset": pl.String, "item_id": pl.String})
        return frozenset(table.select(pl.concat_str("dataset", "item_id", separator=KEY_SEPARATOR)).to_series().to_list())

    @property
    def metrics(self) -> dict[str, str]:
        """How each question set is scored."""
        return {name: str(record.get("metric")) for name, record in sorted(self.prepared.sources.items())} if self.prepared is not None else {}


def side(experiments: Path, name: str) -> Side:
    """The run of this id, or the run folder of this path. Raises RunStateMissing, StateError."""
    layout = RunLayout(Path(name)) if "/" in name else RunLayout.of(experiments, name)
    layout.check_there()
    refuse_earlier(layout)
    state = load_or_none(RunState, layout.run_state)
    failed = next((phase for phase, record in state.phases.items() if record.status == "failed"), None) if state is not None else None
    if failed is not None:
        raise StateError(
            f"run {layout.run_id} has failed in the step {failed}: what it has is not what it was to find",
            where=str(layout.root),
            hint=f"finish it with `batchtrial resume {layout.flags}`, then compare",
        )
    return Side(layout)


def called(a: Side, b: Side) -> tuple[str, str]:
    """What the two are called: their run ids, or their folders where these are the same."""
    if a.run_id != b.run_id:
        return a.run_id, b.run_id
    return str(a.layout.root), str(b.layout.root)


def _missing(path: Path) -> RunStateMissing:
    return RunStateMissing(f"{path.name} is not there", where=str(path), hint="finish the run with `batchtrial resume`, then compare")


def _json(path: Path) -> dict[str, Any]:
    try:
        return dict(decode_json(path.read_bytes()))
    except FileNotFoundError:
        raise _missing(path) from None
    except (ValueError, TypeError) as error:
        raise StateError(f"{path.name} cannot be read: {error}", where=str(path), hint="`batchtrial repair --run_id RUN --check`") from None


@dataclass(frozen=True, slots=True)
class Pair:
    """A trial of each run that stand for the same comparison."""

    a: TrialSide
    b: TrialSide


def pairs(a: Side, b: Side) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    """(matched trials, slugs that have no counterpart): by slug, else by prompt set, else the last one left on each side."""
    left, right, found = list(a.trials), list(b.trials), []
    for same in (lambda x, y: x.entry.slug == y.entry.slug, lambda x, y: x.entry.prompt_set == y.entry.prompt_set, lambda x, y: True):
        for one in list(left):
            matches = [other for other in right if same(one, other)]
            if len(matches) == 1 and sum(same(other, matches[0]) for other in left) == 1:
                found.append(Pair(one, matches[0]))
                left.remove(one)
                right.remove(matches[0])
    alone = [f"{name}/{one.entry.slug}" for name, those in zip(called(a, b), (left, right), strict=True) for one in those]
    return tuple(found), tuple(alone)


# Whether they can be compared


def checks(a: Side, b: Side) -> Iterator[Check]:
    """Everything that makes two runs alike or not. Raises RunStateMissing, StateError for a run without results."""
    yield _check("answers", a.config.mode, b.config.mode, forbids="simulated, recorded and real answers say nothing about each other")
    forms = [{f"version {one.tests.get('schema_version')}" + ("" if "tests" in one.tests else ", no tests") for one in s.trials} for s in (a, b)]
    yield _check("results schema", *(_words(form) for form in forms), forbids="their numbers are not the same things")
    yield _items(a, b)
    yield _check("scoring", *(_words(s.metrics.items()) for s in (a, b)), forbids="right means something else in each")
    yield _check("answers read", _reading(a.config), _reading(b.config), note="the same answers may count for something else")
    yield _check("model", *(_words({one.entry.model_id for one in s.trials}) for s in (a, b)))
    for condition in ("control", "treatment"):
        prompts = [_words({_prompt(one, condition) for one in s.trials}) for s in (a, b)]
        yield _check(f"{condition} prompt", *prompts)
    yield _check("decoding", _decoding(a.config), _decoding(b.config))
    yield _check("samples per item", str(a.config.samples_per_item), str(b.config.samples_per_item))
    plans = [_words({_plan_of(one)[:12] for one in s.trials}) for s in (a, b)]
    yield _check("analysis plan", *plans)
    changed = drift(a.config, b.config)
    shown = "; ".join(f"{key}: {change}" for key, change in list(changed.items())[:CONFIG_KEYS_SHOWN])
    more = f"; and {len(changed) - CONFIG_KEYS_SHOWN} more" if len(changed) > CONFIG_KEYS_SHOWN else ""
    yield _check("config hash", *(config_hash(s.config)[:12] for s in (a, b)), note=shown + more)


def _check(what: str, a: str, b: str, *, forbids: str = "", note: str = "") -> Check:
    if a == b:
        return Check(what=what, a=a, b=b, standing="same")
    return Check(what=what, a=a, b=b, standing="forbids" if forbids else "differs", note=forbids or note)


def _items(a: Side, b: Side) -> Check:
    hashes = [s.prepared.sha256 if s.prepared is not None else "lost" for s in (a, b)]
    shown = [h if h == "lost" else hashlib.sha256(h.encode()).hexdigest()[:8] for h in hashes]  # of open and closed book together
    counts = [f"{len(s.items):,} ({h})" for s, h in zip((a, b), shown, strict=True)]
    if hashes[0] == hashes[1] and hashes[0] != "lost":
        return Check(what="items", a=counts[0], b=counts[1], standing="same")
    common, n_all = common_of(a.layout, b.layout), len(a.items | b.items)
    if common.n and not common.n_other:
        note = f"{common.n:,} of {n_all:,} are in both: changes are told of those; each run's own tables are of its own items"
        return Check(what="items", a=counts[0], b=counts[1], standing="differs", note=note)
    note = f"different questions: {len(a.items & b.items):,} of {n_all:,} are in both"
    if common.n_other or a.items == b.items:
        note = f"the same ids, but other texts or answers behind {common.n_other or 'some'} of them"
    return Check(what="items", a=counts[0], b=counts[1], standing="forbids", note=note)


def _prompt(trial: TrialSide, condition: str) -> str:
    record = trial.manifest.prompts.get(condition) if trial.manifest is not None else None
    return f"sha256 {record.sha256[:12]}" if record is not None else "unknown"


def _plan_of(trial: TrialSide) -> str:
    """Hash of what is analysed and how, which two runs with other prompts may share; earlier versions call it by the plan's name."""
    plan = trial.tests.get("plan", {})
    return str(plan.get("analysis_hash", plan.get("hash", "-")))


def _reading(config: Config) -> str:
    """What answers count as that are none, or hold more than an answer, and which say that there is none."""
    phrases = config.answers.abstention_phrases
    own = [f"abstention phrases {hashlib.sha256(json.dumps(phrases).encode()).hexdigest()[:8]}"] if phrases else []
    told = (f"cut {config.stats.cut_answers}", f"refused {config.stats.refused_answers}", f"thinking {config.answers.strip_thinking or 'auto'}")
    return ", ".join([*told, *own])


def _decoding(config: Config) -> str:
    given = {"temps": list(config.temps), "top_p": config.top_p, "top_k": config.top_k, "max_tokens": config.max_new_tokens.model_dump()}
    return json.dumps({key: value for key, value in given.items() if value is not None})


def _words(values: Any) -> str:
    return ", ".join(sorted(": ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in values)) or "-"


# What they found


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison of each run; None where a run has none of that name."""

    name: str
    label: str
    standing: str
    a: Mapping[str, Any] | None
    b: Mapping[str, Any] | None

    @property
    def is_share(self) -> bool:
        """Whether both runs have shares here, so that differences are percentage points."""
        return all(is_share(one) for one in (self.a, self.b) if one is not None)

    @property
    def shift(self) -> float | None:
        """How much larger the difference is in B than in A."""
        values = [one["estimate"]["value"] if one is not None else None for one in (self.a, self.b)]
        return None if values[0] is None or values[1] is None else float(values[1] - values[0])


def rows(pair: Pair) -> list[Row]:
    """Every test of either run, in A's order, then B's own."""
    a, b = ({one["name"]: one for one in s.tests.get("tests", [])} for s in (pair.a, pair.b))
    names = dict.fromkeys((*a, *b))
    return [Row(name=n, label=both_names(a.get(n), b.get(n)), standing=(a.get(n) or b[n])["standing"], a=a.get(n), b=b.get(n)) for n in names]


def both_names(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> str:
    """What a comparison is called; by both names where another rule says in each run what is right."""
    called = list(dict.fromkeys(name_of(one) for one in (a, b) if one is not None))
    return called[0] if len(called) == 1 else f"{called[0]} in A, {called[1]} in B"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """Items that came out differently, by condition and temperature. better, worse: in B, of those in both. measure: by what, in words."""

    measure: str
    condition: str
    temp: float
    n_common: int
    better: tuple[str, ...] = field(repr=False)
    worse: tuple[str, ...] = field(repr=False)


def effect_changes(pair: Pair) -> tuple[str, bool, dict[float, Estimate]]:
    """(by what, whether in percentage points, by temperature how the effect changed on the common items), by the primary endpoint of A."""
    primary = pair.a.primary or {}
    metric, kind = str(primary.get("metric", "em")), str(primary.get("kind", "all"))
    both = [one.scores(COLUMNS.get(metric, metric), kind, with_cluster=True) for one in (pair.a, pair.b)]
    if both[0] is None or both[1] is None:
        return "", True, {}
    level = 1 - float(pair.a.tests.get("stats_config", {}).get("alpha", 0.05))
    return str(primary.get("label", RIGHT)), bool(primary.get("is_share", True)), change_of_effect(both[0], both[1], level=level)


def changed_items(pair: Pair) -> list[Changed]:
    """By A's primary endpoint, else by exact match where one of the two does not have it; averaged over samples. Raises RunStateMissing."""
    primary = pair.a.primary or {}
    metric, kind = str(primary.get("metric", "em")), str(primary.get("kind", "all"))
    column, sign = COLUMNS.get(metric, metric), 1 if primary.get("higher_is_better", True) else -1
    measure = str(primary.get("label", RIGHT))
    both = [side.scores(column, kind) for side in (pair.a, pair.b)]
    if any(one is None for one in both):
        both, sign, measure = [side.scores("em", "all") for side in (pair.a, pair.b)], 1, RIGHT
    if both[0] is None or both[1] is None:
        return []
    joined = both[0].join(both[1], on=KEY, how="inner", suffix="_b").drop_nulls(["score", "score_b"]).sort("item_key")
    gain = sign * (pl.col("score_b") - pl.col("score"))
    found = []
    for (condition, temp), group in sorted(joined.group_by(["condition", "temp"], maintain_order=True), key=lambda one: (one[0][1], one[0][0])):
        up, down = (group.filter(way)["item_key"].to_list() for way in (gain > SAME, gain < -SAME))
        found.append(Changed(measure=measure, condition=str(condition), temp=float(temp), n_common=group.height, better=tuple(up), worse=tuple(down)))
    return found
