"""From YAML, environment and flags to one config: one precedence, one canonical form, errors that say where and what instead."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from batchtrial.config.load import Loaded, config_hash, decode, drift, encode, flatten, load
from batchtrial.config.model import Answers
from batchtrial.errors import ConfigError

TEXT = """
backend: fireworks
model_id: some/model
temps: [0.0]
datasets: [{name: bundled_open, source: bundled}]
task_instructions: {open_book: open.txt, closed_book: closed.txt}
prompt_sets:
  default: {control: control.txt, treatment: treatment.txt}
submission: {max_concurrent_jobs: 4}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("open", "closed", "control", "treatment"):
        (tmp_path / f"{name}.txt").write_text(f"The {name} text.\n")
    (tmp_path / "config.yaml").write_text(TEXT)
    return tmp_path


def loaded(folder: Path, text: str = TEXT, *, flags: dict[str, Any] | None = None, env: dict[str, str] | None = None) -> Loaded:
    (folder / "config.yaml").write_text(text)
    return load(folder / "config.yaml", flags=flags or {}, env=env or {})


def refused(folder: Path, text: str, *, flags: dict[str, Any] | None = None, env: dict[str, str] | None = None) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, flags=flags, env=env)
    assert caught.value.exit_code == 2
    return caught.value


# Precedence


def test_flag_beats_environment_beats_file_beats_default(folder: Path) -> None:
    env = {"BATCHTRIAL_MAX_CONCURRENT_JOBS": "5", "BATCHTRIAL_SEED": "99"}
    got = loaded(folder, flags={"submission.max_concurrent_jobs": 6}, env=env)
    assert got.config.submission.max_concurrent_jobs == 6
    assert got.config.seed == 99
    assert got.config.model_id == "some/model"
    assert got.config.submission.poll_seconds == 30.0
    assert got.origin["submission.max_concurrent_jobs"] == "flag"
    assert got.origin["seed"] == "BATCHTRIAL_SEED"
    assert got.origin["model_id"] == "file"
    assert "submission.poll_seconds" not in got.origin


def test_an_empty_variable_is_none(folder: Path) -> None:
    assert loaded(folder, env={"BATCHTRIAL_MODEL_ID": ""}).config.model_id == "some/model"


def test_a_variable_with_a_value_of_the_wrong_kind_is_refused(folder: Path) -> None:
    assert "submission.max_concurrent_jobs" in refused(folder, TEXT, env={"BATCHTRIAL_MAX_CONCURRENT_JOBS": "many"}).what


# Canonical form


def test_the_canonical_form_reads_back_as_the_same_config(folder: Path) -> None:
    config = loaded(folder).config
    text = encode(config)
    again = decode(text.decode(), where="x", folder=folder / "elsewhere", flags={}, env={}).config
    assert again == config
    assert encode(again) == text
    assert config_hash(config) == hashlib.sha256(text).hexdigest()


def test_the_canonical_bytes_are_kept_for_one_config_and_no_other(folder: Path) -> None:
    first = loaded(folder).config
    other = first.model_copy(update={"seed": first.seed + 1})
    texts = [encode(config) for config in (first, other, first)]
    assert texts[0] == texts[2] != texts[1]
    assert [yaml.safe_load(text)["seed"] for text in texts] == [first.seed, other.seed, first.seed]


def test_order_and_style_of_the_file_do_not_change_the_hash(folder: Path) -> None:
    first = config_hash(loaded(folder).config)
    lines = TEXT.strip().splitlines()
    turned = "\n".join([lines[-1], *lines[:-1]]).replace("temps: [0.0]", "temps:\n  - 0.0")
    assert config_hash(loaded(folder, turned).config) == first


def test_the_hash_covers_the_texts_of_prompts(folder: Path) -> None:
    first = config_hash(loaded(folder).config)
    (folder / "treatment.txt").write_text("Another treatment.\n")
    assert config_hash(loaded(folder).config) != first


