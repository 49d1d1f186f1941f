"""One row of any source to one item, or to a record of what is wrong with it. Pure: no files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from batchtrial.records import Item
from batchtrial.sources.spec import FieldMap

_CANDIDATES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "example_id", "qid", "uuid", "index", "question_id", "QuestionId"),
    "question": ("question", "query", "prompt", "Question"),
    "context": ("context", "passage"),
    "answers": ("answers", "answer", "aliases", "gold", "Answer"),
    "is_unanswerable": ("is_unanswerable", "is_impossible"),
    "cluster": ("cluster",),
    "dataset": ("dataset", "source", "collection"),
}
_YES, _NO = frozenset(("true", "yes", "1")), frozenset(("false", "no", "0", ""))
_DATASET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_ID = 512  # characters
_SHOWN = 80  # characters of an offending value


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row as read. line: from 1, of the file where it has lines, else of the table. number: from 0, among the rows."""

    line: int
    number: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be used. field: the name in the file, "" for the row as a whole. fix: what would mend it."""

    line: int
    field: str
    problem: str
    value: str = ""
    fix: str = ""

    def __str__(self) -> str:
        named = f", field {self.field!r}" if self.field else ""
        shown = f": {self.value}" if self.value else ""
        return f"line {self.line}{named}: {self.problem}{shown}"


class RowProblem(ValueError):
    """What is wrong with a field; becomes a BadRow."""

    def __init__(self, field: str, problem: str, value: object = None, fix: str = "") -> None:
        super().__init__(problem)
        self.field, self.problem, self.fix = field, problem, fix
        self.value = "" if value is None else shown(value)

    def at(self, line: int) -> BadRow:
        """The record of this problem."""
        return BadRow(line=line, field=self.field, problem=self.problem, value=self.value, fix=self.fix)


def shown(value: object) -> str:
    """A value as a message shows it: quoted, on one line, cut when long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReader:
    """Turns rows of one source into items."""

    name: str
    kind: Literal["open", "closed"]
    names: FieldMap
    answer_separator: str | None = None

    def item(self, row: Row) -> Item:
        """Raises RowProblem naming the field, the value and the fix."""
        fields = row.fields
        question_name, question = self._look_up(fields, "question")
        answers_name, raw_answers = self._look_up(fields, "answers")
        answers = self._answers(answers_name, raw_answers)
        is_unanswerable = self._is_unanswerable(fields, raw_answers, answers)
        if not answers and not is_unanswerable:
            fix = "give at least one accepted answer"
            fix += ", or set is_unanswerable to true" if self.kind == "open" else ""
            raise RowProblem(answers_name, "there is no accepted answer", raw_answers, fix)
        context = self._context(fields)
        return Item(
            dataset=self._dataset(fields),
            item_id=self._id(row),
            kind=self.kind,
            question=_text(question_name, question),
            context=context,
            answers=answers,
            is_unanswerable=is_unanswerable,
            cluster=self._cluster(fields, context),
            distractors=_texts("distractors", fields.get("distractors")),
        )

    def has_context(self, row: Row) -> bool:
        """Whether the row carries a passage."""
        value = self._look_up(row.fields, "context")[1]
        return isinstance(value, str) and bool(value.strip())

    def _look_up(self, fields: Mapping[str, Any], role: str) -> tuple[str, Any]:
        """The name and value of a role's field; the usual name and None when there is none."""
        named: str | None = getattr(self.names, role)
        if named is not None and named != "auto":
            value = _reach(fields, named)
            if value is _ABSENT:
                raise RowProblem(named, "there is no such field", fix=f"the row has {', '.join(map(str, fields)) or 'none'}; see `fields.{role}`")
            return named, value
        for candidate in _CANDIDATES[role]:
            if fields.get(candidate) is not None:
                return candidate, fields[candidate]
        return _CANDIDATES[role][0], None

    def _id(self, row: Row) -> str:
        name, value = self._look_up(row.fields, "id")
        if value is None or value == "":
            return f"{self.name}-{row.number}"
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        text = _text(name, value)
        if len(text) > _LONGEST_ID:
            raise RowProblem(name, f"is longer than {_LONGEST_ID} characters", text)
        return text

    def _dataset(self, fields: Mapping[str, Any]) -> str:
        if self.names.dataset is None:
            return self.name
        name, value = self._look_up(fields, "dataset")
        if value is None:
            return self.name
        text = _text(name, value)
        if not _DATASET.fullmatch(text):
            raise RowProblem(name, "is no name for a question set", text, "use letters, digits, '_', '-' and '.', at most 64")
        return text

    def _context(self, fields: Mapping[str, Any]) -> str | None:
        if self.kind == "closed":
            return None
        name, value = self._look_up(fields, "context")
        if value is None:
            raise RowProblem(name, "there is no passage", fix="open-book questions need one; `kind: closed` asks without")
        return _text(name, value)

    def _cluster(self, fields: Mapping[str, Any], context: str | None) -> str | None:
        name, value = self._look_up(fields, "cluster")
        if value is not None and value != "":
            return str(value) if isinstance(value, int) and not isinstance(value, bool) else _text(name, value)
        if context is None:
            return None
        # Questions on one passage stand or fall together.
        mark = hashlib.sha256(context.encode()).hexdigest()[:12]
        title = fields.get("title")
        return f"{title}-{mark}" if isinstance(title, str) and title else mark

    def _is_unanswerable(self, fields: Mapping[str, Any], raw_answers: Any, answers: tuple[str, ...]) -> bool:
        name, value = self._look_up(fields, "is_unanswerable")
        if value is None:
            # {"text": [], "answer_start": []} is how SQuAD 2.0 on the hub says it.
            flag = self.kind == "open" and not answers and isinstance(raw_answers, Mapping) and "text" in raw_answers
        else:
            flag = _flag(name, value)
        if flag and answers:
            raise RowProblem(name, "is true, and yet there are answers", list(answers), "drop the answers or set it to false")
        if flag and self.kind == "closed":
            raise RowProblem(name, "is true for a closed-book question", value, "only a passage can fail to hold an answer; use `kind: open`")
        return flag

    def _answers(self, name: str, value: Any) -> tuple[str, ...]:
        if isinstance(value, str):
            value = value.split(self.answer_separator) if self.answer_separator is not None else _spelled_list(value)
        elif isinstance(value, Mapping):
            value = _nested_answers(name, value)
        elif isinstance(value, Sequence) and any(isinstance(one, Mapping) for one in value):
            value = [one.get("text") if isinstance(one, Mapping) else one for one in value]
        return tuple(dict.fromkeys(_texts(name, value)))


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


