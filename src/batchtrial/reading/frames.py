"""A run's tables as polars frames: a row an arm, item, answer, score or pair. Read without the run's lock, from tables that are replaced whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.expand import Arm, Trial, arms_of
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.phases.analyse.tables import COLUMNS
from batchtrial.phases.build.questions import Questions
from batchtrial.reading.judgements import scores_by_judges
from batchtrial.reading.metrics import score_columns
from batchtrial.reading.run_tables import RunTables
from batchtrial.records import Item

_NAMES: Final = {column: name for name, column in COLUMNS.items()}
_ABOUT_SAMPLES: Final = ("n_samples", "n_lost", "lost_to")
_ITEM: Final = ("item_key", "dataset", "item_id", "kind", "cluster")
_ANSWER: Final = (
    *("sample", "outcome", "answer_state", "finish_reason", "error_code", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens"),
    *("reasoning_tokens", "usd", "service_tier", "attempt", "custom_id", "request_id", "error", "text"),
)


def trials_frame(tables: RunTables) -> pl.DataFrame:
    """A row a trial and temperature, with the names of its two arms and whether both have scores."""
    ready = {(trial.slug, temp) for trial, temp in tables.ready()}
    rows = [_trial_row(trial, temp, (trial.slug, temp) in ready) for trial in tables.trials for temp in trial.temps]
    text = ("trial", "model", "tried", "against", "control", "treatment")
    return pl.DataFrame(rows, schema={**dict.fromkeys(text, pl.String), "temp": pl.Float64, "is_scored": pl.Boolean}, orient="row")


def _trial_row(trial: Trial, temp: float, is_scored: bool) -> tuple[Any, ...]:
    control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
    names = [None if arm is None else arm.name for arm in (control, treatment)]
    return (trial.slug, trial.model, trial.prompt_set, trial.against, *names, temp, is_scored)


def arms_frame(tables: RunTables) -> pl.DataFrame:
    """A row an arm: what the config calls it, whom it asks and how, and which of its tables are there."""
    labels = labels_of_arms(tables.config, tables.trials)
    files = tables.layout.arm
    rows = [
        {
            "arm": arm.name,
            "label": labels[arm.name],
            "backend": arm.backend,
            "model": arm.model,
            "temp": arm.temp,
            "samples": arm.samples,
            "system": arm.prompt.system.text,
            "has_answers": files(arm.name).answers.exists(),
            "has_scores": tables.has_scores(arm),
        }
        for arm in arms_of(tables.trials)
    ]
    return pl.DataFrame(rows)


def arm_named(tables: RunTables, name: str) -> Arm:
    """The arm of this name or label; `control` and `treatment` where the run has one trial at one temperature. Raises ConfigError."""
    arms, labels = arms_of(tables.trials), labels_of_arms(tables.config, tables.trials)
    found = [arm for arm in arms if name in (arm.name, labels[arm.name])]
    if not found and name in ("control", "treatment"):
        found = list({arm.name: arm for trial in tables.trials for arm in trial.arms if arm.condition == name}.values())
    if len(found) != 1:
        what = f"several arms are called {name!r}" if found else f"there is no arm {name!r}"
        raise ConfigError(what, where=str(tables.layout.root), hint=f"arms are: {', '.join(f'{labels[arm.name]!r} ({arm.name})' for arm in arms)}")
    return found[0]


def arms_with(tables: RunTables, what: str) -> list[Arm]:
    """Every arm that has its table of `answers`, or of `scores` of them."""
    has = tables.has_scores if what == "scores" else lambda arm: tables.layout.arm(arm.name).answers.exists()
    return [arm for arm in arms_of(tables.trials) if has(arm)]


def items_frame(tables: RunTables, *, is_whole: bool = False) -> pl.DataFrame:
    """A row an item, in the run's order: question and accepted answers. is_whole: with its passage and every column of its source as `x.NAME`."""
    frame = pl.read_parquet(tables.layout.items, columns=["place", *_ITEM, "question", "references"])
    if not is_whole:
        return frame
    with Questions(tables.layout) as questions:
        return frame.hstack(_of_source(questions.read(0, frame.height)))


def _of_source(items: Sequence[Item]) -> pl.DataFrame:
    """Passage, whether it has no answer, and columns of the source; a column whose values are of several types is text."""
    names = dict.fromkeys(name for item in items for name in item.columns)
    plain = {"context": pl.Series([item.context for item in items], dtype=pl.String), "unanswerable": [item.is_unanswerable for item in items]}
    return pl.DataFrame({**plain, **{f"x.{name}": _series([item.columns.get(name) for item in items]) for name in names}})


def _series(values: list[Any]) -> pl.Series:
    try:
        return pl.Series(values, strict=True)
    except (TypeError, pl.exceptions.PolarsError):
        return pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)


