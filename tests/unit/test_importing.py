"""promptfoo configs made ours: what can be taken over runs, what cannot is named with its line, and nothing outside the folder is touched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.docs.pages import ROOT

from batchtrial.cli.main import main
from batchtrial.config.load import load
from batchtrial.errors import ConfigError
from batchtrial.importing.cases import expected
from batchtrial.importing.convert import convert
from batchtrial.tasks.template import Template

SAMPLE = ROOT / "tests" / "fixtures" / "promptfoo"
MINIMAL: dict[str, Any] = {
    "prompts": ["Sort {{letter}}", "Please sort {{letter}}"],
    "providers": ["openai:gpt-4.1"],
    "tests": [{"vars": {"letter": "a"}}],
}


def written(folder: Path, **changes: Any) -> Path:
    """A promptfoo config."""
    path = folder / "promptfooconfig.yaml"
    path.write_text(yaml.safe_dump(MINIMAL | changes, sort_keys=False, allow_unicode=True))
    return path


def made(folder: Path, **changes: Any) -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """(the config, what was left, the files) of a promptfoo config."""
    found = convert(written(folder, **changes))
    return yaml.safe_load(found.files["trial.yaml"]), [str(one) for one in found.left], dict(found.files)


def metrics_of(folder: Path, *asserts: Any) -> list[Any]:
    """Metrics of one test with these assertions."""
    return list(made(folder, tests=[{"vars": {"letter": "a"}, "assert": list(asserts)}])[0]["metrics"])


def test_the_sample_becomes_a_trial_and_every_gap_is_named_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["import_config", str(SAMPLE / "promptfooconfig.yaml"), "--out", "here", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["arms"] == ["plain-small", "careful-small", "plain-claude-haiku-4-5", "careful-claude-haiku-4-5"]
    assert told["items"] == 5
    places = {one["where"]: one["what"] for one in told["left"] if not one["is_near"]}
    assert {where.partition(": ")[0] for where in places} == {
        *("promptfooconfig.yaml, line 53", "promptfooconfig.yaml, line 7", "promptfooconfig.yaml, line 14", "promptfooconfig.yaml, line 16"),
        *("promptfooconfig.yaml, line 45", "tests.csv, line 3"),
    }
    assert any(one["is_near"] and one["where"].startswith("promptfooconfig.yaml, line 26") for one in told["left"])
    config = load(Path("here/trial.yaml")).config
    assert [(judge.kind, judge.rubric.text) for judge in config.judges] == [("yes_no", "Does the answer meet this?\n\n{{ expected_judge }}\n")]
    assert set(config.arms) == set(told["arms"])
    assert {arm.backend for arm in config.arms.values()} == {"openai", "anthropic"}
    assert config.stats.primary.metric == "exact"
    everything = "".join(path.read_text() for path in Path("here").rglob("*") if path.is_file())
    assert "sk-not-a-real-key" not in everything
    assert main(["try", "--config", "here/trial.yaml", "--json"]) == 0
    arms = {one["arm"]: one["request"] for one in json.loads(capsys.readouterr().out)["arms"]}
    assert "the harbour office" in json.dumps(arms["plain-small"])
    assert main(["import_config", str(SAMPLE / "promptfooconfig.yaml"), "--out", "here"]) == 2
    assert "is there already" in capsys.readouterr().err


def test_items_have_the_references_of_their_own_assertions(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "s")
    found = convert(tmp_path / "s" / "promptfooconfig.yaml")
    rows = {row["case_id"]: row for name, text in found.files.items() if name.endswith(".jsonl") for row in map(json.loads, text.splitlines())}
    assert [rows[f"t{k}"]["letter"] for k in (2, 3)] == ["Where is my boat?", "My boat has gone."], "lists of variables are combinations"
    assert rows["t1"]["expected_exact"] == "billing"
    assert rows["t4"]["expected_exact"] == rows["t5"]["expected_exact"] == "weather"
    assert rows["t5"]["expected_contains"] == ["weather", "fog"]
    assert "expected_exact" not in rows["t2"]
    assert rows["t4"]["metadata_channel"] == "phone"
    sets = yaml.safe_load(found.files["trial.yaml"])["datasets"]
    assert [one["fields"] for one in sets] == [{"id": "case_id", "answers": "expected_exact"}, {"id": "case_id"}]


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({"type": "contains-all", "value": ["x", "y"]}, {"contains": {"all": ["x", "y"], "name": "contains"}}),
        ({"type": "icontains-all", "value": ["x"]}, {"contains": {"case": False, "all": ["x"], "name": "contains"}}),
        ({"type": "not-regex", "value": "^a"}, {"regex": {"pattern": "^a", "not": True, "name": "not_regex"}}),
        ({"type": "is-json"}, {"json_valid": {"fenced": False, "name": "json_valid"}}),
        ({"type": "is-json", "value": {"type": "object"}}, {"json_schema": {"schema": {"type": "object"}, "fenced": False, "name": "json_schema"}}),
        ({"type": "not-is-refusal"}, {"refusal": {"better": "lower", "name": "refusal"}}),
        ({"type": "starts-with", "value": "{{letter}}"}, {"starts_with": {"name": "starts_with", "reference": "letter"}}),
        ({"type": "equals", "value": 4}, {"exact": {"name": "exact", "reference": "expected_exact"}}),
        ({"type": "rouge-n", "value": "x", "threshold": 0.6}, {"rouge_l": {"name": "rouge_l", "reference": "expected_rouge_l"}}),
        ({"type": "cost", "threshold": 0.1, "metric": "price"}, {"cost_usd": {"name": "price"}}),
    ],
)
def test_an_assertion_is_a_metric_by_name(tmp_path: Path, given: dict[str, Any], want: dict[str, Any]) -> None:
    assert metrics_of(tmp_path, given) == [want]


def test_two_assertions_of_a_kind_are_two_metrics(tmp_path: Path) -> None:
    tree, _, files = made(
        tmp_path, tests=[{"vars": {"letter": "a"}, "assert": [{"type": "contains", "value": "x"}, {"type": "contains", "value": "y"}]}]
    )
    assert [next(iter(one.values()))["reference"] for one in tree["metrics"]] == ["expected_contains", "expected_contains_2"]
    row = json.loads(files["tests.jsonl"])
    assert (row["expected_contains"], row["expected_contains_2"]) == ("x", "y")


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ("contains: Paris", {"type": "contains", "value": "Paris"}),
        ("Paris", {"type": "equals", "value": "Paris"}),
        ("contains-any: a, b", {"type": "contains-any", "value": ["a", "b"]}),
        ("similar(0.8):Hello: you", {"type": "similar", "value": "Hello: you", "threshold": 0.8}),
        ("is-json", {"type": "is-json"}),
        ("At 5: tea", {"type": "equals", "value": "At 5: tea"}),
    ],
)
def test_a_cell_of_a_csv_file_is_an_assertion(given: str, want: dict[str, Any]) -> None:
    assert expected(given) == want


def test_scenarios_defaults_and_missing_variables(tmp_path: Path) -> None:
    scenarios = [{"config": [{"vars": {"letter": "a"}}, {"vars": {"letter": "b"}}], "tests": [{"vars": {"tone": "kind"}}, {"vars": {}}]}]
    tree, left, files = made(tmp_path, prompts=["{{letter}} {{tone}}", "{{ tone }}: {{letter}}"], tests=[], scenarios=scenarios)
    rows = [json.loads(line) for line in files["tests.jsonl"].splitlines()]
    assert [(row["letter"], row.get("tone")) for row in rows] == [("a", "kind"), ("a", None), ("b", "kind"), ("b", None)]
    assert files["prompts/prompt-1.txt"] == '{{letter}} {{ tone | default("") }}'
    assert tree["stats"]["primary"]["metric"] == "words"
    assert any("no assertion has a counterpart" in one for one in left)


@pytest.mark.parametrize(
    ("template", "want"),
    [
        ("{{n | default(20)}} words: {{q}} {{ lang | d('en') }}", ["20 words: Q fr", "20 words: Q en"]),
        ("{% if lang is defined %}in {{lang}}: {% endif %}{% if n is not defined %}free{% endif %}", ["in fr: free", "free"]),
        ("{% if lang %}{{ lang | upper }}{% else %}any{% endif %}{{- n -}}", ["FR", "any"]),
        ("{% for one in n %}{{ one.text }}{% endfor %}{{ n | default([1, (2)], true) | join('+') }}", ["1+2", "1+2"]),
        ("{% set lang = lang | default('kind') %}{% set n = n | default('x') %}{{lang}} {{n}}", ["fr x", "kind x"]),
        ("{% raw %}{{ n }}{{ lang }}{% endraw %}{{ q | replace('Q', n) }}", ["{{ n }}{{ lang }}", "{{ n }}{{ lang }}"]),
        ("{{ lang | default(n ~ '-' ~ q) | lower }}", ["fr", "-q"]),
        ("{% if q === 'Q' %}{{ lang if lang !== 'fr' else q }}{{n}}{% endif %}", ["Q", ""]),
    ],
)
def test_a_variable_that_is_not_there_is_what_the_prompt_says_of_such(tmp_path: Path, template: str, want: list[str]) -> None:
    tests = [{"vars": {"q": "Q", "lang": "fr"}}, {"vars": {"q": "Q"}}]
    _, left, files = made(tmp_path, prompts=[template, "{{q}}"], tests=tests)
    rows = [json.loads(line) for line in files["tests.jsonl"].splitlines()]
    assert [Template.of(files["prompts/prompt-1.txt"]).render(row) for row in rows] == want
    assert any("the variable `n`, which no test has" in one for one in left)


def test_prompts_of_a_provider_go_by_label_or_id_and_none_is_dropped_without_a_word(tmp_path: Path) -> None:
    prompts = [{"id": "terse", "raw": "Say {{q}}."}, {"label": "kind", "raw": "Please say {{q}}."}]
    providers = ["openai:gpt-4o-mini", {"id": "openai:gpt-4.1", "prompts": ["terse"]}, {"id": "openai:gpt-4o", "prompts": ["rude"]}]
    tree, left, _ = made(tmp_path, prompts=prompts, providers=providers, tests=[{"vars": {"q": "a"}}])
    assert list(tree["arms"]) == ["terse-gpt-4o-mini", "kind-gpt-4o-mini", "terse-gpt-4-1"]
    assert any("the `prompts` of gpt-4o: no prompt is called rude; no arm asks it" in one for one in left)


def test_one_prompt_at_one_provider_gets_a_copy_to_change(tmp_path: Path) -> None:
    tree, left, _ = made(tmp_path, prompts=["Sort {{letter}}"])
    assert list(tree["arms"]) == ["gpt-4-1", "candidate"]
    assert any("`candidate` is a copy" in one for one in left)


def test_what_lies_outside_or_elsewhere_is_not_read(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("s")
    prompts = ["file://../secret.txt", "file:///etc/hostname", "exec:./run.sh", "Sort {{letter}}", "Or {{letter}}"]
    _, left, files = made(inside, prompts=prompts)
    assert sum("lies outside the config's folder" in one for one in left) == 2
    assert sum("made by a program" in one for one in left) == 1
    assert not any(text.startswith("s\n") or text == "s" for text in files.values())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"prompts": []}, "none of its prompts"),
        ({"providers": ["bedrock:x"]}, "none of its providers"),
        ({"tests": []}, "none of its tests"),
        ({"prompts": ["{% if %}"]}, "none of its prompts"),
    ],
)
def test_nothing_to_compare_is_said(tmp_path: Path, changes: dict[str, Any], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        made(tmp_path, **changes)


def test_broken_files_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.yaml").write_text("prompts: [a\n")
    assert main(["import_config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "o")]) == 2
    assert "not valid YAML" in capsys.readouterr().err
    assert main(["import_config", str(tmp_path / "none.yaml"), "--out", str(tmp_path / "o")]) == 2
    assert not (tmp_path / "o").exists()


def test_a_rubric_of_some_tests_alone_is_named(tmp_path: Path) -> None:
    tests = [{"vars": {"letter": "a"}, "assert": [{"type": "llm-rubric", "value": "is kind"}]}, {"vars": {"letter": "b"}}]
    found = convert(written(tmp_path, tests=[*tests, {"vars": {"letter": "c"}, "assert": [{"type": "llm-rubric", "value": "is short"}]}]))
    assert "judges" not in yaml.safe_load(found.files["trial.yaml"])
    assert "judge" not in found.metrics
    assert "is kind" not in found.files["tests.jsonl"]
    told = [str(one) for one in found.left if "rubric" in one.what]
    places = [one.partition(": ")[2].partition(" of some tests alone")[0] for one in told]
    assert places == ["tests.0.assert.0: the rubric 'is kind'", "tests.2.assert.0: the rubric 'is short'"]
    assert not any(one.is_near and "rubric" in one.what for one in found.left)


@pytest.mark.parametrize("place", ["test", "default", "assertion"])
def test_the_model_that_grades_rubrics_becomes_the_judge(tmp_path: Path, place: str) -> None:
    grader: dict[str, Any] = {"provider": "anthropic:messages:claude-haiku-4-5"}
    rubric: dict[str, Any] = {"type": "llm-rubric", "value": "is kind", **(grader if place == "assertion" else {})}
    test: dict[str, Any] = {"vars": {"letter": "a"}, "assert": [rubric], **({"options": {**grader, "storeOutputAs": "x"}} if place == "test" else {})}
    tree, left, _ = made(tmp_path, tests=[test], **({"defaultTest": {"options": grader}} if place == "default" else {}))
    (judge,) = tree["judges"]
    assert (judge["backend"], judge["model"]) == ("anthropic", "claude-haiku-4-5")
    assert not any("own model judges" in one for one in left)
    assert any("the option `storeOutputAs`" in one for one in left) == (place == "test")


def test_a_grader_that_is_not_known_here_is_named(tmp_path: Path) -> None:
    test = {"vars": {"letter": "a"}, "assert": [{"type": "llm-rubric", "value": "is kind", "provider": "bedrock:x"}]}
    tree, left, _ = made(tmp_path, tests=[test])
    assert "model" not in tree["judges"][0]
    assert any("'bedrock:x' has no counterpart" in one and "own model judges" in one for one in left)


def loaded(folder: Path, files: dict[str, str]) -> Any:
    """The config that these files are."""
    for name, text in files.items():
        (folder / "out" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "out" / name).write_text(text)
    return load(folder / "out" / "trial.yaml").config


RUBRIC = {"type": "llm-rubric", "value": "is kind"}


@pytest.mark.parametrize(
    ("further", "primary"),
    [([], "judge"), ([{"type": "not-contains", "value": "x"}], "judge"), ([{"type": "word-count"}], "judge"), ([{"type": "is-json"}], "json_valid")],
)
def test_a_rubric_is_the_first_endpoint_where_nothing_else_says_what_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, further: list[Any], primary: str
) -> None:
    tree, left, files = made(tmp_path, defaultTest={"assert": [RUBRIC, *further]})
    assert tree["stats"]["primary"]["metric"] == primary
    assert not any("`words`" in one for one in left) or further == [{"type": "word-count"}]
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    assert loaded(tmp_path / "x", files).stats.primary.metric == primary


ANY_JSON = {"type": "json_object"}
FORM = {"type": "json_schema", "json_schema": {"name": "note", "schema": {"type": "object", "properties": {}}, "strict": False}}


@pytest.mark.parametrize(
    ("provider", "config", "arm"),
    [
        ("openai:gpt-4.1", {"response_format": ANY_JSON}, {"body": {"response_format": ANY_JSON}}),
        ("mistral:mistral-small-latest", {"response_format": ANY_JSON, "seed": 1}, {"body": {"response_format": ANY_JSON, "seed": 1}}),
        ("openai:responses:gpt-4.1", {"response_format": ANY_JSON}, {"body": {"text": {"format": ANY_JSON}}}),
        ("openai:gpt-4.1", {"response_format": {"type": "text"}}, {}),
        ("google:gemini-2.5-flash", {"temperature": 0}, {"temperature": 0}),
    ],
)
def test_what_a_provider_is_told_goes_along(tmp_path: Path, provider: str, config: Any, arm: Any) -> None:
    tree, left, _ = made(tmp_path, providers=[{"id": provider, "config": config}])
    found = next(iter(tree["arms"].values()))
    assert {name: value for name, value in found.items() if name not in ("backend", "model", "task")} == arm
    assert not any("`config." in one for one in left)


def test_two_endpoints_of_a_backend_are_one_and_that_is_said(tmp_path: Path) -> None:
    ask = {"config": {"response_format": ANY_JSON}}
    tree, left, files = made(tmp_path, providers=[{"id": "openai:responses:gpt-4.1", **ask}, {"id": "openai:gpt-4.1-mini", **ask}])
    assert {json.dumps(arm["body"]) for arm in tree["arms"].values()} == {json.dumps({"text": {"format": ANY_JSON}})}
    assert any("providers.1: the `endpoint` /v1/chat/completions of gpt-4.1-mini" in one for one in left), left
    assert "&id001" not in files["trial.yaml"]


def test_a_template_that_reads_the_environment_is_named(tmp_path: Path) -> None:
    _, left, _ = made(tmp_path, prompts=["Sort {{letter}}", "{{ env.HOUSE }}: {{letter}}"])
    assert any("prompts.1" in one and "reads the environment" in one for one in left)


def test_what_a_provider_cannot_be_told_is_named(tmp_path: Path) -> None:
    given = {"response_format": ANY_JSON, "temperature": "{{env.HEAT}}", "apiKey": "sk-none"}
    _, left, _ = made(tmp_path, providers=[{"id": "anthropic:messages:claude-haiku-4-5", "config": given}, "openai:{{env.MODEL}}"])
    for what in (
        "`config.response_format`; anthropic has no such form",
        "`config.temperature` is filled in from elsewhere",
        "'openai:{{env.MODEL}}'",
    ):
        assert any(what in one and "promptfooconfig.yaml, line" in one for one in left), (what, left)


@pytest.mark.parametrize(
    ("choice", "chosen"),
    [
        ("required", "required"),
        ({"type": "function", "function": {"name": "look"}}, "look"),
        ({"type": "tool", "name": "look"}, "look"),
        ({"type": "any"}, "required"),
    ],
)
def test_tools_and_the_choice_among_them_are_the_tasks(tmp_path: Path, choice: Any, chosen: str) -> None:
    tools = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}}]
    config = {"tools": tools, "tool_choice": choice, "response_format": FORM}
    tree, _, _ = made(tmp_path, providers=[{"id": "openai:gpt-4.1", "config": config}])
    task = next(iter(tree["arms"].values()))["task"]
    assert (task["tools"][0]["name"], task["tool_choice"]) == ("look", chosen)
    assert task["response_format"] == {"name": "note", "json_schema": {"type": "object", "properties": {}}, "strict": False}


def test_files_may_hold_lists_of_prompts_and_providers_and_texts_may_be_chats(tmp_path: Path) -> None:
    (tmp_path / "prompts.yaml").write_text('- "One {{letter}}"\n- {raw: "Two {{letter}}", label: two}\n')
    (tmp_path / "chat.txt").write_text('[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "{{letter}}"}]')
    (tmp_path / "providers.yaml").write_text("- openai:gpt-4.1\n- id: openai:gpt-4.1-mini\n  label: mini\n")
    chat = "- role: system\n  content: Be kind.\n- role: user\n  content: '{{letter}}'\n"
    tree, _, files = made(tmp_path, prompts=["file://prompts.yaml", "file://chat.txt", chat], providers="file://providers.yaml")
    assert len(tree["arms"]) == 8
    assert files["prompts/chat-1.txt"] == "Be brief."
    assert [len(arm["task"]["messages"]) for arm in tree["arms"].values()] == [1, 1, 2, 2] * 2
    (tmp_path / "a.txt").write_text("One {{letter}}")
    assert list(made(tmp_path, prompts={"a.txt": "first"}, providers=["openai:gpt-4.1", "openai:gpt-4.1-mini"])[0]["arms"]) == [
        "gpt-4-1",
        "gpt-4-1-mini",
    ]


def test_templates_of_assertions_files_by_pattern_and_tests_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in ("a", "b"):
        (tmp_path / "docs" / f"{name}.txt").write_text(name)
    tests = [
        {"vars": {"letter": "file://docs/*.txt"}, "assert": [{"$ref": "#/assertionTemplates/short"}]},
        {"vars": {"letter": "file://made.py"}},
        {
            "vars": {"letter": "c"},
            "assert": [{"$ref": "#/assertionTemplates/none"}, {"type": "regex", "value": "(a"}, {"type": "regex", "value": "(?=a)"}],
        },
    ]
    tree, left, files = made(tmp_path, tests=tests, assertionTemplates={"short": {"type": "is-json", "value": '{"type": "object"}'}})
    rows = [json.loads(line) for name, text in files.items() if name.endswith(".jsonl") for line in text.split("\n") if line]
    assert sorted(row["letter"] for row in rows) == ["a", "b", "c"]
    assert [next(iter(one)) for one in tree["metrics"]] == ["json_schema"]
    assert any("tests.1" in one and "made by a program" in one for one in left)
    assert sum("the pattern" in one for one in left) == 2


@pytest.mark.parametrize(
    ("cell", "want"),
    [("grade: is kind", {"type": "llm-rubric", "value": "is kind"}), ("note: pay", {"type": "equals", "value": "note: pay"})],
)
def test_older_and_unknown_heads_of_a_cell(cell: str, want: dict[str, Any]) -> None:
    assert expected(cell) == want


def rows_of(files: dict[str, str]) -> list[dict[str, Any]]:
    return [json.loads(line) for name, text in files.items() if name.endswith(".jsonl") for line in text.split("\n") if line]


def test_prompts_whose_names_look_alike_keep_their_own_texts(tmp_path: Path) -> None:
    chat = json.dumps([{"role": "system", "content": "Five"}, {"role": "user", "content": "{{letter}}"}])
    labels = ["\u8cea\u554f\u4e00", "\u8cea\u554f\u4e8c", f"{'long ' * 10}one", f"{'long ' * 10}two", "a b", "a-b", "chat-1"]
    prompts = [{"label": label, "raw": f"{number} {{{{letter}}}}"} for number, label in enumerate(labels)]
    tree, _, files = made(tmp_path, prompts=[*prompts, {"label": "chat", "raw": chat}])
    texts = ["".join(files[one["file"]] for one in arm["task"]["messages"]) for arm in tree["arms"].values()]
    assert texts == [*(f"{number} {{{{letter}}}}" for number in range(len(labels))), "Five{{letter}}"]


def test_a_variable_keeps_its_value_whatever_it_is_called(tmp_path: Path) -> None:
    mine = {"letter": "a", "case_id": "same", "description": "mine", "expected_contains": "mine", "metadata_channel": "mine"}
    test = {"vars": mine, "description": "theirs", "metadata": {"channel": "mail"}, "assert": [{"type": "contains", "value": "x"}]}
    tree, _, files = made(tmp_path, tests=[test, test])
    first, second = rows_of(files)
    assert {name: first[name] for name in mine} == mine
    id_column = tree["datasets"][0]["fields"]["id"]
    assert (first[id_column], second[id_column]) == ("t1", "t2")
    assert first[tree["metrics"][0]["contains"]["reference"]] == "x"
    assert {"theirs", "mail"} <= set(first.values())


def test_words_of_yaml_mean_what_they_mean_there(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "prompts: ['{{letter}}', 'Sort {{letter}}']\nproviders: openai:gpt-4.1\ntests:\n"
        "  - vars: {letter: no, day: 2026-01-02, at: 12:30, zip: 0420, is: true, on: off}\n    assert: [{type: equals, value: yes}]\n"
    )
    (row,) = rows_of(dict(convert(tmp_path / "c.yaml").files))
    assert row["expected_exact"] == "yes"
    assert [row[name] for name in ("letter", "day", "at", "zip", "is", "on")] == ["no", "2026-01-02", "12:30", 420, True, "off"]


def test_variables_are_what_their_prompts_see(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\n")
    (tmp_path / "t.csv").write_text("letter,who\nfile://a.txt,Bo\n")
    tests = [
        {"vars": {"letter": ["file://a.txt", "two"]}},
        {"vars": {"letter": "Dear {{who}}, {{never}}\n", "who": "Ms {{name}}", "name": "Lind"}},
        {"vars": {"letter": ["x", "y"]}, "options": {"disableVarExpansion": True}},
        "file://t.csv",
    ]
    _, _, files = made(tmp_path, tests=tests)
    assert [row["letter"] for row in rows_of(files)] == ["one", "two", "Dear Ms Lind, {{never}}", ["x", "y"], "one"]
    huge = {"letter": "{{a}}" * 1000, "a": "{{b}}" * 1000, "b": "x" * 1000}
    with pytest.raises(ConfigError, match="grow beyond 1,048,576 characters"):
        made(tmp_path, tests=[{"vars": huge}])


def test_a_provider_takes_all_prompts_of_the_entry_that_it_names(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("One {{letter}}\n---\nTwo {{letter}}")
    providers = [{"id": "openai:gpt-4.1", "label": "big"}, {"id": "openai:gpt-4.1-mini", "label": "mini", "prompts": ["filed"]}]
    tree, _, _ = made(tmp_path, prompts=["Sort {{letter}}", {"id": "file://p.txt", "label": "filed"}], providers=providers)
    assert list(tree["arms"]) == ["prompt-1-big", "filed-1-big", "filed-2-big", "filed-1-mini", "filed-2-mini"]


def test_all_of_a_set_of_assertions_that_is_left_out_is_named_and_so_are_unknown_keys_in_their_order(tmp_path: Path) -> None:
    inner = {"type": "assert-set", "threshold": 0.5, "weight": 2, "metric": "m", "assert": [{"type": "contains", "value": "x"}, {"value": "x"}]}
    keys = ["redteam", "env", "extensions", "derivedMetrics", "nunjucksFilters"]
    _, left, _ = made(tmp_path, tests=[{"vars": {"letter": "a"}, "assert": [inner]}], **{key: {} for key in keys})
    assert [one.split("`")[1] for one in left[: len(keys)]] == keys
    assert any("tests.0.assert.0.weight: `weight` of an `assert-set`" in one for one in left)
    assert any("tests.0.assert.0.metric: `metric` of an `assert-set`" in one for one in left)
    assert any("tests.0.assert.0.assert.1: an assertion without a `type`" in one for one in left)


@pytest.mark.parametrize(
    ("model", "config", "arm", "lane", "told"),
    [
        ("openai:gpt-5-mini", {}, {"temperature": 1}, {}, []),
        ("openai:gpt-5-mini", {"temperature": 0, "stop": ["x"]}, {"temperature": 1}, {}, ["`config.temperature` 0", "`config.stop` ['x']"]),
        ("openai:gpt-5.2", {}, {}, {}, []),
        ("openai:gpt-5.2", {"reasoning_effort": "low"}, {"temperature": 1, "body": {"reasoning_effort": "low"}}, {}, []),
        ("anthropic:claude-opus-4-7", {"top_p": 0.5}, {}, {"sampling": "omit"}, ["`config.top_p` 0.5"]),
    ],
)
def test_a_model_is_asked_for_no_sampling_that_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, config: dict[str, Any], arm: dict[str, Any], lane: dict[str, Any], told: list[str]
) -> None:
    tree, left, files = made(tmp_path, providers=[{"id": model, "config": config}])
    (first, *_) = tree["arms"].values()
    assert {name: value for name, value in first.items() if name not in ("backend", "model", "task")} == arm
    assert {name: value for name, value in tree.get("provider", {}).items() if name != "endpoint"} == lane
    assert [one.partition(": ")[2].partition(", which")[0].partition(": ")[2] for one in left if "refuses" in one] == told
    monkeypatch.chdir(tmp_path)
    assert set(loaded(tmp_path, files).arms) == set(tree["arms"])


def test_where_one_model_refuses_sampling_its_lane_sends_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warm = {"id": "anthropic:claude-haiku-4-5", "label": "warm", "config": {"temperature": 0.9}}
    tree, left, files = made(tmp_path, providers=["openai:gpt-4.1", warm, "anthropic:claude-opus-4-7"])
    assert tree["lanes"] == {"anthropic": {"sampling": "omit"}}
    assert any("the `temperature` 0.9 of warm; left out: another model there refuses it" in one for one in left)
    assert not any("temperature" in arm for arm in tree["arms"].values())
    monkeypatch.chdir(tmp_path)
    assert set(loaded(tmp_path, files).arms) == set(tree["arms"])


def test_variables_that_tests_lack_and_columns_that_prompts_do_not_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = ["{{letter}}{% if hint %} ({{hint}}){% endif %}{{nobody}}", "{% for one in never %}{{one}}{% endfor %}{{letter}} {{ hint }}"]
    tests: list[Any] = [{"vars": {"letter": "a", "hint": "b", "messages": [{"role": "user"}], "options": {"x": 1}}}, {"vars": {"letter": "c"}}]
    tree, left, files = made(tmp_path, prompts=prompts, tests=tests)
    assert [one.partition("`")[2].partition("`")[0] for one in left if "no test has" in one] == ["nobody", "never"]
    assert tree["datasets"][0]["ignore_columns"] == ["messages", "options"]
    loaded(tmp_path, files)
    monkeypatch.chdir(tmp_path / "out")
    asked = {}
    for item in ("t1", "t2"):
        assert main(["try", "--config", "trial.yaml", "--item", item, "--json"]) == 0
        asked[item] = [one["request"]["body"]["messages"][0]["content"] for one in json.loads(capsys.readouterr().out)["arms"]]
    assert asked == {"t1": ["a (b)", "a b"], "t2": ["c", "c "]}


def test_one_file_of_a_pattern_that_cannot_be_read_leaves_the_others(tmp_path: Path) -> None:
    for name, text in {"p/1.txt": "{{letter}}", "p/2.txt": "{% macro a() %}{% endmacro %}", "p/3.txt": "Sort {{letter}}"}.items():
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "t").mkdir()
    for name, text in {"1.csv": "letter\na\n", "2.jsonl": '{"vars": {"letter": "b"}}\n{\n', "3.json": "{", "4.yaml": "vars: {letter: d}\n"}.items():
        (tmp_path / "t" / name).write_text(text)
    tree, left, files = made(tmp_path, prompts="p/*.txt", tests="file://t/*")
    assert list(tree["arms"]) == ["p-1", "p-3"]
    assert [row["letter"] for row in rows_of(files)] == ["a", "b", "d"]
    assert any("2.txt: the template cannot be read here: macro is not available" in one for one in left)
    assert any("2.jsonl: line 2 is no JSON" in one for one in left)
    assert any("3.json: not valid JSON" in one for one in left)


def test_signs_that_part_lines_elsewhere_part_none_of_a_row(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"vars": {"letter": "a\u2028b"}}\n{"vars": {"letter": "c\x85d"}}\n')
    _, _, files = made(tmp_path, prompts=["{{letter}}"], tests="file://t.jsonl")
    assert [row["letter"] for row in rows_of(files)] == ["a\u2028b", "c\x85d"]


def test_what_cannot_be_taken_over_is_told_without_what_can(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of its providers") as caught:
        made(tmp_path, prompts=["{{letter}}", "file://a.py"], providers=["bedrock:x"])
    assert "bedrock:x" in caught.value.what
    assert "a program" not in caught.value.what


def test_words_of_the_other_template_language_are_put_into_ours(tmp_path: Path) -> None:
    prompts = ["{{ letter | safe }} of {{letter.length}}, safe.length", "{% if letter.length > 1 %}{{ letter|safe|upper }}{% endif %}"]
    _, left, files = made(tmp_path, prompts=prompts, tests=[{"vars": {"letter": "abc"}}])
    said = [Template.of(files[f"prompts/prompt-{number}.txt"]).render({"letter": "abc"}) for number in (1, 2)]
    assert said == ["abc of 3, safe.length", "ABC"]
    assert not any("prompts" in one for one in left)


def test_a_turn_whose_texts_and_images_would_be_sent_otherwise_is_told_and_left(tmp_path: Path) -> None:
    """A task's turn has one image, below all of its text: an image first, between texts, a second one or one in low detail asks otherwise."""
    first, second = ({"type": "image_url", "image_url": {"url": f"{{{{{name}}}}}"}} for name in ("letter", "other"))
    text, low = {"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": "{{letter}}", "detail": "low"}}
    turns = {"fits": [text, text, first], "above": [first, text], "between": [text, first, text], "two": [text, first, second], "low": [text, low]}
    prompts = [{"label": name, "raw": json.dumps([{"role": "user", "content": turn}])} for name, turn in turns.items()]
    seen = {"letter": "https://a.example/a.png", "other": "https://a.example/b.png"}
    tree, left, _ = made(tmp_path, prompts=["{{letter}}", *prompts], tests=[{"vars": seen}])
    assert [name for name in tree["arms"] if name in turns] == ["fits"]
    assert (sum("a turn goes on below an image" in one for one in left), sum("detail 'low'" in one for one in left)) == (3, 1)


