"""Templates whose variables some tests do not have: Nunjucks has nothing in their place, and ours refuse to guess."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from batchtrial.tasks.template import Template, tokens

NOTHING: Final = '""'
_DEFAULTS: Final = frozenset({"default", "d"})
_DEFINED: Final = {("is", "defined"): False, ("is", "not", "undefined"): False, ("is", "undefined"): True, ("is", "not", "defined"): True}
"""What is asked of a variable that is not there, with its answer."""


class Token(NamedTuple):
    """A piece of a template."""

    kind: str
    text: str


def without_missing(template: str, unknown: Collection[str], lacking: Collection[str]) -> str:
    """The template with nothing in the place of variables that are not there; what it says itself of such, by `default` or `is defined`, holds.

    unknown: variables that no test has, which are gone afterwards. lacking: those that some tests do not have.
    """
    for name in sorted({*unknown, *lacking} & Template.of(template).names):
        template = _without(template, name, is_unknown=name in unknown)
        if name in unknown and name in Template.of(template).names:
            template = f"{{% set {name} = {NOTHING} %}}{template}"
    return template


def _without(template: str, name: str, *, is_unknown: bool) -> str:
    told, found, place = [Token(*one) for one in tokens(template)], list[str](), 0
    end = _bound(told, name) if is_unknown else len(told)  # from there on the template has a value of its own for it
    while place < len(told):
        if place < end and told[place] == ("name", name) and _is_read(told, place):
            said, place = _use(told, place, is_unknown=is_unknown)
            found.append(said)
        else:
            found.append(told[place].text)
            place += 1
    return "".join(found).replace(f"{{{{ {NOTHING} }}}}", "") if is_unknown else "".join(found)


def _use(told: Sequence[Token], place: int, *, is_unknown: bool) -> tuple[str, int]:
    """(what stands in the place of a use of a variable, the token behind it)."""
    after = [at for at in range(place + 1, len(told)) if told[at].kind != "whitespace"][:3]
    words = tuple(told[at].text for at in after)
    for asked, answer in _DEFINED.items():
        if words[: len(asked)] == asked:
            end = after[len(asked) - 1] + 1
            return str(answer).lower() if is_unknown else _text(told[place:end]), end
    if len(words) == 3 and words[0] == "|" and words[1] in _DEFAULTS and words[2] == "(":
        first, end = _parameters(told, after[2])
        return first if is_unknown else _text(told[place:end]), end
    value = NOTHING if is_unknown else f"{told[place].text} | default({NOTHING})"
    before = [one.kind for one in told[:place] if one.kind != "whitespace"][-1:]
    if before == ["variable_begin"] and told[after[0]].kind == "variable_end":
        return value if told[place - 1].kind == "whitespace" else f" {value} ", place + 1
    return value if is_unknown else f"({value})", place + 1


def _is_read(told: Sequence[Token], place: int) -> bool:
    """Whether a name stands for a variable: not for a key, a filter, a test, a parameter, or for what is given a value here."""
    after = next((one.text for one in told[place + 1 :] if one.kind != "whitespace"), "")
    return _before(told, place) not in (".", "|", "is", "set", "for") and after != "="


def _bound(told: Sequence[Token], name: str) -> int:
    """The end of the first statement that gives the name a value; of the template where none does."""
    targets = (at for at, one in enumerate(told) if one == ("name", name) and _before(told, at) in ("set", "for"))
    at = next(targets, len(told))
    return next((end for end in range(at, len(told)) if told[end].kind == "block_end"), len(told))


def _before(told: Sequence[Token], place: int) -> str:
    return next((one.text for one in reversed(told[:place]) if one.kind != "whitespace"), "")


def _parameters(told: Sequence[Token], opening: int) -> tuple[str, int]:
    """(the first one, the place behind the bracket) of the parameters that begin there."""
    depth, first = 0, None  # of what is open
    for place in range(opening, len(told)):
        kind, text = told[place]
        if kind == "operator":
            depth += (text in "([{") - (text in ")]}")
            if first is None and (depth == 0 or (depth == 1 and text == ",")):
                first = _text(told[opening + 1 : place])
                first = first if place - opening == 2 else f"({first})"
            if first is not None and depth == 0:
                return (NOTHING if first == "()" else first), place + 1
    raise AssertionError("a template that compiles closes its brackets")


def _text(told: Sequence[Token]) -> str:
    return "".join(one.text for one in told)