def answers_frame(tables: RunTables, arms: Sequence[Arm], *, has_texts: bool = True) -> pl.DataFrame:
    """A row a request of these arms, whatever became of it. has_texts: with the answers. Raises RunStateMissing when an arm has none yet."""
    keys = pl.read_parquet(tables.layout.items, columns=["item_key"])["item_key"]
    frames = []
    for arm in arms:
        read = answers_of(tables, arm, has_texts=has_texts)
        frames.append(read.select(pl.lit(arm.name).alias("arm"), keys.gather(read["place"]).alias("item_key"), pl.all()))
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def answers_of(tables: RunTables, arm: Arm, first: int = 0, n: int | None = None, *, has_texts: bool = True) -> pl.DataFrame:
    """The arm's answers to items first .. first + n. Raises RunStateMissing."""
    path = tables.layout.arm(arm.name).answers
    if not path.exists():
        raise _not_yet(tables, arm, "answers")
    table = pl.scan_parquet(path)
    there = [name for name in _ANSWER if name in table.collect_schema().names() and (has_texts or name != "text")]
    return table.select("place", *there).slice(first * arm.samples, None if n is None else n * arm.samples).collect()


def scores_frame(tables: RunTables, arms: Sequence[Arm]) -> pl.DataFrame:
    """A row an item and arm: each metric and judge of single answers under its name as a mean over samples, null where it is not defined.

    Raises RunStateMissing.
    """
    keys = pl.read_parquet(tables.layout.items, columns=["item_key"])["item_key"]
    frames = []
    for arm in arms:
        frame = scores_of_arm(tables, arm)
        frames.append(frame.select(pl.lit(arm.name).alias("arm"), keys.head(frame.height), pl.all()))
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


def scores_of_arm(tables: RunTables, arm: Arm) -> pl.DataFrame:
    """The arm's scores by place, each metric and each judge of single answers under its name. Raises RunStateMissing."""
    read = _by_metrics(tables, arm)
    judges = scores_by_judges(tables.layout, tables.config, arm.name, arm.name, read.height)
    return read.with_columns(said.alias(name) for name, (said, _) in judges.items()).select(pl.exclude(_ABOUT_SAMPLES), *_ABOUT_SAMPLES)


def _by_metrics(tables: RunTables, arm: Arm) -> pl.DataFrame:
    if not tables.has_scores(arm):
        raise _not_yet(tables, arm, "scores")
    table = pl.scan_parquet(tables.layout.arm(arm.name).scores)
    there = table.collect_schema().names()
    metrics = [pl.col(name).alias(_NAMES.get(name, name)) for name in score_columns(there) if name in there]
    return table.select("place", *metrics, *_ABOUT_SAMPLES).collect()


def pairs_frame(tables: RunTables, a: Arm, b: Arm) -> pl.DataFrame:
    """A row an item: each metric and judge in arm a and in arm b as `METRIC_a`, `METRIC_b`, and how many samples were lost; of a judge of pairs each
    arm's share of wins. Raises RunStateMissing."""
    left, right = (_by_metrics(tables, arm).drop("lost_to") for arm in (a, b))
    n = min(left.height, right.height)
    items = pl.read_parquet(tables.layout.items, columns=[*_ITEM], n_rows=n)
    names = list(dict.fromkeys(name for frame in (left, right) for name in frame.columns if name != "place"))
    columns = [
        (frame[name].head(n) if name in frame.columns else pl.Series([None] * n, dtype=pl.Float64)).alias(f"{name}_{side}")
        for name in names
        for side, frame in (("a", left), ("b", right))
    ]
    judges = scores_by_judges(tables.layout, tables.config, a.name, b.name, n)
    columns += [said.alias(f"{name}_{side}") for name, both in judges.items() for side, said in zip("ab", both, strict=True)]
    return pl.DataFrame([left["place"].head(n), *items.get_columns(), *(one for one in columns if one.null_count() < n)])


def _not_yet(tables: RunTables, arm: Arm, what: str) -> RunStateMissing:
    label = labels_of_arms(tables.config, tables.trials)[arm.name]
    hint = f"`batchtrial resume {tables.layout.flags}` goes on with the run"
    return RunStateMissing(f"the arm {label!r} has no {what} yet", where=str(tables.layout.root), hint=hint)


def prompts_of(tables: RunTables, arm: Arm, items: Sequence[Item]) -> Iterator[list[dict[str, str]]]:
    """The conversation that the arm sends about each item, its system prompt first, with the task's system turns: role and content of each turn,
    pictures by their address."""
    for item in items:
        request = arm.request(item, "")
        system = [{"role": "system", "content": request.system}] if request.system else []
        turns = [(turn.role, "\n".join(one if kind == "text" else f"[image] {one}" for kind, one in turn.in_order())) for turn in request.turns]
        yield [*system, *({"role": role, "content": text} for role, text in turns or [("user", request.user)])]
