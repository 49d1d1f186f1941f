"""judge_build: answers in, request files of the judges out.

Items are only ever appended: what was built for answers that were there before stays as it is, so that new answers, or a new judge, buy what is new
and nothing again. Items of one kind that were appended together are one stretch; each judge's parts are cut from the stretches of its kind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import polars as pl

from batchtrial.amounts import counted
from batchtrial.config.expand import Arm, arms_of
from batchtrial.config.judge_arms import arm_of
from batchtrial.phases.base import View, Work, digest_of
from batchtrial.phases.build import phase as build
from batchtrial.phases.build.rows import in_json, rows_of, texts_of
from batchtrial.phases.build.sizes import largest_lines
from batchtrial.phases.judge.questions import Judgements, judgements, sets_of
from batchtrial.phases.prepare.items import decode_row, encode_item
from batchtrial.phases.tables.arm_table import for_tables
from batchtrial.phases.waves import judging, judging_work
from batchtrial.providers.base import codec_of
from batchtrial.records import Verdict
from batchtrial.state.files import BuildManifest, Shard, artifact, save
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Fingerprint, replacing, write_bytes

name = "judge_build"
FORM: Final = 1
NO_JUDGES: Final = Verdict(status="off", reason="no judges in the config")


class Stretch(NamedTuple):
    """Items of one kind that lie one behind the other, as they were appended together."""

    kind: str
    first: int
    n: int


def inputs(view: View) -> str | None:
    """Digest of everything that the judges' requests are made from; None while answers are not parsed."""
    parsed = [view.stage_artifacts_digest(trial, "parsed") for trial in view.trials]
    if not parsed or None in parsed:
        return None
    asked = [(arm.name, arm.key, arm.samples) for arm in arms_of(judging(view).trials)]
    sets = [sets_of(judge) for judge in view.config.judges]
    return digest_of([FORM, parsed, asked, sets, view.config.answers.strip_thinking])


def verdict(view: View) -> Verdict:
    """Done when every part of the judges is as published and would be made the same way now."""
    if not view.config.judges:
        return NO_JUDGES
    made_from, built = inputs(view), view.judge_build
    if made_from is None:
        return Verdict(status="blocked", reason="waits for score", needs="score")
    if built is None:
        return Verdict(status="missing", reason="no questions to judges built yet")
    if built.inputs != made_from:
        return Verdict(status="stale", reason="answers, judges or rubrics have changed since")
    files = [*built.shards.values(), built.index, *([built.items] if built.items is not None else [])]
    changed = [one.path for one in files if not build.is_intact(view, one)]
    if changed or not view.layout.asked.exists():
        return Verdict(status="stale", reason=f"{(changed or ['asked.parquet'])[0]} gone or not as published")
    n = sum(shard.lines for shard in built.shards.values())
    return Verdict(status="done", reason=f"{counted(len(built.shards), 'part')} with {counted(n, 'judgement')} as published")


def run(work: Work) -> None:
    """Write the items, the index, which answers they are about, and every part that is missing. Raises ConfigError, StateError, Stopped."""
    inner, found = judging_work(work), judgements(work.view)
    old = work.view.judge_build
    lines, n_old = _lines(work, found, old)
    rows = rows_of(lines, list(map(in_json, lines)), "closed", 0)
    stretches = list(_stretches(rows["dataset"].to_list(), n_old))
    items = _write_items(inner, lines)
    shards = _parts(inner, rows, stretches, n_old, old)
    manifest = BuildManifest(
        inputs=inputs(work.view) or "",
        index=artifact(work.layout.root, inner.layout.index, build.write_index(inner, rows)),
        items=artifact(work.layout.root, inner.layout.closed_book, items),
        shards=shards,
        temps=tuple(sorted({arm.temp for arm in arms_of(inner.view.trials)})),
        prompt_sets=tuple(sorted({trial.prompt_set for trial in inner.view.trials})),
    )
    _write_asked(work, found)
    save(inner.layout.build_manifest, manifest, hook=work.hook)
    work.progress.note(f"built {counted(sum(s.lines for s in shards.values()), 'judgement')} in {counted(len(shards), 'part')}")