def test_a_run_needs_no_prompt_file_any_more(folder: Path) -> None:
    text = encode(loaded(folder).config).decode()
    for path in folder.glob("*.txt"):
        path.unlink()
    config = decode(text, where="x", folder=folder, flags={}, env={}).config
    assert config.prompt_sets["default"].treatment.system.text == "The treatment text.\n"


def test_windows_line_ends_are_no_other_prompt(folder: Path) -> None:
    first = config_hash(loaded(folder).config)
    (folder / "control.txt").write_bytes(b"The control text.\r\n")
    assert config_hash(loaded(folder).config) == first


def test_absolute_prompt_paths_do_not_tell_where_they_lay(folder: Path) -> None:
    config = loaded(folder, TEXT.replace("control.txt", str(folder / "control.txt"))).config
    assert config.prompt_sets["default"].control.system.path == "control.txt"


# Errors


def test_an_unknown_key_names_the_nearest_one(folder: Path) -> None:
    error = refused(folder, TEXT + "limit_itens: 5\n")
    assert "limit_itens" in error.what
    assert "5" in error.what
    assert "limit_items" in error.hint
    assert error.where.endswith("config.yaml, line 10: limit_itens")


def test_an_unknown_key_deep_down_names_its_path(folder: Path) -> None:
    error = refused(folder, TEXT.replace("max_concurrent_jobs: 4", "max_concurrent_job: 4"))
    assert "submission.max_concurrent_job" in error.what
    assert "max_concurrent_jobs" in error.hint


