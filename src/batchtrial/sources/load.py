"""A question set's items, from wherever its settings say, with every row checked."""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from batchtrial.amounts import counted
from batchtrial.errors import DataError
from batchtrial.names import near_file
from batchtrial.records import Item, Kind
from batchtrial.sources.columns import CANDIDATES, Columns, refuse_task
from batchtrial.sources.hub import read_hub
from batchtrial.sources.problems import BadRow, RowProblem
from batchtrial.sources.readers import HAS_LINES, READERS, Rows, read_json
from batchtrial.sources.rows import Row, RowReader
from batchtrial.sources.shape import missing_columns, wrapped_rows
from batchtrial.sources.sniff import guess_format
from batchtrial.sources.spec import BUNDLED, KEYS_OF, Format, SourceSpec, TaskReads, own_sources

_SHOWN_ROWS = 3  # bad rows spelled out in an error


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What a question set held.

    items: usable rows in source order, at most `max_items`. n_read: rows read, bad ones included.
    bad_rows: rows left out; empty unless skip_bad_rows. kind, metric: as set, or as found out.
    format: of a file, None for the hub. notes: what was guessed or left unread, in words; none for a set that ships with the package.
    """

    items: tuple[Item, ...]
    n_read: int
    bad_rows: tuple[BadRow, ...]
    kind: Literal["open", "closed"]
    metric: str
    format: Format | None
    notes: tuple[str, ...] = ()


def load_items(source: SourceSpec, *, skip_bad_rows: bool, task: TaskReads | None = None) -> LoadReport:
    """Read and check a whole question set. task: what is read of items, which then keep all of their columns; None where questions are asked.

    Raises DataError naming file, line, field, value and fix when a row cannot be used and skip_bad_rows is false, and always when
    there is no usable row; MissingExtra when the hub's package is not installed.
    """
    notes: list[str] = []
    with _rows(source, notes) as (where, layout, rows):
        first, rows = _peek(rows)
        kind = _kind(source, layout, first, notes) if task is None or task.has_questions else source.kind or "closed"
        unit = "line" if layout is None or layout in HAS_LINES else "row"
        reader = _reader(source, layout, kind, unit, task)
        items, bad_rows = _collect(rows, reader, f"{where} {unit}")
    n_read = len(items) + len(bad_rows)
    if first is not None and (n_read == 1 if reader.is_task else not items):
        _refuse_unknown_columns(source, where, first, reader)
    if bad_rows and not (skip_bad_rows and items):
        raise _refusal(source, where, unit, bad_rows, n_read, can_skip=bool(items))
    if not items:
        raise DataError("the question set is empty", where=where, hint="a question set needs at least one row")
    if source.source != "bundled":
        items, told = _taken_together(items, task)
        notes += [*_columns_read(reader), *reader.columns.notes(), *told]
    if source.max_items is not None and source.max_items < len(items):
        items = _subset(items, source.max_items)
    return LoadReport(
        items=tuple(items),
        n_read=n_read,
        bad_rows=tuple(bad_rows),
        kind=kind,
        metric=source.metric or default_metric(source.name, layout, kind),
        format=layout,
        notes=tuple(notes),
    )


def default_metric(name: str, layout: Format | None, kind: Literal["open", "closed"]) -> str:
    """The metric of a set that names none: by the file's layout or the set's name, else by kind."""
    plain = name.lower().replace("-", "_")
    for metric, beginning in (("squad_v2", "squad"), ("triviaqa", "trivia"), ("nq_open", "nq_open")):
        if layout == metric or plain.startswith(beginning):
            return metric
    return "squad_v2" if kind == "open" else "triviaqa"


@contextmanager
def _rows(source: SourceSpec, notes: list[str]) -> Iterator[tuple[str, Format | None, Rows]]:
    """Where the rows come from, their layout and the rows themselves."""
    if source.source == "hub":
        yield source.path or source.name, None, read_hub(source)
        return
    if source.source not in KEYS_OF:
        yield source.path or source.name, None, _of_plugin(source)
        return
    if source.source == "bundled":
        packed = resources.files("batchtrial.sources") / "bundled" / f"{source.name.removeprefix('bundled_')}_book.jsonl"
        with resources.as_file(packed) as path:
            yield f"bundled {path.name}", "jsonl", READERS["jsonl"](path)
        return
    path = Path(source.path or "")
    _check_readable(path, source.name)
    layout = source.format or ("json" if source.rows_in is not None else None)
    if layout is None:
        layout = guess_format(path)
        notes.append(f"format guessed from the content: {layout}")
    yield str(path), layout, READERS[layout](path) if source.rows_in is None else read_json(path, source.rows_in)


def _of_plugin(source: SourceSpec) -> Rows:
    """The rows that a plugin's source gives. Raises DataError naming the source, whatever goes wrong in it."""
    try:
        for number, fields in enumerate(own_sources()[source.source](source)):
            yield Row(line=number + 1, number=number, fields=dict(fields))
    except Exception as error:  # somebody else's code, which may raise anything; nothing was bought yet, and the run ends here with its words
        what = f"the source {source.source!r} gives no rows: {type(error).__name__}: {error}"
        raise DataError(what, where=f"datasets.{source.name}", hint="its package says why") from error


