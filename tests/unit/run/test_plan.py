"""Gating: what the step flags leave, what the verdicts say, and that a plan is nothing but a plan."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.rig import Rig

from batchtrial.cli.commands.run import main
from batchtrial.errors import ConfigError, RunStateMissing
from batchtrial.reading.view import look
from batchtrial.run.options import Options, window
from batchtrial.run.plan import PHASES, check_startable, needs_run, plan
from batchtrial.state.store import Stamps
from batchtrial.steps import JUDGING, PAYING, STEPS

OR_NONE = (None, *STEPS)
COMBINATIONS = list(itertools.product(OR_NONE, OR_NONE, OR_NONE))


def allowed(only: str | None, first: str | None, last: str | None) -> list[str] | None:
    """By the words of the help text; None when the flags contradict each other."""
    if only is not None:
        return [only] if first is None and last is None else None
    kept = [
        name for place, name in enumerate(STEPS) if (first is None or place >= STEPS.index(first)) and (last is None or place <= STEPS.index(last))
    ]
    return kept or None


def test_the_phases_are_the_ones_that_the_help_names() -> None:
    assert STEPS[:6] == ("prepare", "build", "submit", "poll", "parse", "score")
    assert STEPS[6:11] == (*JUDGING, "stats")
    assert {"costs", "report"} <= set(STEPS[11:])
    assert PAYING == ("submit", "poll", "judge_submit", "judge_poll")


def test_every_combination_of_the_three_step_flags() -> None:
    assert len(COMBINATIONS) == (len(STEPS) + 1) ** 3
    for only, first, last in COMBINATIONS:
        options = Options(only_step=only, from_step=first, to_step=last)
        want = allowed(only, first, last)
        if want is None:
            with pytest.raises(ConfigError) as caught:
                window(options, STEPS)
            assert caught.value.exit_code == 2
        else:
            assert list(window(options, STEPS)) == want


@pytest.mark.parametrize("flag", ["only_step", "from_step", "to_step"])
def test_an_unknown_step_lists_the_steps_there_are(flag: str) -> None:
    with pytest.raises(ConfigError) as caught:
        window(Options(**{flag: "polll"}), STEPS)  # type: ignore[arg-type]
    assert caught.value.where == f"--{flag}"
    assert all(name in caught.value.hint for name in STEPS)


EVERYTHING = {"optional": {"power_analysis": True}}
"""Switches on what is off unless it is asked for, so that every phase has something to do."""


@pytest.fixture(scope="module")
def polled(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A run whose batches are settled and nothing computed from them."""
    rig = Rig(tmp_path_factory.mktemp("polled"), changes=EVERYTHING)
    rig.run(to_step="poll")
    return rig


def actions(rig: Rig, options: Options) -> dict[str, str]:
    layout = rig.layout
    view = look(layout, rig.config(), dict(rig.parts()), Stamps(layout.root, layout.stamps), rig.memory.limits)
    return {step.phase.name: step.action for step in plan(options, view)}


def test_a_new_run_would_begin_at_the_beginning(tmp_path: Path) -> None:
    got = actions(Rig(tmp_path, changes=EVERYTHING), Options())
    assert got["prepare"] == "run"
    assert set(got.values()) == {"run", "wait"}


def test_what_the_config_does_not_ask_for_is_off_even_when_all_is_remade(tmp_path: Path) -> None:
    assert actions(Rig(tmp_path), Options(remake=True))["optional"] == "off"


def test_what_is_done_is_skipped_and_the_rest_follows(polled: Rig) -> None:
    got = actions(polled, Options())
    assert [got[name] for name in ("prepare", "build", "submit", "poll")] == ["skip"] * 4
    assert got["parse"] == "run"
    assert [got[name] for name in ("score", "stats", "report")] == ["wait"] * 3


