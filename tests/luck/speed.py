"""What is the same in every history, worked out once: nothing here changes what a call returns."""

from __future__ import annotations

import functools
import gc
import json
import sys
from collections.abc import Callable
from typing import Any

import yaml

import batchtrial.emulator.wires.openai.wire as openai
from batchtrial.config import analysis_plan, tree


def install() -> None:
    """Remember what is read, never changed, and asked for at every start of a process or at every call."""
    _remember(tree, "_compose")  # a run's config is read at every start
    _remember(analysis_plan, "_defaults")
    _remember_urls()
    vars(yaml)["dump"] = _Dumped(yaml.dump)
    # The live service indents, which Python's quick encoder cannot do.
    vars(openai)["json"] = _Compact()
    gc.freeze()
    gc.set_threshold(200_000, 50, 1_000)
    sys.setswitchinterval(0.05)


def _remember(module: Any, name: str) -> None:
    vars(module)[name] = functools.lru_cache(maxsize=512)(vars(module)[name])


def _remember_urls() -> None:
    """Every call takes its address apart three times."""
    for library in ("httpx", "httpx2"):
        module = sys.modules.get(f"{library}._urls")
        if module is not None:
            vars(module)["urlparse"] = _Hashable(vars(module)["urlparse"])


class _Hashable:
    """A function that is remembered for arguments that can be keys, and called for the rest."""

    def __init__(self, plain: Callable[..., Any]) -> None:
        self._plain, self._known = plain, functools.lru_cache(maxsize=4096)(plain)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return self._known(*args, **kwargs)
        except TypeError:
            return self._plain(*args, **kwargs)


class _Dumped:
    """`yaml.dump` of values that were written before; a run's config is written and hashed whenever a run begins."""

    def __init__(self, plain: Callable[..., str]) -> None:
        self._plain, self._known = plain, dict[str, str]()

    def __call__(self, data: Any, **how: Any) -> str:
        key = json.dumps([data, sorted((name, str(value)) for name, value in how.items())])
        if key not in self._known:
            self._known[key] = self._plain(data, **how)
        return self._known[key]


class _Compact:
    """The module json for one that writes answers."""

    def __getattr__(self, name: str) -> Any:
        return getattr(json, name)

    @staticmethod
    def dumps(value: Any, *, ensure_ascii: bool, indent: int) -> str:
        """Without the indents."""
        return json.dumps(value, ensure_ascii=ensure_ascii)
