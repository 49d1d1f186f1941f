"""With the whole ledger lost, the hash in run_state.json proves that the config's plan is the declared one, or shows that it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.phases.batches.test_frozen_plan import WRITTEN, answer, events, reopened, with_setting
from tests.unit.phases.world import World, clock, open_items, world

from batchtrial.config.analysis_plan import plan_hash, plan_of
from batchtrial.phases.batches.frozen_plan import frozen_plan
from batchtrial.run.session import Opening, open_run
from batchtrial.state.files import PlanMark, RunState, load, save
from batchtrial.upkeep.diagnose import Examiner
from batchtrial.upkeep.fix import put_right


def mark(made: World) -> PlanMark | None:
    state = load(RunState, made.layout.run_state)
    assert state is not None
    return state.plan


def without_a_ledger(made: World) -> None:
    """The ledger is deleted and made anew by what `repair` does."""
    made.session.close()
    made.layout.ledger.unlink()
    put_right(Examiner(layout=made.layout, codec_of=lambda config: made.codec, now=clock, nonce="1").examine(), clock=clock)
    opening = Opening(run_id="r1", config=made.config, is_resume=True, accept_drift=False, overrides={}, nonce="1")
    made.session = open_run(made.layout, opening, made.codec, clock=clock, ledger_clock=clock)


def test_the_hash_and_what_was_written_stand_in_run_state_from_the_start(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(4), stats=WRITTEN) as made:
        want = PlanMark(hash=plan_hash(plan_of(made.config)), written=("confirmatory", "primary"))
        assert mark(made) == want
        made.answer_all(answer)
        reopened(made, with_setting(made.config, "stats.alpha", 0.2))
        assert mark(made) == want, "changed after the first result: the declared plan is the old one"


def test_a_change_before_the_first_result_is_declared_from_then_on(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(4), stats=WRITTEN) as made:
        reopened(made, with_setting(made.config, "stats.alpha", 0.2))
        assert mark(made) == PlanMark(hash=plan_hash(plan_of(made.config)), written=("alpha", "confirmatory", "primary"))


@pytest.mark.parametrize("changes", [{}, {"stats": WRITTEN}], ids=["default", "written"])
def test_a_ledger_made_anew_has_the_declared_plan_again(tmp_path: Path, changes: dict[str, Any]) -> None:
    with world(tmp_path, opened=open_items(8), **changes) as made:
        made.answer_all(answer)
        want = frozen_plan(made.layout.ledger, made.config)
        without_a_ledger(made)
        assert events(made)[:2] == ["opened", "plan"]
        assert frozen_plan(made.layout.ledger, made.config) == want
        assert want.is_default == (not changes)


def test_a_plan_that_was_changed_after_the_first_result_is_not_taken_for_the_declared_one(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        reopened(made, with_setting(made.config, "stats.alpha", 0.2))
        without_a_ledger(made)
        assert "plan" not in events(made)
        assert frozen_plan(made.layout.ledger, made.config).origin == "none"


def test_a_run_state_of_before_the_field_is_read_and_claims_nothing(tmp_path: Path) -> None:
    with world(tmp_path, opened=open_items(8), stats=WRITTEN) as made:
        made.answer_all(answer)
        state = load(RunState, made.layout.run_state)
        assert state is not None
        save(made.layout.run_state, state.model_copy(update={"plan": None}))
        without_a_ledger(made)
        assert frozen_plan(made.layout.ledger, made.config).origin == "none"


@pytest.mark.parametrize("is_edited", [False, True], ids=["as it was", "edited"])
def test_the_code_of_a_further_metric_is_part_of_what_is_proved(tmp_path: Path, is_edited: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    rule = tmp_path / "rule_for_plan_marks.py"
    rule.write_text("def words(item, text):\n    return {'n_words': float(len(text.split()))}\n")
    with world(tmp_path, opened=open_items(8), metrics=["rule_for_plan_marks:words"]) as made:
        made.answer_all(answer)
        if is_edited:
            rule.write_text("def words(item, text):\n    return {'n_words': 2.0 * len(text.split())}\n")
        without_a_ledger(made)
        assert frozen_plan(made.layout.ledger, made.config).origin == ("none" if is_edited else "frozen")
