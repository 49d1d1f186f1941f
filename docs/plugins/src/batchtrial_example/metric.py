"""A metric by name: `metrics: [shouting]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from batchtrial.scoring.metrics.base import Better, Numbers, TextMetric


class Shouting(TextMetric):
    """1 where the answer is in capitals."""

    id: ClassVar[str] = "shouting"
    better_when: ClassVar[Better] = "lower"

    def judge(self, texts: Sequence[str], references: Sequence[tuple[str, ...]]) -> Numbers:
        return np.array([float(text.isupper()) for text in texts])
