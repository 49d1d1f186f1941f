"""What judges are to be asked about the answers of a run: one item a judgement, named by what it shows, so that the same is asked once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from batchtrial.config.expand import Arm, Trial, arms_of, task_reads
from batchtrial.config.judge_arms import ANSWER, FIRST, MARK, PASSAGE, QUESTION, REFERENCE, SECOND, mark_of, rubric_reads, shown
from batchtrial.config.judges import JudgeSpec
from batchtrial.keys import digest, item_hash
from batchtrial.phases.base import View
from batchtrial.phases.build.questions import ANSWERS_BETWEEN, Questions
from batchtrial.phases.prepare.metrics import answer_rules
from batchtrial.records import AnswerState, Item, Outcome
from batchtrial.scoring.thinking import answer_in

ANSWERS: Final = "answers"
PAIRS: Final = "pairs"
ASKED: Final[Mapping[str, type[pl.DataType]]] = {
    "set": pl.String,
    "judge": pl.String,
    "arm": pl.String,
    "other": pl.String,
    "place": pl.Int32,
    "sample": pl.Int32,
    "item_hash": pl.String,
    "why": pl.String,
    "chars": pl.Int32,
}
"""Columns of asked.parquet. judge: "" for every judge of its kind. arm: whose answer it is, or stands first; other: whose stands second.
why: there is no judgement: `identical` (both arms say the same: a tie) or `lost` (no whole answer). chars: of the arm's answer."""


@dataclass(slots=True)
class Judgements:
    """Items to ask about, each once, in the order in which they are first needed; and which answers each is about."""

    items: dict[tuple[str, str], Item] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)

    def table(self) -> pl.DataFrame:
        """`asked` as a table."""
        return pl.DataFrame(self.asked, schema=dict(ASKED), orient="row")


def sets_of(judge: JudgeSpec) -> str:
    """Which items the judge is asked about: those of its kind, of its own where answers are cut or seen in one order."""
    head = PAIRS if judge.is_pairwise else ANSWERS
    order = "" if judge.orders == "both" or not judge.is_pairwise else "-once"
    return f"{head}{order}-{judge.max_chars}"


def judgements(view: View) -> Judgements:
    """Everything that the run's judges are to be asked. Raises RunStateMissing for a file that is gone."""
    found = Judgements()
    by_set = {sets_of(judge): judge for judge in view.config.judges}
    texts = {arm.name: _texts(view, arm) for arm in _with_answers(view)}
    n_items = max((len(one) for one in texts.values()), default=0)
    contexts = list(_contexts(view, n_items))
    for name, judge in by_set.items():
        if judge.is_pairwise:
            for trial in view.trials:
                _ask_pairs(found, name, judge, trial, texts, contexts)
        else:
            _ask_answers(found, name, judge, texts, contexts)
    return found


def columns_asked(arms: Iterable[Arm]) -> tuple[str, ...]:
    """Columns that the arms' templates put into requests; none where questions are asked, or where any column may be read."""
    reads = task_reads(arms)
    return () if reads is None or reads.is_all or reads.has_questions else tuple(sorted(reads.asked))


def question_of(item: Item, columns: Sequence[str]) -> str:
    """What a judge is told that an answer is to: the item's question, or each text that is asked about where there are several."""
    texts = {name: text for name in columns if isinstance(text := item.columns.get(name), str) and text.strip()}
    return "\n".join(f"{name}: {text}" for name, text in texts.items()) if len(texts) > 1 else item.question


def _with_answers(view: View) -> tuple[Arm, ...]:
    absent = {name for trial in view.trials for name, _ in trial.absent}
    return tuple(arm for arm in arms_of(view.trials) if arm.name not in absent)