def test_the_plan_of_every_window_runs_nothing_outside_it(polled: Rig) -> None:
    for only, first, last in COMBINATIONS:
        want = allowed(only, first, last)
        if want is not None:
            got = actions(polled, Options(only_step=only, from_step=first, to_step=last))
            assert {name for name, action in got.items() if action != "off"} == set(want) - set(JUDGING)  # the run has no judges


def test_remake_makes_again_what_costs_nothing_and_nothing_else(polled: Rig) -> None:
    got = actions(polled, Options(remake=True))
    assert [got[name] for name in ("prepare", "build", "submit", "poll")] == ["run", "run", "skip", "skip"]


def test_switched_off_steps_are_off(polled: Rig) -> None:
    got = actions(polled, Options(skip=frozenset({"prepare", "build", "submit", "poll"})))
    assert [got[name] for name in ("prepare", "build", "submit", "poll", "parse")] == ["off"] * 4 + ["run"]


def test_each_verdict_has_a_reason(polled: Rig, tmp_path: Path) -> None:
    for rig in (polled, Rig(tmp_path)):
        view = look(rig.layout, rig.config(), dict(rig.parts()), Stamps(rig.layout.root, rig.layout.stamps), rig.memory.limits)
        assert all(phase.verdict(view).reason for phase in PHASES)


@pytest.mark.parametrize(
    ("step", "needs"),
    [("build", "prepare"), ("submit", "build"), ("poll", "build"), ("parse", "build"), ("stats", "build"), ("report", "build")],
)
def test_a_step_whose_inputs_are_missing_names_the_step_to_run(tmp_path: Path, step: str, needs: str) -> None:
    rig = Rig(tmp_path)
    with pytest.raises(RunStateMissing) as caught:
        rig.run(options=Options(only_step=step))
    assert f"--from_step {needs}" in caught.value.hint
    assert caught.value.exit_code == 3
    assert rig.memory.calls == []


def test_needs_run_is_what_startable_allows(polled: Rig) -> None:
    view = look(polled.layout, polled.config(), dict(polled.parts()), Stamps(polled.layout.root, polled.layout.stamps), polled.memory.limits)
    for phase in PHASES:
        verdict = phase.verdict(view)
        if verdict.status == "blocked":
            with pytest.raises(RunStateMissing):
                check_startable(phase, verdict)
        else:
            check_startable(phase, verdict)
        assert needs_run(Options(), phase, verdict) is not verdict.is_done


