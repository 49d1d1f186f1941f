"""Tasks in a config: what is text and what is template, which arm asks what, and what is refused before anything is read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from batchtrial.config.arm_differences import arm_differences
from batchtrial.config.expand import arms_of, expand
from batchtrial.config.load import Loaded, decode, encode, load
from batchtrial.errors import ConfigError
from batchtrial.records import Item

BRACES = "{ {{ name }} {% if %} $HOME ${X} $${Y}\n"
ITEM = Item(dataset="d", item_id="1", kind="closed", question="q", answers=(), columns={"name": "Ada"})


def loaded(folder: Path, task: Any, prompts: Any = None, **more: Any) -> Loaded:
    for name, text in {"c.txt": "Be brief.\n", "t.txt": "Be kind.\n", "user.txt": "Hi {{ name }}\n", "braces.txt": BRACES}.items():
        (folder / name).write_text(text)
    (folder / "schema.json").write_text('{"type": "object", "properties": {}, "required": [], "additionalProperties": false}')
    tree = {
        "backend": "openai",
        "model_id": "gpt-4.1",
        "datasets": [{"name": "d", "source": "file", "path": "d.jsonl"}],
        **({} if task is None else {"task": task}),
        "prompt_sets": {"p": prompts or {"control": "c.txt", "treatment": "t.txt"}},
    }
    path = folder / "trial.yaml"
    path.write_text(json.dumps(tree | more))
    return load(path)


def refused(folder: Path, task: Any, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, task, **more)
    return str(caught.value)


def asked(got: Loaded) -> list[tuple[str, str]]:
    return [(request.system, request.turns[-1].text) for arm in arms_of(expand(got.config, "")) for request in [arm.request(ITEM, "x")]]


@pytest.mark.parametrize("task", [{"user": "user.txt"}, {"user": "Hi {{ name }}"}, {"messages": [{"role": "user", "file": "user.txt"}]}])
def test_a_user_turn_from_a_file_or_written_there(tmp_path: Path, task: Any) -> None:
    assert asked(loaded(tmp_path, task)) == [("Be brief.\n", "Hi Ada"), ("Be kind.\n", "Hi Ada")]


@pytest.mark.parametrize(
    ("task", "where", "near"),
    [
        ({"usr": "user.txt"}, "task.usr", "user"),
        ({"mesages": [{"role": "user", "file": "user.txt"}]}, "task.mesages", "messages"),
        ({"user": "user.txt", "exampels": []}, "task.exampels", "examples"),
        ({"messages": [{"role": "user", "flie": "user.txt"}]}, "task.messages.0.flie", "file"),
        ({"messages": [{"role": "user", "file": "user.txt"}], "examples": [{"usr": "x", "assistant": "y"}]}, "task.examples.0.usr", "user"),
    ],
)
def test_a_misspelt_key_is_named_with_the_nearest_not_the_key_that_it_leaves_out(tmp_path: Path, task: Any, where: str, near: str) -> None:
    said = refused(tmp_path, task)
    assert f"unknown key {where!r}" in said
    assert f"did you mean {near!r}?" in said


@pytest.mark.parametrize("turn", [{"text": BRACES}, {"text_file": "braces.txt"}])
def test_declared_text_stays_as_it_is_and_a_recorded_config_gives_it_again(tmp_path: Path, turn: Any) -> None:
    got = loaded(tmp_path, {"messages": [{"role": "user", **turn}]})
    assert asked(got)[0][1] == BRACES
    again = decode(encode(got.config).decode(), where="effective", folder=tmp_path / "elsewhere", flags={}, env={})
    assert again.config == got.config
    assert [arm.key for arm in arms_of(expand(again.config, ""))] == [arm.key for arm in arms_of(expand(got.config, ""))]


ODD = b"\n\n { {{ name }} {% if %} $HOME \r\n\t\rend  \n\n"


@pytest.mark.parametrize("place", ["prompt set", "arm", "run", "turn"])
def test_no_byte_of_a_declared_text_changes_on_its_way(place: str, tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_bytes(b"\xef\xbb\xbf" + ODD)
    task: dict[str, Any] = {"user": "Hi {{ name }}"}
    more: dict[str, Any] = {"template_marks": "text"}
    if place == "turn":
        got = loaded(tmp_path, {"messages": [{"role": "user", "text_file": "odd.txt"}]}, **more)
    elif place == "prompt set":
        got = loaded(tmp_path, task, {"control": "odd.txt", "treatment": "t.txt"}, **more)
    elif place == "arm":
        arms = {"control": {"system": "odd.txt", "task": task}, "other": {"task": task}}
        got = loaded(tmp_path, None, prompt_sets={}, arms=arms, **more)
    else:
        got = loaded(tmp_path, task, prompt_sets={}, system="odd.txt", arms={"control": {}, "other": {"max_tokens": 9}}, **more)
    again = decode(encode(got.config).decode(), where="effective", folder=tmp_path / "elsewhere", flags={}, env={})
    for one in (got, again):
        system, user = asked(one)[0]
        assert (user if place == "turn" else system).encode() == ODD


def test_where_questions_are_asked_blank_lines_around_a_prompt_are_taken_off(tmp_path: Path) -> None:
    (tmp_path / "odd.txt").write_bytes(ODD)
    (tmp_path / "i.txt").write_text("Answer.")
    more = {"task_instructions": {"open_book": "i.txt", "closed_book": "i.txt"}, "template_marks": "text"}
    got = loaded(tmp_path, None, {"control": "odd.txt", "treatment": "t.txt"}, **more)
    assert got.config.prompt_sets["p"].control.system is not None
    assert got.config.prompt_sets["p"].control.system.text == " { {{ name }} {% if %} $HOME \n\t\nend  \n"


def test_a_condition_may_have_a_task_of_its_own_and_the_difference_is_shown(tmp_path: Path) -> None:
    prompts = {"control": {"task": {"user": "Hi {{ name }}"}}, "treatment": {"task": {"user": "Hello {{ name }}"}}}
    got = loaded(tmp_path, None, prompts)
    assert asked(got) == [("", "Hi Ada"), ("", "Hello Ada")]
    control, treatment = arms_of(expand(got.config, ""))
    assert control.key != treatment.key
    assert [one.sentence for one in arm_differences(control, treatment)] == ["task.user.0: [-Hi-] {+Hello+} {{ name }}"]


def test_arms_that_are_written_out_take_tasks_too(tmp_path: Path) -> None:
    arms = {"control": {"task": {"user": "Hi {{ name }}"}}, "other": {"task": {"user": "Hey {{ name }}"}}}
    assert asked(loaded(tmp_path, None, None, prompt_sets={}, arms=arms)) == [("", "Hi Ada"), ("", "Hey Ada")]


def test_few_shot_examples_stand_between_the_system_turns_and_the_item(tmp_path: Path) -> None:
    task = {
        "messages": [{"role": "system", "text": "Be kind."}, {"role": "user", "template": "{{ name }}"}],
        "examples": [{"user": "{{ a }}", "assistant": "A"}],
    }
    request = arms_of(expand(loaded(tmp_path, task).config, ""))[0].request(ITEM, "x")
    assert request.system == "Be brief.\n\n\nBe kind."
    assert [(turn.role, turn.text) for turn in request.turns] == [("user", "{{ a }}"), ("assistant", "A"), ("user", "Ada")]


def test_a_schema_from_a_file_and_tools(tmp_path: Path) -> None:
    task = {
        "user": "{{ name }}",
        "response_format": {"json_schema": "schema.json"},
        "tools": [{"name": "look", "parameters": {"type": "object"}}],
        "tool_choice": "look",
    }
    request = arms_of(expand(loaded(tmp_path, task).config, ""))[0].request(ITEM, "x")
    assert request.response_format is not None
    assert request.response_format["schema"]["type"] == "object"
    assert (request.tools[0]["name"], request.tool_choice) == ("look", "look")


def test_qa_is_what_is_asked_without_a_task(tmp_path: Path) -> None:
    qa = {"task_instructions": {"open_book": "c.txt", "closed_book": "c.txt"}}
    assert encode(loaded(tmp_path, "qa", **qa).config) == encode(loaded(tmp_path, None, **qa).config)
    assert b"task:" not in encode(loaded(tmp_path, None, **qa).config)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"user": "usr.txt"}, ("there is no file usr.txt", "user.txt")),
        ({"user": "a\n{{ name"}, ("task.messages.0, line 2", "text_file")),
        ({"user": "{{ name.upper() }}"}, ("only range(...) can be called",)),
        ({"messages": [{"role": "user"}]}, ("exactly one of",)),
        ({"messages": [{"role": "user", "text": "a", "template": "b"}]}, ("exactly one of",)),
        ({"messages": [{"template": "b"}]}, ("a turn needs a role",)),
        ({"messages": [{"role": "system", "text": "a", "image": "pic"}]}, ("only a user turn has an image",)),
        ({"messages": [{"role": "robot", "text": "a"}]}, ("task.messages.0.role",)),
        ({"messages": []}, ("task.messages",)),
        ({"user": "{{ a }}", "tolls": []}, ("did you mean 'tools'?",)),
        ({"user": "{{ a }}", "response_format": {"json_schema": {"type": "array"}}}, ("type: object",)),
        ({"user": "{{ a }}", "response_format": {"json_schema": {"type": "object"}}}, ("additionalProperties", "strict: false")),
        ({"user": "{{ a }}", "tools": [{"name": "a b", "parameters": {}}]}, ("1 to 64 letters",)),
        ({"user": "{{ a }}", "tool_choice": "look"}, ("there is no tool 'look'",)),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, task: Any, words: tuple[str, ...]) -> None:
    said = refused(tmp_path, task)
    assert all(word in said for word in words), said


def test_a_question_under_an_instruction_needs_a_system_prompt(tmp_path: Path) -> None:
    qa = {"task_instructions": {"open_book": "c.txt", "closed_book": "c.txt"}}
    said = refused(tmp_path, None, prompts={"control": {}, "treatment": "t.txt"}, **qa)
    assert "prompt_sets.p.control.system is not set" in said
