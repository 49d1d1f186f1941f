"""One template: compiled once, rendered for each item within its budget, its errors told by line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, Final

import jinja2
from jinja2 import meta

from batchtrial.tasks.budget import CURRENT, MOST_CHARS, Budget, TooMuch
from batchtrial.tasks.sandbox import Sandbox

COLUMNS: Final = "columns"
"""All columns of the item by name, for those whose names are no words of a template."""
MOST_TAGS: Final = 2000
_FAULTS: Final = (
    *(jinja2.TemplateError, TooMuch, TypeError, ValueError, LookupError, AttributeError, ArithmeticError, RecursionError),
    AssertionError,  # by which a filter of Jinja tells of a wrong parameter
)


class TemplateFault(ValueError):
    """What is wrong with a template, or with an item under it. line: from 1, where it is known. hint: what to do; empty where that is not known."""

    def __init__(self, what: str, line: int | None = None, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.line, self.hint = what, line, hint


@lru_cache(maxsize=1)
def _sandbox() -> Sandbox:
    return Sandbox()


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled template. names: the columns that it reads."""

    names: frozenset[str]
    _compiled: jinja2.Template

    @classmethod
    def of(cls, source: str) -> Template:
        """Compile it. Raises TemplateFault."""
        sandbox = _sandbox()
        if source.count("{{") + source.count("{%") > MOST_TAGS:
            raise TemplateFault(f"it has more than {MOST_TAGS:,} places to fill in")
        try:
            names = meta.find_undeclared_variables(sandbox.parse(source)) - {"range", COLUMNS}
            return cls(frozenset(names), sandbox.from_string(source))
        except jinja2.TemplateSyntaxError as error:
            raise TemplateFault(str(error.message), error.lineno) from None
        except (SyntaxError, RecursionError, MemoryError, ValueError, OverflowError):
            raise TemplateFault("it is nested too deeply, or holds a number too long, to be compiled") from None

    def render(self, columns: Mapping[str, Any], clock: Callable[[], float] = time.monotonic) -> str:
        """The text for an item. An empty value is as one that is missing. Raises TemplateFault."""
        there = {name: value for name, value in columns.items() if value is not None}
        budget = Budget(there, clock)
        token = CURRENT.set(budget)
        try:
            return self._rendered({COLUMNS: there, **there})
        except _FAULTS as error:
            said = "its values are nested too deeply" if isinstance(error, RecursionError) else str(error) or type(error).__name__
            raise TemplateFault(said, self._line(error.__traceback__), _hint(error)) from None
        finally:
            CURRENT.reset(token)

    def _rendered(self, variables: Mapping[str, Any]) -> str:
        parts: list[str] = []
        left = MOST_CHARS
        for part in self._compiled.root_render_func(self._compiled.new_context(dict(variables))):
            left -= len(part)
            if left < 0:
                raise TooMuch(f"it gives more than {MOST_CHARS:,} characters")
            parts.append(part)
        return "".join(parts)

    def _line(self, trace: TracebackType | None) -> int | None:
        line = None
        while trace is not None:
            if trace.tb_frame.f_globals.get("__jinja_template__") is not None or trace.tb_frame.f_code.co_filename == "<template>":
                line = self._compiled.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


def tokens(source: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of what a template consists of; the texts one behind the other are the template. Raises TemplateFault."""
    try:
        yield from ((kind, text) for _, kind, text in _sandbox().lex(source))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFault(str(error.message), error.lineno) from None


def _hint(error: BaseException) -> str:
    if isinstance(error, jinja2.UndefinedError):
        return 'a column that some items lack needs `{{ name | default("") }}`'
    if isinstance(error, TooMuch):
        return "loop over less, or put the text together before, in a column of its own"
    return "docs/tasks.md lists what templates may do"
