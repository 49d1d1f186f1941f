"""NQ-Open: exact match as its evaluation code computes it.

Officially NQ-Open has exact match only. The F1 given here is ours: token F1 with NQ-Open's normalisation and TriviaQA's rule
for empty texts; do not quote it as an official number. Source: Lee, Chang, Toutanova 2019; the EfficientQA evaluation code.
"""

from __future__ import annotations

from batchtrial.scoring.match import Metric
from batchtrial.scoring.normalize import NQ_OPEN as NORMALIZER

NQ_OPEN = Metric(name="nq_open", normalizer=NORMALIZER, drops_empty_golds=False, is_empty_pair_right=False)
