"""A finished run whose answers the test chooses: what readers, pages and labels are tried on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.unit.phases.world import Answer, World, closed_items, open_items, world

from batchtrial.config.expand import TrialArm
from batchtrial.phases.analyse import costs, optional, stats
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
    """A run with a report, its report of `n_open` questions about passages and `n_closed` others."""
    opened = open_items(n_open, per_passage=per_passage, unanswerable_every=unanswerable_every)
    with world(folder, opened=opened, closed=closed_items(n_closed), **changes) as made:
        made.answer_all(answer or answers())
        for phase in PHASES:
            made.run(phase)
        yield made
