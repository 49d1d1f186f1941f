"""build: items and arms in, request files out, cut into parts.

Items are shuffled once by the seed and cut once, so that part k of every arm asks about the same items: any prefix of parts is a fair paired
sample. Writes batch_inputs/ only. A part whose file is as published is not written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchtrial.amounts import counted
from batchtrial.config.expand import Arm, arms_of, user_turn
from batchtrial.config.growth import stretches
from batchtrial.config.model import Config
from batchtrial.config.sequential import look_ends
from batchtrial.errors import ConfigError, StateError
from batchtrial.phases.base import View, Work, digest_of, publishing
from batchtrial.phases.build.lines import Pieces, plain_lines
from batchtrial.phases.build.part_size import best_lines
from batchtrial.phases.build.rows import escaped, rows_in_order, text_bytes, texts_of
from batchtrial.phases.build.sizes import CHARS_PER_TOKEN, TOKENS_PER_MESSAGE, largest_lines, tokens, tokens_of, weight
from batchtrial.phases.prepare.items import place
from batchtrial.phases.tables.ahead import made_ahead
from batchtrial.providers.base import Limits, Provider, codec_of
from batchtrial.records import Item, Verdict
from batchtrial.state.files import Artifact, BuildManifest, Shard, artifact, save
from batchtrial.state.store import Fingerprint, write_bytes

if TYPE_CHECKING:
    import polars as pl

name = "build"
FORM = 1


@dataclass(frozen=True, slots=True)
class Slice:
    """Items first .. first + n of the order: what part k asks about, in every arm.

    first_sample, end_sample: which samples of each it asks for, the last one not included; None: all that the arm has.
    """

    first: int
    n: int
    first_sample: int = 0
    end_sample: int | None = None

    def samples(self, arm: Arm) -> range:
        """Which samples of an item the part asks for."""
        return range(self.first_sample, arm.samples if self.end_sample is None else self.end_sample)


def order(items: Sequence[Item], config: Config) -> list[Item]:
    """The run's item order: a shuffle by seed that does not depend on how the items were read."""
    return sorted(items, key=lambda item: place(item, config.seed, keeps_clusters=config.keeps_clusters))


def cut(
    items: Sequence[Item], arms: Sequence[Arm], config: Config, limits: Limits, provider: Provider, chosen: int | None = None
) -> tuple[Slice, ...]:
    """The same slices for every arm: as large as the provider's limits and the config allow. chosen: what `lines_per_part: auto` has come to.

    Raises ConfigError when a single item's request is over the provider's byte limit.
    """
    n_bytes = [text_bytes(item.question, item.context or "") for item in items]
    with_tasks = [arm for arm in arms if arm.task]
    if with_tasks:
        n_bytes = list(map(max, n_bytes, largest_lines(with_tasks, items, provider)))
    return cut_by_size(
        sized([item.item_id for item in items], n_bytes, [item.cluster or "" for item in items]), arms, config, limits, provider, chosen
    )


def sized(item_ids: Sequence[str], n_bytes: Sequence[int], clusters: Sequence[str] | None = None) -> pl.DataFrame:
    """Items as far as cutting needs them: item_id, n_bytes (what its texts take in a line at most) and cluster, "" for none."""
    import polars as pl  # a verdict is told without

    columns = {"item_id": item_ids, "n_bytes": n_bytes, "cluster": clusters if clusters is not None else [""] * len(item_ids)}
    return pl.DataFrame(columns, schema={"item_id": pl.String, "n_bytes": pl.Int64, "cluster": pl.String})


def ends_of_looks(items: pl.DataFrame, config: Config) -> tuple[int, ...]:
    """Items of the prefix that each planned look sees; none where no looks are planned."""
    planned = config.stats.sequential
    return () if planned is None else look_ends(planned, items["cluster"].to_list(), keeps_clusters=config.keeps_clusters)


