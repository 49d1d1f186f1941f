"""A finished run whose answers the test chooses: what readers, pages and labels are tried on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
from tests.unit.phases.world import Answer, World, closed_items, open_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.analyse import costs, optional, stats
from batchtrial.phases.judge.parse import COLUMNS
from batchtrial.phases.judge.questions import ASKED
from batchtrial.phases.parse import phase as parse
from batchtrial.phases.report import phase as report
from batchtrial.phases.score import phase as score

PHASES = (parse.phase, score.phase, stats.phase, costs.phase, optional.phase, report.phase)


def answers(seed: int = 7, *, p_control: float = 0.6, p_treatment: float = 0.75) -> Answer:
    """Right, wrong, abstaining and failed answers by chance; the treatment's are longer."""
    rng = random.Random(seed)

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        chance, luck = (p_treatment if arm.condition == "treatment" else p_control), rng.random()
        number = item_id[1:]
        right = f"answer {number}" if dataset == "reading" else f"thing {number}"
        if luck > 0.97:
            return None
        if luck > 0.93:
            return "I don't know."
        more = " and more words" if arm.condition == "treatment" and rng.random() < 0.3 else ""
        return right if luck < chance and not more else f"{right if luck < chance else 'something else'}{more}"

    return answer


def beginning_with(texts: Sequence[str]) -> Answer:
    """These texts for the first items of each set, and for the others what `answers` gives."""
    usual = answers()

    def answer(arm: TrialArm, dataset: str, item_id: str, sample: int) -> str | None:
        number = int(item_id[1:])
        return texts[number] if number < len(texts) else usual(arm, dataset, item_id, sample)

    return answer


@contextmanager
def finished(
    folder: Path,
    answer: Answer | None = None,
    *,
    n_open: int = 30,
    n_closed: int = 30,
    per_passage: int = 1,
    unanswerable_every: int = 5,
    **changes: Any,
) -> Iterator[World]:
    """A run with a report, its report of `n_open` questions about passages and `n_closed` others; with judges only scored and judged."""
    opened = open_items(n_open, per_passage=per_passage, unanswerable_every=unanswerable_every)
    with world(folder, opened=opened, closed=closed_items(n_closed), **changes) as made:
        made.answer_all(answer or answers())
        for phase in PHASES[:2] if made.config.judges else PHASES:
            made.run(phase)
        if made.config.judges:
            judge_by_hand(made)
        yield made


def text(content: str) -> dict[str, str]:
    return {"path": "p.txt", "text": content}


SEVERAL: dict[str, Any] = {
    "prompt_sets": {},
    "task": {"messages": [{"role": "system", "text": text("Be kind.")}, {"role": "user", "template": text("Answer shortly: {{ question }}")}]},
    "arms": {
        "control": {"system": text("Answer.")},
        "brief": {"system": text("Answer in one word.")},
        "turn": {"system": text("Answer."), "task": {"messages": [{"role": "user", "template": text("Answer with care: {{ question }}")}]}},
        "warm": {"system": text("Answer warmly.")},
    },
    "samples_per_item": 2,
    "metrics": ["words", "cost_usd"],
    "judges": [
        {"name": "good", "kind": "yes_no", "rubric": text("Is it good?")},
        {"name": "tone", "kind": "pairwise", "rubric": text("Which is kinder?")},
        {"name": "depth", "kind": "score", "scale": [1, 4], "rubric": text("How deep is it?")},
    ],
}
"""A control and three arms, one of them with another task; two samples; a count and a grade; a judge of each kind of number."""


def judge_by_hand(made: World) -> None:
    """Verdicts by chance in the tables of judgements: some lost, some another in each order."""
    rng, view = random.Random(5), made.view
    asked: list[tuple[Any, ...]] = []
    said: list[tuple[Any, ...]] = []

    def ask(judge: str, arm: str, other: str, place: int, sample: int, set_: str, verdict: float) -> None:
        mark = f"{judge}/{arm}/{other}/{place}/{sample}"
        asked.append((set_, "", arm, other, place, sample, mark, "", 9))
        is_lost = rng.random() < 0.05
        said.append(
            (judge, judge, mark, 0, "lost" if is_lost else "judged", None if is_lost else verdict, 0.0, f"{judge} of {place}, <b>{sample}</b>")
        )

    n = len(made.layout.index.read_text().splitlines()) - 1
    for trial in view.trials:
        control, treatment = (arm.name for arm in trial.arms)
        for place in range(n):
            for sample in range(2):
                first = rng.choice((0.0, 0.5, 1.0))
                ask("tone", control, treatment, place, sample, "pairs-20000", first)
                ask("tone", treatment, control, place, sample, "pairs-20000", 1.0 - first if rng.random() < 0.7 else first)
    for name in dict.fromkeys(arm.name for trial in view.trials for arm in trial.arms):
        for place in range(n):
            for sample in range(2):
                ask("good", name, "", place, sample, "answers-20000", float(rng.random() < 0.6))
                ask("depth", name, "", place, sample, "answers-20000", float(rng.choice((1, 4, 4, 4))))
    made.layout.asked.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(asked, schema=dict(ASKED), orient="row").write_parquet(made.layout.asked)
    pl.DataFrame(said, schema=COLUMNS, orient="row").write_parquet(made.layout.judgements)
