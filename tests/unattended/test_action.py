"""The action's two jobs, step by step as a runner takes them: what one submits, a later one decides, on a machine of its own."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from tests.docs.pages import ROOT, blocks
from tests.unattended.trial import environment, write

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
WORKFLOWS = [yaml.safe_load(block.body) for block in blocks() if block.info == "yaml workflow"]
EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")


@dataclass
class Runner:
    """Runs a composite action's shell steps in a folder. outputs: of its steps."""

    root: Path
    inputs: dict[str, str]
    env: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        defaults = {name: one.get("default", "") for name, one in ACTION["inputs"].items()}
        assert self.inputs.keys() <= defaults.keys()
        self.inputs = {**defaults, **self.inputs}

    def value(self, expression: str) -> str:
        """What `inputs.x`, `github.x`, `steps.x.outputs.y` and comparisons joined by && come to."""
        if "&&" in expression:
            return str(all(self.value(one.strip()) == "True" for one in expression.split("&&")))
        for sign in ("==", "!="):
            if sign in expression:
                left, right = (one.strip() for one in expression.split(sign))
                return str((self.value(left) == right.strip("'")) == (sign == "=="))
        kind, *rest = expression.split(".")
        if kind == "inputs":
            return self.inputs[rest[0]]
        if kind == "steps":
            return self.outputs.get(rest[0], {}).get(rest[2], "")
        return {"github.repository": "somebody/something", "github.action_path": str(ROOT), "github.token": "t"}[expression]

    def text(self, text: str) -> str:
        return EXPRESSION.sub(lambda found: self.value(found[1]), str(text))

    def run(self) -> int:
        """The first exit code that is not 0, or 0."""
        for step in ACTION["runs"]["steps"]:
            if step["name"] == "install" or self.text(step.get("if", "True")) != "True":
                continue
            code = self.step(step)
            if code:
                return code
        return 0

    def step(self, step: dict[str, Any]) -> int:
        assert not EXPRESSION.search(step["run"]), "an input that is put into a script can say anything there"
        files = {name: self.root / f"{step['name']}.{name.lower()}" for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
        for path in files.values():
            path.touch()
        env = environment(
            RUNNER_TEMP=str(self.root / "temp"),
            **{name: str(path) for name, path in files.items()},
            **self.env,
            **{name: self.text(value) for name, value in step.get("env", {}).items()},
        )
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.root, env=env, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        if "id" in step:
            self.outputs[step["id"]] = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        self.said = done.stdout + done.stderr
        return done.returncode


@pytest.fixture(scope="module")
def submitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the first job, as it ends."""
    root = tmp_path_factory.mktemp("submit")
    write(root, 20)
    first = Runner(root, {"step": "submit", "run_id": "pr-7-1", "config": "trial.yaml", "flags": "--dry_run --budget_usd 5"})
    assert first.run() == 0, first.said
    return root


def later(submitted: Path, root: Path, **inputs: str) -> Runner:
    """The second job: another folder, with what was uploaded."""
    shutil.copytree(submitted / "experiments", root / "experiments")
    (root / "bin").mkdir()
    return Runner(root, {"step": "gate", "run_id": "pr-7-1", **inputs})


def test_the_first_job_sends_and_ends_and_does_not_send_again(submitted: Path) -> None:
    ledger = (submitted / "experiments" / "run_pr-7-1" / "ledger.jsonl").read_text()
    assert ledger.count('"event":"receipt"') > 1
    assert not (submitted / "experiments" / "run_pr-7-1" / "index.html").exists()
    again = Runner(submitted, {"step": "submit", "run_id": "pr-7-1", "config": "trial.yaml", "flags": "--dry_run"})
    assert again.run() == 0, again.said
    assert (submitted / "experiments" / "run_pr-7-1" / "ledger.jsonl").read_text().count('"event":"intent"') == ledger.count('"event":"intent"')


def test_the_second_job_decides_and_comments(submitted: Path, tmp_path: Path) -> None:
    second = later(submitted, tmp_path, pull_request="7", gate_flags="--allow_simulated")
    gh = tmp_path / "bin" / "gh"
    listing = r"printf '41\tother\n42\t<!-- batchtrial gate pr-7-1 -->\n'"
    gh.write_text(f'#!/bin/sh\nprintf "%s " "$1" "$2" "$3" "$4" >> {tmp_path}/gh.log\ncase "$*" in *PATCH*|*POST*) ;; *) {listing} ;; esac\n')
    gh.chmod(0o755)
    second.env = {"PATH": f"{tmp_path}/bin:{environment()['PATH']}"}
    code = second.run()
    answer = second.outputs["decide"]["answer"]
    assert (answer, code) in (("reached", 0), ("refuted", 6), ("not settled", 7)), second.said
    assert "api --method PATCH repos/somebody/something/issues/comments/42" in (tmp_path / "gh.log").read_text()
    files = tmp_path / "temp" / "batchtrial-gate"
    assert json.loads((files / "gate.json").read_bytes())["exit_code"] == code
    assert ElementTree.fromstring((files / "junit.xml").read_bytes()).get("tests") == "1"
    assert (tmp_path / "decide.github_step_summary").read_text() == (files / "comment.md").read_text()


def test_simulated_answers_do_not_pass_by_themselves(submitted: Path, tmp_path: Path) -> None:
    second = later(submitted, tmp_path)
    assert second.run() == 7
    assert second.outputs["decide"]["answer"] == "not settled"


def test_a_run_that_has_not_ended_leaves_the_job_without_a_failure(submitted: Path, tmp_path: Path) -> None:
    second = later(submitted, tmp_path, minutes="0.0001")  # no time for anything but being stopped
    assert second.run() == 0, second.said
    assert second.outputs["decide"]["answer"] == "unfinished"


def test_the_page_names_inputs_that_the_action_has_and_keeps_the_run_s_name() -> None:
    steps = [step for workflow in WORKFLOWS for job in workflow["jobs"].values() for step in job["steps"]]
    ours = [step for step in steps if "batchtrial" in step.get("uses", "")]
    assert [step["with"]["step"] for step in ours] == ["submit", "gate"]
    assert all(step["with"].keys() <= ACTION["inputs"].keys() for step in ours)
    (uploaded,) = (step["with"]["name"] for step in WORKFLOWS[0]["jobs"]["submit"]["steps"] if "upload" in step.get("uses", ""))
    assert uploaded == f"trial-{ours[0]['with']['run_id']}"


def test_the_page_s_scripts_find_the_run_behind_an_artifact(tmp_path: Path) -> None:
    """With what GitHub's tool would answer: names of artifacts, and which of one name is the newest."""
    if shutil.which("jq") is None:
        return
    (tmp_path / "gh").write_text(
        '#!/bin/sh\ncase "$*" in *per_page*) printf "coverage\\ntrial-pr-7-1\\ntrial-pr-12-3\\ntrial-pr-7-1\\n" ;; *) echo "91 555" ;; esac\n'
    )
    (tmp_path / "gh").chmod(0o755)
    gate = WORKFLOWS[1]["jobs"]
    found: dict[str, str] = {}
    for step in (gate["waiting"]["steps"][0], gate["gate"]["steps"][0]):
        out = tmp_path / step["id"]
        env = environment(PATH=f"{tmp_path}:{environment()['PATH']}", GITHUB_OUTPUT=str(out), GITHUB_REPOSITORY="a/b", NAME="trial-pr-7-1")
        subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], env=env, check=True, timeout=30)
        found |= dict(line.split("=", 1) for line in out.read_text().splitlines())
    assert json.loads(found["names"]) == ["trial-pr-12-3", "trial-pr-7-1"]
    assert {name: found[name] for name in ("id", "run", "trial", "number")} == {"id": "91", "run": "555", "trial": "pr-7-1", "number": "7"}
