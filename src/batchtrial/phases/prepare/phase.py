"""prepare: question sets in, checked and normalised items out.

Writes prepared/open_book.jsonl, prepared/closed_book.jsonl and prepared/prepared_manifest.json; touches nothing else.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from batchtrial.amounts import counted
from batchtrial.config.expand import arms_of, expand
from batchtrial.config.model import Config
from batchtrial.errors import DataError, StateError
from batchtrial.keys import item_hash
from batchtrial.phases.base import View, Work, digest_of, publishing
from batchtrial.phases.prepare.columns_read import check_columns_named, columns_read
from batchtrial.phases.prepare.endpoints import check_endpoints
from batchtrial.phases.prepare.items import encode_item, place
from batchtrial.phases.prepare.metrics import check_values, try_metrics
from batchtrial.phases.prepare.schema_words import check_schemas
from batchtrial.records import Item, Verdict
from batchtrial.scoring.registry import BENCHMARKS
from batchtrial.sources import LoadReport, SourceSpec, load_items
from batchtrial.sources.load import taken_together_over_sets
from batchtrial.state.files import PreparedFile, PreparedManifest, save
from batchtrial.state.store import Stamps
from batchtrial.tasks.recipe import check_columns

name = "prepare"
FORM = 1
SHOWN_ITEMS = 5
LATER_SETTINGS = ("context_separator", "rows_in", "ignore_columns")
_WORD = re.compile(r"[^\W_]{4}")  # no article, and so something that is left
BOOKS: tuple[Literal["open_book", "closed_book"], ...] = ("open_book", "closed_book")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Items chosen for the run, in source order, and what was read to get them."""

    items: tuple[Item, ...]
    sources: dict[str, dict[str, Any]]
    whole: tuple[Item, ...] | None = None  # before `limit_items`; None when they were read back

    def lines(self, book: Literal["open_book", "closed_book"]) -> Iterator[bytes]:
        """The prepared file's lines: never all of them at once, which would be as much again as the items."""
        kind = "open" if book == "open_book" else "closed"
        return (encode_item(item) for item in self.items if item.kind == kind)

    @property
    def sha256(self) -> str:
        """As PreparedManifest.sha256 will be, without writing anything."""
        states = {book: hashlib.sha256() for book in sorted(BOOKS)}
        for book in BOOKS:
            for line in self.lines(book):
                states[book].update(line)
        return "-".join(state.hexdigest() for state in states.values())


def choose(config: Config) -> Prepared:
    """Read every source and keep the items of the run. Raises DataError; reads files, writes none."""
    items: list[Item] = []
    sources: dict[str, dict[str, Any]] = {}
    arms = arms_of(expand(config, ""))
    check_schemas(config, [arm.task for arm in arms if arm.task])
    reads = columns_read(config)
    for spec in config.datasets:
        report = load_items(spec, skip_bad_rows=config.skip_bad_rows, task=reads)
        sources[spec.name] = _source_record(spec, report)
        rows = list(_with_growth(config, spec.name, report.items))
        if n_added := sum(item.added > 0 for item in rows):
            note = f"{counted(n_added, 'item')} of {len(rows):,} came to the set after the run had begun, and are asked about last"
            sources[spec.name]["notes"] = [*sources[spec.name].get("notes", ()), note]
        items += rows
    seen: dict[str, str] = {}
    for item in items:
        mark = item_hash(item.dataset, item.item_id)
        if mark in seen:
            raise DataError(
                f"the id {item.item_id!r} occurs twice in the dataset {item.dataset!r}",
                where="datasets",
                hint="give each dataset of the config a `name` of its own",
            )
        seen[mark] = item.item_id
    if not items:
        raise DataError("the question sets hold no items", where="datasets")
    items, repeated = taken_together_over_sets(items, reads) if len(sources) > 1 else (items, {})
    whole = tuple(items)
    check_columns([arm.task for arm in arms if arm.task], whole, {name for spec in config.datasets for name in spec.ignore_columns})
    check_columns_named(config, whole)
    for set_name, note in (*repeated.items(), *check_values(config, whole).items()):
        record = next((one for one in sources.values() if set_name in one["sets"]), None)
        if record is not None:
            record["notes"] = [*record.get("notes", ()), note]
    if config.only_items:
        items = _only(config.only_items, items)
    if config.limit_items is not None and config.limit_items < len(items):
        kept = {i.key for i in sorted(items, key=lambda one: place(one, config.seed, keeps_clusters=config.keeps_clusters))[: config.limit_items]}
        items = [i for i in items if i.key in kept]
    return Prepared(items=tuple(items), sources=sources, whole=whole)


