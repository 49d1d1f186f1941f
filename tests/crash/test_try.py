"""A try that was killed is gone on with like any run: what it bought is bought once, and its items stay those that were chosen."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.crash.children import NONCE
from tests.crash.inprocess import InProcess
from tests.crash.lab import KillAt, Killed
from tests.small_run import config_tree, write_inputs

from batchtrial.app.invocation import Invocation
from batchtrial.app.session import loaded
from batchtrial.app.tryout import chosen_items, send
from batchtrial.cli.commands import execute
from batchtrial.errors import ConfigError
from batchtrial.run.options import Options
from batchtrial.state.layout import RunLayout
from batchtrial.state.store import Hook

RUN = "t"


@dataclass(frozen=True, slots=True)
class KilledTry:
    """A try of two chosen items that was killed at a point, and what goes on with it."""

    emulator: InProcess
    layout: RunLayout
    go_on: Invocation

    def items(self) -> set[str]:
        """Which items its requests are about."""
        return {line.split(",")[2] for line in self.layout.index.read_text().splitlines()[1:]}


def killed_try(folder: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> KilledTry:
    monkeypatch.chdir(folder)
    write_inputs(folder, 8)
    Path("trial.yaml").write_text(json.dumps(config_tree("openai", poll_seconds=20.0)))
    Path("model.json").write_text("{}")
    emulator = InProcess(folder / "provider", model=folder / "model.json")
    layout = RunLayout(folder / "tries" / f"run_{RUN}")
    ask = Invocation(
        run_id=RUN,
        is_resume=False,
        config=Path("trial.yaml"),
        changes={"mode": "dry_run", "limit_items": 2},
        options=Options(),
        experiments=layout.root.parent,
        emulator_url=emulator.url,
    )
    chosen = chosen_items(loaded(ask, layout, {}).config, named=["q7", "q3"], seed=None, n=1, complain=print)
    kill = KillAt(0, layout.root)
    with pytest.raises(Killed):
        send(ask, RUN, chosen, execute.person_of(ask), nonce=NONCE, env={}, hook=at(point, kill))
    kill.bury()
    return KilledTry(emulator, layout, replace(ask, is_resume=True, config=None, changes={}, options=Options(to_step="score")))


@pytest.mark.parametrize("point", ["call:submit:before", "call:submit:after", "ledger:receipt:after", "ledger:saved:after"])
def test_a_killed_try_pays_once_for_the_items_that_were_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    tried = killed_try(tmp_path, monkeypatch, point)
    assert execute.run(tried.go_on, RUN, nonce=NONCE, env={}) == 0
    bill = tried.emulator.bill()
    assert (bill["n_paid_more_than_once"], bill["answered_requests"]) == (0, 4)
    assert tried.items() == {"q3", "q7"}
    tried.emulator.kill()


@pytest.mark.parametrize("point", ["phase:prepare:before", "phase:build:before"])
@pytest.mark.parametrize("change", ["another row first", "a chosen row is gone"])
def test_a_try_that_was_never_sent_asks_about_its_items_or_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], point: str, change: str
) -> None:
    """The question file changes before it goes on: other items than those that were shown are never asked about."""
    tried = killed_try(tmp_path, monkeypatch, point)
    questions = next(path for path in tmp_path.glob("*.jsonl") if '"q7"' in path.read_text())
    lines = [line for line in questions.read_text().splitlines() if change != "a chosen row is gone" or '"q7"' not in line]
    questions.write_text("\n".join([lines[0].replace('"q0"', '"new"'), *lines]) + "\n")
    if change == "a chosen row is gone":
        with pytest.raises(ConfigError, match=r"no item '.*q7' any more"):
            execute.run(tried.go_on, RUN, nonce=NONCE, env={})
        assert tried.emulator.bill()["answered_requests"] == 0
    else:
        assert execute.run(tried.go_on, RUN, nonce=NONCE, env={}) == 0
        assert tried.emulator.bill()["answered_requests"] == 4
        assert tried.items() == {"q3", "q7"}
    tried.emulator.kill()


def at(point: str, kill: KillAt) -> Hook:
    """Dies at the first point of that name."""

    def hook(name: str) -> None:
        if name == point and not kill.point:
            kill.n = kill.seen + 1
        kill(name)

    return hook
