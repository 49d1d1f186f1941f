"""Metrics of a user's own: how they are found, called, and kept from doing harm. Whatever they raise or return is named with item, file and line."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import inspect
import io
import math
import numbers
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from batchtrial.errors import ConfigError, Stopped
from batchtrial.records import Item
from batchtrial.scoring.metric_source import MetricSource, source_of

CustomMetric = Callable[[Item, str], Mapping[str, float] | float]
"""A user's metric: item and answer in, one number or named numbers out."""
Scale = Literal["share", "count", "grade"]
Limits = tuple[float, float]
SCALES: Final[tuple[Scale, ...]] = ("share", "count", "grade")
LARGEST: Final = 1e100
"""Beyond it the statistics cannot square and add."""
_PACKAGE: Final = Path(__file__).resolve().parents[1]
_LONGEST_NAME: Final = 64
_SHOWN: Final = 100  # characters of a value in a message
_KEPT_OUTPUT: Final = 2000  # characters of what metrics print


class MetricFailed(ConfigError):
    """A user's metric raised, or returned what is no number. metric: its import path."""

    def __init__(self, what: str, *, metric: str = "", where: str = "", hint: str = "") -> None:
        super().__init__(what, where=where, hint=hint)
        self.metric = metric


@dataclass(frozen=True, eq=False, kw_only=True)
class UserMetric:
    """One metric, ready to be called.

    path: as the config has it. scales: what its numbers are, by name or for all under ""; empty when nothing is declared. limits: the lowest and the
    highest that they can be, likewise. source: of its code. names: of the numbers that it returns, once it has been called.
    """

    path: str
    function: CustomMetric
    scales: Mapping[str, Scale]
    source: MetricSource
    limits: Mapping[str, Limits] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def __call__(self, item: Item, text: str) -> dict[str, float]:
        """Its numbers by name. Raises MetricFailed."""
        try:
            # A copy: nothing that it does to the item reaches the next metric.
            returned = self.function(replace(item, columns=_copy(item.columns)), text)
        except Stopped:
            raise
        except BaseException as error:  # whatever it raises, SystemExit too, is a fault of the metric and no end of the run
            if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                raise
            raise self._failed(f"raised {_told(error)}", item, error) from None
        return self._checked(returned, item)

    def scale_of(self, name: str) -> Scale | None:
        """What a number is declared to be."""
        return self.scales.get(name, self.scales.get(""))

    def limits_of(self, name: str) -> Limits | None:
        """The lowest and the highest that a number is declared to be."""
        return self.limits.get(name, self.limits.get(""))

    def _checked(self, returned: object, item: Item) -> dict[str, float]:
        named = dict(returned) if isinstance(returned, Mapping) else {self.path.rpartition(":")[2]: returned}
        found = {}
        for name, value in named.items():
            self._check_name(name, item)
            number = _number(value)
            if number is None:
                raise self._failed(
                    f"returned {_shown(value)} for {name!r}", item, hint="return a finite number, or a mapping of names to such numbers"
                )
            self._check_scale(name, number, item)
            found[name] = number
        if not found:
            raise self._failed("returned no number", item, hint="return the same names for every answer")
        if self.names and found.keys() != self.names:
            odd = ", ".join(map(repr, sorted(found.keys() ^ self.names)))
            raise self._failed(f"returned {odd} for some answers only", item, hint="return the same names for every answer")
        self.names.update(found)
        return found

    def _check_name(self, name: object, item: Item) -> None:
        is_fine = isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable() and name.strip() == name
        if not is_fine or str(name).endswith("_std"):
            hint = f"a name is text of at most {_LONGEST_NAME} characters, and does not end with _std"
            raise self._failed(f"returned a number under the name {_shown(name)}", item, hint=hint)

    def _check_scale(self, name: str, number: float, item: Item) -> None:
        scale = self.scale_of(name)
        if (scale == "share" and not 0 <= number <= 1) or (scale == "count" and (number < 0 or not number.is_integer())):
            says = "between 0 and 1" if scale == "share" else "a whole number that is not negative"
            raise self._failed(f"returned {number:g} for {name!r}, which it declares to be a {scale}", item, hint=f"a {scale} is {says}")
        limits = self.limits_of(name)
        if limits is not None and not limits[0] <= number <= limits[1]:
            raise self._failed(f"returned {number:g} for {name!r}, which it declares to lie between {limits[0]:g} and {limits[1]:g}", item)

    def _failed(self, what: str, item: Item, error: BaseException | None = None, *, hint: str = "") -> MetricFailed:
        place = (None if error is None else _place_of(error)) or self._own_place()
        where = f"item {item.key}" + (f", {place}" if place else "")
        fix = hint or "mend the metric, or set `metric_errors: lost` to count such answers as lost"
        return MetricFailed(f"the metric {self.path} {what}", metric=self.path, where=where, hint=fix)

    def _own_place(self) -> str:
        """Where its function stands."""
        with contextlib.suppress(TypeError, OSError):
            function = inspect.unwrap(self.function)
            return f"{_short(inspect.getfile(function))}:{inspect.getsourcelines(function)[1]}"
        return ""


