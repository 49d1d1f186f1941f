"""The CI workflow runs every default nox session, on every Python that the package names, and the Makefile forwards each."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import yaml
from tests.docs.pages import ROOT


def workflow() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def default_sessions() -> list[str]:
    match = re.search(r"nox\.options\.sessions = \[(.*?)\]", (ROOT / "noxfile.py").read_text(encoding="utf-8"), re.S)
    assert match is not None
    return re.findall(r'"([^"]+)"', match[1])


def all_sessions() -> set[str]:
    """Names of the sessions as nox lists them."""
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    found = set()
    for match in re.finditer(r"^@nox\.session\((?P<given>[^\n]*)\)\n(?:@[^\n]*\n)*def (?P<name>\w+)", text, re.M):
        named = re.search(r'name="([^"]+)"', match["given"])
        found.add(named[1] if named else match["name"])
    return found


def test_the_matrix_has_every_default_session() -> None:
    assert sorted(workflow()["jobs"]["check"]["strategy"]["matrix"]["session"]) == sorted(default_sessions())


def test_the_matrix_has_every_python_of_the_package() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        lowest = tomllib.load(file)["project"]["requires-python"].removeprefix(">=")
    assert workflow()["jobs"]["check"]["strategy"]["matrix"]["python"][0] == lowest


def test_each_job_has_steps_and_a_bound() -> None:
    for name, job in workflow()["jobs"].items():
        assert job["steps"], name
        assert job["timeout-minutes"] <= 60, name


def test_make_forwards_every_session() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    forwarded = {name.replace("_", "-") for name in re.findall(r"[\w-]+", text)} | set(re.findall(r"[\w-]+", text))
    assert all_sessions() - {"gen", "golden"} <= forwarded | {"gen"}


def test_contributing_tells_every_session() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [name for name in sorted(all_sessions()) if f"`{name}`" not in page] == []
