"""`backend: local` against a real server process: who it is, what it is sent, and what becomes of rows that it does not answer."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from tests.chat_server import BUILD, CONTEXT, MODEL, ChatServer, serving

from batchtrial.state import entries, ledger

pytest.importorskip("openai")
KILLS = int(os.environ.get("BATCHTRIAL_KILLS", "4"))  # `nox -s direct`: ten
CONCURRENCY = 2


class Trial:
    """A run of the command line in processes of its own."""

    def __init__(
        self,
        root: Path,
        questions: Sequence[str],
        *,
        base_url: str = "",
        model: str = MODEL,
        attempts: int = 1,
        lines_per_part: int = 10,
        **provider: Any,
    ) -> None:
        self.root, self.n = root, len(questions)
        self.folder = root / "experiments" / "run_own"
        self.base_url, self.model = base_url, model
        rows = [{"id": f"q{n}", "question": question, "answers": [question]} for n, question in enumerate(questions)]
        (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        for name, text in (("control", "Answer."), ("treatment", "Answer with care."), ("plain", "Be short."), ("doubt", "Be short, or say so.")):
            (root / f"{name}.txt").write_text(text)
        config = {
            "backend": "openai",
            "model_id": "another",
            "max_new_tokens": {"open_book": 16, "closed_book": 16},
            "datasets": [{"name": "own", "source": "file", "path": "questions.jsonl"}],
            "task_instructions": {"open_book": "plain.txt", "closed_book": "plain.txt"},
            "prompt_sets": {"system": {"control": "control.txt", "treatment": "treatment.txt"}},
            "submission": {"lines_per_part": lines_per_part, "poll_seconds": 0.05, "max_attempts": attempts},
            "provider": {"max_concurrent_requests": CONCURRENCY, "endpoint": "/v1/chat/completions", **provider},
            "stats": {"primary": {"metric": "em", "kind": "closed"}},
        }
        (root / "trial.yaml").write_text(yaml.safe_dump(config))

    def start(self, *flags: str) -> subprocess.Popen[str]:
        """Begin, or go on when there is something to go on with."""
        begun = (self.folder / "effective_config.yaml").exists()
        where = ["--resume"] if begun else ["--config", "trial.yaml", "--backend", "local", "--base_url", self.base_url, "--model", self.model]
        command = [sys.executable, "-m", "batchtrial", "run", "--run_id", "own", *where, *flags]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHTRIAL_") and not name.endswith("_API_KEY")}
        return subprocess.Popen(command, cwd=self.root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, *flags: str) -> tuple[int, str]:
        """To its end: exit code and output."""
        process = self.start(*flags)
        output, _ = process.communicate(timeout=240)
        return process.returncode, output

    def results(self) -> list[dict[str, Any]]:
        """Every result line of the run."""
        files = [path for path in sorted(self.folder.rglob("results*.jsonl")) if "combined" not in path.name]
        return [json.loads(line) for path in files for line in path.read_bytes().splitlines()]

    def account(self) -> dict[str, int]:
        """The five counts of all parts, those of zero left out."""
        total: dict[str, int] = {}
        for record in ledger.fold(entries.read(self.folder / "ledger.jsonl").entries).values():
            for name, n in record.counts.model_dump().items() if record.counts is not None else ():
                total[name] = total.get(name, 0) + n
        return {name: n for name, n in total.items() if n}


def test_server_model_build_and_context_are_on_record_and_fields_pass_through(tmp_path: Path) -> None:
    """`--backend local --base_url URL --model NAME` over the config of another backend."""
    with serving(tmp_path) as server:
        trial = Trial(tmp_path, ["one", "two"], base_url=f"{server.url}/v1", request_overrides={"cache_prompt": False, "seed": 7})
        code, output = trial.run()
    assert code == 0, output
    manifest = json.loads(next(trial.folder.glob("*/results/trial_manifest.json")).read_text())
    assert manifest["backend"] == "local"
    assert manifest["server"] == {
        "asked_model": MODEL,
        "models": [{"id": MODEL, "object": "model"}],
        "build": BUILD,
        "context_length": CONTEXT,
    }
    report = next(trial.folder.glob("*/reports/report.md")).read_text()
    assert f"| server: build | {BUILD} |" in report
    assert f"| server: context length | {CONTEXT} |" in report
    assert {tuple(line["response"]["body"]["seen"]) for line in trial.results()} == {
        ("cache_prompt", "max_tokens", "messages", "model", "seed", "temperature")
    }
    assert "cost      unknown; 2 attempts without a known price" in output


def test_a_proxy_s_login_ends_asking_and_the_run_goes_on_behind_it(tmp_path: Path) -> None:
    """Its pages say nothing of the rows: those that were not asked are no errors, in a run that may be half paid."""
    with serving(tmp_path) as server:
        trial = Trial(tmp_path, [f"q{n}" for n in range(24)], base_url=server.url, lines_per_part=12)
        login = server.log_path.with_suffix(".login")
        login.touch()
        code, output = trial.run("--condition", "control")
        assert (code, "what answers there is no API" in output, "resume the run" in output) == (1, True, True), output
        assert "the key was refused" not in output, output
        n_asked = len(server.log("asked"))
        assert n_asked < 12 + CONCURRENCY
        login.unlink()
        code, output = trial.run()
    assert "0 errored" in output, output
    assert server.log("answered").total() >= 24 - n_asked


def test_rows_that_fail_have_an_outcome_of_their_own_and_the_others_go_on(tmp_path: Path) -> None:
    bad = ["BROKEN", "TOOLONG", "GARBAGE", "ENDLESS", "DRIP", "HUNG"]
    with serving(tmp_path) as server:
        trial = Trial(tmp_path, ["one", "two", *bad, "three"], base_url=server.url, read_seconds=1)
        code, output = trial.run("--condition", "control")
        asked = server.log("asked")
    assert code == 4, output
    assert "requests  4 succeeded, 5 errored, 0 expired, 0 cancelled, 0 missing" in output
    assert "answers   3 complete, 1 not_understood (t0_control 1)" in output
    assert "not_understood: an answer that is no JSON (Expecting value: line 1 column 1 (char 0)): <html>not what you asked for" in output
    assert trial.account() == {"succeeded": 4, "errored": 5}
    told = {line["custom_id"]: line["response"]["body"]["error"]["message"] for line in trial.results() if line["response"]["status_code"] != 200}
    assert len(told) == 5
    said = sorted(told.values())
    assert [text for text in said if text == "the engine has died"]
    assert [text for text in said if text == "the request exceeds the context size"]
    assert len([text for text in said if re.search("more than 32000000 bytes|no whole answer within|gave no answer", text)]) == 3
    tries = {row.split(" | ")[0]: n for row, n in asked.items()}
    assert tries == {"one": 1, "two": 1, "three": 1, "TOOLONG": 1, "BROKEN": 3, "GARBAGE": 1, "ENDLESS": 3, "DRIP": 3, "HUNG": 3}


def test_a_wrong_model_errors_every_row_once(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        trial = Trial(tmp_path, ["one", "two"], base_url=server.url, model="mistyped-model", attempts=3)
        code, output = trial.run()
        asked = server.log("asked")
    assert code == 4, output
    assert trial.account() == {"errored": 4}
    assert set(asked.values()) == {1}  # the same request again would be refused again
    assert "model 'mistyped-model' not found" in json.dumps(trial.results())


def test_a_server_that_refuses_every_row_is_not_asked_for_all_of_them(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        trial = Trial(tmp_path, [f"q{n}" for n in range(60)], base_url=server.url, model="mistyped-model", attempts=3, lines_per_part=60)
        code, output = trial.run()
        asked = server.log("asked")
        status = subprocess.run(
            [sys.executable, "-m", "batchtrial", "status", "--run_id", "own"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    assert code == 4, output
    assert trial.account() == {"errored": 120}
    # Ten of the first part and three of the second, and those that were under way when it was seen.
    assert 13 <= sum(asked.values()) <= 13 + 2 * CONCURRENCY
    told = {int(n): said for n, said in re.findall(r"(\d+) x errored: \w+: (model 'mistyped-model' not found.*)", output)}
    assert sum(n for n in told if "not asked" in told[n]) >= 100
    assert "model 'mistyped-model' not found" in status
    report = next(trial.folder.glob("*/reports/report.md")).read_text()
    assert "model 'mistyped-model' not found" in report
    assert "not asked" in report


def test_a_server_that_is_not_there_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    trial = Trial(tmp_path, ["one"], base_url="http://127.0.0.1:9")
    code, output = trial.run()
    assert code == 1
    assert "the server does not answer" in output
    assert "Traceback" not in output
    # The plan is frozen before the first request, so before anybody knows whether the server is there; a resume finds it and writes no other.
    assert [entry.event for entry in entries.read(trial.folder / "ledger.jsonl").entries] == ["opened", "plan"]


def wait_for(server: ChatServer, kind: str, n: int, process: subprocess.Popen[str]) -> None:
    """Until the server's log has so many lines of a kind, or the run has ended."""
    deadline = time.monotonic() + 120
    while server.log(kind).total() < n and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_server_that_dies_half_way_errors_the_rest_and_a_later_attempt_brings_it(tmp_path: Path) -> None:
    with serving(tmp_path, seconds=0.02) as server:
        trial = Trial(tmp_path, [f"question {n}" for n in range(10)], base_url=server.url, attempts=2)
        process = trial.start("--condition", "control")
        wait_for(server, "answered", 4, process)
        server.stop()
        while '"event":"retry"' not in (trial.folder / "ledger.jsonl").read_text() and process.poll() is None:
            time.sleep(0.02)
        server.start()
        output, _ = process.communicate(timeout=240)
        answered = server.log("answered")
    assert trial.account()["succeeded"] + trial.account().get("errored", 0) == 10
    assert len({line["custom_id"] for line in trial.results()}) == 10
    assert '"event":"retry"' in (trial.folder / "ledger.jsonl").read_text()
    assert process.returncode == (0 if trial.account() == {"succeeded": 10} else 4), output
    assert len(answered) >= trial.account()["succeeded"]


