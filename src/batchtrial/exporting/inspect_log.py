"""A run's answers as logs of inspect_ai, one an arm, written by its own library so that its own reader and viewer open them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from batchtrial import __version__
from batchtrial.config.arm_labels import labels_of_arms
from batchtrial.config.expand import Arm
from batchtrial.errors import RunStateMissing
from batchtrial.exporting.extras import needed
from batchtrial.exporting.folders import whole
from batchtrial.modes import MODES
from batchtrial.phases.build.questions import Questions
from batchtrial.reading.frames import answers_of, arms_with, prompts_of, scores_of_arm
from batchtrial.reading.inventory import RunReader
from batchtrial.reading.run_tables import RunTables
from batchtrial.records import Item

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_STOPS: Final = {"length": "max_tokens", "max_tokens": "max_tokens", "content_filter": "content_filter", "tool_calls": "tool_calls"}
_NO_SCORES: Final = frozenset({"place", "n_samples", "n_lost", "lost_to"})


def write_inspect(tables: RunTables, folder: Path) -> list[Path]:
    """Write a log of each arm into the folder; returns where they are. Raises MissingExtra, RunStateMissing.

    A score stands at every epoch of its item: it is the mean over the samples. A request without an answer is a sample with an error.
    """
    log = needed("inspect_ai.log", extra="inspect", what="--inspect")
    arms = arms_with(tables, "answers")
    if not arms:
        raise RunStateMissing(f"run {tables.layout.run_id} has no answers yet", where=str(tables.layout.root))
    started = RunReader(tables.layout).look().started_at or EPOCH
    paths = []
    with Questions(tables.layout) as questions, whole(folder) as made:
        items = questions.read(0, tables.items.n)
        for arm in arms:
            path = made / f"{started:%Y-%m-%dT%H-%M-%S}+00-00_{arm.name}_{arm.key}.json"  # how its viewer knows logs by
            asked = items[: tables.n_answers(arm) // arm.samples]  # a planned look may have stopped it
            log.write_eval_log(_log(tables, arm, asked, started), str(path), format="json")
            paths.append(folder / path.name)
    return paths


def _log(tables: RunTables, arm: Arm, items: Sequence[Item], started: datetime) -> Any:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalResults, EvalSpec, EvalStats
    from inspect_ai.model import GenerateConfig

    samples = list(_samples(tables, arm, items))
    config = tables.config
    spec = EvalSpec(
        created=started.isoformat(),
        eval_id=arm.key,
        run_id=tables.layout.run_id,
        task=labels_of_arms(config, tables.trials)[arm.name],
        task_id=arm.name,
        dataset=EvalDataset(name=", ".join(one.name for one in config.datasets), samples=len(items), sample_ids=[item.key for item in items]),
        model=f"{arm.backend}/{arm.model}",
        model_generate_config=GenerateConfig(temperature=arm.temp, top_p=arm.top_p, top_k=arm.top_k, max_tokens=arm.max_tokens.open_book),
        config=EvalConfig(epochs=arm.samples),
        packages={"batchtrial": __version__},
        metadata={"run": tables.layout.run_id, "arm": arm.name, "mode": config.mode, "banner": MODES[config.mode].banner},
    )
    answered = sum(one.error is None for one in samples)
    results = EvalResults(total_samples=len(samples), completed_samples=answered, scores=_results(tables, arm))
    return EvalLog(status="success", eval=spec, results=results, stats=EvalStats(), samples=samples)


def _results(tables: RunTables, arm: Arm) -> list[Any]:
    from inspect_ai.log import EvalMetric, EvalScore

    scores = _scores(tables, arm)
    means = {name: scores[name].mean() for name in scores.columns if name not in _NO_SCORES}
    return [
        EvalScore(name=name, scorer=name, metrics={"mean": EvalMetric(name="mean", value=float(value))})
        for name, value in means.items()
        if isinstance(value, int | float)
    ]


def _scores(tables: RunTables, arm: Arm) -> pl.DataFrame:
    return scores_of_arm(tables, arm) if tables.has_scores(arm) else pl.DataFrame({"place": []})


def _samples(tables: RunTables, arm: Arm, items: Sequence[Item]) -> Iterator[Any]:
    from inspect_ai.log import EvalSample
    from inspect_ai.scorer import Score

    scores = {row["place"]: row for row in _scores(tables, arm).iter_rows(named=True)}
    prompts = list(prompts_of(tables, arm, items))
    for row in answers_of(tables, arm).iter_rows(named=True):
        item, turns = items[row["place"]], prompts[row["place"]]
        has_answer = row["answer_state"] == "complete"
        own = {name: value for name, value in scores.get(row["place"], {}).items() if name not in _NO_SCORES and value is not None}
        messages = [_message(turn) for turn in turns]
        yield EvalSample(
            id=item.key,
            epoch=row["sample"] + 1,
            uuid=row["custom_id"],
            input=item.question or messages,  # what both arms were asked, which pairs their logs; what each sent is in the messages
            target=list(item.answers) or "",
            messages=[*messages, *([_message({"role": "assistant", "content": row["text"] or ""})] if has_answer else [])],
            output=_output(arm, row),
            scores={name: Score(value=value, answer=row["text"]) for name, value in own.items()} if has_answer else None,
            metadata={
                "dataset": item.dataset,
                "item_id": item.item_id,
                "kind": item.kind,
                **{f"x.{name}": one for name, one in item.columns.items()},
            },
            error=None if has_answer else _error(row),
        )


def _message(turn: dict[str, str]) -> Any:
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds = {"system": ChatMessageSystem, "assistant": ChatMessageAssistant}
    return kinds.get(turn["role"], ChatMessageUser)(content=turn["content"])


def _output(arm: Arm, row: dict[str, Any]) -> Any:
    from inspect_ai.model import ModelOutput, ModelUsage

    stop = _STOPS.get(row["finish_reason"] or "", "stop")
    output = ModelOutput.from_content(f"{arm.backend}/{arm.model}", row["text"] or "", stop_reason=stop)
    if row["input_tokens"] is not None and row["output_tokens"] is not None:
        n_in, n_out = row["input_tokens"], row["output_tokens"]
        output.usage = ModelUsage(input_tokens=n_in, output_tokens=n_out, total_tokens=n_in + n_out)
    return output


def _error(row: dict[str, Any]) -> Any:
    from inspect_ai.log import EvalError

    told = row["error"] or f"the answer is {row['answer_state'] or row['outcome']}"
    return EvalError(message=told, traceback="", traceback_ansi="")