def cut_by_size(
    items: pl.DataFrame, arms: Sequence[Arm], config: Config, limits: Limits, provider: Provider, chosen: int | None = None
) -> tuple[Slice, ...]:
    """The same, of items whose size is known. What a run had before it grew is cut as it was then, and what came behind it by itself.

    items: as `sized` has them. chosen: what `lines_per_part: auto` has come to, where that is known.
    """
    import numpy as np

    most_samples, looks = max(arm.samples for arm in arms), ends_of_looks(items, config)
    up_to = np.concatenate([[0], np.cumsum(_fixed(arms, provider) + items["n_bytes"].to_numpy())])
    slices: list[Slice] = []
    for one in stretches(items.height, config):
        first = one.first
        samples = (most_samples if one.end_sample is None else one.end_sample) - one.first_sample
        lines = chosen or auto_lines(items, arms, config, limits, provider) if one.lines_per_part == "auto" else one.lines_per_part
        most_lines = min(limits.max_requests, lines or limits.max_requests)
        if lines is None and one.parts is not None:
            most_lines = min(most_lines, -(-(one.end - first) // one.parts) * samples)
        while first < one.end:
            fitting = int(np.searchsorted(up_to, up_to[first] + limits.max_bytes // samples, side="right")) - 1
            if fitting == first:
                what = f"one request about item {items['item_id'][first]!r} is larger than a batch of {provider.name} may be"
                raise ConfigError(what, where="datasets")
            stop = min(first + max(1, most_lines // samples), fitting, one.end, *(look for look in looks if look > first))
            slices.append(Slice(first, stop - first, one.first_sample, one.end_sample))
            first = stop
    return tuple(slices)


def auto_lines(items: pl.DataFrame, arms: Sequence[Arm], config: Config, limits: Limits, provider: Provider) -> int:
    """What `lines_per_part: auto` comes to for these items."""
    mean_bytes = _fixed(arms, provider) + int(items["n_bytes"].sum()) / max(1, items.height)
    return best_lines(arms, items.height, mean_bytes / CHARS_PER_TOKEN, limits.max_requests, config)


def _fixed(arms: Sequence[Arm], provider: Provider) -> int:
    """Bytes of a line beside the item's texts, at most."""
    return max((_fixed_bytes(arm, kind_item, codec_of(provider, arm.backend)) for arm in arms if not arm.task for kind_item in _blanks()), default=0)


def check_sampling(arms: Sequence[Arm], provider: Provider) -> None:
    """Before anything is sent: temperatures and other sampling values must reach the model as asked. Raises ConfigError."""
    for asked in dict.fromkeys((arm.backend, arm.model, arm.prompt.system.sha256, arm.extra) for arm in arms):
        mine = [arm for arm in arms if (arm.backend, arm.model, arm.prompt.system.sha256, arm.extra) == asked]
        for arm in mine:
            codec = codec_of(provider, arm.backend)
            reason = codec.refuses(sorted({a.temp for a in mine}), arm.top_p, arm.top_k, arm.stop)
            if reason is not None:
                raise ConfigError(f"{codec.name}: {reason}", where="temps, top_p, top_k, stop", hint="ask for what the provider can honour")


def _blanks() -> tuple[Item, Item]:
    blank = Item(dataset="", item_id="", kind="closed", question="", answers=())
    return blank, Item(dataset="", item_id="", kind="open", question="", context="", answers=())


def _fixed_bytes(arm: Arm, blank: Item, provider: Provider) -> int:
    return len(provider.encode(arm.request(blank, arm.custom_id("0" * 16, 10**6))))


def input_tokens(arm: Arm, item: Item) -> int:
    """Estimated prompt tokens of one request."""
    if arm.task:
        return tokens_of(arm.request(item, ""))
    return tokens(arm.prompt.system.text) + tokens(user_turn(item, arm.instructions)) + 2 * TOKENS_PER_MESSAGE


def output_tokens(arm: Arm, item: Item) -> int:
    """Answer tokens of one request at most."""
    return arm.max_tokens.open_book if item.kind == "open" else arm.max_tokens.closed_book


def in_sending_order(arms: Sequence[Arm], slices: Sequence[Slice]) -> Iterator[tuple[Arm, int, Slice]]:
    """Part k of every arm before part k + 1 of any, so that drift at the provider falls on both conditions alike."""
    for index, piece in enumerate(slices, 1):
        for arm in arms:
            yield arm, index, piece


def inputs(view: View, limits: Limits) -> str | None:
    """Digest of everything that the parts are made from; None while nothing is prepared."""
    if view.prepared is None:
        return None
    cutting = (view.config.submission.lines_per_part, view.config.submission.parts_per_dataset, limits.max_requests, limits.max_bytes)
    arms = [(arm.name, arm.key) for arm in arms_of(view.trials)]
    looks = view.config.stats.sequential
    planned = [] if looks is None else [looks.looks, looks.n_max, view.config.keeps_clusters]
    grown = [one.model_dump() for one in view.config.grown]
    several = [view.config.samples_per_item] if view.config.samples_per_item != 1 else []
    return digest_of([FORM, view.prepared.sha256, view.config.seed, view.config.backend, cutting, arms, *planned, *grown, *several])


def verdict(view: View) -> Verdict:
    """Done when every part file and the index are as published and would be made the same way now."""
    if view.prepared is None:
        return Verdict(status="blocked", reason="waits for prepare", needs="prepare")
    if view.build is None:
        return Verdict(status="missing", reason="no requests built yet")
    if view.build.inputs != inputs(view, view.limits):
        return Verdict(status="stale", reason="items, prompts or decoding have changed since")
    changed = [s.part for s in view.build.shards.values() if not is_intact(view, s)]
    if not is_intact(view, view.build.index):
        changed.append("index.csv")
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return Verdict(status="stale", reason=f"{changed[0]}{more} of {len(view.build.shards)} parts gone or not as published")
    n = sum(shard.lines for shard in view.build.shards.values())
    return Verdict(status="done", reason=f"{counted(len(view.build.shards), 'part')} with {counted(n, 'request')} as published")


def is_intact(view: View, want: Artifact) -> bool:
    """Whether the file is on the disk as it was published."""
    got = view.stamps.of(f"{view.layout.root.as_posix()}/{want.path}")
    return got is not None and got.sha256 == want.sha256


def run(work: Work) -> None:
    """Write the index and every part that is missing or stale."""
    from batchtrial.phases.build.questions import write_items  # here, since a verdict needs no tables

    rows, texts = rows_in_order(work)
    items = artifact(work.layout.root, work.layout.items, write_items(work, rows, texts))
    del texts
    provider = work.codec
    arms = arms_of(work.view.trials)
    check_sampling(arms, provider)
    rows = _measured(work, rows, [arm for arm in arms if arm.task])
    chosen = work.view.build.lines_per_part if work.view.build is not None else None
    if chosen is None and work.config.submission.lines_per_part == "auto":
        chosen = auto_lines(rows, arms, work.config, provider.limits, provider)
    slices = cut_by_size(rows, arms, work.config, provider.limits, provider, chosen)
    made_from = inputs(work.view, provider.limits)
    old = work.view.build.shards if work.view.build is not None and work.view.build.inputs == made_from else {}
    shards: dict[str, Shard] = {}
    writer = Writer(work, rows)
    with work.progress.task("build", len(arms) * len(slices)) as step:
        for arm, index, piece in in_sending_order(arms, slices):
            work.stop.check()
            part = arm.part(index)
            kept = old.get(part)
            if kept is None or not is_intact(work.view, kept):
                kept = writer.write(arm, index, piece)
                check_sent(work, kept)
            shards[part] = kept
            step(1)
    manifest = BuildManifest(
        inputs=made_from or "",
        index=artifact(work.layout.root, work.layout.index, write_index(work, rows)),
        items=items,
        shards=shards,
        temps=tuple(sorted({arm.temp for arm in arms})),
        prompt_sets=tuple(sorted({trial.prompt_set for trial in work.view.trials})),
        looks=ends_of_looks(rows, work.config) or None,
        lines_per_part=chosen,
    )
    save(work.layout.build_manifest, manifest, hook=work.hook)
    work.progress.note(f"built {counted(sum(s.lines for s in shards.values()), 'request')} in {counted(len(shards), 'part')}")


def _measured(work: Work, rows: pl.DataFrame, arms: Sequence[Arm]) -> pl.DataFrame:
    """The rows with the size of each its longest line under these tasks, where that is more. Raises ConfigError for one that cannot be made."""
    if not arms:
        return rows
    import polars as pl

    items = (texts.item(kind) for kind, texts in zip(rows["kind"], texts_of(work.layout, rows), strict=True))
    longest = pl.Series(largest_lines(arms, items, work.codec, work.stop.check), dtype=pl.Int64)
    return rows.with_columns(pl.max_horizontal("n_bytes", longest).alias("n_bytes"))


def check_sent(work: Work, shard: Shard) -> None:
    """A part that was sent must not change under its results."""
    record = work.view.parts.get(shard.part)
    first = next((a for a in record.attempts if a.number == 1 and not a.is_lost), None) if record is not None else None
    if first is not None and first.payload_sha256 != shard.sha256:
        raise StateError(
            f"{shard.part} was sent with other requests than the config and data give now",
            where=shard.path,
            hint="restore the config and question sets that the run was started with, or start a new run",
        )


class Writer:
    """Writes parts. Parts of one slice ask about the same items, so their texts are read once for all arms."""

    def __init__(self, work: Work, rows: pl.DataFrame) -> None:
        self._work, self._rows = work, rows
        self._slice = Slice(0, 0)
        self._escaped = rows.clear()
        self._pieces: dict[tuple[str, range], Pieces | None] = {}

    def write(self, arm: Arm, index: int, piece: Slice) -> Shard:
        """Part `index` of the arm, on the disk."""
        work, path, samples = self._work, self._work.layout.part_input(arm.part(index)), piece.samples(arm)
        if (arm.name, samples) not in self._pieces:
            self._pieces[arm.name, samples] = None if arm.task else Pieces.of(arm, codec_of(work.codec, arm.backend), samples)
        with publishing(work, path) as file, closing(self._blocks(arm, piece)) as blocks:
            for block in blocks:
                file.write(block)
        rows = self._rows.slice(piece.first, piece.n)
        got = file.fingerprint
        return Shard(
            part=arm.part(index),
            arm=arm.name,
            temp=arm.temp,
            part_index=index,
            path=path.relative_to(work.layout.root).as_posix(),
            first_item=piece.first,
            n_items=piece.n,
            first_sample=piece.first_sample,
            lines=piece.n * len(samples),
            size=got.size,
            sha256=got.sha256,
            input_tokens=len(samples) * self._tokens_in(arm, rows),
            max_output_tokens=len(samples) * _tokens_out(arm, rows),
        )

    def _blocks(self, arm: Arm, piece: Slice) -> Generator[bytes, None, None]:
        samples = piece.samples(arm)
        pieces = self._pieces[arm.name, samples]
        if pieces is not None:
            for block in made_ahead(pieces.blocks(self._texts(piece)), self._work.workers):
                yield from block
            return
        rows = self._rows.slice(piece.first, piece.n)
        yield from plain_lines(arm, self._items(rows), codec_of(self._work.codec, arm.backend), samples)

    def _texts(self, piece: Slice) -> pl.DataFrame:
        if piece != self._slice:
            self._slice, self._escaped = piece, self._rows.clear()  # the old texts go before the new ones come
            self._escaped = escaped(self._work.layout, self._rows.slice(piece.first, piece.n))
        return self._escaped

    def _items(self, rows: pl.DataFrame) -> Iterator[Item]:
        return (one.item(kind) for kind, one in zip(rows["kind"], texts_of(self._work.layout, rows), strict=True))

    def _tokens_in(self, arm: Arm, rows: pl.DataFrame) -> int:
        return sum(input_tokens(arm, one) for one in self._items(rows)) if arm.task else _tokens_in(arm, rows)


def _tokens_in(arm: Arm, rows: pl.DataFrame) -> int:
    """`input_tokens` of one request about each of the items."""
    fixed = tokens(arm.prompt.system.text) + 2 * TOKENS_PER_MESSAGE
    around = {blank.kind: weight(user_turn(blank, arm.instructions)) for blank in _blanks()}
    turns = sum(int(((rows.filter(kind=kind)["n_chars"] + (n + CHARS_PER_TOKEN - 1)) // CHARS_PER_TOKEN).sum()) for kind, n in around.items())
    return rows.height * fixed + turns


def _tokens_out(arm: Arm, rows: pl.DataFrame) -> int:
    """`output_tokens` of one request about each of the items."""
    return sum(output_tokens(arm, blank) * rows.filter(kind=blank.kind).height for blank in _blanks())


def write_index(work: Work, rows: pl.DataFrame) -> Fingerprint:
    """Durably write the index of these items."""
    import polars as pl

    from batchtrial.phases.tables.csv_rows import csv_rows, quoted_where

    dataset, item_id, cluster = (quoted_where(name, pl.col(name).str.contains(r'[,"\n]')) for name in ("dataset", "item_id", "cluster"))
    fields = rows.select(pl.col("mark").alias("item_hash"), dataset, item_id, "kind", cluster)
    data = b"".join(csv_rows(fields, has_header=True, ends="\n", quotes="never"))
    write_bytes(work.layout.index, data, hook=work.hook)
    got = Fingerprint(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    work.view.stamps.learn(work.layout.index, got)
    return got
