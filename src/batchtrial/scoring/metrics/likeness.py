"""Metrics of how like a reference an answer is, by the libraries that define them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from batchtrial.scoring.metrics.base import Kind, Numbers, ReferenceMetric

MOST_CHARACTERS = 20_000
"""Of an answer and of a reference that are compared: the time grows with the product of both."""


class Likeness(ReferenceMetric):
    """Base of them: the largest over an item's references."""

    kind: ClassVar[Kind] = "grade"
    limits: ClassVar[tuple[float, float] | None] = (0.0, 1.0)

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        like = self.like()
        found = np.full(len(texts), np.nan)
        for place, (text, wanted) in enumerate(zip(texts, references, strict=True)):
            if wanted:
                found[place] = max(like(one[:MOST_CHARACTERS], text[:MOST_CHARACTERS]) for one in wanted)
        return found

    def like(self) -> Callable[[str, str], float]:
        """How like the second text is to the first, between 0 and 1."""
        raise NotImplementedError


class Similarity(Likeness):
    """How like the nearest reference the answer is, from 0 to 1, character by character; the first 20,000 characters of each."""

    id: ClassVar[str] = "similarity"
    library: ClassVar[str | None] = "rapidfuzz"
    module: ClassVar[str | None] = "rapidfuzz"

    method: Literal["ratio", "partial_ratio", "token_sort_ratio", "token_set_ratio", "levenshtein", "jaro_winkler"] = Field(
        "ratio", description="Which measure of the library, as it calls it; levenshtein and jaro_winkler are the normalised ones."
    )
    case: bool = Field(False, description="Whether upper and lower case differ.")

    def like(self) -> Callable[[str, str], float]:
        from rapidfuzz import distance, fuzz  # here, since most runs need it not

        found: Callable[[str, str], float]
        if self.method == "levenshtein":
            found = distance.Levenshtein.normalized_similarity
        elif self.method == "jaro_winkler":
            found = distance.JaroWinkler.normalized_similarity
        else:
            measure = getattr(fuzz, self.method)

            def found(a: str, b: str) -> float:
                return float(measure(a, b)) / 100.0

        return found if self.case else lambda a, b: found(a.casefold(), b.casefold())


class RougeL(Likeness):
    """ROUGE-L's F1 with the nearest reference, from 0 to 1; the first 20,000 characters of each."""

    id: ClassVar[str] = "rouge_l"
    library: ClassVar[str | None] = "rouge-score"
    module: ClassVar[str | None] = "rouge_score"

    stemmed: bool = Field(False, description="Whether words are compared by their stems (English).")
    _scorer: Any = PrivateAttr(default=None)

    def like(self) -> Callable[[str, str], float]:
        from rouge_score.rouge_scorer import RougeScorer

        if self._scorer is None:
            self._scorer = RougeScorer(["rougeL"], use_stemmer=self.stemmed)
        return lambda reference, text: float(self._scorer.score(reference, text)["rougeL"].fmeasure)


FAMILY: tuple[type[Likeness], ...] = (Similarity, RougeL)
