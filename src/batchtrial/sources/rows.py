"""One row of any source to one item, or to a record of what is wrong with it. Pure: no files."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from batchtrial.records import Item
from batchtrial.sources.cells import flag, nested_answers, passage, spelled_answers, tell_reference, text_of, texts
from batchtrial.sources.columns import CANDIDATES, Columns
from batchtrial.sources.kept import display, kept, references
from batchtrial.sources.problems import RowProblem
from batchtrial.sources.spec import FieldMap

_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_ID = 512  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as read. line: from 1, of the file where it has lines, else of the table. number: from 0, among the rows."""

    line: int
    number: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReader:
    """Turns rows of one source into items.

    is_kind_guessed: the kind is the first row's, and nobody has said that passages are to be left out. is_cell: values are cells of a CSV file.
    is_task: what is asked is made from any columns, and accepted answers are optional. asked: those columns, where they are known.
    columns: keeps count of what is read, and how.
    """

    name: str
    kind: Literal["open", "closed"]
    names: FieldMap
    answer_separator: str | None = None
    context_separator: str | None = None
    is_task: bool = False
    keeps_columns: bool = False
    is_reference_optional: bool = False
    is_kind_guessed: bool = False
    is_cell: bool = False
    asked: frozenset[str] = frozenset()
    columns: Columns = field(default_factory=Columns)

    def item(self, row: Row) -> Item:
        """Raises RowProblem naming the field, the value and the fix."""
        fields = row.fields
        if self.is_task:
            return self._of_task(row)
        question_name, question = self._look_up(fields, "question")
        answers_name, raw_answers = self._look_up(fields, "answers")
        if isinstance(raw_answers, str):
            raw_answers = self._parted(answers_name, raw_answers)
        answers = self._answers(answers_name, raw_answers)
        is_unanswerable = self._is_unanswerable(fields, raw_answers, answers)
        if not answers and not is_unanswerable and not self.is_reference_optional:
            fix = "give at least one accepted answer"
            fix += ", or set is_unanswerable to true" if self.kind == "open" else ""
            raise RowProblem(answers_name, "there is no accepted answer", raw_answers, fix)
        context = self._context(fields)
        return Item(
            dataset=self._dataset(fields),
            item_id=self._id(row),
            kind=self.kind,
            question=text_of(question_name, question),
            context=context,
            answers=answers,
            is_unanswerable=is_unanswerable,
            cluster=self._cluster(fields, context),
            distractors=self._distractors(fields),
            columns=kept(fields, self.columns.ignored) if self.keeps_columns else {},
        )

    def _of_task(self, row: Row) -> Item:
        columns = kept(row.fields, self.columns.ignored)
        question = self._look_up(row.fields, "question")[1]
        context = self._context(row.fields) if self.kind == "open" else None
        answers_name, _ = self._look_up(row.fields, "answers")
        value = _reach(columns, answers_name)
        if self.answer_separator is None:
            tell_reference(value, self.columns.tell)
        is_unanswerable = self._is_unanswerable(row.fields, None, ()) if self.kind == "open" else False
        return Item(
            dataset=self._dataset(row.fields),
            item_id=self._id(row),
            kind=self.kind,
            question=question if isinstance(question, str) and question.strip() else display(columns, self.asked),
            context=context,
            answers=references(None if value is _ABSENT or is_unanswerable else value, self.answer_separator),
            is_unanswerable=is_unanswerable,
            cluster=self._cluster(row.fields, context),
            distractors=self._distractors(row.fields),
            columns=columns,
        )

    def has_context(self, fields: Mapping[str, Any]) -> bool:
        """Whether a row carries a passage."""
        try:
            value = self._look_up(fields, "context")[1]
        except RowProblem:  # the settings name a column that this row lacks
            return False
        return bool(value.strip()) if isinstance(value, str) else value is not None and value not in ([], {})

    def _look_up(self, fields: Mapping[str, Any], role: str) -> tuple[str, Any]:
        """The name and value of a role's field; the usual name and None when there is none."""
        named: str | None = getattr(self.names, role)
        if named is not None and named != "auto":
            value = _reach(fields, named)
            if value is _ABSENT:
                raise RowProblem(named, "there is no such field", fix=f"the row has {', '.join(map(str, fields)) or 'none'}; see `fields.{role}`")
            self.columns.used.add(named if named in fields else named.partition(".")[0])
            return named, value
        for candidate in CANDIDATES[role]:
            if fields.get(candidate) is not None:
                self.columns.used.add(candidate)
                return candidate, fields[candidate]
        return CANDIDATES[role][0], None

    def _id(self, row: Row) -> str:
        name, value = self._look_up(row.fields, "id")
        if value is None or value == "":
            return f"{self.name}-{row.number}"
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        text = text_of(name, value)
        if len(text) > _LONGEST_ID:
            raise RowProblem(name, f"is longer than {_LONGEST_ID} characters", text)
        return text

    def _dataset(self, fields: Mapping[str, Any]) -> str:
        if self.names.dataset is None:
            return self.name
        name, value = self._look_up(fields, "dataset")
        if value is None:
            return self.name
        text = text_of(name, value)
        if not _DATASET.fullmatch(text):
            raise RowProblem(name, "is no name for a question set", text, "use letters, digits, '_', '-' and '.', at most 64")
        return text

    def _context(self, fields: Mapping[str, Any]) -> str | None:
        if self.kind == "closed":
            if self.is_kind_guessed and self.has_context(fields):
                fix = "give each row one and say `kind: open`, or say `kind: closed` to ask without"
                raise RowProblem(self._look_up(fields, "context")[0], "is a passage, and the first row has none", fix=fix)
            return None
        name, value = self._look_up(fields, "context")
        if value is None:
            raise RowProblem(name, "there is no passage", fix="open-book questions need one; `kind: closed` asks without")
        return sys.intern(passage(name, value, self.context_separator))  # questions about one passage have one copy of it

    def _cluster(self, fields: Mapping[str, Any], context: str | None) -> str | None:
        name, value = self._look_up(fields, "cluster")
        if value is not None and value != "":
            return str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(name, value)
        if context is None:
            return None
        # Questions on one passage stand or fall together.
        mark = hashlib.sha256(context.encode()).hexdigest()[:12]
        title = fields.get("title")
        self.columns.used.add("title")
        return f"{title}-{mark}" if isinstance(title, str) and title else mark

    def _is_unanswerable(self, fields: Mapping[str, Any], raw_answers: Any, answers: tuple[str, ...]) -> bool:
        name, value = self._look_up(fields, "is_unanswerable")
        if value is None:
            # {"text": [], "answer_start": []} is how SQuAD 2.0 on the hub says it.
            is_so = self.kind == "open" and not answers and isinstance(raw_answers, Mapping) and raw_answers.get("text") is not None
        else:
            is_so = flag(name, value)
        if is_so and answers:
            raise RowProblem(name, "is true, and yet there are answers", list(answers), "drop the answers or set it to false")
        if is_so and self.kind == "closed":
            raise RowProblem(name, "is true for a closed-book question", value, "only a passage can fail to hold an answer; use `kind: open`")
        return is_so

    def _parted(self, name: str, text: str) -> Any:
        """The accepted answers that one text holds."""
        if self.answer_separator is not None:
            return text.split(self.answer_separator)
        return spelled_answers(name, text, is_cell=self.is_cell, tell=self.columns.tell)

    def _answers(self, name: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, Mapping):
            value = nested_answers(name, value)
        elif isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(one, Mapping) for one in value):
            value = [one.get("text") if isinstance(one, Mapping) else one for one in value]
        return tuple(dict.fromkeys(texts(name, value, self.columns.tell)))

    def _distractors(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        self.columns.used.add("distractors")
        return texts("distractors", fields.get("distractors"), self.columns.tell)


_ABSENT = object()


def _reach(fields: Mapping[str, Any], path: str) -> Any:
    """The value of a field, or of a field in a nested object where the path has dots."""
    if path in fields:
        return fields[path]
    value: Any = fields
    for step in path.split("."):
        if not isinstance(value, Mapping) or step not in value:
            return _ABSENT
        value = value[step]
    return value
