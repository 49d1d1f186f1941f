"""Answer text in, scores out: pure functions, no files, clocks or config."""

from batchtrial.scoring.registry import scorer_for
from batchtrial.scoring.scorer import Asked, Gold, ItemScore, Scorer, Scores
from batchtrial.scoring.unsupported import OverlapRule

__all__ = ["Asked", "Gold", "ItemScore", "OverlapRule", "Scorer", "Scores", "scorer_for"]