def _with_growth(config: Config, question_set: str, rows: Sequence[Item]) -> Iterator[Item]:
    """The items of a question set, each with the growths that had been when it was appended."""
    held = [one.held.get(question_set, 0) for one in config.grown if one.held is not None]
    for row, item in enumerate(rows):
        n = sum(row >= n_rows for n_rows in held)
        yield replace(item, added=n) if n else item


def _only(keys: Sequence[str], items: Sequence[Item]) -> list[Item]:
    """The items with these keys, in source order. Raises DataError for one that is not there."""
    found = [item for item in items if item.key in keys]
    gone = sorted(set(keys) - {item.key for item in found})
    if gone:
        what = f"the question sets have no item {gone[0]!r} any more, which was chosen before they were changed"
        raise DataError(what, where="datasets", hint="put it back, or begin anew")
    return found


def _source_record(spec: SourceSpec, report: LoadReport) -> dict[str, Any]:
    """What the manifest says of a source.

    sets: items per set name, which a file of several sets gives row by row; metric: how they are scored; notes: what was guessed, left unread or
    is odd, in words.
    """
    record: dict[str, Any] = {"rows_read": report.n_read, "items": len(report.items), "bad_rows": len(report.bad_rows), "metric": report.metric}
    record["sets"] = dict(sorted(Counter(item.dataset for item in report.items).items()))
    if report.bad_rows:
        record["bad_row_samples"] = [f"line {bad.line}: {bad.field}: {bad.problem}" for bad in report.bad_rows[:5]]
    if spec.path is not None:
        record["file"] = Path(spec.path).name
    notes = [*report.notes, *_says_nothing(report)]
    if notes:
        record["notes"] = notes
    return record


def _says_nothing(report: LoadReport) -> Iterator[str]:
    """Items of which an accepted answer normalises to nothing, so that an empty answer is right, as in the official scripts."""
    metric = BENCHMARKS.get(report.metric)
    if metric is None:
        return
    is_enough = all if metric.drops_empty_golds else any
    found = []
    for item in report.items:
        empty = [one for one in item.answers if not _WORD.search(one) and not metric.normalizer.tokens(one)]
        if empty and is_enough(one in empty for one in item.answers):
            found.append(f"{item.key} ({empty[0]!r})")
    if found:
        shown = ", ".join(found[:SHOWN_ITEMS]) + (f" and {len(found) - SHOWN_ITEMS} more" if len(found) > SHOWN_ITEMS else "")
        accept = f"{counted(len(found), 'item')} {'accepts' if len(found) == 1 else 'accept'}"
        yield f"{accept} an answer that {report.metric} normalises to nothing, so that saying nothing is right there: {shown}"


