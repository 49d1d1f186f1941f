"""Batches that are carried by hand: vLLM's `run-batch` there and back, and a folder of downloads, through the same checks as any result."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.chat_server import serving

from batchtrial.cli.main import main
from batchtrial.keys import token
from batchtrial.reading.ledger_tail import LedgerTail
from batchtrial.state.entries import Counts
from batchtrial.state.ledger import SESSION, Ledger, Money, fold, money, read
from batchtrial.state.machine import Event, PartState
from batchtrial.state.store import fingerprint

GOLDEN = Path(__file__).resolve().parents[1] / "fixtures" / "run_batch"
"""requests.jsonl and answers.jsonl as vLLM reads and writes them: one ordered file; failed rows have a null body, and an error object or text."""


class Run:
    """A run whose requests are built, in a folder of its own."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str], *flags: str, more: str = "") -> None:
        self.root, self.capsys = root, capsys
        self.folder = root / "experiments" / "run_own"
        self.n_exports = 0
        for file in GOLDEN.iterdir():
            shutil.copy(file, root / file.name)
        (root / "trial.yaml").write_text((root / "trial.yaml").read_text() + more)
        assert self.call("run", "--config", "trial.yaml", "--to_step", "build", *flags)[0] == 0

    def call(self, command: str, *words: str) -> tuple[int, str]:
        """Exit code, and what was printed."""
        code = main([command, "--run_id", "own", "--experiments_dir", str(self.root / "experiments"), *words])
        return code, self.capsys.readouterr().out

    def export(self) -> list[dict[str, Any]]:
        """The rows of a new export."""
        self.n_exports += 1
        target = self.root / f"out{self.n_exports}"
        assert self.call("export_batch", "--to", str(target))[0] == 0
        return [json.loads(line) for path in sorted(target.glob("*.jsonl")) for line in path.read_bytes().splitlines()]

    def bring(self, lines: Iterable[bytes], *flags: str, name: str = "answers.jsonl") -> tuple[int, str]:
        """Import a file with these lines."""
        path = self.root / "brought" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join(lines))
        return self.call("import_batch", str(path), *flags)

    def states(self) -> set[PartState]:
        return {record.state for record in fold(read(self.folder / "ledger.jsonl").entries).values()}

    def money(self) -> Money:
        """What the ledger says it cost, which is what `status` reads too."""
        tail = LedgerTail(self.folder / "ledger.jsonl")
        tail.update()
        found = money(fold(read(self.folder / "ledger.jsonl").entries).values())
        assert tail.money == found
        return found

    def account(self) -> dict[str, int]:
        """The five counts of all settled parts."""
        total: dict[str, int] = {}
        for record in fold(read(self.folder / "ledger.jsonl").entries).values():
            for name, n in record.counts.model_dump().items() if record.counts is not None else ():
                total[name] = total.get(name, 0) + n
        return {name: n for name, n in total.items() if n}

    def odd(self) -> dict[str, int]:
        """Odd lines of all attempts, as the ledger has them."""
        total: dict[str, int] = {}
        for record in fold(read(self.folder / "ledger.jsonl").entries).values():
            for attempt in record.attempts:
                for name, n in attempt.odd.items():
                    total[name] = total.get(name, 0) + n
        return {name: n for name, n in total.items() if n}

    def tree(self) -> dict[str, bytes]:
        """Every file that is no state, lock or log."""
        skipped = {"run_state.json", "run.lock", ".guard", "run.log", ".stamps.json", "trial_manifest.json", "control_registry.json"}
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file() and path.name not in skipped
        }


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run(tmp_path, capsys)


def golden_answers() -> list[bytes]:
    return (GOLDEN / "answers.jsonl").read_bytes().splitlines(keepends=True)


def success(row: dict[str, Any], text: str = "Nairobi") -> bytes:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 30, "completion_tokens": 3}}
    line = {
        "id": "vllm-0f",
        "custom_id": row["custom_id"],
        "response": {"status_code": 200, "request_id": "vllm-batch-0f", "body": body},
        "error": None,
    }
    return json.dumps(line).encode() + b"\n"


