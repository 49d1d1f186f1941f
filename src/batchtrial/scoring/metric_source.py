"""The code behind a metric of a user's own, told without running it: so that an edited metric scores again, and a report says which code scored."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

_MOST_FILES: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSource:
    """sha256: over names and bytes of all files, "" when there is no file to read. files: their names. modules: names of the modules they are."""

    sha256: str
    files: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()


def source_of(module: str, folders: Sequence[str]) -> MetricSource:
    """The module's file, its whole package where it is in one, and the modules beside it that it imports, and so on.

    Nothing is imported. Installed modules that it imports are not followed; their versions belong to the installation.
    """
    files: dict[str, Path] = {}
    seen: set[str] = set()
    modules: set[str] = set()
    todo = [module.partition(".")[0]]
    home: Path | None = None
    while todo and len(files) < _MOST_FILES:
        top = todo.pop()
        if top in seen:
            continue
        seen.add(top)
        spec = _spec(top, folders, home)
        for name, path in sorted(_files_of(spec)):
            files[name] = path
            modules.add(top)  # and not what is imported from elsewhere, which nobody may load a second time
            if home is None:
                home = path.parent if name == path.name else _above(path, name)
            todo += () if "site-packages" in path.parts else _read(path)[1]
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0".encode())
        digest.update(_read(files[name])[0])
    return MetricSource(sha256=digest.hexdigest() if files else "", files=tuple(sorted(files)), modules=frozenset(modules))


def _spec(top: str, folders: Sequence[str], home: Path | None) -> ModuleSpec | None:
    """Where a top-level module is: for the first one as Python would find it, for those that it imports only beside it."""
    if home is not None:
        return PathFinder.find_spec(top, [str(home)])
    if top in sys.builtin_module_names:
        return None
    return PathFinder.find_spec(top) or PathFinder.find_spec(top, [str(Path(folder).resolve()) for folder in folders])


def _files_of(spec: ModuleSpec | None) -> Iterator[tuple[str, Path]]:
    """Python files of a module or of a whole package, with their names from the folder that holds it."""
    if spec is None:
        return
    for folder in spec.submodule_search_locations or ():
        root = Path(folder)
        for path in sorted(root.rglob("*.py")):
            if path.is_file():
                yield path.relative_to(root.parent).as_posix(), path
    if not spec.submodule_search_locations and spec.origin is not None and Path(spec.origin).is_file():
        yield Path(spec.origin).name, Path(spec.origin)


def _above(path: Path, name: str) -> Path:
    """The folder from which `name` leads to `path`."""
    return path.parents[name.count("/")]


def _read(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """sha256 of a file, and the top-level modules that it imports anywhere in it."""
    at = path.stat()
    return _read_once(path, at.st_mtime_ns, at.st_size, at.st_ino)


@lru_cache(maxsize=4096)
def _read_once(path: Path, mtime_ns: int, size: int, inode: int) -> tuple[bytes, tuple[str, ...]]:
    data = path.read_bytes()
    return hashlib.sha256(data).digest(), tuple(_imports(data))


def _imports(data: bytes) -> Iterator[str]:
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]