def notes(sources: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What is to be said of the question sets, a line each."""
    for name, record in sources.items():
        for note in record.get("notes", ()):
            yield f"{name}: {note}"


def inputs(config: Config, stamps: Stamps) -> str | None:
    """Digest of the settings and source files that the prepared items come from; None when a source file is no longer there."""
    files = {}
    for spec in config.datasets:
        if spec.path is not None:
            got = stamps.of(Path(spec.path))
            if got is None:
                return None
            files[spec.name] = got.sha256
    # Settings that earlier versions did not have count only where they are set, so that what those versions prepared is still as asked for.
    unset = [{key for key in LATER_SETTINGS if getattr(spec, key) == SourceSpec.model_fields[key].default} for spec in config.datasets]
    specs = [spec.model_dump(mode="json", exclude={"path", *absent}) for spec, absent in zip(config.datasets, unset, strict=True)]
    reads = columns_read(config)
    kept = [] if reads is None else [f"columns, {'with' if reads.has_questions else 'without'} questions"]
    kept += ["whole clusters"] if config.keeps_clusters and config.limit_items else []
    kept += ["only", *config.only_items] if config.only_items else []
    kept += ["references optional"] if reads is not None and reads.is_reference_optional else []
    return digest_of([FORM, specs, files, config.limit_items, config.skip_bad_rows, config.seed if config.limit_items else None, *kept])


def verdict(view: View) -> Verdict:
    """Done when both files are as published and either neither settings nor source files have changed, or requests about the items were sent."""
    if view.prepared is None:
        return Verdict(status="missing", reason="no prepared items yet")
    damage = _damage(view)
    if damage is not None:
        return Verdict(status="stale", reason=damage)
    if is_to_grow(view):
        return Verdict(status="stale", reason="the run grows: further items of the same order are to be asked about")
    now = inputs(view.config, view.stamps)
    n = sum(file.items for file in view.prepared.datasets.values())
    if now is None:
        return Verdict(status="done", reason=f"{counted(n, 'item')} as published; a source file is no longer there, and not needed")
    if now == view.prepared.inputs:
        return Verdict(status="done", reason=f"{counted(n, 'item')} as published")
    if was_sent(view):
        return Verdict(
            status="done", reason=f"{counted(n, 'item')} as published and asked about; the question sets or their settings have changed since"
        )
    return Verdict(status="stale", reason="the question sets or their settings have changed since")


def _damage(view: View) -> str | None:
    """What is wrong with the prepared files; None when they are as published."""
    for book, file in view.prepared.datasets.items() if view.prepared is not None else ():
        got = view.stamps.of(view.layout.root / file.path)
        if got is None or got.sha256 != file.sha256:
            return f"{book}.jsonl is {'gone' if got is None else 'not as published'}"
    return None


def is_to_grow(view: View) -> bool:
    """Whether the prepared items are still those of before the last growth."""
    return _is_more_wanted(view.config, n_prepared(view))


def n_prepared(view: View) -> int:
    """How many items are prepared."""
    return sum(file.items for file in view.prepared.datasets.values()) if view.prepared is not None else 0


def _is_more_wanted(config: Config, n_items: int) -> bool:
    return bool(config.grown) and n_items == config.grown[-1].items and n_items < (config.limit_items or 0)


def check_further(view: View, config: Config, chosen: Prepared) -> None:
    """Raises DataError where the run is to grow by items, and the question sets hold none that it does not have: it would wait for them for ever.

    Also for one that was appended to a cluster which is asked about already, where the plan keeps clusters whole.
    """
    have = n_prepared(view)
    if not _is_more_wanted(config, have):
        return
    if len(chosen.items) <= have:
        what = f"the question sets hold no further item: the run has all {counted(have, 'item')}"
        raise DataError(what, where="--limit_items", hint="append further questions to their files, or put the files back if they held more")
    since: dict[str, int] = {}
    for item in chosen.items if config.keeps_clusters else ():
        if item.cluster is not None and since.setdefault(item.cluster, item.added) != item.added:
            what = f"{item.key} belongs to the cluster {item.cluster!r}, of which items were there before, and the plan keeps clusters whole"
            raise DataError(what, where="datasets", hint="give the further questions clusters of their own, or start a new run")


def was_sent(view: View) -> bool:
    """Whether requests about the prepared items have been, or may have been, sent: from then on the run keeps its items."""
    return any(record.attempts for record in view.parts.values())


def run(work: Work) -> None:
    """Read, check, write. Raises DataError, and StateError rather than putting other items in place of those that were asked about."""
    if was_sent(work.view) and work.view.prepared is not None and _damage(work.view) is None and not is_to_grow(work.view):
        work.progress.note("the prepared items stay: requests about them were sent")
        return
    with work.progress.task("prepare", None) as step:
        chosen = choose(work.config)
        step(len(chosen.items))
    work.stop.check()
    _check_same(work, chosen)
    check_further(work.view, work.config, chosen)
    if not was_sent(work.view):
        check_endpoints(work.config, chosen.whole, chosen.sources)
    publish(work, chosen)


def publish(work: Work, chosen: Prepared) -> None:
    """Write the items, and the manifest that says what they are. Raises ConfigError for a metric that cannot score them."""
    try_metrics(work.config, chosen, chosen.items, work.progress.note, work.stop.check)
    made_from = inputs(work.config, work.view.stamps)
    files = {book: _publish(work, book, chosen) for book in BOOKS}
    manifest = PreparedManifest(inputs=made_from or "", datasets=files, sources=chosen.sources)
    save(work.layout.prepared_manifest, manifest, hook=work.hook)
    bad = sum(int(record["bad_rows"]) for record in chosen.sources.values())
    for note in notes(chosen.sources):
        work.progress.note(f"note: {note}")
    work.progress.note(
        f"prepared {counted(len(chosen.items), 'item')}" + (f", skipped {counted(bad, 'bad row')} (see prepared_manifest.json)" if bad else "")
    )


def _check_same(work: Work, chosen: Prepared) -> None:
    if not was_sent(work.view):
        return
    known = work.view.prepared.sha256 if work.view.prepared is not None else None
    # Of a run that grows the files may be half written: then, too, the requests that were sent say which items they were about.
    is_unknown = known is None or bool(work.config.grown)
    if chosen.sha256 != known and not (is_unknown and work.fits_what_was_sent(chosen.items, chosen.sha256)):
        raise StateError(
            "the question sets hold other items now than those that requests were sent about",
            where="datasets",
            hint="put the question files back as they were, or start a new run",
        )


def _publish(work: Work, book: Literal["open_book", "closed_book"], chosen: Prepared) -> PreparedFile:
    path = work.layout.open_book if book == "open_book" else work.layout.closed_book
    n = 0
    with publishing(work, path) as out:
        for line in chosen.lines(book):
            out.write(line)
            n += 1
    got = out.fingerprint
    return PreparedFile(path=path.relative_to(work.layout.root).as_posix(), items=n, size=got.size, sha256=got.sha256)