def test_a_chat_may_be_json_only_once_it_is_filled_in(tmp_path: Path) -> None:
    chat = '[{"role": "system", "content": "Say \\"{{who}}\\", {{who}}"}, {"role": "user", "content": {{ letter | dump }} }]'
    (tmp_path / "chat.json").write_text(chat)
    tree, left, files = made(tmp_path, prompts=["file://chat.json", {"raw": chat, "label": "written"}], tests=[{"vars": {"letter": "a", "who": "x"}}])
    assert list(tree["arms"]) == ["chat", "written"]
    assert (files["prompts/chat-1.txt"], files["prompts/chat-2.txt"]) == ('Say "{{who}}", {{who}}', "{{ letter }}")
    assert files["prompts/written-2.txt"] == "{{ letter }}"
    assert not any("cannot be" in one or "not valid" in one for one in left)


def test_values_of_no_use_are_named_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"temperature": "warm", "max_tokens": 5.5, "stop": 7, "top_p": [1], "top_k": True}
    odd: list[Any] = [
        {"type": "regex", "value": ""},
        {"type": "contains", "value": " "},
        {"type": "starts-with", "value": ""},
        {"type": "contains", "value": "x"},
    ]
    tree, left, files = made(
        tmp_path, providers=[{"id": "openai:gpt-4.1", "config": config}], tests=[{"vars": {"letter": "a"}, "assert": odd}, {"vars": [1]}]
    )
    (first, *_) = tree["arms"].values()
    assert first.keys() == {"backend", "model", "task"}
    assert [next(iter(one)) for one in tree["metrics"]] == ["contains"]
    assert sum("`config." in one for one in left) == len(config)
    assert sum("without a" in one for one in left) == 3
    assert any("tests.1.vars: `vars` of a test that are no mapping" in one for one in left)
    monkeypatch.chdir(tmp_path)
    loaded(tmp_path, files)


