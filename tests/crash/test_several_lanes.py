"""A run with arms at several providers: killed anywhere it pays once at each of them; one that fails leaves the others alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.crash.children import NONCE
from tests.crash.inprocess import InProcess
from tests.crash.lab import IN_MEMORY, RUN_ID, Lab, Rule, World
from tests.crash.several_lanes import LANES, lab_of_lanes, lab_of_two_lanes
from tests.crash.sweeps import at_every_point, plans, several_times

from batchtrial.app.invocation import form_of, mode_of
from batchtrial.cli.commands import execute as session
from batchtrial.cli.commands.repair import main as repair
from batchtrial.cli.commands.status import main as status
from batchtrial.errors import ProviderError
from batchtrial.state.lanes import LANE
from batchtrial.state.layout import RunLayout
from batchtrial.state.ledger import fold
from batchtrial.state.store import fingerprint


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory(prefix="batchtrial-lanes-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        yield lab_of_lanes(Path(root), provider_of=InProcess)


def away(provider: str, status: int) -> list[Rule]:
    """The provider answers every call so."""
    return [{"match": {"provider": provider}, "on": "every", "do": {"status": status}}]


def significance(world: World, trial: str) -> dict[str, Any]:
    return dict(json.loads(world.layout.trial(trial).significance.read_bytes()))


def test_the_bill_of_every_provider_has_each_request_once(lab: Lab) -> None:
    batches: Sequence[Any] = lab.want_bill["batches"]
    assert {batch["provider"] for batch in batches} == set(LANES) - {"local"}
    assert lab.want_bill["n_paid_more_than_once"] == 0


@pytest.mark.parametrize("share", range(4))
def test_killed_at_a_write_or_call_it_ends_with_the_bytes_and_bills_of_its_twin(lab: Lab, share: int) -> None:
    """A sample; `python -m tests.crash.several_lanes` kills at every one."""
    first, last = len(lab.points) * share // 4, len(lab.points) * (share + 1) // 4
    tally = at_every_point(lab, range(first + 2, last, max(1, (last - first) // 2)))
    assert tally.bad == []
    assert (tally.duplicates, tally.lost, tally.unequal) == (0, 0, 0)


def test_killed_again_and_again_it_pays_once(lab: Lab) -> None:
    tally = several_times(lab, plans(lab, 2, seed=11))
    assert tally.bad == []


@pytest.mark.parametrize(("provider", "status", "lacking"), [("anthropic", 500, "house"), ("fireworks", 401, "fire"), ("openai", 403, "home")])
def test_one_provider_that_fails_leaves_the_others_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], provider: str, status: int, lacking: str
) -> None:
    """Away for the whole run, a key that is refused, an account that may not: the others end, exit 4, and what lacks an arm says so.

    A local server speaks OpenAI's wire, so that in a dry run it fails together with OpenAI: then a trial lacks both of its arms.
    """
    down = lab_of_lanes(tmp_path, provider_of=InProcess, has_twin=False, faults=lambda lab: away(provider, status))
    world = down.world("down")
    assert world.start() == 4
    parts = fold(world.ledger().entries)
    assert sum(part.counts is not None for part in parts.values()) == (6 if provider == "openai" else 9)
    assert not any(one["provider"] == provider for one in world.bill()["batches"])
    found = significance(world, f"{lacking}-vs-control")
    assert "no answers, since its provider failed" in found["reason"]
    assert found["reason"] in (world.layout.trial(f"{lacking}-vs-control").root / "reports/report.md").read_text()
    assert found["tests"] == []
    assert found["reason"] in " ".join(capsys.readouterr().out.split())
    if provider != "openai":
        there = significance(world, "home-vs-control")
        assert there["headline"] is not None
        # Three trials were declared, and the one that lacks an arm may be resumed: it keeps its part of alpha.
        assert (there["run"]["n_trials"], there["run"]["share"]) == (3, pytest.approx(1 / 3))
        assert {"trial": f"{lacking}-vs-control", "verdict": None, "is_claim": False, "p_adjusted": None} in there["run"]["others"]
    assert "no answers" in world.layout.aggregate_report.read_text()
    world.close()


def test_a_provider_that_comes_back_is_tried_by_resume_and_the_end_is_that_of_a_quiet_run(lab: Lab) -> None:
    world = lab.world("back")
    rules = [{"match": {"provider": "anthropic"}, "on": 1, "do": {"status": 401}}]
    world.emulator.call("POST", "/_emulator/faults", rules)
    assert world.start() == 4
    assert [note.detail for note in world.ledger().entries if note.event == LANE] == [{"lane": "anthropic"}]
    assert world.resume() in (0, 4)
    assert world.problems() == []
    world.close()


def test_when_every_provider_fails_the_run_fails(tmp_path: Path) -> None:
    down = lab_of_lanes(tmp_path, provider_of=InProcess, has_twin=False, faults=lambda lab: [{"match": {}, "on": "every", "do": {"status": 401}}])
    world = down.world("down")
    with pytest.raises(ProviderError):
        world.start()
    world.close()


@pytest.fixture(scope="module", params=[True, False], ids=["own lane asks", "own lane asks nothing"])
def recorded(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, Path, dict[str, str]]]:
    """A run at two providers, its recording as a folder, and its artifacts."""
    with tempfile.TemporaryDirectory(prefix="batchtrial-tape-", dir=IN_MEMORY, ignore_cleanup_errors=True) as root:
        two = lab_of_two_lanes(Path(root), own="openai" if request.param else "fireworks", provider_of=InProcess, has_twin=False)
        world = two.world("recorded")
        asked = two.asked(world.experiments, world.emulator.url, is_resume=False)
        assert session.run(replace(asked, record_dir=Path(root) / "tape"), RUN_ID, nonce=NONCE, env={}) == 0
        yield two, Path(root) / "tape", {name: sha for name, sha in world.outputs().items() if name.startswith("arms/")}
        world.close()


@pytest.mark.parametrize("form", ["folder", "zip", "zip of the folder"])
def test_a_recording_of_several_lanes_replays_from_a_folder_or_a_zip(recorded: tuple[Lab, Path, dict[str, str]], tmp_path: Path, form: str) -> None:
    two, tape, want = recorded
    if form != "folder":
        base = {"root_dir": tape} if form == "zip" else {"root_dir": tape.parent, "base_dir": tape.name}
        tape = Path(shutil.make_archive(str(tmp_path / "tape"), "zip", **base))
    asked = two.asked(tmp_path / "runs", "", is_resume=False)
    asked = replace(asked, replay_dir=tape, changes={"mode": mode_of(is_dry=False, recording=tape), "arm_form": form_of(tape)})
    assert session.run(asked, RUN_ID, nonce=NONCE, env={}) == 0
    layout = RunLayout(tmp_path / "runs" / f"run_{RUN_ID}")
    got = {path.relative_to(layout.root).as_posix(): fingerprint(path).sha256 for path in layout.artifacts()}
    assert {name: sha for name, sha in got.items() if name.startswith("arms/")} == want


def test_status_and_repair_know_lanes_and_those_that_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    down = lab_of_two_lanes(tmp_path, own="openai", provider_of=InProcess, has_twin=False, faults=lambda lab: away("anthropic", 401))
    world = down.world("down")
    assert world.start() == 4
    where = ["--run_id", RUN_ID, "--experiments_dir", str(world.experiments)]
    assert repair([*where, "--check"]) == 0, capsys.readouterr().out
    capsys.readouterr()
    assert status([*where, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["backends"] == ["openai", "anthropic"]
    assert told["models"] == ["gpt-4.1", "claude-haiku-4-5"]
    assert any(line.startswith("anthropic failed, and its arms have no answers:") for line in told["problems"])
    assert status(where) == 0
    assert "openai, anthropic, gpt-4.1, claude-haiku-4-5" in capsys.readouterr().out
    world.close()
