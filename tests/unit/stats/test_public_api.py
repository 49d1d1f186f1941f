"""What `batchtrial.stats` offers is there, documented, and cheap to import."""

import ast
import inspect
import subprocess
import sys

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