def test_the_export_is_the_golden_input_byte_for_byte(run: Run) -> None:
    run.export()
    written = b"".join(path.read_bytes() for path in sorted((run.root / "out1").iterdir()))
    assert written == (GOLDEN / "requests.jsonl").read_bytes()


PRICED = "pricing: {overrides: {small-model: {input_per_mtok: 1.0, output_per_mtok: 1.0}}}\n"


def test_a_budget_below_the_whole_plan_hands_out_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path, capsys, more=PRICED)
    code = main(["export_batch", "--run_id", "own", "--experiments_dir", "experiments", "--to", "out", "--budget_usd", "0.0002"])
    told = capsys.readouterr().err
    assert code == 2
    assert "the whole plan may cost up to" in told
    assert "--partial" not in told, "the command has no such flag"
    assert not Path("out").exists()
    assert run.states() <= {PartState.PENDING}
    assert run.call("export_batch", "--to", "all", "--budget_usd", "1")[0] == 0
    assert len([line for path in Path("all").iterdir() for line in path.read_bytes().splitlines()]) == 8


def test_rows_owed_again_beyond_the_budget_leave_no_part_out_without_its_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path, capsys, more=PRICED)
    rows = run.export()
    failed = [
        json.dumps({"custom_id": row["custom_id"], "response": None, "error": {"code": 500, "message": "died"}}).encode() + b"\n" for row in rows
    ]
    assert run.bring(failed)[0] == 4
    code, _ = run.call("export_batch", "--to", "again", "--budget_usd", "0.00019")
    assert code == 1
    ledger = fold(read(run.folder / "ledger.jsonl").entries)
    out = {
        attempt.payload.rsplit("/", 1)[-1] for record in ledger.values() if record.state is PartState.SUBMITTED for attempt in record.attempts[-1:]
    }
    assert 0 < len(out) < len(ledger)
    assert {path.name for path in Path("again").iterdir()} == out


STATES = {
    "cut": {"message": {"content": "Nairobi is"}, "finish_reason": "length"},
    "refused": {"message": {"content": None, "refusal": "No."}, "finish_reason": "stop"},
    "filtered": {"message": {"content": ""}, "finish_reason": "content_filter"},
    "tool_call": {"message": {"content": None, "tool_calls": [{"id": "t"}]}, "finish_reason": "tool_calls"},
    "empty": {"message": {"content": ""}, "finish_reason": "stop"},
    "unfinished_thinking": {"message": {"content": "<think>hmm"}, "finish_reason": "stop"},
    "not_understood": {"message": {"content": 42}, "finish_reason": "stop"},
    "complete": {"message": {"content": "Nairobi"}, "finish_reason": "stop"},
}


def test_every_state_of_an_answer_that_is_brought_is_counted_and_scored(run: Run) -> None:
    rows = run.export()
    assert len(rows) == len(STATES)
    lines = []
    for row, choice in zip(rows, STATES.values(), strict=True):
        body = {"choices": [choice], "usage": {"prompt_tokens": 30, "completion_tokens": 3}}
        lines.append(json.dumps({"custom_id": row["custom_id"], "response": {"status_code": 200, "request_id": "r", "body": body}}).encode() + b"\n")
    code, out = run.bring(lines)
    assert (code, run.account()) == (0, {"succeeded": 8})
    assert "8 succeeded" in out
    assert run.call("run", "--resume")[0] == 0
    (trial,) = run.folder.glob("*/results")
    counted = json.loads((trial / "account.json").read_bytes())["answers"]["all"]["states"]
    assert counted == dict.fromkeys(STATES, 1)
    with (trial / "per_item_scores.csv").open(newline="") as file:
        lost = {row["lost_to"].split(":")[0] for row in csv.DictReader(file) if row["lost_to"]}
    assert lost == STATES.keys() - {"complete"}
    assert run.call("import_batch", "brought")[0] in (0, 4)


def test_the_golden_input_is_what_run_batch_takes() -> None:
    rows = [json.loads(line) for line in (GOLDEN / "requests.jsonl").read_bytes().splitlines()]
    assert all(set(row) == {"custom_id", "method", "url", "body"} for row in rows)
    assert {(row["method"], row["url"], row["body"]["model"], "stream" in row["body"]) for row in rows} == {
        ("POST", "/v1/chat/completions", "small-model", False)
    }
    assert len({row["custom_id"] for row in rows}) == 8


