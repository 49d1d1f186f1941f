"""Importing the package does nothing to the process that imports it."""

from __future__ import annotations

import subprocess
import sys

EVERYTHING = """
import atexit, gc, importlib, locale, os, pkgutil, signal, sys, threading, warnings
# What the libraries below do when they are loaded is theirs.
import concurrent.futures.process, concurrent.futures.thread, logging.handlers, multiprocessing.util, urllib.request
import filelock, msgspec, numpy, polars, pydantic, starlette.applications, tqdm, uvicorn, yaml

def process():
    return {
        "environment": dict(os.environ),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "timers": signal.getitimer(signal.ITIMER_REAL),
        "threads": threading.enumerate(),
        "garbage": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "at the end": atexit._ncallbacks(),
        "folder": os.getcwd(),
        "mask": os.umask(os.umask(0o22)),
        "recursion": sys.getrecursionlimit(),
        "warnings": list(warnings.filters),
        "locale": locale.setlocale(locale.LC_ALL),
    }

before = process()
import batchtrial
names = [found.name for found in pkgutil.walk_packages(batchtrial.__path__, "batchtrial.") if not found.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
after = process()
assert len(names) > 250, names
print(*(what for what, was in before.items() if after[what] != was))
"""


def test_importing_every_module_leaves_the_process_as_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", EVERYTHING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == ""


LIGHT = """
import sys
import batchtrial
heavy = ("numpy", "polars", "pydantic", "yaml", "msgspec", "tqdm", "starlette", "jinja2", "filelock", "asyncio", "logging")
print(*(name for name in heavy if name in sys.modules), *(name for name in sys.modules if name.startswith("batchtrial.")))
assert set(batchtrial.__all__) <= set(dir(batchtrial))
for name in batchtrial.__all__:
    assert getattr(batchtrial, name) is not None
"""


def test_the_package_itself_imports_nothing_until_it_is_asked_for_something() -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == ""