def _lines(work: Work, found: Judgements, old: BuildManifest | None) -> tuple[list[bytes], int]:
    """Prepared lines: those that are there, then what is new. And how many were there."""
    path = work.layout.judging.closed_book
    data = path.read_bytes() if old is not None and path.exists() else b""
    size = old.items.size if old is not None and old.items is not None else 0
    # A process that was killed may have appended more than the manifest says.
    is_there = old is not None and old.items is not None and hashlib.sha256(data[:size]).hexdigest() == old.items.sha256
    kept = data[:size].splitlines(keepends=True) if is_there else []
    known = {(row.dataset, row.item_id) for row in map(decode_row, kept)}
    fresh = [encode_item(item) for key, item in found.items.items() if key not in known]
    return [*kept, *fresh], len(kept)


def _stretches(kinds: Sequence[str], n_old: int) -> Iterator[Stretch]:
    """kinds: of every item."""
    first = 0
    for place in range(1, len(kinds) + 1):
        if place == len(kinds) or place == n_old or kinds[place] != kinds[first]:
            yield Stretch(kinds[first], first, place - first)
            first = place


def _write_items(inner: Work, lines: Sequence[bytes]) -> Fingerprint:
    layout, data = inner.layout, b"".join(lines)
    layout.prepared.mkdir(parents=True, exist_ok=True)
    if not layout.open_book.exists():
        write_bytes(layout.open_book, b"", hook=inner.hook)  # of questions with a passage, of which there are none here
    got = Fingerprint(size=len(data), sha256=hashlib.sha256(data).hexdigest())
    write_bytes(layout.closed_book, data, hook=inner.hook)
    inner.view.stamps.learn(layout.closed_book, got)
    return got


def _parts(inner: Work, rows: pl.DataFrame, stretches: Sequence[Stretch], n_old: int, old: BuildManifest | None) -> dict[str, Shard]:
    """Every part of every judge, those of one number next to each other."""
    writer, made = build.Writer(inner, rows), dict[str, tuple[int, Shard]]()
    before = old.shards if old is not None and n_old else {}
    kinds = {arm_of(inner.config, judge).name: sets_of(judge) for judge in inner.config.judges}
    for arm in arms_of(inner.view.trials):
        kept = [shard for shard in before.values() if shard.arm == arm.name]
        index = 0
        for shard in kept:
            inner.stop.check()
            index = shard.part_index
            piece = build.Slice(shard.first_item, shard.n_items)
            there = shard if build.is_intact(inner.view, shard) else writer.write(arm, index, piece)
            build.check_sent(inner, there)
            made[shard.part] = index, there
        todo = [one for one in stretches if one.kind == kinds[arm.name] and (not kept or one.first >= n_old)]
        for piece in _slices(inner, arm, rows, todo):
            inner.stop.check()
            index += 1
            shard = writer.write(arm, index, piece)
            build.check_sent(inner, shard)
            made[shard.part] = index, shard
    return {part: shard for part, (_, shard) in sorted(made.items(), key=lambda one: (one[1][0], one[0]))}


def _slices(inner: Work, arm: Arm, rows: pl.DataFrame, stretches: Sequence[Stretch]) -> Iterator[build.Slice]:
    codec, alone = codec_of(inner.codec, arm.backend), inner.config.model_copy(update={"grown": ()})  # that is about the run's own items
    for one in stretches:
        mine = rows.slice(one.first, one.n)
        asked = (texts.item("closed") for texts in texts_of(inner.layout, mine))
        sized = build.sized(mine["item_id"].to_list(), largest_lines([arm], asked, inner.codec, inner.stop.check))
        for piece in build.cut_by_size(sized, [arm], alone, codec.limits, codec):
            yield build.Slice(one.first + piece.first, piece.n)


def _write_asked(work: Work, found: Judgements) -> None:
    table = found.table()
    with replacing(work.layout.asked, hook=work.hook) as file, for_tables(file) as out:
        table.rechunk().write_parquet(out, compression="lz4", statistics=False)


def read_asked(layout: RunLayout) -> pl.DataFrame:
    """Which judgement is about which answers."""
    return pl.read_parquet(layout.asked)
