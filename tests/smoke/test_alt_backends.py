"""OpenAI and Anthropic: golden outputs of recordings, and failure drills judged by the provider's bill and by which rows were sent again."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from tests.emulator_process import Emulator, running
from tests.golden.alt_backends import ARTIFACTS, FAULTS, FIXTURES, MODELS

from batchtrial.cli.main import main

PROVIDERS = tuple(MODELS)
N_ITEMS, N_ARMS = 6, 3
N_REQUESTS = N_ITEMS * N_ARMS


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_replay_gives_the_golden_artifacts(provider: str) -> None:
    """By the drill itself, which compares every kept file byte for byte."""
    command = [sys.executable, "-m", "scripts.alt_smoke", "--mode", "replay", "--provider", provider]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout
    held = [line.split() for line in done.stdout.splitlines() if line.startswith(provider)]
    assert {(what, compared, verdict) for _, what, _, compared, _, verdict in held} == {(name, str(2 * len(ARTIFACTS)), "ok") for name in FAULTS}


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stderr: str


@dataclass
class Drill:
    """A run of the fixture questions against one emulator."""

    provider: str
    root: Path
    emulator: Emulator

    def config(self, **submission: Any) -> Path:
        """The fixtures' config with other submission settings, its paths made absolute."""
        tree = yaml.safe_load((FIXTURES / "config.yaml").read_text(encoding="utf-8"))
        for one in tree["datasets"]:
            one["path"] = str(FIXTURES / one["path"])
        for texts in (tree["task_instructions"], *tree["prompt_sets"].values()):
            texts |= {name: str((FIXTURES / path).resolve()) for name, path in texts.items()}
        tree["submission"] = {"max_attempts": 3, **submission}
        path = self.root / "config.yaml"
        path.write_text(yaml.safe_dump(tree), encoding="utf-8")
        return path

    def run(self, *further: str, **submission: Any) -> Done:
        """Start the run."""
        asked = ["--config", str(self.config(**submission)), "--backend", self.provider, "--model", MODELS[self.provider], "--dry_run", *further]
        return self._batchtrial(*asked)

    def resume(self) -> Done:
        """Go on with it."""
        return self._batchtrial("--resume")

    def _batchtrial(self, *asked: str) -> Done:
        """In this process and without any key: runs in processes of their own are those of `scripts.alt_smoke`."""
        command = ["run", "--run_id", "drill", "--experiments_dir", str(self.root), "--emulator_url", self.emulator.url, *asked]
        told = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stderr(told), redirect_stdout(io.StringIO()):
            for name in [name for name in os.environ if name.endswith("_API_KEY")]:
                patch.delenv(name)
            return Done(main(command), told.getvalue())

    def sent(self) -> list[int]:
        """Requests per batch that the provider accepted, in order."""
        return [batch["n_requests"] for batch in self.emulator.ledger()["batches"]]

    def counts(self) -> dict[str, int]:
        """Final outcomes of the run, by its own account, added over parts."""
        total: dict[str, int] = {}
        lines = (self.root / "run_drill" / "ledger.jsonl").read_text(encoding="utf-8").splitlines()
        for event in map(json.loads, lines):
            if event["event"] == "settled":
                for name, n in event["counts"].items():
                    total[name] = total.get(name, 0) + n
        return total