def test_the_golden_output_is_in_the_order_of_the_input_and_comes_back(run: Run) -> None:
    rows = run.export()
    answers = [json.loads(line) for line in golden_answers()]
    assert [answer["custom_id"] for answer in answers] == [row["custom_id"] for row in rows]
    code, out = run.bring(golden_answers())
    assert code == 4  # the row that met a dead engine is owed again
    assert "taken in  4 parts: 6 succeeded, 2 errored" in out
    (again,) = run.export()
    assert again["custom_id"] == rows[7]["custom_id"]
    assert run.bring([success(again)])[0] == 0
    assert run.account() == {"succeeded": 7, "errored": 1}  # the context that was too long stays an error
    assert run.call("run", "--resume")[0] == 4
    report = (run.folder / "small-model-sure" / "reports" / "report.md").read_text()
    assert re.search(r"\| all \| 8 \| 7 \| 1 \| 0 \| 0 \| 0 \|", report)


def test_importing_twice_changes_nothing(run: Run) -> None:
    run.export()
    run.bring(golden_answers())
    before = run.tree()
    code, out = run.bring(golden_answers())
    assert (code, run.tree()) == (4, before)
    assert "known     8 lines" in out


def test_a_stop_that_was_asked_for_before_stops_no_command_that_is_typed_afterwards(run: Run) -> None:
    stop = run.folder / "STOP_REQUESTED"
    stop.touch()
    run.export()
    assert not stop.exists()
    stop.touch()
    (run.folder / "STOP_NOW").touch()
    assert run.bring(golden_answers())[0] in (0, 4)
    assert not stop.exists()
    assert PartState.SUBMITTED not in run.states()


def failed(row: dict[str, Any], n: int) -> bytes:
    line = {"id": f"vllm-{n}", "custom_id": row["custom_id"], "response": {"status_code": 500, "request_id": f"r{n}", "body": None}, "error": None}
    return json.dumps(line).encode() + b"\n"


@pytest.mark.parametrize("most", [2, 3])
def test_attempts_that_a_config_given_later_allows_hold_for_what_is_brought_after_it(run: Run, most: int) -> None:
    edited = run.root / "edited.yaml"
    edited.write_text((run.root / "trial.yaml").read_text().replace("max_attempts: 2", f"max_attempts: {most}"))
    assert run.call("resume", "--config", str(edited), "--to_step", "build")[0] == 0
    for n in range(2):
        run.bring([failed(row, n) for row in run.export()])
    assert run.states() == {PartState.SETTLED if most == 2 else PartState.PENDING}
    assert run.call("resume", "--config", str(run.root / "trial.yaml"), "--to_step", "build")[0] == 0
    if most == 3:
        run.bring([success(row) for row in run.export()])
        assert run.account() == {"succeeded": 8}


AGAIN: dict[str, Callable[[bytes], bytes]] = {
    "as it was": lambda line: line,
    "with line ends of another system": lambda line: line.replace(b"\n", b"\r\n"),
    "written anew by a program": lambda line: json.dumps(json.loads(line), sort_keys=True, separators=(",", ":")).encode() + b"\n",
}


@pytest.mark.parametrize("how", AGAIN)
def test_an_old_file_brought_again_does_not_answer_a_new_attempt(run: Run, how: str) -> None:
    run.export()
    run.bring(golden_answers())
    run.export()
    code, out = run.bring(map(AGAIN[how], golden_answers()))
    assert code == 4
    assert "taken in  0 parts" in out
    assert PartState.SUBMITTED in run.states()


def test_unknown_repeated_and_malformed_lines_are_counted(run: Run) -> None:
    rows = run.export()
    lines = [success(row) for row in rows]
    unknown = success({"custom_id": "c-t0-00000000-0000000000000000-s0"})
    code, out = run.bring([*lines, unknown, lines[0], b'{"custom_id": "half a li\n', b"\xff\xfe\n"])
    assert code == 0
    assert "odd       2 malformed, 1 unknown, 1 duplicate" in out
    assert run.odd() == {"malformed": 2, "unknown": 1, "duplicate": 1}
    assert run.account() == {"succeeded": 8}