def test_what_tests_put_before_and_behind_a_prompt_is_asked(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('letter,__prefix,__suffix\nb,," Now {{letter}}"\n')
    chat = [{"role": "user", "content": "Sort {{letter}}"}]
    tests = [{"vars": {"letter": "a", "prefix": "own"}}, "file://t.csv"]
    tree, left, files = made(
        tmp_path, prompts=["Sort {{letter}}", chat], tests=tests, defaultTest={"options": {"prefix": "For {{letter}}:\n", "suffix": "."}}
    )
    (asked, *_) = tree["arms"].values()
    template = Template.of(files[asked["task"]["messages"][0]["file"]])
    assert [template.render(row) for row in rows_of(files)] == ["For a:\nSort a.", "For b:\nSort b Now b"]
    assert any("the prefix and suffix of tests, at the chat `chat`" in one for one in left)


def test_values_and_filters_write_what_that_program_writes(tmp_path: Path) -> None:
    (tmp_path / "o.json").write_text('{ "k":  1 }\n')
    (tmp_path / "o.yaml").write_text("k: [1, a]\n")
    (tmp_path / "p.txt").write_text(
        "  {{n}}|{{half}}|{{raw}}|{{made}}  \r\n --- \n{% if n == 2 %}x{% elseif n == 3 %}{{ deep | dump }}{{ deep.a | dump(2) }}{% endif %}"
    )
    values = {"n": 3.0, "half": 0.5, "raw": "file://o.json", "made": "file://o.yaml", "deep": {"a": {"b": [1]}}}
    _, left, files = made(tmp_path, prompts=["file://p.txt"], tests=[{"vars": values}])
    (row,) = rows_of(files)
    said = [Template.of(text).render(row) for name, text in sorted(files.items()) if name.startswith("prompts/")]
    assert said == ['3|0.5|{ "k":  1 }|{"k":[1,"a"]}', '{"a":{"b":[1]}}{\n  "b": [\n    1\n  ]\n}']
    assert not any("prompts" in one for one in left)


def test_a_prompt_that_cannot_be_filled_in_is_named(tmp_path: Path) -> None:
    prompts = ["{% for key, value in letter %}{{key}}{% endfor %}", "{{ letter | truncate(3) }}"]
    _, left, _ = made(tmp_path, prompts=prompts, tests=[{"vars": {"letter": {"a": 1}}}])
    assert any("the prompt `prompt-1` cannot be filled in for the test t1" in one for one in left)
    assert any("prompts.1: the filter `truncate`; it cuts at another place" in one for one in left)


def test_settings_of_a_provider_stand_where_its_endpoint_has_them(tmp_path: Path) -> None:
    thought = {"reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"}}
    gemini = {"temperature": 0.2, "maxOutputTokens": 100, "stopSequences": ["x"], "thinkingConfig": {"thinkingBudget": 0}}
    providers = [
        {"id": "openai:gpt-5-mini", "config": thought},
        {"id": "google:gemini-2.5-flash", "config": {"generationConfig": gemini}},
        {"id": "anthropic:claude-haiku-4-5", "config": {"generationConfig": gemini}},
    ]
    tree, left, _ = made(tmp_path, prompts=["Sort {{letter}}"], providers=providers)
    openai, google, anthropic = tree["arms"].values()
    assert openai["body"] == {"reasoning_effort": "low", "verbosity": "low"}
    assert any('the `reasoning` {"summary": "auto"} of gpt-5-mini' in one for one in left)
    assert (google["max_tokens"], google["temperature"], google["stop"]) == (100, 0.2, ["x"])
    assert google["body"] == {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
    assert "generationConfig" not in anthropic.get("body", {})
    assert any("providers.2.config.generationConfig" in one for one in left)
    tree, _, _ = made(tmp_path, providers=[{"id": "openai:responses:gpt-5-mini", "config": {"reasoning_effort": "low", "verbosity": "low"}}])
    assert next(iter(tree["arms"].values()))["body"] == {"reasoning": {"effort": "low"}, "text": {"verbosity": "low"}}
