"""Doors: each file names one command of batchtrial, so that `python -m scripts.X` runs in a bare checkout."""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("batchtrial") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))