def test_a_file_without_any_row_that_is_waited_for_is_told_not_swallowed(run: Run) -> None:
    run.export()
    before = run.tree()
    code, out = run.bring([success({"custom_id": "somebody-elses"}), b"no JSON\n"])
    assert (code, run.tree()) == (4, before)
    assert "odd       1 malformed, 1 unknown, 0 duplicate" in out


def test_what_a_dead_engine_left_is_a_prefix_and_the_rest_is_owed(run: Run) -> None:
    rows = run.export()
    prefix = [success(row) for row in rows[:5]]
    torn = success(rows[5])[:40]
    code, out = run.bring([*prefix, torn])
    assert code == 4
    assert "taken in  2 parts: 4 succeeded" in out  # both whole parts of the control: 3 rows and 1
    assert re.search(r"waits +small-model-t0-99d8683c3c85_p01: 2 rows have no line", out)
    code, out = run.bring([*prefix, torn], "--allow_incomplete")
    assert code == 4
    assert "1 succeeded, 0 errored, 0 expired, 2 cancelled, 0 missing" in out
    again = run.export()
    assert [row["custom_id"] for row in again] == [row["custom_id"] for row in rows[5:]]
    assert run.bring([success(row) for row in again])[0] == 0
    assert run.account() == {"succeeded": 8}


def test_an_export_before_the_answers_came_holds_the_same_rows_and_no_new_attempt(run: Run) -> None:
    rows = run.export()
    n_lines = len(read(run.folder / "ledger.jsonl").entries)
    assert run.export() == rows
    assert len(read(run.folder / "ledger.jsonl").entries) == n_lines


def test_an_export_never_mixes_with_older_files(run: Run) -> None:
    run.export()
    assert run.call("export_batch", "--to", str(run.root / "out1"))[0] == 2


def test_request_files_beside_the_answers_are_passed_over(run: Run) -> None:
    rows = run.export()
    (run.root / "out1" / "answers.jsonl").write_bytes(b"".join(success(row) for row in rows))
    code, out = run.call("import_batch", str(run.root / "out1"))
    assert code == 0
    assert "passed    8 lines that are requests" in out
    assert run.account() == {"succeeded": 8}


class Killed(BaseException):
    """What nothing catches."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the dead process would have closed its files
def test_a_kill_at_every_write_of_an_import_loses_and_repeats_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import dies at its n-th durable write, for every n; then it is made again."""
    run.export()
    shutil.copytree(run.folder, run.root / "exported")
    real = os.fsync
    for n in range(1, 200):
        shutil.rmtree(run.folder)
        shutil.copytree(run.root / "exported", run.folder)
        left = iter(range(n - 1, -1, -1))

        def fsync(fd: int, left: Iterator[int] = left) -> None:
            if next(left, -1) == 0:
                raise Killed
            real(fd)

        monkeypatch.setattr(os, "fsync", fsync)
        is_killed = False
        try:
            run.bring(golden_answers())
        except Killed:
            is_killed = True
        monkeypatch.setattr(os, "fsync", real)
        run.bring(golden_answers())
        (again,) = run.export()
        assert run.bring([success(again)])[0] == 0
        assert run.account() == {"succeeded": 7, "errored": 1}, f"kill #{n}"
        if not is_killed:
            assert n > 10
            return
    raise AssertionError("the import never came to its end")


def test_resume_says_what_is_out_instead_of_waiting_for_it(run: Run) -> None:
    run.export()
    with serving(run.root) as server:
        assert main(["run", "--resume", "--run_id", "own", "--base_url", server.url, "--accept_drift", "--experiments_dir", "experiments"]) == 1
        assert "4 parts are out as files" in run.capsys.readouterr().err
        assert server.log("asked").total() == 0