def test_stopping_after_a_step_leaves_the_later_ones_untouched(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    finished = rig.run(to_step="submit")
    assert finished.ran == ("prepare", "build", "submit")
    assert not finished.is_complete
    assert rig.memory.n_calls("fetch") <= 2, "submit fetches only to make room"
    assert not list(rig.layout.root.rglob("predictions*"))


# --plan_only


def tree(root: Path) -> dict[str, tuple[str, int, int]]:
    """Every file with its bytes, time and mode; every folder with its time."""
    found = {}
    for path in sorted(root.rglob("*")):
        stat = path.lstat()
        body = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[path.relative_to(root).as_posix()] = (body, stat.st_mtime_ns, stat.st_mode)
    return found


CONFIG = """
backend: fireworks
model_id: accounts/fireworks/models/gpt-oss-20b
datasets: [{name: reading, source: file, path: questions.jsonl}]
task_instructions: {open_book: open.txt, closed_book: closed.txt}
prompt_sets: {default: {control: control.txt, treatment: treatment.txt}}
submission: {lines_per_part: 2}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Rig(tmp_path)  # writes the questions
    (tmp_path / "config.yaml").write_text(CONFIG)
    for name in ("open", "closed", "control", "treatment"):
        (tmp_path / f"{name}.txt").write_text(f"{name} text\n")
    return tmp_path


@pytest.mark.parametrize(
    "flags", [[], ["--run_id", "r9"], ["--only_step", "report"], ["--remake"], ["--accept_drift"], ["--budget_usd", "1"], ["--dry_run"]]
)
def test_a_plan_of_a_new_run_touches_nothing(folder: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(folder)
    assert main(["--config", str(folder / "config.yaml"), "--experiments_dir", str(folder / "experiments"), "--plan_only", *flags]) == 0
    assert tree(folder) == before
    said = capsys.readouterr().out
    assert "4 parts, 8 requests" in said
    assert "nothing was written or sent" in said
    assert all(name in said for name in STEPS if name not in JUDGING)


def test_a_rehearsal_s_plan_says_which_limits_of_a_queue_do_not_fit_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rehearsal has no duration to tell, and is where such a limit is to be found."""
    with (folder / "config.yaml").open("a") as file:
        file.write("provider: {queue: {enqueued_tokens: {another: 9}}}\n")
    assert main(["--config", str(folder / "config.yaml"), "--plan_only", "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert "  queue    provider.queue names another, which this run does not ask" in said
    assert "  takes " not in said


def test_a_plan_says_what_was_guessed_and_what_nobody_reads(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    (folder / "questions.jsonl").write_text("".join(json.dumps({**row, "topic": "x"}) + "\n" for row in rows))
    flags = ["--config", str(folder / "config.yaml"), "--experiments_dir", str(folder / "experiments"), "--plan_only"]
    assert main(flags) == 0
    said = capsys.readouterr().out
    assert "  data     reading: format guessed from the content: jsonl" in said
    assert "  data     reading: kind guessed from the first row: open" in said
    assert said.count("columns that nobody reads: topic") == 1


def test_a_plan_of_a_run_that_exists_says_what_was_guessed_when_it_was_prepared(polled: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    polled.questions.unlink()
    assert main(["--resume", "--run_id", "r1", "--experiments_dir", str(polled.folder), "--plan_only"]) == 0
    assert "reading: kind guessed from the first row: open" in capsys.readouterr().out


def test_a_plan_of_a_run_that_exists_touches_nothing_and_shows_where_it_stands(polled: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(polled.folder)
    assert main(["--resume", "--run_id", "r1", "--experiments_dir", str(polled.folder), "--plan_only"]) == 0
    assert tree(polled.folder) == before
    said = capsys.readouterr().out
    assert "skip poll     all 4 parts settled" in said
    assert "run  parse" in said


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda lines: [*lines[:4], b"{" + lines[4], *lines[5:]], "line 5 of the ledger is not as it was written"),
        (lambda lines: [*lines[:4], *lines[6:]], "line 5 of the ledger is gone (2 such lines)"),
        (lambda lines: lines[:-2], "of the ledger is gone (2 such lines)"),
        (lambda lines: [], "no ledger says what was paid for"),
    ],
)
def test_a_plan_of_a_run_whose_ledger_is_damaged_names_file_line_and_fix(
    polled: Rig, capsys: pytest.CaptureFixture[str], harm: Callable[[list[bytes]], list[bytes]], said: str
) -> None:
    path = polled.layout.ledger
    whole = path.read_bytes()
    path.write_bytes(b"".join(harm(whole.splitlines(keepends=True))))
    before = tree(polled.folder)
    assert main(["--resume", "--run_id", "r1", "--experiments_dir", str(polled.folder), "--plan_only"]) == 3
    assert tree(polled.folder) == before
    path.write_bytes(whole)
    told = capsys.readouterr().err
    assert said in told
    assert str(path) in told
    assert "batchtrial repair" in told


def test_a_plan_with_a_typo_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(folder / "config.yaml"), "--plan_only", "--to_step", "pool"]) == 2
    assert "prepare, build, submit, poll" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code"),
    [(["--only_step", "scroe"], 2), (["--only_step", "score"], 3), (["--from_step", "build"], 3), (["--skip_prepare"], 3)],
)
def test_a_new_run_that_could_not_begin_leaves_no_folder(folder: Path, flags: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(folder)
    where = ["--config", str(folder / "config.yaml"), "--experiments_dir", str(folder / "experiments")]
    assert main([*where, "--run_id", "r9", "--dry_run", *flags]) == code
    assert tree(folder) == before
    assert "prepare, build, submit, poll" in capsys.readouterr().err