@pytest.mark.slow
def test_kills_at_random_moments_ask_at_most_the_rows_in_flight_again_and_the_report_counts_them(tmp_path: Path) -> None:
    """The server's own log is the witness."""
    random = Random(20261127)
    with serving(tmp_path, seconds=0.1) as server:
        trial = Trial(tmp_path, [f"question {n}" for n in range(6 * KILLS)], base_url=server.url)
        n_before = 0
        for _ in range(KILLS):
            n_then = n_before + random.randint(1, 8)
            server.limit(n_then + random.randint(0, 3))  # the run cannot get to its end before the kill
            process = trial.start()
            wait_for(server, "answered", n_then, process)
            assert process.poll() is None, process.communicate()[0]
            process.send_signal(signal.SIGKILL)
            process.communicate()
            n_before = server.log("answered").total()
        assert n_before < 12 * KILLS
        server.limit(1_000_000)
        code, output = trial.run()
        answered = server.log("answered")
    assert code == 0, output
    assert trial.account() == {"succeeded": 12 * KILLS}
    ids = [line["custom_id"] for line in trial.results()]
    assert len(ids) == len(set(ids)) == 12 * KILLS
    assert len(answered) == 12 * KILLS
    report = next(trial.folder.glob("*/reports/report.md")).read_text()
    found = re.search(r"At most (\d+) rows?, at an unknown price, may have been paid twice", report)
    told = int(found[1]) if found is not None else 0
    assert answered.total() - 12 * KILLS <= told <= KILLS * CONCURRENCY
