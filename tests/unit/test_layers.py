"""The import rule as a table: downwards only, and nothing sideways inside one row. One case a rule."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "batchtrial"
BASE = {"records", "keys", "names", "errors", "amounts"}
LEAVES = {"sources", "prices"} | BASE
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "records": {"errors"},
    "names": set(),
    "amounts": set(),
    "keys": {"errors", "records", "names"},
    "sources": BASE,
    "prices": BASE,
    "config": LEAVES,
    "scoring": BASE,
    "stats": BASE,
    "state": BASE,
    "providers": LEAVES,
    "phases": {"config", "scoring", "stats", "state", "providers"} | LEAVES,
    "run": {"phases", "config", "scoring", "stats", "state", "providers"} | LEAVES,
    "cli": {"run", "phases", "config", "scoring", "stats", "state", "providers", "emulator"} | LEAVES,
    "bench": {"cli", "run", "phases", "config", "scoring", "stats", "state", "providers", "emulator"} | LEAVES,
    "emulator": set(),
}
WIRING = {"app/wiring.py", "app/emulator.py"}
"""The only modules that name an adapter or the emulator."""
ADAPTERS = {"fireworks", "openai", "anthropic", "cassette"}


def layer_of(name: str) -> str:
    """The row of the table that a file stands in."""
    return name.split("/")[0].removesuffix(".py")


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Modules of ours that the file imports, dotted, without the package's name."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "batchtrial":
            names = [f"batchtrial.{alias.name}" for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("batchtrial."):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("batchtrial.") for name in names if name.startswith("batchtrial."))


FILES = sorted({path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py")} - {"__init__.py", "__main__.py"})


def offenders(is_wrong: Callable[[str, str], bool]) -> list[str]:
    """Every import of the tree that a rule forbids, as `file -> what it imports`."""
    return sorted(f"{name} -> {found}" for name in FILES for found in imports(SRC / name) if is_wrong(name, found))


@pytest.mark.parametrize("layer", sorted(MAY_IMPORT))
def test_a_layer_imports_only_what_lies_below_it(layer: str) -> None:
    allowed = MAY_IMPORT[layer] | {layer, "__version__"}
    assert offenders(lambda name, found: layer_of(name) == layer and found.split(".")[0] not in allowed) == []


def test_every_module_stands_in_a_layer_of_the_table() -> None:
    assert {layer_of(name) for name in FILES} == set(MAY_IMPORT)


def test_adapters_and_emulator_are_named_in_the_wiring_alone() -> None:
    def is_wrong(name: str, found: str) -> bool:
        first, *rest = found.split(".")
        is_named = first == "emulator" or (first == "providers" and bool(rest) and rest[0] in ADAPTERS)
        return is_named and name.startswith(("run/", "cli/")) and name not in WIRING

    assert offenders(is_wrong) == []


def test_phases_know_what_a_provider_is_and_none_of_them() -> None:
    assert offenders(lambda name, found: name.startswith("phases/") and found.startswith("providers.") and found.split(".")[1] != "base") == []


def test_only_the_command_line_reads_flags() -> None:
    def taken(name: str) -> set[str]:
        tree = ast.parse((SRC / name).read_text(encoding="utf-8"))
        return {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}

    readers = ("cli", "emulator", "prices", "bench")
    assert [name for name in FILES if layer_of(name) not in readers and "argparse" in taken(name)] == []


def test_the_rule_bites(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import batchtrial.cli.commands.run\nfrom batchtrial import phases\nfrom batchtrial.state import ledger\n")
    assert set(imports(bad)) == {"cli.run", "phases", "state", "state.ledger"}
