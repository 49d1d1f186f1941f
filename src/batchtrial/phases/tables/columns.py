"""The columns of every table: answers.parquet, scores.parquet, and the CSV files that are made of them.

A column is added here, in one line, but a number of a scored answer in `scoring/score_columns.py`: readers and writers take what stands in the
lists.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from batchtrial.config.expand import Arm
from batchtrial.scoring import score_columns

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


def has_questions(arms: Iterable[Arm]) -> bool:
    """Whether some arm asks questions under an instruction."""
    return any(not arm.task for arm in arms)


def kind_words(kind: Kind, *, has_questions: bool = True) -> str:
    """Of which items a comparison is. has_questions: else a task asks about items that are no questions, with or without a passage."""
    return KINDS[kind] if has_questions or kind != "all" else "all items"


class Column(NamedTuple):
    """A column of answers.parquet. of: where its value stands: `line`, the line's `result`, that result's `usage`, or "" for what parse works out."""

    name: str
    type: str
    of: Literal["line", "result", "usage", ""] = ""
    field: str = ""


ANSWERS: Final = (
    Column("place", "Int32"),
    Column("sample", "Int32"),
    Column("outcome", "String", "result", "outcome"),
    Column("answer_state", "String", "result", "state"),
    Column("finish_reason", "String", "result", "finish_reason"),
    Column("error_code", "String"),
    Column("input_tokens", "Int64", "usage", "input_tokens"),
    Column("output_tokens", "Int64", "usage", "output_tokens"),
    Column("cached_tokens", "Int64", "usage", "cached_tokens"),
    Column("cache_write_tokens", "Int64", "usage", "cache_write_tokens"),
    Column("reasoning_tokens", "Int64", "usage", "reasoning_tokens"),
    Column("usd", "Float64"),
    Column("service_tier", "String", "result", "service_tier"),
    Column("attempt", "Int32", "line", "attempt"),
    Column("file", "String", "line", "file"),
    Column("byte", "Int64", "line", "byte"),
    Column("length", "Int64", "line", "length"),
    Column("custom_id", "String", "result", "custom_id"),
    Column("request_id", "String", "result", "request_id"),
    Column("error", "String", "result", "error"),
    Column("text", "String", "result", "text"),
)
"""Small columns before texts, so that a page of them can be read without the rest."""
TOKENS: Final = tuple(column.name for column in ANSWERS if column.of == "usage")

_PREDICTIONS: Final = (
    *("custom_id", "dataset", "item_id", "condition", "temp", "sample_index", "type", "request_id", "finish_reason", "response_text"),
    *("prompt_tokens", "completion_tokens", "total_tokens", "outcome", "error", "cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    *("answer_state", "cluster", "question", "reference"),
)
_OTHER_NAMES: Final = {"sample_index": "sample", "type": "kind", "response_text": "text"}
_OTHER_NAMES_OF_TOKENS: Final = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
PREDICTIONS: Final = {name: (_OTHER_NAMES | _OTHER_NAMES_OF_TOKENS).get(name, name) for name in _PREDICTIONS}
"""Column of predictions.csv -> column of the tables."""

NUMBERS: Final = tuple(one.name for one in score_columns.NUMBERS)
"""The numbers of a scored answer, in the order of `Scores`; `scoring/score_columns.py` says what they are."""
RATES: Final = tuple(one.name for one in score_columns.NUMBERS if one.has_spread)
SCORES: Final = ("place", *NUMBERS, *(f"{name}_std" for name in RATES), "n_samples", "n_lost", "lost_to")
"""Columns of scores.parquet; a user's measures follow by name."""
ITEM_COLUMNS: Final = {"item_key": "item_key", "type": "kind", "dataset": "dataset", "cluster": "cluster"}
"""Column of per_item_scores.csv -> column of items.parquet."""
TEXTS: Final = ("question", "reference")
"""What the CSV files say of the item at the end of each row."""
_OF_ROWS: Final = (*SCORES[1:], *ITEM_COLUMNS, "condition", "temp")
_LAST: Final = ("n_samples", "n_lost", "lost_to", "overlap", "dataset", "cluster")
SCORE_COLUMNS: Final = (*sorted(name for name in _OF_ROWS if name not in _LAST), *_LAST)
"""Fixed columns of per_item_scores.csv; a user's measures follow by name, then TEXTS."""
