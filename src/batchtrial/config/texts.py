"""Prompts and instructions: their files are read once, and what looks like a template that nobody fills in is found."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, Final

from batchtrial.config.files import read_text
from batchtrial.config.tasks import PROMPTS, portable, spelled_out
from batchtrial.errors import ConfigError
from batchtrial.names import is_url, near_file
from batchtrial.plugins import faults

MAX_TEXT_BYTES: Final = 2**20

_BRACED: Final = r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::?[-=?+][^}]*)?\}"
_BARE: Final = r"\$[A-Z_][A-Z0-9_]*(?=/|$)"
VARIABLE: Final = re.compile(rf"(?<!\$){_BRACED}|^{_BARE}")
"""`${NAME}` anywhere, or `$NAME` as the whole value or as the first step of a path. With `$$` it is the text itself."""
ESCAPED: Final = re.compile(rf"\$(?={_BRACED})|^\$(?={_BARE})")

TEMPLATE: Final = re.compile(r"(?<![\\{^_}$])(?<!\\[a-zA-Z])\{\{-?\s*[A-Za-z_][A-Za-z0-9_.]*(?:\s*\|[^{}\n]*)?\s*-?\}\}(?!\})")
"""`{{ name }}`, `{{a.b}}`, `{{name | filter}}`. Not JSON (`{"a": {"b": 1}}`), not LaTeX (`\\frac{{a}}{{b}}`, `x^{{n}}`), not more than two braces."""
COMMAND: Final = re.compile(r"\\[A-Za-z]+\*?(?:\[[^\]\n]*\])?$")
"""A LaTeX command just before a brace."""


def read_texts(tree: dict[str, Any], folder: Path, where: str) -> None:
    """Put the texts of prompt and instruction files in the place of their paths. Raises ConfigError.

    Beside a task a system prompt is declared text, and stays as it is. Where questions are asked it stands before other texts: blank lines around it
    are taken off, and its line ends are `\\n`.
    """
    _read_task(tree.get("task"), "task", folder, where)
    is_exact = _is_task(tree.get("task"))
    instructions = tree.get("task_instructions")
    if isinstance(instructions, dict):
        _read_each(instructions, ("open_book", "closed_book"), "task_instructions", folder, where)
    _read_each(tree, ("system",), "", folder, where, is_exact=is_exact)
    sets, arms = tree.get("prompt_sets"), tree.get("arms")
    for name, conditions in sets.items() if isinstance(sets, dict) else ():
        for condition in ("control", "treatment"):
            if isinstance(conditions, dict) and condition in conditions:
                if isinstance(conditions[condition], str):
                    conditions[condition] = {"system": conditions[condition]}
                _read_prompt(conditions[condition], f"prompt_sets.{name}.{condition}", folder, where, is_exact=is_exact)
    for name, arm in arms.items() if isinstance(arms, dict) else ():
        _read_prompt(arm, f"arms.{name}", folder, where, is_exact=is_exact)
    _read_judges(tree.get("judges"), folder, where)


def _read_judges(judges: Any, folder: Path, where: str) -> None:
    if not isinstance(judges, list):
        return
    from batchtrial.config.judge_recipes import filled_in

    for place, judge in enumerate(judges):
        if isinstance(judge, dict) and (found := filled_in(judge)) is not None:
            judges[place] = found
        elif isinstance(judge, dict):
            _read_each(judge, ("rubric",), f"judges.{place}", folder, where)


def _is_task(task: Any) -> bool:
    return task is not None and task != "qa"


def _read_prompt(tree: Any, key: str, folder: Path, where: str, *, is_exact: bool) -> None:
    if isinstance(tree, dict):
        _read_each(tree, ("system",), key, folder, where, is_exact=is_exact or _is_task(tree.get("task")))
        _read_task(tree.get("task"), f"{key}.task", folder, where)
        if isinstance(tree.get("instruction"), dict):
            _read_each(tree["instruction"], ("open_book", "closed_book"), f"{key}.instruction", folder, where)


def _read_each(tree: dict[str, Any], keys: tuple[str, ...], prefix: str, folder: Path, where: str, *, is_exact: bool = False) -> None:
    for key in keys:
        given = tree.get(key)
        if isinstance(given, str):
            text = _read_one(given, f"{where}: {prefix}.{key}" if prefix else f"{where}: {key}", folder, is_exact=is_exact)
            tree[key] = {"path": portable(given), "text": text}


def _read_task(task: Any, key: str, folder: Path, where: str) -> None:
    if isinstance(task, dict):
        spelled_out(task, key, lambda name, at: _read(name, f"{where}: {at}", folder, is_exact=at.endswith(".text_file")))


def _read_one(given: str, where: str, folder: Path, *, is_exact: bool) -> str:
    text = _read(given, where, folder, is_exact=is_exact)
    if not text.strip():
        raise ConfigError(f"{given} is empty", where=where, hint="a prompt needs at least one word")
    return text if is_exact else text.strip("\n") + "\n"


def _read(given: str, where: str, folder: Path, *, is_exact: bool) -> str:
    """The file's text. is_exact: byte for byte, but for a byte order mark."""
    if is_url(given):
        raise ConfigError(f"{given} is an address, not a file", where=where, hint="fetch it first, and name the file")
    if "\x00" in given or not given.strip():
        raise ConfigError(f"{given!r} is no file name", where=where, hint="name a text file")
    for base in (folder, Path()):
        try:
            return read_text(base / given, what=given, where=where, max_bytes=MAX_TEXT_BYTES, keeps_line_ends=is_exact)
        except (FileNotFoundError, NotADirectoryError):
            continue
    near = near_file(folder / given)
    hint = f"did you mean {Path(given).with_name(Path(near).name).as_posix()}?" if near else f"looked in {folder} and in the working directory"
    if not where.endswith(".rubric"):
        raise ConfigError(f"there is no file {given}", where=where, hint=hint)
    raise ConfigError("; ".join((f"there is no file {given}", *faults())), where=where, hint=hint if near else _rubric_meant(given, hint))


def _rubric_meant(given: str, hint: str) -> str:
    """The hint where no file comes near the name: a rubric of the package or of a plugin may have been meant."""
    from batchtrial.config.judge_recipes import known

    close = difflib.get_close_matches(given, known(), 1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"{hint}; the rubrics with a name are {', '.join(known())}"


def template_mark(text: str) -> tuple[int, str] | None:
    """(line, mark) of the first `{{name}}` in a text that is sent as it stands; None when there is none."""
    for number, line in enumerate(text.split("\n"), 1):
        for match in TEMPLATE.finditer(line):
            if not COMMAND.search(line[: match.start()]):
                return number, match.group()
    return None


def without_variables(value: Any, key: str) -> Any:
    """The same values with `$${NAME}` unescaped. Raises ConfigError, `where` being the key, for a variable that nobody fills in."""
    if isinstance(value, str) and PROMPTS.search(key):
        return value  # whatever it holds is meant
    if isinstance(value, str):
        found = VARIABLE.search(value)
        if found is not None:
            what = f"{key} holds {found.group()}: variables are not filled in here"
            raise ConfigError(what, where=key, hint=f"write the value itself, or ${found.group()} for this very text")
        return ESCAPED.sub("", value)
    if isinstance(value, list):
        return [without_variables(one, f"{key}.{place}") for place, one in enumerate(value)]
    if isinstance(value, dict):
        is_text = value.keys() == {"path", "text"}
        return {name: one if is_text and name == "text" else without_variables(one, f"{key}.{name}") for name, one in value.items()}
    return value
