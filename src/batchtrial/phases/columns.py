"""Names that scoring gives: the columns of per_item_scores.csv and the measures that they hold."""

from __future__ import annotations

from typing import Final, Literal

MEASURES: Final = ("em", "f1", "abstained", "false_answer", "unsupported")
"""What a config may ask for by name; a user's own measures may not take these names."""
LABELS: Final[dict[str, str]] = {
    "em": "exact match",
    "f1": "token F1",
    "abstained": "abstention",
    "false_answer": "answering the unanswerable",
    "unsupported": "answers without lexical support (a heuristic)",
}
Kind = Literal["open", "closed", "all"]
KINDS: Final[dict[Kind, str]] = {"open": "open book", "closed": "closed book", "all": "all questions"}
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
