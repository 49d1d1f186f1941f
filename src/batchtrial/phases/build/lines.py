"""Request lines of a part: what is the same in every line of an arm is encoded once, and each line is put together from pieces.

`plain_lines` says what the lines are; `Pieces` makes the same bytes faster, or says that it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from batchtrial.config.expand import Arm
from batchtrial.keys import item_hash
from batchtrial.phases.build.index import HASH_CHARS, Ids
from batchtrial.phases.build.rows import in_request
from batchtrial.providers.base import Provider
from batchtrial.records import Item, Kind

if TYPE_CHECKING:
    import polars as pl

KINDS: Final[tuple[Kind, ...]] = ("open", "closed")
ITEMS_AT_A_TIME: Final = 4096
_ODD: Final = 'quote " backslash \\ slash / </p> tab \t line\r\n\x00\x1f\x7f umlaut \u00e4 \u2028 snow \u2603 face \U0001f600 end'
"""Every character that some encoder may write in a way of its own."""


def plain_lines(arm: Arm, items: Iterable[Item], provider: Provider, samples: range | None = None) -> Iterator[bytes]:
    """Request lines of a part: items in order, each with its samples. samples: which; None: all of the arm."""
    for item in items:
        mark = item_hash(item.dataset, item.item_id)
        for sample in range(arm.samples) if samples is None else samples:
            yield provider.encode(arm.request(item, arm.custom_id(mark, sample)))


@dataclass(frozen=True, slots=True)
class Pieces:
    """What stands around an item's texts in the lines of an arm, by kind: before the id, up to the passage, up to the question, to the end.

    lead, tails: what stands around the item's hash in its custom_ids, for each sample.
    """

    around: Mapping[Kind, tuple[str, str, str, str]]
    lead: str
    tails: tuple[str, ...]

    @classmethod
    def of(cls, arm: Arm, provider: Provider, samples: range | None = None) -> Pieces | None:
        """The arm's pieces for these samples; None when the codec puts lines together in a way that they do not follow."""
        import polars as pl  # a verdict is told without

        ids = Ids.of(arm, samples)
        around = {}
        for kind in KINDS:
            found = _around(arm, kind, provider)
            if found is None:
                return None
            around[kind] = found
        made = cls(around, ids.lead, ids.tails)
        odd = [_blank(kind, _ODD, _ODD[::-1]) for kind in KINDS]
        texts = [(item_hash("", ""), one.kind, in_request(one.context or ""), in_request(one.question)) for one in odd]
        told = made.lines(pl.DataFrame(texts, schema=["mark", "kind", "context", "question"], orient="row"))
        return made if b"".join(told) == b"".join(plain_lines(arm, odd, provider, samples)) else None

    def blocks(self, items: pl.DataFrame) -> Iterator[Callable[[], list[bytes]]]:
        """What makes the lines of `plain_lines`, many at once. items: as `rows.escaped` has them."""
        return (partial(self.lines, items.slice(first, ITEMS_AT_A_TIME)) for first in range(0, items.height, ITEMS_AT_A_TIME))

    def lines(self, items: pl.DataFrame) -> list[bytes]:
        """All of them, in a few pieces."""
        import polars as pl

        from batchtrial.phases.tables.csv_rows import csv_rows

        numbered, found = items.with_row_index(), []
        for kind, (head, middle, between, end) in self.around.items():
            texts: list[Any] = []
            for number, tail in enumerate(self.tails):
                before = "\n" if number else ""
                texts += [pl.lit(f"{before}{head}{self.lead}"), "mark", pl.lit(tail + middle), "context", pl.lit(between), "question", pl.lit(end)]
            found.append(numbered.filter(kind=kind).select("index", pl.concat_str(texts).alias("line")))
        whole = pl.concat(found).sort("index").drop("index") if all(one.height for one in found) else max(found, key=len).drop("index")
        return csv_rows(whole, ends="\n", quotes="never")


def _around(arm: Arm, kind: Kind, provider: Provider) -> tuple[str, str, str, str] | None:
    """One line of the arm taken apart at marks that nobody's prompt holds; None when they do not come back as they went in."""
    context, question = ("7c1b-the-passage-9e3f", "2d8a-the-question-4b6c")
    own_id = arm.custom_id("f" * HASH_CHARS, 0)
    line = provider.encode(arm.request(_blank(kind, question, context), own_id))
    marks = [own_id.encode(), *([context.encode()] if kind == "open" else []), question.encode()]
    if any(line.count(mark) != 1 for mark in marks) or not line.endswith(b"\n"):
        return None
    rest, found = line[:-1], []
    for mark in marks:
        before, there, rest = rest.partition(mark)
        if not there:
            return None
        found.append(before.decode())
    return (found[0], found[1], found[2], rest.decode()) if kind == "open" else (found[0], found[1], "", rest.decode())


def _blank(kind: Kind, question: str, context: str) -> Item:
    return Item(dataset="", item_id="", kind=kind, question=question, context=context if kind == "open" else None, answers=())