@pytest.fixture(params=PROVIDERS)
def drill(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """One drill per provider."""
    with running(tmp_path / "emulator", seed=3) as emulator:
        yield Drill(request.param, tmp_path, emulator)


def paid(drill: Drill) -> int:
    """Answers that the provider billed; each at most once."""
    bill = drill.emulator.ledger()
    assert bill["paid_by_identity_max"] <= 1, bill["paid_more_than_once"]
    return int(bill["answered_requests"])


def test_a_validation_failure_is_not_sent_again_and_costs_nothing(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": "every", "do": {"validation_failure": "the model does not exist"}}])
    done = drill.run()
    assert done.returncode == 4, done.stderr
    assert paid(drill) == 0
    assert drill.sent() == [N_ITEMS] * N_ARMS
    assert drill.counts()["errored"] == N_REQUESTS


def test_of_an_expired_batch_only_the_unfinished_rows_are_sent_again(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": [1], "do": {"expire_after": 0.5}}])
    done = drill.run()
    assert done.returncode == 0, done.stderr
    assert paid(drill) == N_REQUESTS
    assert sorted(drill.sent()) == [N_ITEMS // 2, *[N_ITEMS] * N_ARMS]
    assert drill.counts()["succeeded"] == N_REQUESTS


def test_when_every_row_failed_every_row_is_sent_again(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": [1], "do": {"all_failed": True}}])
    done = drill.run()
    assert done.returncode == 0, done.stderr
    assert paid(drill) == N_REQUESTS
    assert drill.sent() == [N_ITEMS] * (N_ARMS + 1)


def test_a_batch_cancelled_half_way_keeps_what_it_finished(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": [2], "do": {"cancelled_half_way": True}}])
    done = drill.run()
    assert done.returncode == 0, done.stderr
    assert paid(drill) == N_REQUESTS
    assert drill.counts()["succeeded"] == N_REQUESTS
    assert len(drill.sent()) == N_ARMS + 1


def test_a_missing_row_is_reported_and_not_bought_again(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": [1], "do": {"rows": {"missing": {"count": 1, "billed": True}}}}])
    done = drill.run()
    assert done.returncode == 4, done.stderr
    assert drill.sent() == [N_ITEMS] * N_ARMS
    assert drill.counts() == {"succeeded": N_REQUESTS - 1, "errored": 0, "expired": 0, "cancelled": 0, "missing": 1}


def test_errored_rows_are_given_up_after_the_last_attempt(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": "every", "do": {"rows": {"errored": {"count": 1, "status": 500}}}}])
    done = drill.run(max_attempts=2)
    assert done.returncode == 4, done.stderr
    assert sorted(drill.sent()) == [1] * N_ARMS + [N_ITEMS] * N_ARMS
    assert drill.counts()["errored"] == N_ARMS


def test_rate_limits_are_waited_out(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": [1, 2, 3], "do": {"status": 429, "retry_after": 20}}])
    done = drill.run()
    assert done.returncode == 0, done.stderr
    assert drill.sent() == [N_ITEMS] * N_ARMS
    assert paid(drill) == N_REQUESTS


def test_an_answer_lost_after_the_commit_is_found_again(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": "every", "do": {"close_after_commit": True}}])
    done = drill.run()
    assert done.returncode == 0, done.stderr
    assert drill.sent() == [N_ITEMS] * N_ARMS
    assert paid(drill) == N_REQUESTS


def test_a_run_refused_for_its_key_goes_on_after_the_key_is_mended(drill: Drill) -> None:
    drill.emulator.add_faults([{"match": {"op": "create"}, "on": [2], "do": {"status": 403}}])
    done = drill.run()
    assert done.returncode == 1
    assert "_API_KEY" in done.stderr
    assert "Traceback" not in done.stderr
    again = drill.resume()
    assert again.returncode == 0, again.stderr
    assert drill.sent() == [N_ITEMS] * N_ARMS
    assert paid(drill) == N_REQUESTS


def test_the_shared_control_is_bought_once_for_two_trials(drill: Drill) -> None:
    assert drill.run().returncode == 0
    registry = json.loads((drill.root / "run_drill" / "control_registry.json").read_bytes())
    (control,) = registry["controls"].values()
    assert len(control["trials"]) == 2
    assert drill.emulator.ledger()["creates"] == N_ARMS


def test_the_registry_heals_itself_on_resume(drill: Drill) -> None:
    assert drill.run("--to_step", "poll").returncode == 0
    path = drill.root / "run_drill" / "control_registry.json"
    before = json.loads(path.read_bytes())
    path.unlink()
    assert drill.resume().returncode == 0
    assert json.loads(path.read_bytes())["controls"] == before["controls"]
    assert drill.emulator.ledger()["creates"] == N_ARMS


def test_a_changed_prompt_is_named_by_the_replay(tmp_path: Path) -> None:
    tree = yaml.safe_load((FIXTURES / "config.yaml").read_text(encoding="utf-8"))
    for one in tree["datasets"]:
        one["path"] = str(FIXTURES / one["path"])
    for texts in (tree["task_instructions"], *tree["prompt_sets"].values()):
        texts |= {name: str((FIXTURES / path).resolve()) for name, path in texts.items()}
    (tmp_path / "other.txt").write_text("You answer in verse.\n", encoding="utf-8")
    for texts in tree["prompt_sets"].values():
        texts["control"] = str(tmp_path / "other.txt")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    command = [sys.executable, "-m", "batchtrial", "run", "--config", str(tmp_path / "config.yaml"), "--experiments_dir", str(tmp_path)]
    command += ["--replay_dir", str(FIXTURES / "openai" / "replay_success"), "--run_id", "drifted"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (2, 3)
    assert "You answer in verse." in done.stderr
    assert "Traceback" not in done.stderr
