"""Controlled prompt trials over LLM batch APIs, that pay once.

From Python: `open_run(path)` reads a run as polars frames; `plan`, `start`, `resume` and `stop` are the commands of these names, without printing.
What is named here is imported when it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchtrial import errors
    from batchtrial.api.run import Run, open_run
    from batchtrial.api.work import plan, resume, start, stop
    from batchtrial.api.worker import Update

__version__ = "0.1.0"
__all__ = ["Run", "Update", "errors", "open_run", "plan", "resume", "start", "stop"]
_PLACES = {
    "Run": "batchtrial.api.run",
    "Update": "batchtrial.api.worker",
    "open_run": "batchtrial.api.run",
    **dict.fromkeys(("plan", "resume", "start", "stop"), "batchtrial.api.work"),
}


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(_PLACES[name]), name)
    if name in ("errors", "testing"):
        return importlib.import_module(f"batchtrial.{name}")
    raise AttributeError(f"module 'batchtrial' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