def _check_readable(path: Path, name: str) -> None:
    try:
        # Looked at before it is opened: a pipe that nobody writes to is waited for without end, and one that is read once cannot be read again.
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb"):
                return
        hint = "name one file" if path.is_dir() else "it is no ordinary file: write what it gives into one first"
    except FileNotFoundError:
        near = near_file(path)
        hint = f"did you mean {near}?" if near else "paths are taken from the working directory"
        raise DataError(f"the question set {name} cannot be read: there is no such file", where=str(path), hint=hint) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        hint = getattr(error, "strerror", None) or str(error)
    raise DataError(f"the question set {name} cannot be read", where=str(path), hint=hint)


def _peek(rows: Rows) -> tuple[Row | None, Rows]:
    """The first usable row, and all rows again."""
    seen: list[Row | BadRow] = []
    for row in rows:
        seen.append(row)
        if isinstance(row, Row):
            return row, chain(seen, rows)
    return None, iter(seen)


def _kind(source: SourceSpec, layout: Format | None, first: Row | None, notes: list[str]) -> Literal["open", "closed"]:
    if source.kind is not None:
        return source.kind
    if source.source == "bundled":
        return "open" if source.name == BUNDLED[0] else "closed"
    if layout in ("nq_open", "triviaqa", "squad_v2"):
        return "open" if layout == "squad_v2" else "closed"
    reader = RowReader(name=source.name, kind="open", names=source.fields)
    kind: Literal["open", "closed"] = "closed"
    if first is not None and reader.has_context(first.fields):
        kind = "open"
    notes.append(f"kind guessed from the first row: {kind}, which {'has a' if kind == 'open' else 'has no'} passage")
    return kind


def _reader(source: SourceSpec, layout: Format | None, kind: Kind, unit: str, task: TaskReads | None) -> RowReader:
    is_task, reads = task is not None and not task.has_questions, frozenset[str]() if task is None else task.names
    mapped = frozenset(step for name in dict(source.fields).values() if name for step in (name, name.partition(".")[0]))
    return RowReader(
        name=source.name,
        kind=kind,
        names=source.fields,
        answer_separator=source.answer_separator,
        context_separator=source.context_separator,
        is_task=is_task,
        keeps_columns=task is not None,
        is_reference_optional=task is not None and task.is_reference_optional,
        is_kind_guessed=source.kind is None and source.source != "bundled" and not is_task,
        is_cell=layout == "csv",
        asked=_asked(task),
        columns=Columns(
            ignored=frozenset(source.ignore_columns), mapped=mapped | reads, used=set(reads), is_all_read=task is not None and task.is_all, unit=unit
        ),
    )


def _refuse_unknown_columns(source: SourceSpec, where: str, first: Row, reader: RowReader) -> None:
    """Raises DataError when nothing could be used because nobody knows what the columns are, or because rows lie inside the only one."""
    named = [role for role, name in dict(source.fields).items() if name]
    said = wrapped_rows(first.fields, reader.asked) if reader.is_task else missing_columns(first.fields, named)
    if said is not None:
        raise DataError(f"{source.name}: {said[0]}", where=where, hint=said[1])


def _columns_read(reader: RowReader) -> Iterator[str]:
    """Which columns the roles were read from, where the settings do not say it."""
    used = reader.columns.used
    found = {role: [name for name in CANDIDATES[role] if name in used] for role in ("question", "context", "answers", "id")}
    named = {role for role, name in dict(reader.names).items() if name}
    guessed = [f"{role} from {' or '.join(names)}" for role, names in found.items() if names and role not in named and names != [role]]
    if guessed:
        yield f"columns guessed: {', '.join(guessed)}"
    if not found["id"] and "id" not in named:
        yield "there are no ids: they are made from the row number, so that inserting a row renames those after it"


REPEATED: Final = "ask what another item asks"
TOGETHER: Final = "are taken together, as questions on one passage are"


def _asked(task: TaskReads | None) -> frozenset[str]:
    """Columns that stand in requests; none where that is not known."""
    return frozenset() if task is None or task.is_all else task.asked


def _taken_together(items: list[Item], task: TaskReads | None) -> tuple[list[Item], list[str]]:
    """The items, those that ask the same in one cluster where they have none; and a note that names them.

    An answer to the same question says the same once more, so such pairs stand or fall together like questions on one passage. What is beside the
    request (a reference, a slice, a column that nobody reads) makes no other question of it.
    """
    repeats = _repeats(items, task)
    if not repeats:
        return items, []
    shown = _shown([f"{item.item_id} repeats {first.item_id}" for item, first, _ in repeats])
    return _in_one_cluster(items, task, repeats), [f"{len(repeats)} of {len(items)} items {REPEATED} and {TOGETHER}: {shown}"]


