"""Names that scoring gives: the columns of per_item_scores.csv and the measures that they hold."""

from __future__ import annotations

from typing import Final

MEASURES: Final = ("em", "f1", "abstained", "false_answer", "unsupported")
"""What a config may ask for by name; a user's own measures may not take these names."""
SCORE_COLUMNS: Final = (
    "abstain_rate",
    "abstain_rate_std",
    "condition",
    "em",
    "em_std",
    "f1",
    "f1_std",
    "false_answer_rate",
    "false_answer_rate_std",
    "item_key",
    "temp",
    "type",
    "unsupported_rate",
    "unsupported_rate_std",
    "n_samples",
    "n_lost",
    "lost_to",
    "overlap",
    "dataset",
    "cluster",
)
"""Fixed columns of per_item_scores.csv; a user's measures follow by name."""
RATES: Final = ("em", "f1", "abstain_rate", "false_answer_rate", "unsupported_rate")
