"""Which columns of a set are read, which nobody reads, and which mean a task that is not asked here."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn

from batchtrial.errors import DataError
from batchtrial.sources.problems import shown

CANDIDATES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "id": ("id", "example_id", "qid", "uuid", "index", "question_id", "QuestionId"),
        "question": ("question", "query", "prompt", "Question"),
        "context": ("context", "passage"),
        "answers": ("answers", "answer", "aliases", "gold", "Answer"),
        "is_unanswerable": ("is_unanswerable", "is_impossible"),
        "cluster": ("cluster",),
        "dataset": ("dataset", "source", "collection"),
    }
)
"""Names under which a role's column is looked for, the usual one first."""
ASKS_MORE: Final[Mapping[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(("choices", "options"), "the answers to choose from"),
        **dict.fromkeys(("messages", "conversation", "conversations", "turns", "dialog", "dialogue"), "the turns of a conversation"),
        **dict.fromkeys(("image", "images", "image_url", "image_urls", "image_path", "audio", "video"), "what the question is about"),
        **dict.fromkeys(("system", "system_prompt", "system_message"), "a system prompt of the row's own"),
        **dict.fromkeys(("tools", "functions"), "tools to call"),
    }
)
"""Columns without which the question is another one, and what they hold."""
_BY_LETTERS: Final = {name.replace("_", ""): what for name, what in ASKS_MORE.items()}
MAYBE_PASSAGES: Final = frozenset(("passages", "contexts", "ctxs", "documents", "paragraphs", "article", "document", "text", "story", "evidence"))
_UNREAD: Final = "columns that nobody reads: "
NoteKind = Literal["unread", "guessed", "odd"]
_PROPOSED: Final = ("question", "answers", "context")
"""Roles for which an unknown column may be proposed; never `cluster`: a topic or a source only describes, and would change every interval."""
_SHOWN_COLUMNS: Final = 20


def _writable(text: str) -> str:
    """The text with halves of surrogate pairs, which JSON can carry and no file of ours can, written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(slots=True, kw_only=True)
class Columns:
    """What became of the columns of one set.

    ignored: not read on purpose. mapped: named by the settings as some role's. seen: columns in the order in which they came up.
    used: those that some role was read from, or a task; is_all_read: a task may read any. told: what was read in another way than it is written,
    how often, and the first example.
    unit, line: what a row is found by, and that of the row in hand.
    """

    ignored: frozenset[str] = frozenset()
    mapped: frozenset[str] = frozenset()
    seen: dict[str, None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    is_all_read: bool = False
    told: dict[str, tuple[int, str]] = field(default_factory=dict)
    unit: str = "row"
    line: int = 0
    _checked: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def begin(self, line: int, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """A row begins; returns its columns that ask for more than a question and have a value."""
        self.line = line
        names = tuple(fields)
        suspects = self._checked.get(names)
        if suspects is None:
            self.seen |= dict.fromkeys(_writable(str(name)) for name in names)
            allowed = self.ignored | self.mapped
            asks_more = (name for name in names if isinstance(name, str) and _asks_more(name) and name not in allowed)
            suspects = () if self.is_all_read else tuple(asks_more)
            if len(self._checked) < 1000:
                self._checked[names] = suspects
        return tuple(name for name in suspects if not _is_blank(fields[name])) if suspects else ()

    def tell(self, what: str, example: str) -> None:
        """Something was read in another way than it is written."""
        count, first = self.told.get(what, (0, f"{_writable(example)} ({self.unit} {self.line})"))
        self.told[what] = (count + 1, first)

    def unread(self) -> tuple[str, ...]:
        """Columns that nobody reads, those left out: told to be ignored."""
        if self.is_all_read:
            return ()
        return tuple(name for name in self.seen if name not in self.used and name not in self.ignored)

    def notes(self) -> list[str]:
        """What was read in another way, and the columns that nobody reads, in words."""
        found = [f"{what}: {count} time{'s' * (count != 1)}, first {example}" for what, (count, example) in self.told.items()]
        unread = self.unread()
        if unread:
            found.append(f"{_UNREAD}{listed(unread)}")
            maybe = [name for name in unread if name.lower() in MAYBE_PASSAGES]
            if maybe and not self.used.intersection(CANDIDATES["context"]):
                found.append(f"no passage is shown to the model; if {maybe[0]!r} holds it, set `fields.context: {maybe[0]}`")
        return found


def note_kind(text: str) -> NoteKind:
    """What a note about a set tells: columns that nobody reads, what was guessed, or what is odd about its rows."""
    return "unread" if text.startswith(_UNREAD) else "guessed" if "guessed" in text else "odd"


def _asks_more(name: str) -> str | None:
    """What a column holds without which the question is another one, however its name is spelled: `systemPrompt`, `System Prompt`."""
    return _BY_LETTERS.get("".join(letter for letter in name.lower() if letter.isalnum()))


def _is_blank(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | tuple | dict) and not value)


def refuse_task(name: str, where: str, column: str, value: Any) -> NoReturn:
    """Always raises DataError: for a column that makes the question another one than is asked here."""
    raise DataError(
        f"the set {name} has a column {column!r}, {_asks_more(column)}, which is not shown to the model: {shown(value)}",
        where=where,
        hint=f"show it with a `task` (docs/tasks.md), write it into the question's own text, "
        f"or leave it out on purpose with `ignore_columns: [{column}]` in this set's settings",
    )


def listed(names: Sequence[str]) -> str:
    """Column names as a message shows them, so that a space at an end can be seen."""
    shown_names = [name if name.strip() == name and name else repr(name) for name in names[:_SHOWN_COLUMNS]]
    return ", ".join(shown_names) + (f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else "") or "none"


def proposal(names: Sequence[str]) -> str:
    """How to say which column is which, as a line of YAML; with the likeliest column where a name is near, else with a gap to fill."""
    parts = []
    for role in _PROPOSED[:2]:
        if any(candidate in names for candidate in CANDIDATES[role]):
            continue
        near = _nearest(role, names)
        parts.append(f"{role}: {near!r}" if near and near.strip() != near else f"{role}: {near or 'COLUMN'}")
    return f"`fields: {{{', '.join(parts)}}}`"


def _nearest(role: str, names: Sequence[str]) -> str | None:
    """The column whose name is nearest to a role's usual names, spaces and case aside."""
    plain = {name.strip().lower().replace(" ", "_"): name for name in names}
    for candidate in CANDIDATES[role]:
        if candidate.lower() in plain:
            return plain[candidate.lower()]
    for candidate in CANDIDATES[role][:2]:
        near = difflib.get_close_matches(candidate, plain, 1, cutoff=0.6) or [key for key in plain if candidate in key][:1]
        if near:
            return plain[near[0]]
    return None
