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


def test_jobs_end_may_only_read_and_use_what_the_matrix_gives() -> None:
    """That the file is a workflow at all is what docs_lint holds it against the schema for."""
    read = workflow()
    assert read["permissions"] == {"contents": "read"}
    for job in read["jobs"].values():
        assert job["timeout-minutes"] <= 60
        used = set(re.findall(r"matrix\.(\w+)", str(job["steps"])))
        assert used == set(job.get("strategy", {}).get("matrix", ()))
        assert all(re.fullmatch(r"[\w-]+/[\w-]+@v[0-9]+", step["uses"]) for step in job["steps"] if "uses" in step)


def test_ci_runs_only_sessions_that_there_are() -> None:
    commands = [step.get("run", "") for job in workflow()["jobs"].values() for step in job["steps"]]
    named = {name for command in commands for name in re.findall(r"\b(?:make|nox -s) ([a-z_-]+)$", command)}
    assert named <= all_sessions()
    assert "demo" in named


def test_make_forwards_every_session_and_no_other() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    listed = re.search(r"^SESSIONS := (.*)$", text, re.M)
    assert listed is not None
    forwarded = {*listed[1].split(), *re.findall(r"^\t\$\(NOX\) -s ([a-z_-]+)$", text, re.M)}
    assert forwarded | {"gen"} == all_sessions() | {"gen"}


def test_contributing_tells_every_session_and_no_other() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("## Sessions")[1].split("## ")[0]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in page.splitlines() if row.startswith("| `")]
    assert {row[0].strip("`") for row in rows} == all_sessions()
    assert all(len(row) == 4 and all(row) for row in rows)
    assert sorted(set(re.findall(r"`([a-z_-]+)`", page.split("not in the default set:")[1].split(".")[0]))) == sorted(
        all_sessions() - set(default_sessions())
    )
