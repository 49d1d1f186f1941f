"""Metrics of all answers together: BLEU and chrF. An answer has no score of its own, but the counts from which that of any set of answers follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Literal

import numpy as np
from pydantic import Field, PrivateAttr

from batchtrial.scoring.metrics.base import Asked, Kind, Numbers, ReferenceMetric, Rows

_COUNTS: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*#[0-9]{1,3}")


def is_count(column: str) -> bool:
    """Whether a column of the scores holds such counts, and is no metric itself."""
    return _COUNTS.fullmatch(column) is not None


class CorpusMetric(ReferenceMetric):
    """Base of them. formula: how stats/corpus.py makes the score of the counts."""

    kind: ClassVar[Kind] = "corpus"
    library: ClassVar[str | None] = "sacrebleu"
    module: ClassVar[str | None] = "sacrebleu"
    formula: ClassVar[str]
    _library_metric: Any = PrivateAttr(default=None)

    @property
    def n_counts(self) -> int:
        """Counts of one answer."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(f"{self.column}#{place}" for place in range(self.n_counts))

    def library_metric(self) -> Any:
        """The library's own metric with these parameters."""
        raise NotImplementedError

    @property
    def signature(self) -> str:
        """As the library writes it, for others to compute the same; the number of references is not in it."""
        metric = self._metric()
        metric.num_refs = -1  # as the library says that it varies; otherwise it wants to have seen a corpus
        return str(metric.get_signature())

    def record(self) -> dict[str, Any]:
        return super().record() | {"signature": self.signature, "formula": self.formula}

    def _metric(self) -> Any:
        if self._library_metric is None:
            self._library_metric = self.library_metric()
        return self._library_metric

    def of(self, rows: Rows) -> dict[str, Numbers]:
        counts = np.full((len(rows.texts), self.n_counts), np.nan)
        metric = self._metric()
        for place, text in enumerate(rows.texts):
            references = self.references(rows.items[place]) if text is not None else ()
            if references and text is not None:
                counts[place] = self._counts(metric, text, references)
        return dict(zip(self.columns, counts.T, strict=True))

    def _counts(self, metric: Any, text: str, references: Sequence[str]) -> Any:
        # Not part of what the library promises; a test holds it against corpus_score, and the extra pins its version.
        return metric._extract_corpus_statistics([text], [[one] for one in references])[0]

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        raise TypeError(f"{self.id} is a score of many answers, not of one")

    def references(self, item: Asked) -> tuple[str, ...]:
        return tuple(one for one in super().references(item) if one.strip())


class Bleu(CorpusMetric):
    """BLEU of all answers together, from 0 to 100."""

    id: ClassVar[str] = "bleu"
    formula: ClassVar[str] = "bleu"

    tokenize: Literal["13a", "intl", "char", "none"] = Field("13a", description="How words are told apart, as the library calls it.")
    lowercase: bool = Field(False, description="Whether upper and lower case are alike.")

    @property
    def n_counts(self) -> int:
        return 10

    def library_metric(self) -> Any:
        from sacrebleu.metrics import BLEU

        return BLEU(tokenize=self.tokenize, lowercase=self.lowercase)


class Chrf(CorpusMetric):
    """chrF of all answers together, from 0 to 100; with `word_order: 2` chrF++."""

    id: ClassVar[str] = "chrf"
    formula: ClassVar[str] = "chrf"

    word_order: int = Field(0, ge=0, le=4, description="Longest run of words that is counted beside those of up to six characters.")
    lowercase: bool = Field(False, description="Whether upper and lower case are alike.")

    @property
    def n_counts(self) -> int:
        return 3 * (6 + self.word_order)

    def library_metric(self) -> Any:
        from sacrebleu.metrics import CHRF

        return CHRF(word_order=self.word_order, lowercase=self.lowercase)


FAMILY: tuple[type[CorpusMetric], ...] = (Bleu, Chrf)
