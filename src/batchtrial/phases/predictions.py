"""The form of predictions.csv: one row per request, whatever became of it.

Rows are in request order: the control arm first, then the treatment; within each by temperature, part, place of the item, sample. An absent value
is an empty field without quotes; an empty text is a quoted one. Text is kept to the letter: a spreadsheet that is told to import columns as text
shows it as it is, one that guesses may take an answer for a formula.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from batchtrial.config.expand import Arm, Trial
from batchtrial.phases.index import Index
from batchtrial.providers.base import Plain
from batchtrial.records import CONDITIONS, RawResult

COLUMNS: Final = (
    "custom_id",
    "dataset",
    "item_id",
    "condition",
    "temp",
    "sample_index",
    "type",
    "request_id",
    "finish_reason",
    "response_text",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "outcome",
    "error",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cluster",
)
HEADER: Final = (",".join(COLUMNS) + "\r\n").encode()
_SPECIAL: Final = frozenset(',"\r\n')


def arms_in_order(trial: Trial) -> tuple[Arm, ...]:
    """Control arms by temperature, then treatment arms."""
    found = (trial.arm(condition, temp) for condition in CONDITIONS for temp in trial.temps)
    return tuple(arm for arm in found if arm is not None)


def quoted(text: str) -> str:
    """A field, with quotes only where it needs them."""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if not text or not _SPECIAL.isdisjoint(text) else text


def field(text: str | None) -> str:
    """A field that may be absent."""
    return "" if text is None else quoted(text)


class Rows:
    """Writes the rows of one arm. Item fields are quoted once, however many samples an item has."""

    def __init__(self, index: Index, arm: Arm) -> None:
        self._index = index
        self._condition = f"{arm.condition},{arm.temp!r}"
        self._samples = arm.samples

    def _frames(self, first: int, n_items: int) -> Iterator[tuple[str, str]]:
        """What comes before and after the answer in the rows of items first .. first + n_items, once per request."""
        index, end = self._index, first + n_items
        columns = (index.dataset[first:end], index.item_id[first:end], index.kind[first:end], index.cluster[first:end])
        for dataset, item_id, kind, cluster in zip(*columns, strict=True):
            begin = f"{quoted(dataset)},{quoted(item_id)},{self._condition}"
            close = f"{quoted(cluster)}\r\n" if cluster else "\r\n"
            for sample in range(self._samples):
                yield f"{begin},{sample},{kind}", close

    def plain(self, first: int, n_items: int, answers: Sequence[Plain]) -> bytes:
        """Rows of requests that all succeeded, in request order."""
        made = []
        for (begin, close), answer in zip(self._frames(first, n_items), answers, strict=True):
            custom_id, text, finish, request_id, n_in, n_out, cached, written, reasoning = answer
            if '"' in text:
                text = text.replace('"', '""')
            made.append(
                f'{custom_id},{begin},{field(request_id)},{field(finish)},"{text}",'
                f"{n_in},{n_out},{n_in + n_out},succeeded,,{cached},{written},{reasoning},{close}"
            )
        return "".join(made).encode()

    def mixed(self, first: int, n_items: int, results: Iterable[RawResult]) -> bytes:
        """Rows of requests that ended in any way, in request order."""
        made = []
        for (begin, close), result in zip(self._frames(first, n_items), results, strict=True):
            used = result.usage
            tokens = f"{used.input_tokens},{used.output_tokens},{used.input_tokens + used.output_tokens}" if used else ",,"
            details = f"{used.cached_tokens},{used.cache_write_tokens},{used.reasoning_tokens}" if used else ",,"
            text = "" if result.text is None else f'"{result.text.replace(chr(34), chr(34) * 2)}"'
            made.append(
                f"{result.custom_id},{begin},{field(result.request_id)},{field(result.finish_reason)},{text},"
                f"{tokens},{result.outcome},{field(result.error)},{details},{close}"
            )
        return "".join(made).encode()
