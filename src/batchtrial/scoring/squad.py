"""SQuAD 2.0: exact match and F1 as its evaluation script (version 2.0) computes them.

Accepted answers that normalise to nothing ("the", "-") are dropped, as there; with none left only an empty answer is right.
Unanswerable questions are scored by the scorer: abstaining is right, where the script knows only the empty string.
Source: Rajpurkar, Jia, Liang 2018, "Know What You Don't Know"; the script `evaluate-v2.0.py`.
"""

from __future__ import annotations

from batchtrial.scoring.match import Metric
from batchtrial.scoring.normalize import SQUAD

SQUAD_V2 = Metric(name="squad_v2", normalizer=SQUAD, drops_empty_golds=True, is_empty_pair_right=True)
