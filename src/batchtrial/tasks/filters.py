"""Filters that a template may use: those of Jinja that only look at values, each counted against the rendering's budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final

from jinja2 import Undefined
from jinja2.filters import FILTERS

from batchtrial.tasks.budget import CURRENT, LONGEST_RANGE, TooMuch, paid

_PLAIN: Final = (
    *("upper", "lower", "title", "capitalize", "trim", "truncate", "wordcount", "length", "count", "first", "last", "list", "sort", "unique"),
    *("dictsort", "int", "float", "abs", "min", "max", "reverse"),
)
_SHOWN: Final = 40
_MOST_PLACES: Final = 12
_MOST_SPACES: Final = 10


def default(value: Any, instead: Any = "", is_false_too: bool = False) -> Any:
    """The value, or what stands in its place where the item has none."""
    return instead if isinstance(value, Undefined) or value is None or (is_false_too and not value) else value


def replace(value: Any, old: Any, new: Any) -> str:
    """The text with every `old` replaced."""
    text, old, new = str(value), str(old), str(new)
    if not old:
        raise TypeError("replace: there is no text to look for")
    CURRENT.get().spend(max(0, len(text) + text.count(old) * (len(new) - len(old))))
    return text.replace(old, new)


def join(values: Any, between: Any = "") -> str:
    """The values as texts, one after the other."""
    if isinstance(values, Undefined):
        str(values)  # raises, naming the column
    if not isinstance(values, Iterable):
        raise TypeError(f"join: {shown(values)} is no list")
    parts = [written(one) for one in values]
    between = str(between)
    CURRENT.get().spend(sum(map(len, parts)) + len(between) * max(0, len(parts) - 1))
    return str(between.join(parts))


def tojson(value: Any) -> str:
    """The value as JSON."""
    if isinstance(value, Undefined):
        str(value)  # raises, naming the column
    return _json(value)


def dump(value: Any, spaces: int = 0) -> str:
    """The value as JSON without spaces, or with so many before each entry, as JavaScript writes it."""
    if isinstance(value, Undefined):
        str(value)  # raises, naming the column
    if not isinstance(spaces, int) or not 0 <= spaces <= _MOST_SPACES:
        raise TypeError(f"dump: {shown(spaces)} spaces; a number from 0 to {_MOST_SPACES}")
    return _json(value, separators=(",", ": " if spaces else ":"), indent=spaces or None)


def _json(value: Any, **form: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, **form)
    except TypeError:  # the loop, the template or `range` itself
        raise TypeError("only values of the item can be written") from None
    except ValueError:
        raise TypeError("a number that is none (NaN, or one too large) cannot be written") from None


def flat(value: Any) -> Any:
    """An entry of a list that a template writes: a single value, so that lists do not grow by being put into each other."""
    if isinstance(value, list | tuple | dict):
        raise TypeError(f"{shown(value)} cannot stand inside a list that the template writes")
    return value


def joined(values: Iterable[Any]) -> str:
    """What `~` makes of its values."""
    return join(values)


def written(value: Any) -> str:
    """A value as it stands in a turn: text as it is, anything else as JSON writes it. Raises what a missing column raises."""
    if isinstance(value, str):
        return value
    if isinstance(value, Undefined):
        return str(value)
    if value is None:
        raise TypeError("an empty value has no text; give it one with `default`")
    return _json(value)


def shown(value: Any) -> str:
    """A value in a message."""
    text = repr(value) if not isinstance(value, Undefined) else "a missing column"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def limited_range(*bounds: int) -> range:
    """Whole numbers, not too many."""
    if not all(isinstance(one, int) for one in bounds):
        raise TypeError("range: whole numbers only")
    found = range(*bounds)
    # The length of a range is found without making it; beyond a machine word there is none.
    if found and abs((found[-1] - found[0]) // found.step) >= LONGEST_RANGE:
        raise TooMuch(f"a range of more than {LONGEST_RANGE:,} numbers")
    return found


def is_divisible(value: Any, by: Any) -> bool:
    """Whether the number is a multiple of the other. Of a text `%` would make one as long as it says."""
    for one in (value, by):
        if isinstance(one, Undefined):
            str(one)  # raises, naming the column
    if not all(isinstance(one, int | float) for one in (value, by)):
        raise TypeError(f"{shown(value)} by {shown(by)}: only numbers are divided")
    return bool(value % by == 0)


def rounded(value: Any, places: int = 0) -> float:
    """The number, to so many places."""
    if not isinstance(value, int | float) or not isinstance(places, int) or not 0 <= places <= _MOST_PLACES:
        raise TypeError(f"round: {shown(value)} to {shown(places)} places; a number, and 0 to {_MOST_PLACES}")
    return round(float(value), places)


def _counting(filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def counting(*args: Any, **kwargs: Any) -> Any:
        return paid(filter_(*args, **kwargs))

    return counting


def _mapping_items(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise TypeError(f"items: {shown(value)} is no object")
    return list(value.items())


_OF_OURS: Final[Mapping[str, Callable[..., Any]]] = {
    "default": default,
    "d": default,
    "replace": replace,
    "join": join,
    "round": rounded,
    "items": _mapping_items,
    "tojson": tojson,
    "dump": dump,
    "string": written,
}
ALLOWED: Final[Mapping[str, Callable[..., Any]]] = {
    **{name: _counting(FILTERS[name]) for name in _PLAIN},
    **{name: _counting(one) for name, one in _OF_OURS.items()},
}
INNER: Final[Mapping[str, Callable[..., Any]]] = {"_flat": flat, "_joined": _counting(joined), "_paid": paid}
"""Put into a template by us; their names cannot be written by anybody else."""