def test_a_key_far_from_any_lists_what_is_valid(folder: Path) -> None:
    assert "lines_per_part" in refused(folder, TEXT.replace("max_concurrent_jobs", "zzz")).hint


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("temps: [0.0]", "temps: []", "temps"),
        ("temps: [0.0]", "temps: [3.0]", "temps"),
        ("temps: [0.0]", "temps: warm", "temps: it should be a list"),
        ("submission: {max_concurrent_jobs: 4}", "submission: 4", "submission: it should be a mapping of settings"),
        ("max_concurrent_jobs: 4", "max_concurrent_jobs: 1.5", "submission.max_concurrent_jobs: it should be a whole number"),
        ("max_concurrent_jobs: 4", "max_concurrent_jobs: 0", "submission.max_concurrent_jobs: it should be at least 1"),
        ("max_concurrent_jobs: 4", "lines_per_part: 0", "submission.lines_per_part: it should be at least 1"),
        ("max_concurrent_jobs: 4}", "max_concurrent_jobs: 4}\nprovider: {queue: {enqueued_tokens: 0}}", "provider.queue.enqueued_tokens: it should"),
        ("max_concurrent_jobs: 4", "budget_usd: .inf", "submission.budget_usd"),
        ("max_concurrent_jobs: 4", "give_up_hours: .nan", "submission.give_up_hours"),
        ("backend: fireworks", "backend: waterworks", "backend"),
        ("model_id: some/model", "model_id: ''", "model_id"),
        ("model_id: some/model\n", "", "model_id"),
        ("  default: {control: control.txt, treatment: treatment.txt}", "  {}", "prompt_sets"),
        ("datasets: [{name: bundled_open, source: bundled}]", "datasets: []", "datasets"),
        ("{name: bundled_open, source: bundled}", "{name: x, source: bundled}", "no bundled question set 'x'"),
        ("{name: bundled_open, source: bundled}", "{name: x, source: file}", "needs a `path`"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(folder: Path, old: str, new: str, told: str) -> None:
    assert old in TEXT
    assert told in refused(folder, TEXT.replace(old, new)).what


def test_a_prompt_file_that_is_not_there_names_the_nearest_one(folder: Path) -> None:
    error = refused(folder, TEXT.replace("treatment.txt", "treatmnet.txt"))
    assert "treatmnet.txt" in error.what
    assert "treatment.txt" in error.hint
    assert "prompt_sets.default.treatment.system" in error.where


@pytest.mark.parametrize(("data", "told"), [(b"", "is empty"), (b"  \n", "is empty"), (b"\xff\xfe", "not UTF-8")])
def test_a_prompt_file_without_a_prompt_is_refused(folder: Path, data: bytes, told: str) -> None:
    (folder / "control.txt").write_bytes(data)
    assert told in refused(folder, TEXT).what


def test_the_same_key_twice_is_refused_with_its_line(folder: Path) -> None:
    error = refused(folder, TEXT + "model_id: other\n")
    assert "'model_id' stands twice" in error.what
    assert "line 10" in error.where


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words", "a: [1, 2", "\t: x", "a: !!python/object/apply:os.system ['true']"])
def test_what_is_no_mapping_or_no_yaml_is_refused(folder: Path, text: str) -> None:
    assert "config.yaml" in refused(folder, text).where


def test_a_config_that_is_not_there_or_not_text_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError, match="there is no config file"):
        load(folder / "nothing.yaml")
    (folder / "config.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-16"):
        load(folder / "config.yaml")


@pytest.mark.parametrize("where", ["default_prompt_set: nobody", "sweep: {prompt_sets: [nobody]}", "trials: [{prompt_set: nobody}]"])
def test_a_prompt_set_that_is_not_defined_is_named_with_those_that_are(folder: Path, where: str) -> None:
    error = refused(folder, f"{TEXT}{where}\n")
    assert "'nobody' is not defined" in error.what
    assert "default" in error.what


def test_a_key_is_no_config(folder: Path) -> None:
    assert "api_key" in refused(folder, TEXT + "provider: {api_key: sk-0123456789}\n").what


# Drift


def test_drift_names_changed_keys_with_both_values(folder: Path) -> None:
    old = loaded(folder).config
    new = loaded(folder, TEXT.replace("temps: [0.0]", "temps: [0.7]\nseed: 4")).config
    assert drift(old, new) == {"seed": "1337 -> 4", "temps": "[0.0] -> [0.7]"}
    assert drift(old, old) == {}


def test_a_long_text_is_told_by_its_beginning_and_its_sum(folder: Path) -> None:
    old = loaded(folder).config
    (folder / "control.txt").write_text("word " * 40)
    changed = drift(old, loaded(folder).config)
    (told,) = changed.values()
    assert list(changed) == ["prompt_sets.default.control.system.text"]
    assert "sha256" in told
    assert len(told) < 200


def test_what_shapes_the_requests_is_drift_and_how_they_are_sent_is_not(folder: Path) -> None:
    old = loaded(folder).config
    assert drift(old, loaded(folder, flags={"submission.poll_seconds": 1.0, "submission.budget_usd": 3.0}).config) == {}
    assert list(drift(old, loaded(folder, flags={"submission.lines_per_part": 10}).config)) == ["submission.lines_per_part"]


def test_where_a_question_file_lies_is_not_what_it_holds(folder: Path) -> None:
    def with_path(path: str) -> str:
        return TEXT.replace("{name: bundled_open, source: bundled}", f"{{name: mine, source: file, path: {path}}}")

    assert drift(loaded(folder, with_path("a.jsonl")).config, loaded(folder, with_path("b/a.jsonl")).config) == {}


def test_flatten_reaches_into_lists_of_mappings() -> None:
    assert dict(flatten({"a": {"b": 1}, "c": [{"d": 2}, {"d": 3}], "e": [4, 5], "f": {}})) == {"a.b": 1, "c.0.d": 2, "c.1.d": 3, "e": [4, 5], "f": {}}


@pytest.mark.parametrize(("phrases", "fine"), [(["weiß ich nicht", "das steht nicht im *"], True), (["*"], False), (["..."], False), ([""], False)])
def test_a_phrase_that_would_take_any_answer_for_an_abstention_is_refused(phrases: list[str], fine: bool) -> None:
    if fine:
        assert Answers.model_validate({"abstention_phrases": phrases}).abstention_phrases == tuple(phrases)
    else:
        with pytest.raises(ValidationError, match="any answer"):
            Answers.model_validate({"abstention_phrases": phrases})