def _spelled_list(text: str) -> list[Any]:
    """The list that a cell spells as JSON, or the text as the only answer."""
    if text.startswith("[") and text.endswith("]"):
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            return [text]
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
    return [text]


def _nested_answers(name: str, value: Mapping[str, Any]) -> list[Any]:
    """SQuAD's {text: [...]} and TriviaQA's {value, aliases}, in either spelling."""
    if "text" in value:
        return list(value["text"]) if isinstance(value["text"], Sequence) and not isinstance(value["text"], str) else [value["text"]]
    own = [value[key] for key in ("value", "Value") if key in value]
    aliases = [alias for key in ("aliases", "Aliases", "HumanAnswers") for alias in value.get(key) or ()]
    if not own and not aliases:
        raise RowProblem(
            name, "is an object without text, value or aliases", dict(value), "name the inner field, such as `fields.answers: answer.text`"
        )
    return own + aliases


def _texts(name: str, value: Any) -> tuple[str, ...]:
    """A list of texts, blank ones dropped; None is an empty list."""
    if value is None:
        return ()
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise RowProblem(name, f"is {_type(value)}, not text or a list of texts", value, "put it in quotes, or in a list")
    for place, one in enumerate(value):
        if not isinstance(one, str):
            raise RowProblem(f"{name}[{place}]", f"is {_type(one)}, not text", one, "put it in quotes")
    return tuple(_encodable(name, one).strip() for one in value if one.strip())


def _text(name: str, value: Any) -> str:
    if value is None:
        raise RowProblem(name, "is missing", fix="give it, or say which field holds it with `fields`")
    if not isinstance(value, str):
        raise RowProblem(name, f"is {_type(value)}, not text", value, "put it in quotes")
    if not value.strip():
        raise RowProblem(name, "is empty", value)
    return _encodable(name, value)


def _encodable(name: str, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowProblem(name, f"is not valid UTF-8 at character {error.start + 1}", text, "save the file as UTF-8") from None
    return text


def _flag(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    mark = str(value).strip().lower() if isinstance(value, str | int) else ""
    if mark in _YES:
        return True
    if mark in _NO and isinstance(value, str | int):
        return False
    raise RowProblem(name, f"is {_type(value)}, not true or false", value, "write true or false")


def _type(value: Any) -> str:
    names: Mapping[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "nothing" if value is None else names.get(type(value), type(value).__name__)
