"""What is released, for `nox -s wheel`: built to the same bytes twice, then installed and tried outside the checkout on every Python there is.

In each fresh environment the core alone shows the demo, and `batchtrial init` writes commands that work there; then the demo with the Fireworks SDK.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.docs.pages import ROOT, blocks
from tests.docs.test_demo import steady

LOWEST = (3, 11)
SECONDS = 300
FIRST, TRY = "first:", "try it:"
# In an environment of its own: it needs a jsonschema before 4, the list of components one after, and pkg_resources.
CFFCONVERT = ("uv", "tool", "run", "--quiet", "--from", "cffconvert>=2,<3", "--with", "setuptools<81", "cffconvert")


def main() -> int:
    """Build, install and try; 0 when all of it holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.packaging", description=__doc__)
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="folder for wheel, sdist and list of components")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as inside:
        wheel, sdist = built(given.dist, Path(inside))
        found = pythons()
        for version, python in found.items():
            tried(version, python, wheel, Path(inside) / version)
        components(Path(inside) / next(iter(found)) / "env", wheel, given.dist)
    sys.stdout.write(f"{wheel.name}, {sdist.name}: installed and tried on Python {', '.join(found)}\n")
    return 0


def built(dist: Path, inside: Path) -> tuple[Path, Path]:
    """Wheel and sdist. The wheel made of the checkout and the one made of the sdist have the same bytes."""
    run(["uv", "build", "--quiet", "--out-dir", str(dist), str(ROOT)])
    run(["uv", "build", "--quiet", "--wheel", "--out-dir", str(inside / "direct"), str(ROOT)])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    wheel, sdist = dist / f"batchtrial-{version}-py3-none-any.whl", dist / f"batchtrial-{version}.tar.gz"
    expect((inside / "direct" / wheel.name).read_bytes() == wheel.read_bytes(), "the checkout and the sdist give different wheels")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    here = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "batchtrial").rglob("*") if path.is_file()}
    missing = {name for name in here if "__pycache__" not in name} - names
    expect(not missing, f"the wheel lacks {sorted(missing)}")
    return wheel, sdist


def pythons() -> dict[str, str]:
    """Every Python from the lowest on that is there, one of each minor version: those on the path, and pyenv's."""
    names = [f"python3.{minor}" for minor in range(LOWEST[1], 30)]
    candidates = [path for name in names if (path := shutil.which(name))]
    candidates += [str(path) for path in sorted(Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/*/bin/python3"))]
    found: dict[tuple[int, int], str] = {}
    for one in candidates:
        asked = subprocess.run([one, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False)
        if asked.returncode == 0:
            major, minor = map(int, asked.stdout.split())
            found.setdefault((major, minor), one)
    return {f"{major}.{minor}": path for (major, minor), path in sorted(found.items()) if (major, minor) >= LOWEST}


def tried(version: str, python: str, wheel: Path, folder: Path) -> None:
    """Install the wheel for this Python and use it, in a folder where nothing of the checkout is."""
    env = folder / "env"
    run(["uv", "venv", "--quiet", "--python", python, str(env)])
    install(env, str(wheel))
    at = {**away(os.environ), "PATH": f"{env / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    where = run([str(env / "bin" / "python"), "-c", "import batchtrial; print(batchtrial.__file__)"], cwd=folder, env=at)
    expect(str(env) in where, f"not the installed package: {where}")
    shown = steady(next(block.body for block in blocks() if block.page == ROOT / "README.md" and "RECORDED ANSWERS" in block.body))
    expect(steady(run(["batchtrial", "demo"], cwd=folder, env=at)) == shown, "the demo of the core alone does not print what README.md shows")
    told = run(["batchtrial", "init"], cwd=folder, env=at).splitlines()
    extra, command = (next(line.split(mark)[1].split("#")[0].strip() for line in told if line.startswith(mark)) for mark in (FIRST, TRY))
    expect("batchtrial[fireworks]" in extra, f"init does not say which extra: {told}")
    refused = subprocess.run(shlex.split(command), cwd=folder, env=at, capture_output=True, text=True, timeout=SECONDS, check=False)
    expect(refused.returncode == 2 and extra in refused.stderr, f"without the extra: {refused.stderr}")
    install(env, f"batchtrial[fireworks] @ {wheel.as_uri()}")
    run(shlex.split(command), cwd=folder, env=at)
    expect(steady(run(["batchtrial", "demo"], cwd=folder, env=at)) == shown, "the demo with the Fireworks SDK does not print what README.md shows")
    bundled(folder, at)
    sys.stdout.write(f"Python {version}: core, init, the Fireworks SDK and a bundle hold\n")
    sys.stdout.flush()


def bundled(folder: Path, env: Mapping[str, str]) -> None:
    """A bundle of a run: other people's readers take what it says, and every Python that is there checks it without a package."""
    run_id = next(path.name.removeprefix("run_") for path in (folder / "experiments").iterdir() if path.name.startswith("run_demo"))
    run(
        ["batchtrial", "archive", "--run_id", run_id, "--bundle", "paper", "--creator", "Curie, Marie", "--license", "CC-BY-4.0"], cwd=folder, env=env
    )
    paper = folder / "paper"
    run([*CFFCONVERT, "--validate", "--infile", str(paper / "CITATION.cff")])
    from datacite import schema45

    schema45.validator.validate(json.loads((paper / "datacite.json").read_text(encoding="utf-8")))
    for python in pythons().values():
        told = run([python, "-I", "-S", "verify.py"], cwd=paper)
        expect("every file is as it was archived" in told, told)


def components(env: Path, wheel: Path, dist: Path) -> None:
    """Write what the environment is made of as CycloneDX JSON, beside the wheel; every package of it is listed."""
    target = dist / f"{wheel.name.split('-py3')[0]}.cdx.json"
    run(["cyclonedx-py", "environment", "--output-reproducible", "--pyproject", str(ROOT / "pyproject.toml"), "-o", str(target), str(env)])
    listed = {one["name"].lower().replace("_", "-") for one in json.loads(target.read_text(encoding="utf-8"))["components"]}
    installed = json.loads(run(["uv", "pip", "list", "--quiet", "--format", "json", "--python", str(env)]))
    missing = {one["name"].lower().replace("_", "-") for one in installed} - listed - {"batchtrial"}
    expect(not missing, f"the list of components lacks {sorted(missing)}")


def install(env: Path, what: str) -> None:
    run(["uv", "pip", "install", "--quiet", "--python", str(env / "bin" / "python"), what])


def away(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what would lead back to the checkout, and without keys."""
    ours = ("PYTHONPATH", "VIRTUAL_ENV", "BATCHTRIAL_EXPERIMENTS_DIR")
    return {name: value for name, value in environment.items() if name not in ours and not name.endswith("_API_KEY")}


def run(command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """What the command printed. Ends the process with its words when it fails."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    expect(done.returncode == 0, f"{shlex.join(command)} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return done.stdout


def expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(f"error: {otherwise}")


if __name__ == "__main__":
    raise SystemExit(main())
