"""Arms that are written out: what they ask, which of them are compared, what is refused, and what differs between two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.config.test_expand import ITEMS, OPEN, config
from tests.unit.phases.world import text_of

from batchtrial.config.arm_differences import arm_differences
from batchtrial.config.check import check
from batchtrial.config.contrasts import as_counted
from batchtrial.config.expand import arms_of, expand
from batchtrial.config.load import config_hash, encode, load
from batchtrial.config.model import Config
from batchtrial.config.notes import notes
from batchtrial.errors import ConfigError

SYSTEM = text_of("c", "Answer.")


def written_out(arms: dict[str, Any], **changes: Any) -> Config:
    given: dict[str, Any] = {"backend": "openai", "model_id": "gpt-4.1", "prompt_sets": {}, "system": SYSTEM, "arms": arms}
    return config(**given | changes)


def slugs(given: Config) -> list[str]:
    return [trial.slug for trial in expand(given, ITEMS)]


def test_the_long_form_of_a_prompt_set_has_the_keys_of_the_short_one() -> None:
    short = config(prompt_sets={"one": {"control": {"system": SYSTEM}, "treatment": {"system": text_of("one", "one text")}}})
    long = config(prompt_sets={}, system=SYSTEM, arms={"control": {}, "one": {"system": text_of("one", "one text")}})
    assert [(arm.key, arm.name) for arm in arms_of(expand(long, ITEMS))] == [(arm.key, arm.name) for arm in arms_of(expand(short, ITEMS))]


def test_a_config_without_arms_is_written_down_as_before() -> None:
    assert not {"arms", "contrasts", "system"} & json.loads(config().model_dump_json()).keys()
    assert b"arms:" not in encode(config())


def test_what_an_arm_leaves_out_comes_from_the_run_and_what_it_names_is_asked() -> None:
    given = written_out(
        {
            "control": {},
            "other": {
                "model": "gpt-4.1-mini",
                "system": text_of("o", "Other."),
                "max_tokens": 200,
                "temperature": 0.5,
                "top_p": 0.9,
                "body": {"user": None, "seed": 3},
            },
        },
        provider={"request_overrides": {"user": "u"}},
        temps=[0.2],
    )
    (trial,) = expand(given, ITEMS)
    control, other = trial.arms
    assert control.request(OPEN, "id").extra == {"user": "u"}
    asked = other.request(OPEN, "id")
    assert (asked.model, asked.system, asked.max_tokens, asked.temperature, asked.top_p) == ("gpt-4.1-mini", "Other.", 200, 0.5, 0.9)
    assert asked.extra == {"seed": 3}
    assert (trial.slug, trial.temps, control.temp, other.at) == ("other-vs-control", (0.2,), 0.2, 0.2)
    assert trial.arm("treatment", 0.2) is other


def test_each_arm_is_bought_once_in_every_contrast() -> None:
    arms = {"control": {}, "b": {"model": "m/b"}, "a": {"model": "m/a"}}
    assert slugs(written_out(arms)) == ["a-vs-control", "b-vs-control"]
    every = expand(written_out(arms, contrasts="all_pairs"), ITEMS)
    assert [trial.slug for trial in every] == ["a-vs-control", "b-vs-control", "b-vs-a"]
    assert len(arms_of(every)) == 3
    assert slugs(written_out(arms, contrasts=[["a", "b"], ["b", "control"]])) == ["b-vs-a", "control-vs-b"]


def test_trials_are_shown_as_people_count_and_listed_ones_as_listed() -> None:
    """Index and viewer had 0, 1, 10, 2. The order in the run, and which of two arms is the control, stay: runs that exist were built by them."""
    arms: dict[str, Any] = {"control": {}} | {name: {"system": text_of(name, name)} for name in ("v0", "v1", "v2", "v10")}
    shown = {}
    for contrasts in ("vs_control", "all_pairs", [["control", "v10"], ["v10", "v2"], ["v0", "v1"]]):
        given = written_out(arms, contrasts=contrasts)
        trials = sorted(expand(given, ITEMS), key=lambda one: as_counted(given, one.against, one.prompt_set))
        shown[str(contrasts)[:3]] = [trial.slug.replace("-vs-", " ").replace("control", "c") for trial in trials]
    assert shown["vs_"] == ["v0 c", "v1 c", "v2 c", "v10 c"]
    assert shown["all"] == ["v0 c", "v1 c", "v2 c", "v10 c", "v1 v0", "v2 v0", "v10 v0", "v2 v1", "v10 v1", "v2 v10"]
    assert shown["[['"] == ["v10 c", "v2 v10", "v1 v0"]


def test_order_in_the_file_does_not_matter() -> None:
    one = written_out({"control": {}, "b": {"model": "m/b"}, "a": {"model": "m/a"}})
    two = written_out({"a": {"model": "m/a"}, "b": {"model": "m/b"}, "control": {}})
    assert config_hash(one) == config_hash(two)
    assert slugs(one) == slugs(two)


@pytest.mark.parametrize(
    ("arms", "changes", "where", "message"),
    [
        ({"control": {}}, {}, "arms", "one arm"),
        ({"a": {}, "b": {"model": "m"}}, {}, "arms", "no arm is named control"),
        ({"control": {}, "cheap": {"model": "m"}}, {"contrasts": [["control", "cheep"]]}, "contrasts.0", "there is no arm 'cheep'"),
        ({"control": {}, "b": {"model": "m"}}, {"contrasts": [["b", "b"]]}, "contrasts.0", "with itself"),
        ({"control": {}, "b": {"model": "m"}}, {"contrasts": [["b", "control"], ["control", "b"]]}, "contrasts.1", "twice"),
        ({"control": {}, "b": {"model": "m"}, "c": {"model": "n"}}, {"contrasts": [["b", "control"]]}, "contrasts", "no contrast has the arm 'c'"),
        ({"control": {}, "b": {"model": "m"}}, {"sweep": {"temps": [0.0]}}, "sweep", "goes with prompt_sets"),
        ({"control": {}, "b": {"model": "m"}}, {"system": None}, "arms.control", "has no system prompt"),
        ({"control": {}, "b": {"temperature": 0.5}}, {"temps": [0.0, 1.0]}, "arms.b.temperature", "of its own"),
        ({"control": {}, "b": {"model": "m"}}, {"samples_per_item": {"0.0": 2}}, "samples_per_item", "equally often"),
        ({"control": {}, "b": {"model": "o3"}}, {}, "arms.b", "o3 refuses temperature"),
        ({"control": {}, "b": {"system": text_of("x", "Say {{name}}.")}}, {}, "arms.b.system", "{{name}}"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(arms: dict[str, Any], changes: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        check(written_out(arms, **changes))
    assert message in raised.value.what
    assert raised.value.where == where
    assert raised.value.hint


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("arms: {control: {}, b: {modle: x}}", "did you mean 'model'?"),
        ("arms: {control: {}, b: {model: x}}\ncontrasts: al_pairs", "did you mean all_pairs"),
        ("arms: {control: {}, b: {model: x}}\ncontrasts: [[control]]", "names two arms"),
        ("arms: {control: {}, bee: {model: x}}\ncontrasts: [[control, be]]", "did you mean 'bee'?"),
        ("arms: {control: {}, b: {backend: opnai}}", "arms.b.backend"),
        ("arms: {control: {}, b: {max_tokens: 0}}", "arms.b.max_tokens"),
        ("prompt_sets: {}", "neither is there"),
    ],
)
def test_a_file_with_a_slip_names_file_line_and_what_was_meant(tmp_path: Path, tree: str, message: str) -> None:
    for name in ("open", "closed", "system"):
        (tmp_path / f"{name}.txt").write_text("Do it.\n")
    path = tmp_path / "trial.yaml"
    head = "model_id: m\nbackend: openai\nsystem: system.txt\ntask_instructions: {open_book: open.txt, closed_book: closed.txt}\n"
    path.write_text(f"{head}datasets: [{{name: bundled_open, source: bundled}}]\n{tree}\n")
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert message in str(raised.value)
    assert "trial.yaml" in str(raised.value)


def test_equal_arms_are_a_note() -> None:
    given = written_out({"control": {}, "same": {"model": "gpt-4.1"}})
    assert any("same request" in note for note in notes(given, expand(given, ITEMS)))


def test_what_differs_is_told_field_by_field_and_texts_by_word() -> None:
    long = " ".join(f"word{k}" for k in range(40))
    given = written_out(
        {"control": {"system": text_of("c", f"{long} Answer briefly.")}, "b": {"system": text_of("b", f"{long} Answer at length."), "body": {"n": 1}}}
    )
    (trial,) = expand(given, ITEMS)
    told = [one.sentence for one in arm_differences(*trial.arms)]
    assert told == ["body.n: not sent -> 1", "system: ... word37 word38 word39 Answer [-briefly.-] {+at length.+}"]
    words = arm_differences(*trial.arms)[1].words
    assert "".join(run.text for run in words if run.kind != "added") == f"{long} Answer briefly."
    assert "".join(run.text for run in words if run.kind != "removed") == f"{long} Answer at length."


def test_texts_of_a_million_words_are_not_compared_word_by_word() -> None:
    given = written_out({"control": {}, "b": {"system": text_of("b", "word " * 10**6)}})
    (trial,) = expand(given, ITEMS)
    assert [one.sentence for one in arm_differences(*trial.arms)] == ["system: 7 characters -> 5,000,000 other characters"]
