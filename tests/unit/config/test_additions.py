"""Further arms and judges from a file of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.phases.world import config, text_of

from batchtrial.config.additions import with_arms, with_judges
from batchtrial.config.contrasts import pairs
from batchtrial.config.model import Config
from batchtrial.errors import ConfigError

SETS = [{"name": "reading", "source": "file", "path": "questions.jsonl"}]


def armed(contrasts: object = "vs_control") -> Config:
    arms = {name: {"system": text_of(name, f"You are {name}.")} for name in ("control", "careful")}
    return config(SETS, prompt_sets={}, arms=arms, contrasts=contrasts)


def changed(given: Config, changes: dict[str, object]) -> Config:
    return Config.model_validate(given.model_dump(mode="json") | changes)


@pytest.mark.parametrize("heading", ["", "arms:\n  "])
def test_a_further_arm_is_compared_and_its_text_lies_beside_the_file(tmp_path: Path, heading: str) -> None:
    (tmp_path / "terse.txt").write_text("Be terse.")
    (tmp_path / "more.yaml").write_text(f"{heading}terse: {{system: terse.txt}}\n")
    after = changed(armed(), with_arms(armed(), tmp_path / "more.yaml"))
    assert after.arms["terse"].system is not None
    assert after.arms["terse"].system.text == "Be terse.\n"
    assert pairs(after) == (("control", "careful"), ("control", "terse"))
    listed = armed([["control", "careful"]])
    assert pairs(changed(listed, with_arms(listed, tmp_path / "more.yaml"))) == (("control", "careful"), ("control", "terse"))


def test_further_judges_stand_behind_those_that_there_are(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text("{name: tone, rubric: tone}")
    one = changed(armed(), with_judges(armed(), tmp_path / "one.yaml"))
    (tmp_path / "two.yaml").write_text("judges:\n  - {name: right, rubric: factual}\n")
    assert [judge.name for judge in changed(one, with_judges(one, tmp_path / "two.yaml")).judges] == ["tone", "right"]
    with pytest.raises(ConfigError, match="has a judge 'tone'"):
        with_judges(one, tmp_path / "one.yaml")


@pytest.mark.parametrize("text", ["right: {rubric: factual}", "name: right", "[1]", "[]"])
def test_what_is_no_further_judge_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "more.yaml").write_text(text)
    with pytest.raises(ConfigError, match="each with a `name` and a `rubric`") as refused:
        with_judges(armed(), tmp_path / "more.yaml")
    assert refused.value.where == str(tmp_path / "more.yaml")


@pytest.mark.parametrize(("rubric", "hint"), [("factul", "did you mean factual?"), ("zzz.txt", "rubrics with a name are follows_instructions")])
def test_a_rubric_that_is_neither_a_name_nor_a_file_is_told_with_the_names_that_there_are(tmp_path: Path, rubric: str, hint: str) -> None:
    (tmp_path / "more.yaml").write_text(f"{{name: right, rubric: {rubric}}}")
    with pytest.raises(ConfigError, match=f"there is no file {rubric}") as refused:
        with_judges(armed(), tmp_path / "more.yaml")
    assert hint in (refused.value.hint or "")


@pytest.mark.parametrize("text", ["careful: {system: c.txt}", "[1, 2]", "{}"])
def test_what_is_no_further_arm_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.txt").write_text("c")
    (tmp_path / "more.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"has an arm 'careful'|arms are a mapping"):
        with_arms(armed(), tmp_path / "more.yaml")
    with pytest.raises(ConfigError, match="there is no file"):
        with_judges(armed(), tmp_path / "absent.yaml")