def _texts(view: View, arm: Arm) -> list[list[str | None]]:
    """The arm's answers by place and sample, as they are judged; None where there is no whole answer."""
    rule = answer_rules(view.config).strip_thinking
    read = pl.scan_parquet(view.layout.arm(arm.name).answers).select("place", "outcome", "answer_state", "text").collect()
    found: list[list[str | None]] = [[] for _ in range(-(-read.height // max(arm.samples, 1)))]
    for place, outcome, state, text in read.iter_rows():
        is_whole = outcome == Outcome.SUCCEEDED.value and state == AnswerState.COMPLETE.value and text is not None
        said = answer_in(text, rule).text if is_whole else ""
        found[place].append(said if said.strip() else None)
    return found


def _contexts(view: View, n_items: int) -> Iterator[dict[str, Any]]:
    """What stands around the answers to each item."""
    further, arms = sorted(rubric_reads(view.config)), arms_of(view.trials)
    columns = columns_asked(arms)
    with Questions(view.layout) as questions:
        for item in questions.read(0, n_items):
            told: dict[str, Any] = {QUESTION: question_of(item, columns) or arms[0].request(item, "").user}
            told |= {PASSAGE: item.context} if item.context else {}
            told |= {REFERENCE: ANSWERS_BETWEEN.join(item.answers)} if item.answers else {}
            yield told | {name: item.columns[name] for name in further if item.columns.get(name) is not None}


def _ask_answers(
    found: Judgements, name: str, judge: JudgeSpec, texts: Mapping[str, list[list[str | None]]], contexts: Iterable[Mapping[str, Any]]
) -> None:
    for place, context in enumerate(contexts):
        for arm, said in texts.items():
            for sample, text in enumerate(said[place] if place < len(said) else ()):
                mark = None if text is None else _item(found, name, context, {ANSWER: shown(judge, text)})
                found.asked.append((name, "", arm, "", place, sample, mark, "lost" if text is None else "", len(text or "")))


def _ask_pairs(
    found: Judgements,
    name: str,
    judge: JudgeSpec,
    trial: Trial,
    texts: Mapping[str, list[list[str | None]]],
    contexts: Iterable[Mapping[str, Any]],
) -> None:
    for temp in trial.temps:
        control, treatment = trial.arm("control", temp), trial.arm("treatment", temp)
        if control is None or treatment is None or control.name == treatment.name or not {control.name, treatment.name} <= texts.keys():
            continue
        ours, theirs = texts[control.name], texts[treatment.name]
        for place, context in enumerate(contexts):
            if place < min(len(ours), len(theirs)):
                for sample, (a, b) in enumerate(zip(ours[place], theirs[place], strict=False)):
                    found.asked += _pair(found, name, judge, context, (control.name, a), (treatment.name, b), place, sample)


def _pair(
    found: Judgements,
    name: str,
    judge: JudgeSpec,
    context: Mapping[str, Any],
    one: tuple[str, str | None],
    two: tuple[str, str | None],
    place: int,
    sample: int,
) -> Iterator[tuple[Any, ...]]:
    (control, a), (treatment, b) = one, two
    if a is None or b is None or a == b:
        yield name, "", control, treatment, place, sample, None, "identical" if a is not None and a == b else "lost", len(a or "")
        return
    orders = [((control, a), (treatment, b)), ((treatment, b), (control, a))]
    if digest((a, b, str(context[QUESTION])), 1) < "8":  # which stands first in the file says nothing of whose it is
        orders.reverse()
    for (arm, first), (other, second) in orders if judge.orders == "both" else orders[:1]:
        mark = _item(found, name, context, {FIRST: shown(judge, first), SECOND: shown(judge, second)})
        yield name, "", arm, other, place, sample, mark, "", len(first)


def _item(found: Judgements, name: str, context: Mapping[str, Any], answers: Mapping[str, str]) -> str:
    """The hash of the item, which is made when it is asked about for the first time."""
    columns = {**context, **answers, MARK: mark_of(*answers.values())}
    own = digest((json.dumps(columns, sort_keys=True, ensure_ascii=True, default=str),), 32)
    if (name, own) not in found.items:
        question = str(context[QUESTION])
        found.items[name, own] = Item(dataset=name, item_id=own, kind="closed", question=question, answers=(), columns=columns)
    return item_hash(name, own)
