"""The rules on answers that a config declares, in the words of scoring."""

from __future__ import annotations

from batchtrial.config.model import Config
from batchtrial.scoring.standing import AnswerRules


def answer_rules(config: Config) -> AnswerRules:
    """How answers are read, and what those count as that are none."""
    return AnswerRules(strip_thinking=config.answers.strip_thinking or "auto", cut=config.stats.cut_answers, refused=config.stats.refused_answers)
