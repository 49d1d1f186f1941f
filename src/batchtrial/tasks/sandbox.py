"""The Jinja environment of templates: expressions over an item's columns, `if` and `for`, and nothing that reaches further.

No loader, so no includes, imports or files; no calls but `range`; no attribute of any object, only keys of the item's own values. What a template
could grow without bounds is counted (`budget.py`).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Final, NoReturn

from jinja2 import StrictUndefined, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from batchtrial.tasks.budget import CURRENT, LARGEST_NUMBER, TooMuch, counted, paid
from batchtrial.tasks.filters import ALLOWED, INNER, is_divisible, limited_range, shown, written

STATEMENTS: Final = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For, nodes.Assign)
EXPRESSIONS: Final = (
    *(nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Getitem, nodes.Getattr, nodes.Slice, nodes.Filter, nodes.Test, nodes.Call),
    *(nodes.Compare, nodes.Operand, nodes.Not, nodes.And, nodes.Or, nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod),
    *(nodes.Neg, nodes.Pos, nodes.Concat, nodes.CondExpr, nodes.Keyword),
)
WORDS: Final[Mapping[str, str]] = {
    "Import": "import",
    "FromImport": "import",
    "Include": "include",
    "Extends": "extends",
    "AssignBlock": "a block of set",
    "CallBlock": "call",
    "FilterBlock": "a block of filter",
    "Pow": "`**`",
    "Scope": "autoescape",
    "Dict": "an object written in the template",
}
OF_A_LOOP: Final = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem", "depth"})
COUNTED: Final = "_counted"


class Missing(StrictUndefined):
    """A column or key that is not there: any use of it but `default` and `is defined` is an error that names the nearest one."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        name, inside = self._undefined_name, self._undefined_obj
        if self._undefined_hint:
            return self._undefined_hint
        is_column = not isinstance(inside, Mapping | list | tuple | str | int | float)
        known = [str(one) for one in (CURRENT.get().columns if is_column else inside if isinstance(inside, Mapping) else ())]
        near = difflib.get_close_matches(str(name), known, 1, cutoff=0.5)
        what = f"the item has no column {shown(name)}" if is_column else f"there is no {shown(name)} in {shown(inside)}"
        there = f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known[:20])}" if known else ""
        return f"{what}{there}"


class Checked(NodeTransformer):
    """A template's tree with what may grow counted. Raises TemplateSyntaxError for what no template may hold."""

    def generic_visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> nodes.Node:
        """Any node that is not named below."""
        if not isinstance(node, (*STATEMENTS, *EXPRESSIONS)):
            word = WORDS.get(type(node).__name__, type(node).__name__.lower())
            raise TemplateSyntaxError(f"{word} is not available in templates", node.lineno or 1)
        return super().generic_visit(node, *args, **kwargs)

    def visit_For(self, node: nodes.For) -> nodes.Node:
        """Each round of a loop is a step."""
        if node.recursive:
            raise TemplateSyntaxError("a recursive loop is not available in templates", node.lineno)
        self.generic_visit(node)
        node.iter = _filtered(node.iter, COUNTED)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        """The one thing that can be called is `range`."""
        if not isinstance(node.node, nodes.Name) or node.node.name != "range" or node.dyn_args or node.dyn_kwargs:
            raise TemplateSyntaxError("only range(...) can be called; use a filter, as in {{ name | upper }}", node.lineno)
        return self.generic_visit(node)

    def visit_Filter(self, node: nodes.Filter) -> nodes.Node:
        """Filters take what is written out."""
        if node.name not in ALLOWED:
            near = difflib.get_close_matches(node.name, ALLOWED, 1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(ALLOWED))}"
            raise TemplateSyntaxError(f"there is no filter {node.name!r}{hint}", node.lineno)
        if node.dyn_args or node.dyn_kwargs:
            raise TemplateSyntaxError("`*` and `**` are not available in templates", node.lineno)
        return self.generic_visit(node)

    def visit_List(self, node: nodes.List | nodes.Tuple) -> nodes.Node:
        """A list that a template writes holds single values."""
        self.generic_visit(node)
        if getattr(node, "ctx", "load") == "load":
            node.items = [_filtered(one, "_flat") for one in node.items]
        return node

    visit_Tuple = visit_List

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        """`~` counts what it makes."""
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "_joined")

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        """So does a slice."""
        self.generic_visit(node)
        return _filtered(node, "_paid") if isinstance(node.arg, nodes.Slice) else node


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


class Sandbox(ImmutableSandboxedEnvironment):
    """Compiles templates."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self) -> None:
        super().__init__(undefined=Missing, finalize=_finalized, optimized=False, autoescape=False, cache_size=0)
        self.globals = {"range": limited_range}
        self.filters = {**ALLOWED, **INNER, COUNTED: counted}
        del self.tests["filter"], self.tests["test"]
        self.tests |= {"divisibleby": is_divisible, "even": lambda value: is_divisible(value, 2), "odd": lambda value: not is_divisible(value, 2)}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = Checked().visit(super()._parse(source, name, filename))
        assert isinstance(tree, nodes.Template)
        return tree.set_environment(self)  # type: ignore[return-value]  # of the nodes that were put in

    def getattr(self, obj: Any, attribute: str) -> Any:
        """`a.b`: a key of an object, or what a loop tells of itself. Never an attribute of anything else."""
        if isinstance(obj, LoopContext) and attribute in OF_A_LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """`a[b]`: a key of an object, or a place in a list or text."""
        is_key = isinstance(obj, Mapping) and isinstance(argument, str)
        is_place = isinstance(obj, list | tuple | str) and isinstance(argument, int | slice)
        if is_key or is_place:
            try:
                value = obj[argument]
            except LookupError:
                return self.undefined(obj=obj, name=argument)
            return self.undefined(obj=obj, name=argument) if value is None else value
        if isinstance(obj, Missing):
            return obj[argument]  # raises, naming the column
        return self.undefined(hint=f"{shown(obj)} has no {shown(argument)}: only objects have keys", name=str(argument), exc=SecurityError)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers are reckoned with within bounds; texts can be put one behind the other."""
        CURRENT.get().step()
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            CURRENT.get().spend(len(left) + len(right))
            return left + right
        if not all(isinstance(one, int | float) for one in (left, right)):
            _no_numbers(operator, left, right)
        found = super().call_binop(context, operator, left, right)
        if abs(found) > LARGEST_NUMBER:
            raise TooMuch("a number grows too large")
        return found


def _no_numbers(operator: str, left: Any, right: Any) -> NoReturn:
    for one in (left, right):
        if isinstance(one, Missing):
            str(one)  # raises, naming the column
    raise TypeError(f"{shown(left)} {operator} {shown(right)}: only numbers can be reckoned with, and only texts put together")


@pass_context
def _finalized(context: Context, value: Any) -> str:
    """What is written; asking for the context keeps Jinja from working anything out while it compiles."""
    return str(paid(written(value)))
