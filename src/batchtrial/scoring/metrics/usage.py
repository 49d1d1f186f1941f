"""Metrics of what an answer took: tokens and dollars, as the provider counts them."""

from __future__ import annotations

from typing import ClassVar, Final

import numpy as np

from batchtrial.records import AnswerState
from batchtrial.scoring.metrics.base import Better, Kind, NamedMetric, Numbers, Rows

COST: Final = "usd"
"""The fact of an answer that is what it cost, by the price of its model."""


class Usage(NamedMetric):
    """Base of them; each is a column of answers.parquet, and known also where the answer is lost, since it was paid."""

    kind: ClassVar[Kind] = "count"
    better_when: ClassVar[Better] = "lower"
    needs: ClassVar[str] = "what the provider counted"
    undefined: ClassVar[str] = "no answer came, or the provider told no tokens"
    counts: ClassVar[frozenset[str]] = frozenset(AnswerState)
    fact: ClassVar[str]

    def of(self, rows: Rows) -> dict[str, Numbers]:
        known = rows.facts.get(self.fact)
        return {self.column: np.full(len(rows.texts), np.nan) if known is None else known}


class OutputTokens(Usage):
    """Tokens of the answer, reasoning among them; of lost answers too, which were paid."""

    id: ClassVar[str] = "output_tokens"
    fact: ClassVar[str] = "output_tokens"
    facts: ClassVar[tuple[str, ...]] = ("output_tokens",)


class ReasoningTokens(Usage):
    """Tokens that the model thought with; of lost answers too, which were paid."""

    id: ClassVar[str] = "reasoning_tokens"
    fact: ClassVar[str] = "reasoning_tokens"
    facts: ClassVar[tuple[str, ...]] = ("reasoning_tokens",)


class CostUsd(Usage):
    """Dollars that the request took, question and answer together; of lost answers too, which were paid."""

    id: ClassVar[str] = "cost_usd"
    kind: ClassVar[Kind] = "grade"
    undefined: ClassVar[str] = "no answer came, the provider told no tokens, or the model has no price"
    fact: ClassVar[str] = COST
    facts: ClassVar[tuple[str, ...]] = (COST,)


FAMILY: tuple[type[NamedMetric], ...] = (OutputTokens, ReasoningTokens, CostUsd)
