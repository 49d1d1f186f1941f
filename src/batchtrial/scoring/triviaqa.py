"""TriviaQA: exact match and F1 over all aliases, as its evaluation script computes them.

Two empty texts match exactly and yet have an F1 of 0, as there. The script reads aliases that its data files carry already
normalised; here the plain aliases are normalised by the script's rule. Source: Joshi, Choi, Weld, Zettlemoyer 2017; the
script `triviaqa_evaluation.py`.
"""

from __future__ import annotations

from batchtrial.scoring.match import Metric
from batchtrial.scoring.normalize import TRIVIAQA as NORMALIZER

TRIVIAQA = Metric(name="triviaqa", normalizer=NORMALIZER, drops_empty_golds=False, is_empty_pair_right=False)