def taken_together_over_sets(items: Sequence[Item], task: TaskReads | None) -> tuple[list[Item], dict[str, str]]:
    """The items of all sets, those that ask what an item of another set asks in one cluster; and a note by the name of the later set."""
    repeats = [(item, first, key) for item, first, key in _repeats(items, task) if item.dataset != first.dataset]
    by_set: dict[str, list[str]] = {}
    for item, first, _ in repeats:
        by_set.setdefault(item.dataset, []).append(f"{item.item_id} repeats {first.key}")
    notes = {name: f"{counted(len(told), 'item')} {REPEATED} in another set and {TOGETHER}: {_shown(told)}" for name, told in by_set.items()}
    return _in_one_cluster(items, task, repeats), notes


def _repeats(items: Sequence[Item], task: TaskReads | None) -> list[tuple[Item, Item, tuple[str, ...]]]:
    """(item, the first one that asks the same, what both ask)."""
    first: dict[tuple[str, ...], Item] = {}
    return [(item, one, key) for item in items if (one := first.setdefault(key := _request_of(item, task), item)) is not item]


def _in_one_cluster(items: Sequence[Item], task: TaskReads | None, repeats: Iterable[tuple[Item, Item, tuple[str, ...]]]) -> list[Item]:
    several = {key: first.cluster or f"same-{hashlib.sha256(repr(key).encode()).hexdigest()[:12]}" for _, first, key in repeats}
    if not several:
        return list(items)
    return [replace(item, cluster=several.get(_request_of(item, task))) if item.cluster is None else item for item in items]


def _shown(told: Sequence[str]) -> str:
    return ", ".join(told[:_SHOWN_ROWS]) + (f" and {len(told) - _SHOWN_ROWS} more" if len(told) > _SHOWN_ROWS else "")


def _request_of(item: Item, task: TaskReads | None) -> tuple[str, ...]:
    """What makes two items ask the same. Where templates may read any column, all count but those that tell an item from others alone."""
    question = (item.question, item.context or "") if task is None or task.has_questions else ()
    if task is None or not (task.asked or task.is_all):
        return question
    if task.is_all:
        columns = [name for name in item.columns if name not in CANDIDATES["id"] and str(item.columns[name]) != item.item_id]
    else:
        columns = [name for name in item.columns if name in task.asked]
    return (*question, repr(sorted((name, repr(item.columns[name])) for name in columns)))


def _collect(rows: Rows, reader: RowReader, place: str) -> tuple[list[Item], list[BadRow]]:
    """Raises DataError for a column without which the question is another one."""
    items: list[Item] = []
    bad_rows: list[BadRow] = []
    line_by_key: dict[str, int] = {}
    for row in rows:
        if isinstance(row, BadRow):
            bad_rows.append(row)
            continue
        if more := reader.columns.begin(row.line, row.fields):
            refuse_task(reader.name, f"{place} {row.line}", more[0], row.fields[more[0]])
        try:
            item = reader.item(row)
            first = line_by_key.setdefault(item.key, row.line)
            if first != row.line:
                raise RowProblem("id", f"is the id of line {first} too", item.item_id, "give each row an id of its own")
        except RowProblem as problem:
            bad_rows.append(problem.at(row.line))
            continue
        items.append(item)
    return items, bad_rows


def _refusal(source: SourceSpec, where: str, unit: str, bad_rows: list[BadRow], n_read: int, *, can_skip: bool) -> DataError:
    first = bad_rows[0]
    lines = [f"{len(bad_rows)} of {n_read} rows of {source.name} cannot be used"]
    lines += [f"  {str(bad).replace('line', unit, 1)}" for bad in bad_rows[:_SHOWN_ROWS]]
    if len(bad_rows) > _SHOWN_ROWS:
        lines.append(f"  and {len(bad_rows) - _SHOWN_ROWS} more")
    field = f", field {first.field}" if first.field else ""
    skip = "--skip_bad_rows counts and leaves out such rows" if can_skip else "no row is left"
    return DataError("\n".join(lines), where=f"{where} {unit} {first.line}{field}", hint="; ".join(filter(None, (first.fix, skip))))


def _subset(items: list[Item], size: int) -> list[Item]:
    """The items with the smallest hashes, in source order: the same ones whatever the order, and a larger subset holds a smaller."""
    kept = {item.key for item in sorted(items, key=_hash)[:size]}
    return [item for item in items if item.key in kept]


def _hash(item: Item) -> str:
    return hashlib.sha256(item.key.encode()).hexdigest()
