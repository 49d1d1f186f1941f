"""Verdicts of judges whose form no provider enforces: one that cannot be read is no answer, and is asked for once more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from batchtrial.config.judge_arms import free_judge
from batchtrial.config.judges import JudgeSpec
from batchtrial.config.model import Config
from batchtrial.records import AnswerState, Outcome, RawResult

Decode = Callable[[bytes], RawResult]
NO_VERDICT = "no_verdict: not in the form that the judge was asked for"


def asks_once_more(config: Config, task: str) -> bool:
    """Whether rows of the arm with this recipe that were answered unreadably go into one more attempt."""
    return free_judge(config, task) is not None


def verdict_reader(decode: Decode, config: Config, task: str) -> Decode:
    """The reader of an arm's result lines: of such a judge, a text that holds no verdict is not understood; of any other arm, as it is."""
    judge = free_judge(config, task)
    return decode if judge is None else partial(_read, decode=decode, judge=judge)


def _read(line: bytes, decode: Decode, judge: JudgeSpec) -> RawResult:
    result = decode(line)
    if result.outcome is not Outcome.SUCCEEDED or result.state is AnswerState.NOT_UNDERSTOOD or judge.value_of(result.text or "") is not None:
        return result
    return msgspec.structs.replace(result, state=AnswerState.NOT_UNDERSTOOD, error=NO_VERDICT)