def test_a_part_that_was_declared_gone_is_opened_by_the_answers_that_somebody_brings(run: Run) -> None:
    """Its batch was given up, and its results turn up as a download: they take the place of what was missing, in the counts and in the money."""
    first = min((run.folder / "batch_inputs").glob("*.jsonl"))
    n = len(first.read_bytes().splitlines())
    ledger = Ledger(run.folder / "ledger.jsonl", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    sent = {"payload": f"batch_inputs/{first.name}", "payload_sha256": fingerprint(first).sha256, "n_requests": n, "reserved_usd": Decimal("0.5")}
    ledger.append(Event.INTENT, first.stem, attempt=1, token=token(ledger.run_nonce or "", first.stem, 1), **sent)
    ledger.append(Event.RECEIPT, first.stem, batch_id="batch-1")
    ledger.append(Event.GONE, first.stem, reason="the provider does not know it")
    ledger.append(Event.SETTLED, first.stem, counts=Counts(missing=n))
    ledger.close()
    run.export()
    assert run.account() == {"missing": n}
    assert (run.money().requests_gone, run.money().unknown_usd) == (n, Decimal("0.5"))
    run.bring(golden_answers())
    events = [entry.event for entry in read(run.folder / "ledger.jsonl").entries if entry.part == first.stem]
    assert events == ["intent", "receipt", "gone", "settled", "found", "done", "saved", "settled"]
    counts = fold(read(run.folder / "ledger.jsonl").entries)[first.stem].counts
    assert counts == Counts(succeeded=n)
    assert run.money().requests_gone == run.money().unknown_usd == run.money().in_flight_usd == 0
    before = run.tree()
    run.bring(golden_answers())
    assert run.tree() == before


@pytest.mark.parametrize("asked", [False, True])
def test_a_call_in_doubt_is_not_handed_out_once_a_provider_was_asked(run: Run, asked: bool) -> None:
    """A power cut may take the lines of upload and receipt, which are fsynced later, and leave the intent of a batch that is there."""
    rows = (run.folder / "batch_inputs").glob("*.jsonl")
    first = min(rows)
    ledger = Ledger(run.folder / "ledger.jsonl", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    if asked:
        ledger.append(SESSION, detail={"account": {"key": "8d1"}, "place": {}})
    ledger.append(
        Event.INTENT,
        first.stem,
        attempt=1,
        token=token(ledger.run_nonce or "", first.stem, 1),
        payload=f"batch_inputs/{first.name}",
        payload_sha256=fingerprint(first).sha256,
        n_requests=len(first.read_bytes().splitlines()),
        reserved_usd=None,
    )
    ledger.close()
    out = {row["custom_id"] for row in run.export()}
    in_doubt = {json.loads(line)["custom_id"] for line in first.read_bytes().splitlines()}
    assert (out & in_doubt == set()) if asked else (out >= in_doubt)


def test_what_is_taken_back_is_asked_another_way(run: Run) -> None:
    rows = run.export()
    code, out = run.call("import_batch", "--take_back")
    assert code == 4
    assert "0 succeeded, 0 errored, 0 expired, 8 cancelled" in out
    assert run.call("import_batch")[0] == 2
    again = run.export()
    assert sorted(row["custom_id"] for row in again) == sorted(row["custom_id"] for row in rows)
    assert run.bring([success(row) for row in again])[0] == 0
    assert run.account() == {"succeeded": 8}


def test_taking_back_leaves_what_was_brought_in_part(run: Run) -> None:
    rows = run.export()
    code, out = run.bring([success(rows[0])], "--take_back")
    assert code == 4
    assert re.search(r"waits +small-model-t0-714560c9b533_p01: 2 rows have no line", out)
    assert "taken in  3 parts: 0 succeeded, 0 errored, 0 expired, 5 cancelled" in out


def test_a_backend_with_another_form_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path, capsys, "--backend", "fireworks")
    assert run.call("export_batch", "--to", "out")[0] == 2
    assert not (tmp_path / "out").exists()


def test_paths_without_a_result_file_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(tmp_path, capsys)
    run.export()
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "answers.txt").write_text("{}\n")
    for name, told in (("pipe.jsonl", "no file"), ("/dev/null", "no file"), ("downloads", "no result files")):
        code = main(["import_batch", "--run_id", "own", "--experiments_dir", str(tmp_path / "experiments"), name])
        said = capsys.readouterr()
        assert (code, told in said.err, said.out) == (2, True, "")
