"""One value of a row to texts: lists that a cell spells out, numbers where a text was meant. Pure; what would have to be guessed is refused."""

from __future__ import annotations

import ast
import io
import json
import math
import re
import tokenize
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final

from batchtrial.sources.problems import RowProblem, shown

Tell = Callable[[str, str], None]
"""What was read in another way than it is written, and an example of it."""

_LONGEST_SPELLED: Final = 100_000  # characters of a list in a cell
_LOOKS_SPELLED: Final = re.compile(r"[\[{(]+\s*(?:['\"\]]|array\()")
_WHOLE_TO: Final = 1e15  # above it a whole float is not surely the number that was written
_NOTHING: Final = frozenset({"nan", "null", "<na>", "#n/a", "n/a", "nat"})
"""What tables write where nothing stands. `None` and `NA` are left out: they are answers."""
_SPELLED_FIX: Final = (
    'write the accepted answers as a JSON list of texts, such as ["a", "b"]; or separate them by a sign and name it with `answer_separator`, '
    "which also takes each part as it stands"
)
_NAMES: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    Decimal: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
    date: "a date",
    datetime: "a date with a time",
    time: "a time of day",
    timedelta: "a span of time",
    bytes: "bytes",
}


def type_name(value: Any) -> str:
    """What a value is, in a reader's words."""
    return "nothing" if value is None else _NAMES.get(type(value), type(value).__name__)


def spelled_answers(name: str, text: str, *, is_cell: bool, tell: Tell) -> Any:
    """What a text that stands for accepted answers says: the list or object that it spells, else the text as the one answer.

    is_cell: of a CSV file, whose cells cannot hold lists, so that a cell that begins like one is one. Raises RowProblem for text that begins
    like a list or an object and cannot be read as such: as an answer nothing could equal it.
    """
    stripped = text.strip()
    if stripped.lower() in _NOTHING:
        tell("accepted answers that tables write where nothing stands are texts as they stand; leave such cells empty", shown(text))
    looks_spelled = _LOOKS_SPELLED.match(stripped) is not None
    is_meant = stripped.startswith(("[", "{")) and (is_cell or looks_spelled)
    if not is_meant and not looks_spelled:
        return [text]
    value = _spelled(stripped, tell)
    if value is None and is_meant:
        raise RowProblem(name, "begins like a list and is no list of texts that can be read safely", text, _SPELLED_FIX)
    return [text] if value is None else value


def tell_reference(value: Any, tell: Tell) -> None:
    """Say what a task takes as it stands where something else may have been meant: a list that a text spells out, a number."""
    if _is_number(value):
        tell("answers that are numbers are read as text", f"{value!r} as {str(value)!r}")
    elif isinstance(value, str) and _LOOKS_SPELLED.match(value.strip()) is not None and not isinstance(_json(value), dict):
        tell("accepted answers that are written like a list are one text each, as they stand; `answer_separator` parts them", shown(value))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _spelled(text: str, tell: Tell) -> Any:
    """Accepted answers written as JSON, or as Python writes them; None for anything else."""
    if len(text) > _LONGEST_SPELLED:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _python_literal(text)
        if _are_answers(value):
            tell("lists written as Python writes them are read as lists", shown(text))
    return value if _are_answers(value) else None


def _are_answers(value: Any) -> bool:
    """Whether this is a list of texts, or an object in which accepted answers are looked for."""
    if isinstance(value, Mapping):
        return any(key in value for key in ("text", "value", "Value", "aliases", "Aliases"))
    return isinstance(value, list | tuple) and all(isinstance(one, str) or (isinstance(one, Mapping) and "text" in one) for one in value)


def _python_literal(text: str) -> Any:
    """The value of a Python literal; None for anything else, and for neighbouring texts without a comma, which Python would join into one."""
    try:
        before = ""
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.NL, tokenize.NEWLINE, tokenize.COMMENT):
                continue
            if token.type == tokenize.STRING and before == "text":
                return None
            before = "text" if token.type == tokenize.STRING else ""
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError):
        return None


