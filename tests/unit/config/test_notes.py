"""What plan and run say about a config before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.config.configs import loaded, tree, write

from batchtrial.cli.commands.run import main
from batchtrial.config.expand import expand
from batchtrial.config.notes import notes


def said(tmp_path: Path, **changes: Any) -> tuple[str, ...]:
    config = loaded(tmp_path, yaml.safe_dump(tree() | {"provider": {"despite_pause": True}} | changes)).config
    return notes(config, expand(config, ""))


def test_an_ordinary_config_needs_no_word(tmp_path: Path) -> None:
    assert said(tmp_path) == ()


def test_equal_conditions_are_said(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "same.txt").write_bytes(b"\xef\xbb\xbfThe control text.\r\n\r\n")
    sets = {"a": {"control": "control.txt", "treatment": "same.txt"}}
    (note,) = said(tmp_path, prompt_sets=sets)
    assert "control and treatment of model-a are the same request" in note
    different = {"system": "same.txt", "instruction": {"open_book": "closed.txt", "closed_book": "closed.txt"}}
    assert said(tmp_path, prompt_sets={"a": {"control": "control.txt", "treatment": different}}) == ()


def test_one_condition_alone_is_not_compared(tmp_path: Path) -> None:
    assert said(tmp_path, prompt_sets={"a": {"control": "control.txt", "treatment": "control.txt"}}, conditions=["treatment"]) == ()


def test_arms_that_trials_share_are_bought_once_and_so_nothing_is_said(tmp_path: Path) -> None:
    one, other = {"control": "control.txt", "treatment": "treatment.txt"}, {"control": "control.txt", "treatment": "open.txt"}
    sweep = {"prompt_sets": ["a", "b"]}
    assert said(tmp_path, prompt_sets={"a": one, "b": other}, sweep=sweep) == ()
    assert said(tmp_path, prompt_sets={"a": one, "b": one}, sweep=sweep) == ()
    turned = {"control": "treatment.txt", "treatment": "open.txt"}
    assert said(tmp_path, prompt_sets={"a": one, "b": turned}, sweep=sweep) == ()


def test_prompt_sets_that_nobody_chose_between_are_said(tmp_path: Path) -> None:
    one, other = {"control": "control.txt", "treatment": "treatment.txt"}, {"control": "control.txt", "treatment": "open.txt"}
    sets = {"prompt_sets": {"b": one, "a": other, "c": other}}
    (note,) = said(tmp_path, **sets)
    assert note.startswith("only the prompt set a, the first by name, is tried, not b, c: `sweep.prompt_sets` or --prompt_sets names all")
    assert said(tmp_path, **sets, default_prompt_set="b") == ()
    assert said(tmp_path, **sets, sweep={"prompt_sets": ["a", "b"]}) == ()
    assert said(tmp_path, **sets, trials=[{"prompt_set": "c"}]) == ()


def test_a_column_in_single_braces_is_said(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "open.txt").write_text("Read.\nAnswer {question} from {context}.\n")
    (note,) = said(tmp_path)
    assert note.startswith("open.txt, line 2: {question} is sent as it stands")
    for mark in (
        *("${question}", "{Question}", "%(context)s", "{% if context %}", "$question", "#{question}", "<%= question %>", "{{{question}}}"),
        *("<question>", "<<question>>", "[[question]]", "[QUESTION]", "__question__", "<Context>"),
    ):
        (tmp_path / "open.txt").write_text(f"Answer {mark}.\n")
        assert f"{mark} is sent as it stands" in said(tmp_path)[0]
    for text in (
        'Answer as {"answer": "..."}, or {{context}}, or \\emph{question}.',
        "The passage stands between <passage> and </passage>, the question in <question> tags.",
        "Write <answer>, then [[answer]]; it costs $5, \\$question and a$question are text; a [passage is no mark], nor is __questions__.",
    ):
        (tmp_path / "open.txt").write_text(text + "\n")
        assert said(tmp_path, template_marks="text") == (), text


@pytest.mark.parametrize(
    ("backend", "url", "why"),
    [
        ("openai", "http://127.0.0.1:9", "lie under /v1"),
        ("openai", "http://127.0.0.1:9/", "lie under /v1"),
        ("openai", "http://127.0.0.1:9/v1", ""),
        ("openai", "https://host.example/openai/v1/", ""),
        ("anthropic", "http://127.0.0.1:9", ""),
        ("anthropic", "http://127.0.0.1:9/v1/", "leave it out"),
        ("anthropic", "http://127.0.0.1:9/anthropic", ""),
        ("fireworks", "http://127.0.0.1:9", ""),
        ("local", "http://127.0.0.1:9", ""),
    ],
)
def test_an_address_that_leads_beside_the_api_is_said(tmp_path: Path, backend: str, url: str, why: str) -> None:
    found = [note for note in said(tmp_path, backend=backend, provider={"base_url": url}) if "base_url" in note]
    assert len(found) == bool(why)
    assert why in " ".join(found)


def test_a_temperature_that_is_not_sent_is_called_a_label(tmp_path: Path) -> None:
    (note,) = said(tmp_path, backend="openai", model_id="gpt-5-mini", provider={"sampling": "omit"})
    assert "temperature 0 of gpt-5-mini-default is a label" in note
    (note,) = said(tmp_path, backend="openai", model_id="gpt-5-mini", provider={"accepts": ["temperature"]})
    assert "`provider.accepts` overrules it" in note


def test_plan_and_run_say_the_same(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    path = write(tmp_path, yaml.safe_dump(tree() | {"prompt_sets": {"a": {"control": "control.txt", "treatment": "control.txt"}}}))
    monkeypatch.chdir(tmp_path)
    told = "control and treatment of model-a are the same request"
    assert main(["--config", str(path), "--plan_only"]) == 0
    assert told in capsys.readouterr().out
    assert main(["--config", str(path), "--dry_run", "--run_id", "r", "--to_step", "prepare"]) == 0
    assert told in capsys.readouterr().err


def test_a_level_at_which_hardly_anything_is_shown_is_said(tmp_path: Path) -> None:
    assert said(tmp_path, stats={"alpha": 0.1}) == ()
    (note,) = said(tmp_path, stats={"alpha": 0.15})
    assert note.startswith("stats.alpha is 0.15: so often may a claim be false")


@pytest.mark.parametrize(
    ("task", "note"),
    [
        ({"user": "Sort {{ text }} for\n${COMPANY}."}, "task.messages.0, line 2: ${COMPANY} is sent as it stands; a template fills in"),
        ({"user": "{% if text %}\nSort {question}: {{ text }}{% endif %}"}, "task.messages.0, line 2: {question} is sent as it stands"),
        ({"messages": [{"role": "user", "text": "Sort {{ text }}."}]}, "task.messages.0, line 1: {{ text }} is sent as it stands; text is sent byte"),
        ({"user": "It costs ${{ price }} or $5: {{ text }} {# {question} #}"}, None),
        ({"messages": [{"role": "user", "text": 'Sort {"a": {"b": 1}}.'}]}, None),
    ],
)
def test_what_a_task_does_not_fill_in_is_said(task: dict[str, Any], note: str | None, tmp_path: Path) -> None:
    found = said(tmp_path, task=task)
    assert len(found) == (note is not None)
    assert note is None or found[0].startswith(note)


def test_a_mark_in_the_system_prompt_of_a_task_is_said(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "control.txt").write_text("Answer {question}.\n")
    assert (
        said(tmp_path, task={"user": "{{ text }}"})[0]
        == "control.txt, line 1: {question} is sent as it stands; only a task's templates fill in columns"
    )
