"""Packages that one export needs and most installations are without."""

from __future__ import annotations

import importlib
from typing import Any

from batchtrial.errors import MissingExtra


def needed(module: str, *, extra: str, what: str) -> Any:
    """The module. Raises MissingExtra that names the extra which brings it."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtra(f"{what} needs the package {module.split('.')[0]}", hint=f"pip install 'batchtrial[{extra}]'") from None
