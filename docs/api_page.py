"""docs/api_reference.md: what `import batchtrial` gives, by its docstrings."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from model_tables import cell

import batchtrial
from batchtrial import testing

MODULES = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])")
"""What stands before a class in an annotation."""
LONGEST = 110


def page(notice: str) -> list[str]:
    """The page's lines."""
    lines = ["# Python reference", "", notice, *paragraphs(batchtrial.__doc__), ""]
    for name in sorted(batchtrial.__all__, key=str.lower):
        lines += entry(name, getattr(batchtrial, name), 2)
    lines += ["## batchtrial.testing", "", "For tests of your own.", ""]
    for name, one in vars(testing).items():
        if not name.startswith("_") and getattr(one, "__module__", "") == testing.__name__:
            lines += entry(name, one, 3)
    return lines


def entry(name: str, one: Any, level: int) -> Iterator[str]:
    """A heading, the way it is called, its docstring; a class with its members, arguments that are described elsewhere with their names."""
    yield from (f"{'#' * level} {name}", "")
    if inspect.isfunction(one):
        yield from ("```python", *called(name, one), "```", "")
    yield from (*paragraphs((one.__doc__ or "").split("\n\n")[0] if inspect.ismodule(one) else one.__doc__), "")
    if inspect.isclass(one) and (rows := list(members(one))):
        yield from ("| member | is |", "| --- | --- |", *rows, "")
    for typed in re.findall(r"Unpack\[(\w+)\]", str(inspect.signature(one))) if inspect.isfunction(one) and name == "start" else ():
        how = vars(inspect.getmodule(one))[typed]
        yield from (
            f"{'#' * (level + 1)} {typed}",
            "",
            *paragraphs(how.__doc__),
            "",
            *textwrap.wrap(f"`{'`, `'.join(how.__annotations__)}`", 140),
            "",
        )


def members(one: type) -> Iterator[str]:
    """A row for each public member with a docstring of its own."""
    for name, made in vars(one).items():
        inner = made.fget if isinstance(made, property) else getattr(made, "__func__", made)
        if not name.startswith(("_", "test_")) and inspect.isfunction(inner):
            shown = f".{name}" if isinstance(made, property) else "".join(called(f".{name}", inner, longest=10_000))
            yield f"| `{cell(shown)}` | {cell(' '.join((inner.__doc__ or '').split()))} |"


def called(name: str, function: Any, *, longest: int = LONGEST) -> list[str]:
    """The signature, on one line where it fits, else with an argument a line."""
    signature = inspect.signature(function)
    given = [one for key, one in signature.parameters.items() if key != "self"]
    texts = [argument(one) for one in given]
    named = next((n for n, one in enumerate(given) if one.kind is one.KEYWORD_ONLY), None)
    if named is not None and all(one.kind is not one.VAR_POSITIONAL for one in given):
        texts.insert(named, "*")
    end = "" if signature.return_annotation is signature.empty else f" -> {annotation(signature.return_annotation)}"
    whole = f"{name}({', '.join(texts)}){end}"
    return [whole] if len(whole) <= longest else [f"{name}(", *(f"    {one}," for one in texts), f"){end}"]


def argument(one: inspect.Parameter) -> str:
    """`name: type = default`."""
    stars = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
    typed = "" if one.annotation is one.empty else f": {annotation(one.annotation)}"
    return f"{stars}{one.name}{typed}" + ("" if one.default is one.empty else f" = {one.default!r}")


def annotation(given: Any) -> str:
    """As it is written, without modules."""
    return MODULES.sub("", given if isinstance(given, str) else getattr(given, "__name__", str(given)))


def paragraphs(text: str | None) -> list[str]:
    """A docstring's paragraphs; indented ones stay as they are, as code."""
    found: list[str] = []
    for block in inspect.cleandoc(text or "").split("\n\n"):
        found += ["```python", *inspect.cleandoc(block).splitlines(), "```", ""] if block.startswith("    ") else [*block.splitlines(), ""]
    return found[:-1]