def nested_answers(name: str, value: Mapping[str, Any]) -> list[Any]:
    """The answers in SQuAD's {text: [...]} and TriviaQA's {value, aliases}, in either spelling. Raises RowProblem for any other object."""
    if "text" in value:
        texts = value["text"]
        return list(texts) if isinstance(texts, Sequence) and not isinstance(texts, str) else [] if texts is None else [texts]
    own = [value[key] for key in ("value", "Value") if key in value]
    aliases = [alias for key in ("aliases", "Aliases", "HumanAnswers") for alias in _list_of(f"{name}.{key}", value.get(key))]
    if not own and not aliases:
        raise RowProblem(
            name, "is an object without text, value or aliases", dict(value), "name the inner field, such as `fields.answers: answer.text`"
        )
    return own + aliases


def _list_of(name: str, value: Any) -> Sequence[Any]:
    if not value:
        return ()
    if isinstance(value, str):
        return (value,)
    if not isinstance(value, Sequence):
        raise RowProblem(name, f"is {type_name(value)}, not a list", value, "put it in a list")
    return value


def texts(name: str, value: Any, tell: Tell) -> tuple[str, ...]:
    """A list of texts, blank ones dropped; None is an empty list, a number the text that writes it. Raises RowProblem for anything else."""
    if value is None:
        return ()
    if _is_number(value):
        value = [value]
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise RowProblem(name, f"is {type_name(value)}, not text or a list of texts", value, _fix(value))
    found = []
    for place, one in enumerate(value):
        if not isinstance(one, str):
            one = _number_text(f"{name}[{place}]", one, tell)
        if one.strip():
            found.append(encodable(name, one).strip())
    return tuple(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number_text(name: str, value: Any, tell: Tell) -> str:
    """A number as text: whole ones without a point, since a table turns a column of whole numbers with gaps into floats."""
    if not _is_number(value) or not math.isfinite(value):
        raise RowProblem(name, f"is {type_name(value)}, not text", value, _fix(value))
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < _WHOLE_TO
    text = str(int(value) if is_whole else value)
    tell("answers that are numbers are read as text", f"{value!r} as {text!r}")
    return text


def _fix(value: Any) -> str:
    if value is None:
        return "leave it out"
    if isinstance(value, bool):
        return 'write the text that a right answer has, such as "yes" or "true"'
    if isinstance(value, date | time | timedelta):
        return "write it as the text that a right answer has, such as 20 July 1969"
    if isinstance(value, list | tuple):
        return "give one flat list"
    return "put it in quotes" if isinstance(value, int | float | Decimal) else "put it in quotes, or in a list"


def text_of(name: str, value: Any) -> str:
    """A text that must be there. Raises RowProblem."""
    if value is None:
        raise RowProblem(name, "is missing", fix="give it, or say which field holds it with `fields`")
    if not isinstance(value, str):
        raise RowProblem(name, f"is {type_name(value)}, not text", value, "put it in quotes")
    if not value.strip():
        raise RowProblem(name, "is empty", value)
    return encodable(name, value)


def encodable(name: str, text: str) -> str:
    """The text, when it can be written as UTF-8. Raises RowProblem."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RowProblem(name, f"is not valid UTF-8 at character {error.start + 1}", text, "save the file as UTF-8") from None
    return text


def passage(name: str, value: Any, separator: str | None) -> str:
    """The passage of an open-book question, a list of passages joined when a separator is given. Raises RowProblem."""
    if isinstance(value, list | tuple) and value and all(isinstance(one, str) for one in value):
        if separator is None:
            fix = 'say what joins them with `context_separator`, such as "\\n\\n"'
            raise RowProblem(name, f"is a list of {len(value)} passages, and a question has one", value, fix)
        return text_of(name, separator.join(value))
    if value is not None and not isinstance(value, str):
        fix = "give one text or a flat list of texts, or name the inner field, such as `fields.context: context.text`"
        raise RowProblem(name, f"is {type_name(value)}, not a passage", value, fix)
    return text_of(name, value)


def flag(name: str, value: Any) -> bool:
    """True or false in the usual spellings. Raises RowProblem."""
    if isinstance(value, bool):
        return value
    mark = str(value).strip().lower() if isinstance(value, str | int) else ""
    if mark in ("true", "yes", "1"):
        return True
    if mark in ("false", "no", "0", "") and isinstance(value, str | int):
        return False
    raise RowProblem(name, f"is {type_name(value)}, not true or false", value, "write true or false")
