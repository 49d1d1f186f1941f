"""The import rule as a table: downwards only, and nothing sideways inside one row."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "batchtrial"
BASE = {"records", "keys", "names", "errors"}
LEAVES = {"sources", "prices"} | BASE
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "records": {"errors"},
    "names": set(),
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
WIRING = {"cli/wiring.py", "cli/dryrun.py"}
"""The only modules that name an adapter or the emulator."""
ADAPTERS = {"fireworks", "openai", "anthropic", "cassette"}


def imports(path: Path) -> Iterator[str]:
    """Modules of ours that the file imports, dotted, without the package's name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module == "batchtrial":
            names = [f"batchtrial.{alias.name}" for alias in node.names]
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("batchtrial."):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name.removeprefix("batchtrial.") for name in names if name.startswith("batchtrial."))


FILES = sorted({path.relative_to(SRC).as_posix() for path in SRC.rglob("*.py")} - {"__init__.py", "__main__.py"})


@pytest.mark.parametrize("name", FILES)
def test_imports_go_downwards_only(name: str) -> None:
    layer = name.split("/")[0].removesuffix(".py")
    assert layer in MAY_IMPORT, f"{layer} has no row in the table"
    allowed = MAY_IMPORT[layer] | {layer, "__version__"}
    wrong = {found for found in imports(SRC / name) if found.split(".")[0] not in allowed}
    assert wrong == set()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith(("run/", "cli/")) and name not in WIRING])
def test_adapters_and_emulator_are_named_in_the_wiring_alone(name: str) -> None:
    wrong = {found for found in imports(SRC / name) if found.split(".")[0] == "emulator"}
    wrong |= {found for found in imports(SRC / name) if found.startswith("providers.") and found.split(".")[1] in ADAPTERS}
    assert wrong == set()


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("phases/")])
def test_phases_know_what_a_provider_is_and_none_of_them(name: str) -> None:
    assert {found for found in imports(SRC / name) if found.startswith("providers.") and found.split(".")[1] != "base"} == set()


@pytest.mark.parametrize("name", FILES)
def test_only_the_command_line_reads_flags(name: str) -> None:
    tree = ast.parse((SRC / name).read_text(encoding="utf-8"))
    taken = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    if name.split("/")[0] not in ("cli", "emulator", "prices", "bench", "bench.py"):
        assert "argparse" not in taken


def test_the_rule_bites(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text("import batchtrial.cli.run\nfrom batchtrial import phases\nfrom batchtrial.state import ledger\n")
    assert set(imports(bad)) == {"cli.run", "phases", "state", "state.ledger"}
