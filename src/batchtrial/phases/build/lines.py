"""Request lines of a part: what is the same in every line of an arm is encoded once, and each line is put together from pieces.

`plain_lines` says what the lines are; `Pieces` makes the same bytes faster, or says that it cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from batchtrial.config.expand import Arm
from batchtrial.keys import item_hash
from batchtrial.phases.build.index import HASH_CHARS, Ids
from batchtrial.phases.build.rows import Row
from batchtrial.phases.prepare.items import Prepared
from batchtrial.providers.base import Provider
from batchtrial.records import Item, Kind

KINDS: Final[tuple[Kind, ...]] = ("open", "closed")
LINES_AT_A_TIME: Final = 2000
_ODD: Final = 'quote " backslash \\ slash / </p> tab \t line\r\n\x00\x1f\x7f umlaut \u00e4 \u2028 snow \u2603 face \U0001f600 end'
"""Every character that some encoder may write in a way of its own."""


def plain_lines(arm: Arm, items: Iterable[Item], provider: Provider, samples: range | None = None) -> Iterator[bytes]:
    """Request lines of a part: items in order, each with its samples. samples: which; None: all of the arm."""
    for item in items:
        mark = item_hash(item.dataset, item.item_id)
        for sample in range(arm.samples) if samples is None else samples:
            yield provider.encode(arm.request(item, arm.custom_id(mark, sample)))


class Escaped(msgspec.Struct, gc=False):
    """Texts of an item as they stand inside JSON, the same in every arm."""

    kind: Kind
    mark: bytes
    context: bytes
    question: bytes

    @classmethod
    def of(cls, row: Row, texts: Prepared) -> Escaped:
        """Of one item."""
        return cls(row.kind, row.mark.encode(), _escaped(texts.context or ""), _escaped(texts.question))


@dataclass(frozen=True, slots=True)
class Pieces:
    """What stands around an item's texts in the lines of an arm, by kind: before the id, up to the passage, up to the question, to the end.

    lead, tails: what stands around the item's hash in its custom_ids, for each sample.
    """

    around: Mapping[Kind, tuple[bytes, bytes, bytes, bytes]]
    lead: bytes
    tails: tuple[bytes, ...]

    @classmethod
    def of(cls, arm: Arm, provider: Provider, samples: range | None = None) -> Pieces | None:
        """The arm's pieces for these samples; None when the codec puts lines together in a way that they do not follow."""
        ids = Ids.of(arm, samples)
        around = {}
        for kind in KINDS:
            found = _around(arm, kind, provider)
            if found is None:
                return None
            around[kind] = found
        made = cls(around, ids.lead.encode(), tuple(tail.encode() for tail in ids.tails))
        odd = [_blank(kind, _ODD, _ODD[::-1]) for kind in KINDS]
        mark = item_hash("", "").encode()
        told = b"".join(made.blocks([Escaped(one.kind, mark, _escaped(one.context or ""), _escaped(one.question)) for one in odd]))
        return made if told == b"".join(plain_lines(arm, odd, provider, samples)) else None

    def blocks(self, items: Sequence[Escaped]) -> Iterator[bytes]:
        """The lines of `plain_lines`, many in one piece."""
        for first in range(0, len(items), LINES_AT_A_TIME):
            out: list[bytes] = []
            for item in items[first : first + LINES_AT_A_TIME]:
                head, middle, between, end = self.around[item.kind]
                for tail in self.tails:
                    out += (head, self.lead, item.mark, tail, middle, item.context, between, item.question, end)
            yield b"".join(out)


def _around(arm: Arm, kind: Kind, provider: Provider) -> tuple[bytes, bytes, bytes, bytes] | None:
    """One line of the arm taken apart at marks that nobody's prompt holds; None when they do not come back as they went in."""
    context, question = ("7c1b-the-passage-9e3f", "2d8a-the-question-4b6c")
    own_id = arm.custom_id("f" * HASH_CHARS, 0)
    line = provider.encode(arm.request(_blank(kind, question, context), own_id))
    marks = [own_id.encode(), *([context.encode()] if kind == "open" else []), question.encode()]
    if any(line.count(mark) != 1 for mark in marks):
        return None
    rest, found = line, []
    for mark in marks:
        before, there, rest = rest.partition(mark)
        if not there:
            return None
        found.append(before)
    return (found[0], found[1], found[2], rest) if kind == "open" else (found[0], found[1], b"", rest)


def _blank(kind: Kind, question: str, context: str) -> Item:
    return Item(dataset="", item_id="", kind=kind, question=question, context=context if kind == "open" else None, answers=())


def _escaped(text: str) -> bytes:
    return msgspec.json.encode(text)[1:-1]
