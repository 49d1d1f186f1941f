"""The list of allowed reasons to skip is enforced, in one process and in several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import is_allowed
from tests.docs.pages import ROOT

TESTS = {
    "test_lazy.py": 'import pytest\ndef test_lazy(): pytest.skip("no time")\n',
    "test_module.py": 'import pytest\npytest.importorskip("no_such_package")\n',
    "test_live.py": "import pytest\n@pytest.mark.live\ndef test_live(): assert False\n",
    "test_optional.py": 'import pytest\ndef test_optional(): pytest.importorskip("scipy.no_such_module")\n',
}


FINE = ("test_live.py", "test_optional.py")


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
@pytest.mark.parametrize("is_fine", [True, False], ids=["listed", "not listed"])
def test_a_skip_passes_only_for_a_listed_reason(is_fine: bool, workers: tuple[str, ...], tmp_path: Path) -> None:
    names = [name for name in TESTS if (name in FINE) is is_fine]
    for name in names:
        (tmp_path / name).write_text(TESTS[name], encoding="utf-8")
    (tmp_path / "conftest.py").write_bytes((ROOT / "tests" / "conftest.py").read_bytes())
    options = (
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(tmp_path),
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
        *workers,
        ".",
    )
    done = subprocess.run([sys.executable, "-m", "pytest", *options], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) is is_fine, done.stdout
    refused = [line for line in done.stdout.splitlines() if "no allowed reason" in line]
    assert all(any(name in line for line in refused) is not is_fine for name in names), done.stdout


def test_reasons_are_matched_whole() -> None:
    assert is_allowed("Skipped: could not import 'scipy.stats': No module named 'scipy'")
    assert not is_allowed("Skipped: could not import 'yaml': No module named 'yaml'")
    assert not is_allowed("flaky; could not import 'scipy'")