def load_metric(path: str, folders: Sequence[str]) -> UserMetric:
    """The metric of an import path. Raises ConfigError for a path that leads nowhere, a module that fails, and a function that takes other arguments.

    folders: where modules that Python's own path does not have are looked for.
    """
    module_name, _, function_name = path.partition(":")
    if not module_name or not all(step.isidentifier() for step in module_name.split(".")) or not function_name.isidentifier():
        raise ConfigError(
            f"{path!r} is no import path", where="metrics", hint="write it as package.module:function; a metric by name stands without quotes"
        )
    _search(folders)
    source = source_of(module_name, folders)
    with contained():
        module = _module(module_name, path, folders, source)
        function = getattr(module, function_name, None)
    if not callable(function):
        own = [name for name, value in vars(module).items() if callable(value) and not name.startswith("_")]
        near = difflib.get_close_matches(function_name, own, n=3, cutoff=0.4)
        near += sorted(set(own) - set(near))[: max(0, 5 - len(near))]
        found = f" ({_short(module.__file__)})" if getattr(module, "__file__", None) else ""
        raise ConfigError(
            f"the module {module_name}{found} has no function {function_name!r}", where=path, hint=f"it has {', '.join(near) or 'none'}"
        )
    _check_arguments(function, path)
    return UserMetric(path=path, function=function, scales=_scales(function, path), source=source, limits=_limits(function, path))


def _check_arguments(function: Callable[..., Any], path: str) -> None:
    try:
        inspect.signature(function).bind(object(), "")
    except TypeError as error:
        raise ConfigError(f"the metric {path} cannot be called with an item and an answer: {error}", where=path, hint="def f(item, text)") from None
    except ValueError:  # a built-in function that does not say what it takes
        return


def _scales(function: object, path: str) -> dict[str, Scale]:
    """What its attribute `scale` declares."""
    declared = getattr(function, "scale", None)
    given = {} if declared is None else dict(declared) if isinstance(declared, Mapping) else {"": declared}
    for name, scale in given.items():
        if scale not in SCALES or not isinstance(name, str):
            raise ConfigError(f"the metric {path} declares the scale {_shown(scale)}", where=path, hint=f"the scales are {', '.join(SCALES)}")
    return given


def _limits(function: object, path: str) -> dict[str, Limits]:
    """What its attribute `limits` declares."""
    declared = getattr(function, "limits", None)
    given = {} if declared is None else dict(declared) if isinstance(declared, Mapping) else {"": declared}
    found = {}
    for name, ends in given.items():
        low, high = (_number(end) for end in ends) if isinstance(ends, list | tuple) and len(ends) == 2 else (None, None)
        if low is None or high is None or low >= high or not isinstance(name, str):
            hint = "the lowest and the highest number that it returns, as in (1, 5)"
            raise ConfigError(f"the metric {path} declares the limits {_shown(ends)}", where=path, hint=hint)
        found[name] = (low, high)
    return found


_loaded: dict[str, str] = {}
"""Modules that were loaded here, with the sha256 of their source then."""


