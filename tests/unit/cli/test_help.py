"""Help comes at once: nothing that works on a run is loaded to print the flags of the commands that begin or go on with one."""

from __future__ import annotations

import subprocess
import sys

import pytest

LIGHT = """
import contextlib, io, sys
from batchtrial.cli.main import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({args})
heavy = {{"numpy", "polars", "tqdm", "msgspec", "filelock", "yaml"}}
print(*sorted(heavy & set(sys.modules)), *sorted(name for name in sys.modules if name.startswith("batchtrial.phases")))
"""


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["resume", "--help"], ["demo", "--help"], ["init", "--help"]], ids=" ".join)
def test_help_loads_nothing_but_flags(args: list[str]) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT.format(args=args)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
