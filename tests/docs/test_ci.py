"""The CI workflow runs every default nox session, on every Python that the package names, and the Makefile forwards each."""

from __future__ import annotations

import re
import tomllib
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator
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


class Form(BaseModel):
    """What is not known to a workflow is a mistake in it."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Step(Form):
    """One step: an action or a command."""

    name: str | None = None
    uses: str | None = Field(None, pattern=r"^[\w-]+/[\w-]+@v[0-9]+$")
    run: str | None = Field(None, min_length=1)
    inputs: dict[str, str] = Field(default_factory=dict, alias="with")

    @model_validator(mode="after")
    def one_of_two(self) -> Step:
        assert (self.uses is None) != (self.run is None), "a step has `uses` or `run`"
        assert not (self.inputs and self.run), "`with` belongs to `uses`"
        return self


class Strategy(Form):
    """The matrix of a job."""

    fail_fast: bool = Field(True, alias="fail-fast")
    matrix: dict[str, list[str]]


class Job(Form):
    """One job."""

    runs_on: str = Field(alias="runs-on")
    timeout_minutes: int = Field(alias="timeout-minutes", le=60)
    strategy: Strategy | None = None
    steps: list[Step] = Field(min_length=1)


class Workflow(Form):
    """The keys of a workflow that this project uses, as its host defines them."""

    name: str
    on: dict[str, dict[str, list[str]] | None]
    permissions: dict[str, str]
    jobs: dict[str, Job]


def test_the_workflow_has_the_form_of_one() -> None:
    """YAML 1.1 reads the key `on` as true."""
    read = Workflow.model_validate({("on" if key is True else key): value for key, value in cast("dict[Any, Any]", workflow()).items()})
    assert set(read.on) == {"push", "pull_request"}
    assert read.permissions == {"contents": "read"}
    for job in read.jobs.values():
        used = set(re.findall(r"matrix\.(\w+)", " ".join(f"{step.run} {step.inputs}" for step in job.steps)))
        assert used == set(job.strategy.matrix if job.strategy else ())


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