def _module(name: str, path: str, folders: Sequence[str], source: MetricSource) -> ModuleType:
    top = name.partition(".")[0]
    if name in _loaded and _loaded[name] != source.sha256:  # edited since this process loaded it
        for stale in [one for one in sys.modules if one in source.modules or one == name or one.startswith(f"{top}.")]:
            del sys.modules[stale]
    importlib.invalidate_caches()
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # its time stamps cannot tell two edits of one second apart
    try:
        module = _imported(name, path, folders)
    except (ConfigError, Stopped):
        raise
    except BaseException as error:  # SystemExit and whatever else a module raises when it is loaded
        sys.modules.pop(name, None)
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            raise
        place = _place_of(error)
        raise ConfigError(f"the module {name} cannot be loaded: {_told(error)}", where=", ".join(filter(None, (path, place)))) from None
    finally:
        sys.dont_write_bytecode = writes
    _loaded[name] = source.sha256
    return module


_searched: list[str] = []
"""Folders that were put behind Python's own path here."""


def _search(folders: Sequence[str]) -> None:
    """Look for modules in these folders behind Python's own path, and from now on: a metric may import what lies beside it when it is called."""
    for old in _searched:
        with contextlib.suppress(ValueError):
            sys.path.remove(old)
    _searched[:] = [folder for one in folders if (folder := str(Path(one).resolve())) not in sys.path]
    sys.path.extend(_searched)


def _imported(name: str, path: str, folders: Sequence[str]) -> ModuleType:
    top = name.partition(".")[0]
    if top not in sys.modules and PathFinder.find_spec(top) is None:
        raise ConfigError(
            f"there is no module {name!r}",
            where=path,
            hint="install it, or put its file into one of: " + (", ".join(folders) or "no folder is searched here"),
        )
    return importlib.import_module(name)


@contextlib.contextmanager
def contained() -> Iterator[io.StringIO]:
    """Metrics may print, move about and end the process inside the block: what they print is kept instead, the working directory is put back, and
    an end is raised."""
    before, printed, ends = Path.cwd(), _Kept(), os._exit
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # of modules that a metric imports when it is called, too
    try:
        os._exit = _ending(os.getpid(), ends)  # type: ignore[assignment]
        with contextlib.redirect_stdout(printed):
            yield printed
    finally:
        os._exit = ends
        sys.dont_write_bytecode = writes
        with contextlib.suppress(OSError):
            os.chdir(before)


class _Kept(io.StringIO):
    """Keeps the beginning of what is written to it."""

    def write(self, text: str) -> int:
        if self.tell() < _KEPT_OUTPUT:
            super().write(str(text)[:_KEPT_OUTPUT])
        return len(text)


def _copy(value: Any) -> Any:
    """Lists and mappings as new ones; all else is a value that nothing can change."""
    if isinstance(value, Mapping):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def _ending(here: int, ends: Callable[[int], Any]) -> Callable[[int], Any]:
    """`os._exit` as what a metric raises; in the process `here` alone, since a child of it may have to end so."""

    def end(status: int) -> None:
        if os.getpid() == here:
            raise SystemExit(status)
        ends(status)

    return end


def _number(value: object) -> float | None:
    """A finite number that the statistics can use; None for anything else."""
    if type(value).__name__ in ("bool_", "bool") and type(value).__module__ in ("numpy", "builtins"):
        value = bool(value)
    if not isinstance(value, numbers.Real):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError, TypeError):
        return None
    return number if math.isfinite(number) and abs(number) <= LARGEST else None


def _shown(value: object) -> str:
    """A value as a message shows it, also when it cannot show itself."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001  # a class of the user's own may raise anything here, and only its name is wanted then
        text = f"a {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _told(error: BaseException) -> str:
    """An exception in one line: its kind and what it says."""
    try:
        says = " ".join(str(error).split())[:_SHOWN]
    except Exception:  # noqa: BLE001  # as above
        says = ""
    return type(error).__name__ + (f": {says}" if says else "")


def _place_of(error: BaseException) -> str:
    """File and line of the innermost frame that is not ours."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if not file.is_relative_to(_PACKAGE) and not frame.filename.startswith("<frozen"):
            return f"{_short(frame.filename)}:{frame.lineno}"
    return ""


def _short(file: str | None) -> str:
    """A file as a message names it: from the working directory where it is below it."""
    path = Path(file or "")
    with contextlib.suppress(ValueError, OSError):
        return path.resolve().relative_to(Path.cwd()).as_posix()
    return str(path)
