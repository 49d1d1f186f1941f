"""`try`: what each arm would be asked, with what differs marked; and a few items asked in a ledger and a budget of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.emulator_process import running

from batchtrial.cli.main import main
from batchtrial.reading.config import config_of_run
from batchtrial.state.entries import read
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold

ROWS = [{"id": f"t{k}", "subject": f"Ticket {k}", "category": ("billing", "access")[k % 2]} for k in range(20)]
TREE: dict[str, Any] = {
    "backend": "openai",
    "model_id": "gpt-4.1-mini",
    "datasets": [{"name": "tickets", "source": "file", "path": "tickets.jsonl", "fields": {"answers": "category"}}],
    "task": {"user": "ask.txt"},
    "system": "control.txt",
    "arms": {
        "control": {},
        "other_house": {"backend": "anthropic", "model": "claude-haiku-4-5"},
        "shorter": {"system": "short.txt", "max_tokens": 20},
        "same": {"max_tokens": 64},
    },
    "max_new_tokens": {"open_book": 64, "closed_book": 64},
    "metrics": ["words"],
    "stats": {"primary": {"metric": "em", "goal": "superiority"}, "permutation_samples": 999},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    (tmp_path / "ask.txt").write_text("Sort this:\n{{ subject }}\n")
    (tmp_path / "control.txt").write_text("You sort tickets into categories.")
    (tmp_path / "short.txt").write_text("You sort tickets, briefly, into categories.")
    (tmp_path / "trial.yaml").write_text(json.dumps(TREE))
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *flags: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["try", "--config", "trial.yaml", "--json", *flags]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_each_arms_request_is_shown_as_it_goes_to_its_wire_and_nothing_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.rglob("*"))
    found = told(capsys, "--item", "t3")
    arms = {one["arm"]: one for one in found["arms"]}
    assert found["item"] == "tickets|t3"
    assert list(arms) == ["control and same", "other_house", "shorter"]
    assert arms["control and same"]["request"]["body"]["input"][-1] == {"role": "user", "content": "Sort this:\nTicket 3"}
    assert arms["other_house"]["request"]["params"]["messages"] == [{"role": "user", "content": "Sort this:\nTicket 3"}]
    shorter = {one["field"]: one for one in arms["shorter"]["differences"]}
    assert set(shorter) == {"body.max_output_tokens", "body.input[0].content"}
    assert ["added", "tickets, briefly, "] in shorter["body.input[0].content"]["words"]
    assert any("the same request" in note for note in found["notes"])
    assert all(one["max_usd"] > 0 for one in arms.values())
    assert main(["try", "--config", "trial.yaml", "--item", "t3"]) == 0
    text = capsys.readouterr().out
    assert "  * body.max_output_tokens: 20" in text
    assert "{+tickets, briefly,+}" in text
    assert text.endswith("nothing was written or sent\n")
    assert sorted(folder.rglob("*")) == before


def test_an_arm_at_another_provider_differs_by_its_recipe_and_not_by_what_its_wire_calls_things(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = {**TREE["arms"], "moved_shorter": {"backend": "anthropic", "model": "claude-haiku-4-5", "system": "short.txt"}}
    (folder / "trial.yaml").write_text(json.dumps({**TREE, "arms": moved}))
    arms = {one["arm"]: [d["field"] for d in one["differences"]] for one in told(capsys)["arms"]}
    assert arms["other_house"] == ["backend", "model"]
    assert arms["moved_shorter"] == ["backend", "model", "system"]
    assert arms["shorter"] == ["body.input[0].content", "body.max_output_tokens"]
    assert main(["try", "--config", "trial.yaml"]) == 0
    page = capsys.readouterr().out
    assert "  differs   backend: openai -> anthropic\n" in page
    assert "not sent" not in page


def test_an_item_is_chosen_by_the_seed_or_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys)["item"] == told(capsys)["item"]
    assert len({told(capsys, "--seed", str(seed))["item"] for seed in range(6)}) > 1
    assert main(["try", "--config", "trial.yaml", "--item", "t99"]) == 2
    assert "there is no item 't99'" in capsys.readouterr().err


def test_what_a_wire_does_not_take_is_said_of_the_arm_that_it_concerns(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"photo": "http://pictures.example/1.png"} for row in ROWS]
    (folder / "tickets.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"messages": [{"role": "user", "file": "ask.txt", "image": "photo"}]}
    (folder / "trial.yaml").write_text(json.dumps(TREE | {"task": task}))
    arms = {one["arm"]: one for one in told(capsys)["arms"]}
    assert "an image at an address that is not https" in arms["other_house"]["refused"]
    assert arms["control and same"]["refused"] is None


def test_answers_of_a_live_try_come_at_once_by_the_direct_lane(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-nobody")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "another-key-of-nobody")
    with running(folder / "emulator", seed=1) as emulator:
        hosts = {"provider": {"base_url": emulator.openai_base_url}, "lanes": {"anthropic": {"base_url": emulator.anthropic_base_url}}}
        (folder / "trial.yaml").write_text(json.dumps(TREE | hosts | {"submission": {"poll_seconds": 0.05}}))
        found = told(capsys, "--send", "2")
        assert emulator.ledger()["direct"]["answered"] == 6
        assert emulator.ledger()["batches"] == []
    assert [[arm["state"] for arm in item["arms"]] for item in found["answers"]] == [["complete"] * 3] * 2
    assert found["simulated"], "the host says that it is an emulator"


def test_a_few_items_are_asked_of_every_arm_in_a_ledger_and_a_budget_of_their_own(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "--send", "3", "--dry_run", "--run_id", "t")
    assert [len(one["arms"]) for one in found["answers"]] == [3, 3, 3]  # `same` is the control's request, and bought with it
    for item in found["answers"]:
        for arm in item["arms"]:
            assert arm["text"] in ("billing", "access"), "the labels are told from the whole set"
            assert arm["numbers"]["em"] == float(arm["text"] in item["accepted"])
            assert arm["numbers"]["words"] == 1
    assert found["refused"] == []
    layout = RunLayout(folder / "experiments" / "tries" / "run_t")
    parts = fold(read(layout.ledger).entries)
    assert sum(part.attempts[0].n_requests for part in parts.values()) == 9
    config = config_of_run(layout)
    assert (config.limit_items, config.submission.budget_usd) == (3, 1.0)
    assert not list((folder / "experiments").glob("run_*")), "the trial's own runs know nothing of it"
    capsys.readouterr()
    assert main(["try", "--config", "trial.yaml", "--send", "3", "--dry_run", "--run_id", "u", "--budget_usd", "0.0000001"]) == 2
    said = capsys.readouterr().err
    assert "the budget is" in said
    assert "raise it, or --send fewer items" in said  # a try knows no --partial


def test_rows_that_a_provider_refuses_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = {"control": {}, "thinking": {"model": "gpt-5-mini"}}
    tree = TREE | {"arms": arms, "provider": {"accepts": ["temperature"]}}
    (folder / "trial.yaml").write_text(json.dumps(tree))
    assert main(["try", "--config", "trial.yaml", "--send", "2", "--dry_run"]) == 4, "a script that goes on to pay has to see it"
    text = capsys.readouterr().out
    assert "refused   thinking:" in text
    assert "'temperature' does not support 0.0 with this model" in text
    assert "no answer:" in text


KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")


@pytest.mark.parametrize("command", ["try", "run"])
def test_keys_that_are_missing_are_all_named_and_leave_nothing(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    before = sorted(folder.rglob("*"))
    assert main([command, "--config", "trial.yaml", *(["--send", "2"] if command == "try" else ["--run_id", "r"])]) == 1
    said = capsys.readouterr().err
    assert all(name in said for name in KEYS)
    assert sorted(folder.rglob("*")) == before


def test_a_try_asks_nobody_while_one_of_its_keys_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-nobody")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    before = sorted(folder.rglob("*"))
    assert main(["try", "--config", "trial.yaml", "--send", "2"]) == 1
    said = capsys.readouterr().err
    assert "set ANTHROPIC_API_KEY" in said
    assert "OPENAI_API_KEY" not in said
    assert sorted(folder.rglob("*")) == before


ARMS = {"control": {"backend": "local", "model": "small"}, "longer": {"backend": "local", "model": "small", "max_tokens": 99}}
NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize(("lanes", "told"), [({}, "lanes.local.base_url"), ({"local": {"base_url": NOBODY}}, "put lanes.local.base_url right")])
def test_a_server_that_is_not_there_is_named_by_its_own_setting_and_leaves_nothing(
    lanes: dict[str, Any], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "trial.yaml").write_text(json.dumps(TREE | {"arms": ARMS, "lanes": lanes}))
    before = sorted(folder.rglob("*"))
    assert main(["try", "--config", "trial.yaml", "--send", "2"]) in (1, 2)
    said = capsys.readouterr().err
    assert told in said
    assert "--base_url" not in said, "it would be that of the run's own backend"
    assert sorted(folder.rglob("*")) == before


def test_an_arm_has_one_name_whatever_the_temperatures_of_others_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = {"control": {}, "shorter": {"max_tokens": 20}, "warm": {"temperature": 0.5}}
    (folder / "trial.yaml").write_text(json.dumps(TREE | {"arms": arms}))
    assert [one["arm"] for one in told(capsys)["arms"]] == ["control", "shorter", "warm"]


def test_a_try_that_is_there_already_says_how_to_go_on_with_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = RunLayout(folder / "experiments" / "tries" / "run_again")
    layout.root.mkdir(parents=True)
    layout.effective_config.touch()
    assert main(["try", "--config", "trial.yaml", "--send", "1", "--dry_run", "--run_id", "again"]) != 0
    hint = capsys.readouterr().err
    assert "batchtrial run --resume --run_id again --experiments_dir experiments/tries" in hint, hint
