"""What a page that is mailed carries: numbers as columns, texts in blocks that are unpacked when they are looked at, and never more than fits."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from batchtrial.config.expand import Arm
from batchtrial.keys import digest
from batchtrial.reading import pages
from batchtrial.reading.ask import OUTCOMES, Ask
from batchtrial.reading.drawn import DRAWN, drawn
from batchtrial.reading.judgements import is_flipped
from batchtrial.reading.long_texts import LONGEST, conversations, fold, page_of
from batchtrial.reading.metrics import score_columns
from batchtrial.reading.run_tables import Pairs, RunTables
from batchtrial.reading.slices import Slicer, slice_json
from batchtrial.stats.distributions import z_two_sided

PER_BLOCK: Final = 128
_AT_ONCE: Final = 16 * PER_BLOCK
"""Pairs whose answers are read in one pass over the tables, at most."""
_READ_BYTES: Final = 32_000_000
"""How much of the tables that pass reads, roughly."""
_BLOCK_BYTES: Final = 1_000_000
"""Bytes of JSON that are unpacked together, but for an item that has more by itself."""
_MISSES: Final = 16
"""Blocks that are tried although one before them did not fit."""
MOST_BYTES: Final = 10_000_000
REDACTED: Final = "(left out)"
_FOR_COLUMNS: Final = 160
"""Bytes per pair that its columns take at most, roughly; what the texts may take is what is left."""
_FOR_VERDICTS: Final = 4
"""The same of what one judge says of two arms."""
_PACKED: Final = 3
"""How much smaller texts become, at most: what surely does not fit is not tried."""


@dataclass(slots=True)
class Carrier:
    """The data of a page. is_redacted: without any text; per_block: items whose texts are unpacked together, at most; places: of its items.

    starts: of each block its first item's place in the page; long: texts of which an item has the beginning, as (place in the page, key, characters);
    more: of those whose rest fits too, the first of its `pages` and how many. used: bytes, roughly.
    """

    tables: RunTables
    most_bytes: int = MOST_BYTES
    is_redacted: bool = False
    per_block: int = PER_BLOCK
    places: list[int] = field(default_factory=list)
    blocks: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    long: list[tuple[int, str, int]] = field(default_factory=list)
    more: dict[str, tuple[int, int]] = field(default_factory=dict)
    pages: list[str] = field(default_factory=list)
    used: int = 0

    def data(self) -> dict[str, str]:
        """Name of each block -> its content: JSON, compressed, in base64."""
        n = self.tables.n_asked
        room = self.most_bytes - 200_000
        size = sum(self.tables.layout.arm(arm.name).answers.stat().st_size for arm in self.tables.arms())
        if size > _PACKED * room or not self._fill(range(n), room):
            self._fill(self._by_weight(), room, misses=_MISSES)
        self._fill_rests(room)
        columns = packed(self._columns())
        texts, rests = ({f"{name}-{number}": one for number, one in enumerate(some)} for name, some in (("texts", self.blocks), ("more", self.pages)))
        return {"columns": columns, **texts, **rests}

    def _fill(self, order: Sequence[int], room: int, *, misses: int = 0) -> bool:
        """Take pairs in this order until the room is used up; whether all of them fit. misses: blocks that may be left out before it ends."""
        self.places, self.blocks, self.starts, self.long, self.used, missed = [], [], [], [], 0, 0
        per_pair = _FOR_COLUMNS + _FOR_VERDICTS * sum(len(pairs.judged) for pairs in self._pairs())
        at_once = self._at_once()
        for begin in range(0, len(order), at_once):
            batch = list(order[begin : begin + at_once])
            made = self._items(batch)
            for first, after in self._in_blocks(made, min(_BLOCK_BYTES, room // 4)):
                some, block = batch[first:after], packed(made[first:after])
                size = len(block) + len(some) * per_pair
                if self.used + size > room:
                    missed += 1
                    if missed > misses:
                        return False
                    continue
                self.used += size
                self.long += [(at, *one) for at, item in enumerate(made[first:after], len(self.places)) for one in item.get("long", {}).items()]
                self.starts.append(len(self.places))
                self.places += some
                self.blocks.append(block)
        return not missed

    def _at_once(self) -> int:
        """Pairs in one pass: fewer where texts are long."""
        size = sum(self.tables.layout.arm(arm.name).answers.stat().st_size for arm in self.tables.arms())
        return max(1, min(_AT_ONCE, _READ_BYTES * self.tables.n_asked // max(1, size)))

    def _in_blocks(self, items: Sequence[dict[str, Any]], most_bytes: int) -> Iterator[tuple[int, int]]:
        """First and after the last of the items that are packed together."""
        first, size = 0, 0
        for at, item in enumerate(items):
            n = len(msgspec.json.encode(item))
            if at > first and (at - first == self.per_block or size + n > most_bytes):
                yield first, at
                first, size = at, 0
            size += n
        if items:
            yield first, len(items)

    def _fill_rests(self, room: int) -> None:
        """Take the rests of long texts, each whole, as far as there is room."""
        for at, key, n in self.long:
            left = room - self.used
            if n > _PACKED * left:
                continue
            numbers = range(1, -(-n // LONGEST))
            pages = [packed(page_of(self.tables, self.places[at], key, number)) for number in numbers]
            if (size := sum(map(len, pages))) <= left:
                self.more[f"{at}/{key}"] = (len(self.pages), len(pages))
                self.pages += pages
                self.used += size

    def _by_weight(self) -> list[int]:
        """Those drawn for labels, all that changed or are incomplete by the first metric of any trial, then the others shuffled by the seed."""
        n = self.tables.n_asked
        weight = np.full(n, 2, dtype=np.int8)
        for trial, temp in self.tables.ready():
            pairs = self.tables.pairs(trial.slug, temp)
            slicer = Slicer(self.tables, pairs, lambda _: np.zeros(n, dtype=np.bool_))
            codes = slicer.outcomes(pairs.metrics[0]).codes
            changed = np.isin(codes, [OUTCOMES.index(name) for name in ("won", "lost", "incomplete")])
            weight[: codes.size][changed] = 1
        weight[: 2 * DRAWN] = 0
        seed = int(digest((str(self.tables.config.seed), "page"), 8), 16)
        return [int(place) for place in np.lexsort((np.random.default_rng(seed).permutation(n), weight))]

    def _items(self, places: Sequence[int]) -> list[dict[str, Any]]:
        """Items as `pages.detail` has them; turns that several arms sent are there once."""
        arms = self.tables.arms()
        answers = [pages.samples(self.tables, arm, places) for arm in arms]
        judged = pages.judged(self.tables, places)
        found = []
        for at, item in enumerate(self.tables.items.read(places)):
            one = pages.item_json(item)
            turns, by = conversations(self.tables, item)
            said = [of_arm[at] for of_arm in answers]
            if self.is_redacted:
                one, turns, said = _redacted(one), [[["user", REDACTED]] for _ in turns], [_without_texts(arm) for arm in said]
            told = [{**one, "reason": ""} for one in judged[places[at]]] if self.is_redacted else judged[places[at]]
            found.append(fold(one | {"sent": turns, "by": by, "by_arm": said, "judged": told}))
        return found

    def _columns(self) -> dict[str, Any]:
        tables, items = self.tables, self.tables.items
        about = pages.about(tables)
        choices = about["choices"]
        if self.is_redacted:
            # Any other column may hold what is to stay here: a passage that several items share is one to choose from.
            own = {"dataset", "kind", *(f"x.{name}" for name in tables.config.slices)}
            choices = about["choices"] = {name: values for name, values in choices.items() if name in own}
            about["arms"] = [{**one, "system": REDACTED} for one in about["arms"]]
            about["trials"] = [{**one, "differences": [[name, REDACTED, REDACTED] for name, *_ in one["differences"]]} for one in about["trials"]]
        place_of = {place: at for at, place in enumerate(self.places)}
        keys = items.keys(self.places)
        clusters = None if items.clusters is None else items.clusters[self.places].tolist()
        for told, pairs in zip(about["trials"], self._pairs(), strict=True):
            queue = [] if self.is_redacted else drawn(tables, pairs)  # nobody compares answers that are not there
            told["queue"] = [[one.key, place_of[one.place], one.is_repeat, one.is_flipped, one.mark] for one in queue if one.place in place_of]
        is_part = len(self.places) < tables.n_asked
        return {
            "about": about,
            "n": len(self.places),
            "starts": self.starts,
            "z": z_two_sided(1 - tables.config.stats.alpha),
            "keys": keys,
            "clusters": clusters,
            "items": {name: self._coded(name) for name in choices},
            "arms": [self._arm(arm) for arm in tables.arms()],
            "judged": {f"{pairs.trial.slug}/{pairs.temp:g}": self._judged(pairs) for pairs in self._pairs() if pairs.judged},
            "more": self.more,
            "part": " ".join(self._said(is_part)) or None,
            "whole": self._whole() if is_part else None,
        }

    def _said(self, is_part: bool) -> Iterator[str]:
        """What of the run the page does not hold."""
        kept, n, short = len(self.places), self.tables.n_asked, len(self.long) - len(self.more)
        if is_part:
            yield (
                f"This file holds {kept:,} of {n:,} items, as many as fit: those that changed first, then others drawn by the run's seed. "
                "Numbers of the whole run are of all items; slices show counts of what is in the file."
            )
        if short:
            yield f"Of {short:,} {'text' if short == 1 else 'texts'} over {LONGEST:,} characters only the beginning fits into this file."
        if self.is_redacted:
            yield "Questions, prompts and answers were left out of this file."
        if is_part or short or self.is_redacted:
            yield "`batchtrial view` shows everything."

    def _whole(self) -> dict[str, Any]:
        """The statistics and chips of all pairs of each trial by each metric, for a page that holds a part of them."""
        found: dict[str, Any] = {}
        for pairs in self._pairs():
            slicer = Slicer(self.tables, pairs, lambda _: np.zeros(self.tables.items.n, dtype=np.bool_))
            every = np.ones(slicer.n, dtype=np.bool_)
            by_metric = {}
            for metric in pairs.metrics:
                ask = Ask(trial=pairs.trial.slug, temp=pairs.temp, metric=metric.name)
                by_metric[metric.name] = {"slice": slice_json(slicer, ask, every), "chips": slicer.outcomes(metric).counts(every)}
            found[f"{pairs.trial.slug}/{pairs.temp:g}"] = by_metric
        return found

    def _pairs(self) -> list[Pairs]:
        """Every two arms that the page can compare, in the order in which it lists them."""
        return [self.tables.pairs(trial.slug, temp) for trial, temp in pages.shown(self.tables)]

    def _judged(self, pairs: Pairs) -> dict[str, Any]:
        """What each judge says of two arms, and on which pairs its two orders disagree."""
        return {
            name: {
                "scores": [_numbers(self._here(pl.Series(arm))) for arm in (one.control, one.treatment)],
                "flipped": self._here(pl.Series(is_flipped(one))).fill_null(False).arg_true().to_list(),
            }
            for name, one in pairs.judged.items()
        }

    def _coded(self, name: str) -> dict[str, Any]:
        values = self.tables.items.choices[name]
        column = self.tables.items.column(name)
        if column is None:
            return {"values": [], "codes": []}
        codes = {value: code for code, value in enumerate(values)}
        return {"values": values, "codes": [codes.get(one) for one in column.gather(self.places).to_list()]}

    def _arm(self, arm: Arm) -> dict[str, Any]:
        """Scores of an arm, and its lengths, tokens and dollars as means over the samples of each item."""
        tables, k = self.tables, arm.samples
        usage = [tables.answers(arm, name) for name in ("output_tokens", "usd")]
        small = pl.DataFrame([*usage, tables.texts(arm).lengths().alias("length")])
        means = small.with_columns(pl.int_range(pl.len()).floordiv(k).alias("item")).group_by("item", maintain_order=True).mean()
        scores = pl.read_parquet(tables.layout.arm(arm.name).scores)
        columns = [name for name in score_columns(scores.columns) if name in scores.columns]
        return {
            "length": _numbers(self._here(means["length"])),
            "tokens": _numbers(self._here(means["output_tokens"])),
            "usd": _numbers(self._here(means["usd"])),
            "n_lost": self._here(scores["n_lost"]).to_list(),
            "lost_to": self._here(scores["lost_to"]).to_list(),
            "scores": {name: _numbers(self._here(scores[name])) for name in columns},
        }

    def _here(self, values: pl.Series) -> pl.Series:
        """Of the items that the page holds; null of those that the arm was not asked about."""
        return values.extend_constant(None, max(0, self.tables.n_asked - len(values))).gather(self.places)


def _redacted(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("context", "columns")} | {"question": REDACTED, "references": []}


def _without_texts(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in one.items() if name not in ("error", "n_characters")} | {"text": REDACTED if one["text"] else ""}
        for one in answers
    ]


def _numbers(series: pl.Series) -> list[float | int | None]:
    """As JSON has them: whole ones short, none where there is none."""
    found = series.cast(pl.Float64).fill_nan(None).to_list()
    return [value if value is None or value != int(value) else int(value) for value in found]


def packed(value: Any) -> str:
    """JSON, compressed, in base64; the same bytes for the same value."""
    return base64.b64encode(gzip.compress(msgspec.json.encode(value), compresslevel=6, mtime=0)).decode("ascii")


def unpacked(text: str) -> Any:
    """The value again."""
    return msgspec.json.decode(gzip.decompress(base64.b64decode(text)))


def blocks_of(page: str) -> Iterator[tuple[str, str]]:
    """(name, content) of each block of a page."""
    for piece in page.split('<script type="text/plain" id="')[1:]:
        name, _, rest = piece.partition('">')
        yield name, rest.partition("</script>")[0]
