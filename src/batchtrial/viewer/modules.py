"""The page's own modules: as files for the server, and as one script for a page that stands alone."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Final

MODULES: Final = (
    *("dom.js", "numbers.js", "stats.js", "words.js", "address.js", "diff.js", "beside.js", "in_file.js", "at_server.js"),
    *("pictures.js", "table.js", "filters.js", "detail.js", "labels.js", "runs.js", "main.js"),
)
"""Each after those that it imports."""
WORKER: Final = ("diff.js", "worker.js")
"""What runs beside the page."""
STYLE: Final = "page.css"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([a-z_]+\.js)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|const|class) (\w+)", re.MULTILINE)


_TYPES = re.compile(r"^ */\*\* @(?:import|type) .*\*/\n", re.MULTILINE)
"""Lines that only the checker of types reads."""


@cache
def text_of(name: str) -> str:
    """A module or the style by its name, as a browser gets it."""
    return _TYPES.sub("", (files("batchtrial.viewer") / "page" / name).read_text(encoding="utf-8"))


@cache
def one_script(names: tuple[str, ...] = MODULES) -> str:
    """Modules in one, each in a scope of its own."""
    parts = ["const modules = {};"]
    for name in names:
        text = text_of(name)
        exported = ", ".join(match[2] for match in _EXPORT.finditer(text))
        body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(r'const \1 = modules["\2"];', text))
        parts.append(f'modules["{name}"] = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();')
    return "\n".join(parts)


def csp_hash(text: str) -> str:
    """What allows just this script or style, in the words of a content security policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
