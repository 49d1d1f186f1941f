"""Trials and arms: every cell once, under a name of its own; what asks the same is one arm, whatever role it plays."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from tests.unit.phases.world import text_of

from batchtrial.config.expand import Trial, arms_of, controls_of, expand, user_turn, users_of
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError
from batchtrial.names import RECORDED
from batchtrial.records import Item

ITEMS = "0" * 64
OLD_KEY = "06bebf49307fdb97"  # as the version before form 2 made it
OPEN = Item(dataset="d", item_id="1", kind="open", question="Which?", context="A passage.", answers=("a",))
CLOSED = Item(dataset="d", item_id="2", kind="closed", question="What?", answers=("b",))


def prompt_set(treatment: str, control: str = "Answer.") -> dict[str, Any]:
    return {"control": {"system": text_of("c", control)}, "treatment": {"system": text_of(treatment, f"{treatment} text")}}


def config(**changes: Any) -> Config:
    tree: dict[str, Any] = {
        "model_id": "accounts/x/models/base",
        "datasets": [{"name": "bundled_open", "source": "bundled"}],
        "task_instructions": {"open_book": text_of("open", "Read."), "closed_book": text_of("closed", "Recall.")},
        "prompt_sets": {"one": prompt_set("one"), "two": prompt_set("two"), "three": prompt_set("three", control="Another control.")},
    }
    return Config.model_validate(tree | changes)


def slugs(given: Config) -> list[str]:
    return [trial.slug for trial in expand(given, ITEMS)]


def test_without_a_sweep_there_is_one_trial_with_the_default_prompt_set() -> None:
    assert slugs(config()) == ["base-one"]
    assert slugs(config(default_prompt_set="two")) == ["base-two"]


def test_a_sweep_is_the_cross_product_with_names_of_its_own() -> None:
    sweep = {"models": ["m/a", "m/b"], "prompt_sets": ["one", "two"], "top_p": [0.9, 1.0], "top_k": [5, 40], "temps": [0.0, 0.7]}
    found = expand(config(sweep=sweep), ITEMS)
    assert len(found) == 16
    assert len({trial.slug for trial in found}) == 16
    cells = {(t.model, t.prompt_set, t.arms[0].top_p, t.arms[0].top_k) for t in found}
    assert cells == set(itertools.product(("m/a", "m/b"), ("one", "two"), (0.9, 1.0), (5, 40)))
    assert all(t.temps == (0.0, 0.7) and len(t.arms) == 4 for t in found)


def test_each_cell_asks_with_its_own_values() -> None:
    sweep = {
        "models": ["m/a", "m/b"],
        "top_p": [0.9, 1.0],
        "max_new_tokens": [{"open_book": 5, "closed_book": 6}, {"open_book": 7, "closed_book": 8}],
    }
    for trial in expand(config(sweep=sweep), ITEMS):
        for arm in trial.arms:
            request = arm.request(OPEN, "id")
            assert (request.model, request.top_p, request.max_tokens) == (trial.model, arm.top_p, arm.max_tokens.open_book)
            assert arm.request(CLOSED, "id").max_tokens == arm.max_tokens.closed_book


def test_trials_written_out_replace_the_sweep() -> None:
    trials = [{"id": "mine", "prompt_set": "two", "temps": [0.3], "top_k": 3}, {"model_id": "m/z"}]
    found = expand(config(trials=trials, sweep={"prompt_sets": ["one", "two"]}), ITEMS)
    assert [trial.slug for trial in found] == ["mine", "z-one"]
    assert (found[0].temps, found[0].arms[0].top_k, found[0].model) == ((0.3,), 3, "accounts/x/models/base")


def test_two_trials_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two trials have the slug"):
        expand(config(trials=[{"id": "same"}, {"id": "same", "prompt_set": "two"}]), ITEMS)


def test_a_filter_keeps_what_matches_and_refuses_to_keep_nothing() -> None:
    sweep = {"prompt_sets": ["one", "two"]}
    assert slugs(config(sweep=sweep, trial_filter="*-two")) == ["base-two"]
    with pytest.raises(ConfigError, match="no trial matches"):
        expand(config(sweep=sweep, trial_filter="nothing*"), ITEMS)


def arms_by_name(trials: tuple[Trial, ...]) -> set[str]:
    return {arm.name for arm in arms_of(trials)}


def test_a_control_that_asks_the_same_is_bought_once() -> None:
    trials = expand(config(sweep={"prompt_sets": ["one", "two", "three"]}), ITEMS)
    controls = {arm.name for trial in trials for arm in trial.arms if arm.condition == "control"}
    assert len(controls) == 2, "two of the three sets share their control"
    assert len(arms_of(trials)) == 3 + 2
    shared = [trial.arm("control", 0.0) for trial in trials[:2]]
    assert shared[0] == shared[1]


ROUND = {
    "ab": {"control": {"system": text_of("a", "A.")}, "treatment": {"system": text_of("b", "B.")}},
    "bc": {"control": {"system": text_of("b again", "B.")}, "treatment": {"system": text_of("c", "C.")}},
    "ac": {"control": {"system": text_of("a", "A.")}, "treatment": {"system": text_of("c", "C.")}},
}


def test_an_arm_is_what_it_asks_whatever_role_it_plays_and_whatever_its_file_is_called() -> None:
    trials = expand(config(prompt_sets=ROUND, sweep={"prompt_sets": ["ab", "bc", "ac"], "temps": [0.0, 0.7]}), ITEMS)
    arms = arms_of(trials)
    assert len(arms) == 3 * 2
    assert [len(users_of(arm, trials)) for arm in arms] == [2] * 6
    b = arms_by_text(trials)["B."]
    assert b == {trials[0].arms[1].name, trials[0].arms[3].name} == {trials[1].arms[0].name, trials[1].arms[2].name}
    assert {arm.prompt.system.text for arm in controls_of(trials)} == {"A.", "B."}


def arms_by_text(trials: tuple[Trial, ...]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for arm in (arm for trial in trials for arm in trial.arms):
        found.setdefault(arm.prompt.system.text, set()).add(arm.name)
    return found


def test_an_arm_that_is_both_roles_of_a_trial_is_one_arm() -> None:
    (trial,) = expand(config(prompt_sets={"same": prompt_set("x", control="x text")}), ITEMS)
    assert [arm.stem for arm in trial.arms] == ["t0_control", "t0_treatment"]
    assert len(arms_of((trial,))) == 1


@pytest.mark.parametrize("form", [1, 2])
def test_another_treatment_leaves_the_arms_that_are_there(form: int) -> None:
    before = expand(config(arm_form=form), ITEMS)
    after = expand(config(arm_form=form, sweep={"prompt_sets": ["three", "two", "one"]}), ITEMS)
    assert arms_by_name(before) < arms_by_name(after)


def test_other_items_other_samples_and_another_role_leave_the_arm() -> None:
    before = arms_by_name(expand(config(), ITEMS))
    assert before == arms_by_name(expand(config(), "1" * 64))
    assert before == arms_by_name(expand(config(samples_per_item=3), ITEMS))
    turned = {"one": {"control": prompt_set("one")["treatment"], "treatment": prompt_set("one")["control"]}}
    assert before == arms_by_name(expand(config(prompt_sets=turned), ITEMS))


def test_an_arms_name_is_short_and_told_by_its_recipe() -> None:
    (trial,) = expand(config(temps=[0.7]), ITEMS)
    for arm in trial.arms:
        assert arm.name == f"base-t07-{arm.key[:12]}"
        assert arm.part_folder(3).as_posix() == f"arms/{arm.name}/p03"


def test_form_1_names_its_arms_as_the_version_did_that_began_such_runs() -> None:
    (trial,) = expand(config(arm_form=1, samples_per_item=2, temps=[0.7]), ITEMS)
    control, treatment = trial.arms
    assert (control.name, treatment.name) == (f"shared-{OLD_KEY}_t07_control", "base-one_t07_treatment")
    assert (control.part_folder(1).as_posix(), treatment.part_folder(2).as_posix()) == (
        f"shared_controls/{OLD_KEY}/t07_control_p01",
        "base-one/results/t07_treatment_p02",
    )
    assert control.custom_id("0" * 16, 1) == f"c-t07-{OLD_KEY[:8]}-{'0' * 16}-s1"


def test_what_an_earlier_version_wrote_down_is_read_under_its_form() -> None:
    recorded = config().model_dump(mode="json")
    assert Config.model_validate(recorded, context=RECORDED).arm_form == 2
    del recorded["arm_form"]
    assert Config.model_validate(recorded, context=RECORDED).arm_form == 1
    assert Config.model_validate(recorded).arm_form == 2, "a file that starts a run"


@pytest.mark.parametrize(
    "changes",
    [
        {"model_id": "other"},
        {"temps": [0.7]},
        {"top_p": 0.5},
        {"top_k": 7},
        {"stop": ["\n"]},
        {"max_new_tokens": {"open_book": 9, "closed_book": 1024}},
        {"backend": "openai"},
        {"provider": {"request_overrides": {"reasoning_effort": "low"}}},
        {"task_instructions": {"open_book": text_of("open", "Look."), "closed_book": text_of("closed", "Recall.")}},
    ],
)
def test_whatever_the_answers_hang_on_makes_another_control(changes: dict[str, Any]) -> None:
    plain, other = expand(config(), ITEMS)[0].arms[0], expand(config(**changes), ITEMS)[0].arms[0]
    assert plain.condition == other.condition == "control"
    assert plain.key != other.key


@pytest.mark.parametrize("changes", [{"seed": 8}, {"stats": {"alpha": 0.01}}, {"submission": {"poll_seconds": 1.0}}, {"model_aliases": {"z": "y"}}])
def test_what_the_answers_do_not_hang_on_leaves_the_control_as_it_is(changes: dict[str, Any]) -> None:
    assert expand(config(), ITEMS)[0].arms[0].key == expand(config(**changes), ITEMS)[0].arms[0].key


def test_part_names_are_unique_in_the_run_and_folders_are_apart() -> None:
    trials = expand(config(sweep={"prompt_sets": ["one", "two"], "temps": [0.0, 0.7]}), ITEMS)
    names = [arm.part(index) for arm in arms_of(trials) for index in (1, 2)]
    folders = [arm.part_folder(index) for arm in arms_of(trials) for index in (1, 2)]
    assert len(set(names)) == len(names) == len(set(folders))
    assert not any(folder.is_absolute() or ".." in folder.parts for folder in folders)


def test_one_condition_alone_can_be_run() -> None:
    (trial,) = expand(config(conditions=["treatment"]), ITEMS)
    assert [arm.condition for arm in trial.arms] == ["treatment"]
    assert trial.arm("control", 0.0) is None


def test_the_user_turn_holds_instruction_passage_and_question() -> None:
    instructions = config().task_instructions
    assert user_turn(OPEN, instructions) == "Read.\n\nCONTEXT:\nA passage.\n\nQUESTION:\nWhich?"
    assert user_turn(CLOSED, instructions) == "Recall.\n\nQUESTION:\nWhat?"


def test_a_condition_may_have_instructions_of_its_own() -> None:
    own = {"open_book": text_of("o", "Think."), "closed_book": text_of("p", "Guess.")}
    sets = {"one": {"control": {"system": text_of("c", "x")}, "treatment": {"system": text_of("c", "x"), "instruction": own}}}
    (trial,) = expand(config(prompt_sets=sets), ITEMS)
    turns = [arm.request(OPEN, "id").user.split("\n")[0] for arm in trial.arms]
    assert turns == ["Read.", "Think."]


@pytest.mark.parametrize(("given", "want"), [(3, {0.0: 3, 0.7: 3}), ({"0.7": 5}, {0.0: 1, 0.7: 5}), ({"0": 2, "0.70": 4}, {0.0: 2, 0.7: 4})])
def test_samples_may_differ_by_temperature(given: Any, want: dict[float, int]) -> None:
    (trial,) = expand(config(samples_per_item=given, temps=[0.0, 0.7]), ITEMS)
    assert {arm.temp: arm.samples for arm in trial.arms} == want
