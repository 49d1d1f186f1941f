"""inspect_ai: an eval_set with a batch configuration; going on is the same call with the same log folder."""

from __future__ import annotations

import sys

from inspect_ai import Task, eval_set, task
from inspect_ai.dataset import Sample
from inspect_ai.log import read_eval_log
from inspect_ai.model import BatchConfig
from inspect_ai.scorer import includes
from inspect_ai.solver import generate
from rows import MAX_TOKENS, QUESTIONS, case, number_of

now = case()


@task
def sums() -> Task:
    samples = [Sample(id=f"row-{number}", input=question, target=f"ANS {number}") for number, question in enumerate(QUESTIONS)]
    return Task(dataset=samples, solver=generate(), scorer=includes())


is_done, logs = eval_set(
    [sums()],
    log_dir=str(now.state / "logs"),
    log_dir_allow_dirty=True,
    model=f"{now.wire}/{now.model}",
    batch=BatchConfig(size=len(QUESTIONS), send_delay=1, tick=0.5),
    max_connections=len(QUESTIONS),
    max_tokens=MAX_TOKENS,
    retry_attempts=1,
    display="plain",
)
samples = [one for log in logs for one in read_eval_log(log.location).samples or []]
now.hand_back({number_of(str(one.id)): one.output.completion or None for one in samples if one.output and not one.error})
sys.exit(0 if is_done else 1)
