"""What `batchtrial.stats` offers is there, documented, and cheap to import."""

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import batchtrial.stats as stats


@pytest.mark.parametrize("name", stats.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert inspect.getdoc(getattr(stats, name)), name
    assert name in dir(stats)


def test_names_for_people_and_for_type_checkers_agree() -> None:
    assert sorted(stats.__all__) == sorted(stats._HOME)
    imports = [node for node in ast.walk(ast.parse(inspect.getsource(stats))) if isinstance(node, ast.ImportFrom)]
    typed = {(node.module or "").rpartition(".")[2]: sorted(name.name for name in node.names) for node in imports}
    assert {module: sorted(names.split()) for module, names in stats._NAMES_BY_MODULE.items()}.items() <= typed.items()


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="baptista"):
        _ = stats.baptista_pike


def test_importing_everything_does_not_import_scipy_or_statsmodels() -> None:
    code = (
        "import sys, batchtrial.stats as s; [getattr(s, n) for n in s.__all__];"
        "assert not {'scipy', 'statsmodels', 'pandas', 'polars'} & set(sys.modules), 'a heavy package was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def imported(path: Path) -> set[str]:
    """Modules that the file imports, those behind names of `batchtrial.stats` included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            if node.module == "batchtrial.stats":
                found |= {f"batchtrial.stats.{stats._HOME[alias.name]}" for alias in node.names if alias.name in stats._HOME}
    return found


def test_the_documentation_names_the_modules_that_no_command_reaches() -> None:
    src = Path(stats.__file__).parents[2]
    paths = {".".join(path.relative_to(src).with_suffix("").parts): path for path in src.rglob("*.py") if path.name != "__init__.py"}
    commands = {name for name in paths if name.startswith(("batchtrial.cli.commands.", "batchtrial.emulator."))}
    reached, ahead = set(commands), set(commands)
    while ahead:
        ahead = {name for one in ahead for name in imported(paths[one]) if name in paths} - reached
        reached |= ahead
    page = (src.parent / "docs" / "statistics.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \|", page.partition("## Library")[2].partition("\n## ")[0], flags=re.MULTILINE)
    assert listed == sorted(name.rpartition(".")[2] for name in set(paths) - reached if name.startswith("batchtrial.stats."))
